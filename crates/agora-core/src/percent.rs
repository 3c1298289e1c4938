//! Percent-encoding, as URLs have it.

/// Undoes percent-encoding. A plus sign stays one: this is no form. `None` where an escape is not two hexadecimal
/// digits, or what comes out is no UTF-8: the libraries for this let the first pass, and a password would be another.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        bytes.push(escaped(tail)?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok()
}

/// The byte that the two hexadecimal digits behind a `%` stand for; `None` where they are none.
pub(crate) fn escaped(behind: &[u8]) -> Option<u8> {
    let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_two_digits_and_the_whole_is_text() {
        for (text, expected) in [
            ("a+b", Some("a+b")),
            ("a%20b%2C", Some("a b,")),
            ("%C3%a4", Some("ä")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(percent_decode(text).as_deref(), expected, "{text}");
        }
    }
}
