//! Reading bytes that may end anywhere.

/// A place in bytes from the network. Every method returns `None` where the bytes end too early.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let value = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(value)
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(taken)
    }

    /// LEB128, at most 32 bits, in the shortest form: there is one way to write a length.
    #[inline]
    pub(super) fn varint(&mut self) -> Option<u32> {
        let first = self.u8()?;
        if first < 0x80 {
            return Some(u32::from(first));
        }
        self.varint_rest(u32::from(first & 0x7f))
    }

    fn varint_rest(&mut self, mut value: u32) -> Option<u32> {
        for shift in [7, 14, 21, 28] {
            let byte = self.u8()?;
            if shift == 28 && byte > 0x0f {
                return None;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return (byte != 0).then_some(value);
            }
        }
        None
    }
}

/// Writes `value` as LEB128 and returns how many of the five bytes it took.
#[inline]
pub(super) fn varint(mut value: u32, into: &mut [u8; 5]) -> usize {
    let mut used = 0;
    for byte in into.iter_mut() {
        used += 1;
        // The mask leaves seven bits.
        #[allow(clippy::cast_possible_truncation)]
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            *byte = low;
            break;
        }
        *byte = low | 0x80;
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_form() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 20, 1 << 28, u32::MAX] {
            let mut bytes = [0; 5];
            let used = varint(value, &mut bytes);
            let mut input = Input::new(&bytes[..used], 0);
            assert_eq!(input.varint(), Some(value));
            assert!(input.is_at_end());
        }
        let wrong: [&[u8]; 6] = [
            &[],
            &[0x80],
            &[0x80, 0x00],                         // 0 in two bytes
            &[0xff, 0xff, 0xff, 0xff, 0x1f],       // 33 bits
            &[0xff, 0xff, 0xff, 0xff, 0x8f, 0x00], // six bytes
            &[0x81, 0x80, 0x80, 0x80, 0x00],       // 1 in five bytes
        ];
        for bytes in wrong {
            assert_eq!(Input::new(bytes, 0).varint(), None, "{bytes:x?}");
        }
    }

    #[test]
    fn nothing_is_taken_beyond_the_end() {
        let mut input = Input::new(&[1, 2, 3], 0);
        assert_eq!(input.take(4), None);
        assert_eq!(input.array::<4>(), None);
        assert_eq!(input.take(usize::MAX), None);
        assert_eq!(input.u16(), Some(0x0201));
        assert_eq!(input.u16(), None);
        assert_eq!(input.u8(), Some(3));
        assert_eq!(input.u8(), None);
        assert_eq!(Input::new(&[], 7).take(0), None);
    }
}
