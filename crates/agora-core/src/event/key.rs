//! Keys of events.

use std::fmt;

/// What an event is about. Bytes; numbers stand there as decimal text, so that a key looks the same wherever it
/// was made.
#[derive(Clone)]
pub struct Key<'a>(Inner<'a>);

#[derive(Clone)]
enum Inner<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
    /// A number: the digits stand at the end, `from` is where they begin.
    Number {
        digits: [u8; DIGITS_MAX],
        from: u8,
    },
}

const DIGITS_MAX: usize = 20;

impl Key<'_> {
    /// The key as it stands on the wire.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Inner::Borrowed(bytes) => bytes,
            Inner::Owned(bytes) => bytes,
            Inner::Number { digits, from } => &digits[usize::from(*from)..],
        }
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key<'_> {}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.as_bytes().escape_ascii())
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(text: &'a str) -> Self {
        Self(Inner::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a String> for Key<'a> {
    fn from(text: &'a String) -> Self {
        Self(Inner::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<&'a [u8]> for Key<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Inner::Borrowed(bytes))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Key<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self(Inner::Borrowed(bytes))
    }
}

impl From<String> for Key<'_> {
    fn from(text: String) -> Self {
        Self(Inner::Owned(text.into_bytes()))
    }
}

impl From<Vec<u8>> for Key<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Inner::Owned(bytes))
    }
}

impl From<u64> for Key<'_> {
    fn from(mut number: u64) -> Self {
        let mut digits = [b'0'; DIGITS_MAX];
        let mut from = DIGITS_MAX;
        loop {
            from -= 1;
            // The remainder is below ten, and `from` below twenty.
            #[allow(clippy::cast_possible_truncation)]
            let digit = (number % 10) as u8;
            digits[from] = b'0' + digit;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        #[allow(clippy::cast_possible_truncation)]
        let from = from as u8;
        Self(Inner::Number { digits, from })
    }
}

impl From<u32> for Key<'_> {
    fn from(number: u32) -> Self {
        u64::from(number).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_decimal_text() {
        for number in [0, 7, 10, 99, 100, 1_234_567_890, u64::MAX] {
            assert_eq!(Key::from(number).as_bytes(), number.to_string().as_bytes());
        }
        assert_eq!(Key::from(42u32), Key::from("42"));
        assert_eq!(Key::from("a\u{e9}".to_owned()), Key::from("a\u{e9}".as_bytes()));
        assert_ne!(Key::from("a"), Key::from("b"));
    }
}
