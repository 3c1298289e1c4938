//! A cursor as text: in the metadata of committed offsets, one part in each partition that is needed.
//!
//! Every partition of the topic gets `agora-cursor1 `, the number of the save, and, where the partition holds a part of the
//! cursor, which one of how many it is, and the part. Bytes are written as in Z85 (<https://rfc.zeromq.org/spec/32/>), which
//! needs five signs for four bytes; a rest of one to three bytes takes one sign more than it has bytes.

use std::collections::BTreeMap;

use agora_core::limits::CURSOR_BYTES_MAX;

/// What the metadata begins with.
const MARK: &str = "agora-cursor1 ";
/// The bytes of a cursor that one partition holds. As text with all that stands before it, it is below the 4096 signs that
/// a broker takes where nobody changed it (`offset.metadata.max.bytes`).
const PART_BYTES: usize = CURSOR_BYTES_MAX;
/// The signs of Z85, by their value.
const SIGNS: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// What stands beside the committed offsets of a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing was committed.
    Nothing,
    /// A cursor.
    Cursor(Vec<u8>),
    /// Another has committed since a cursor was saved, or what is there is none.
    Foreign,
}

/// The text for each of so many partitions; `None`: the cursor is too large for them.
pub(super) fn split(cursor: &[u8], partitions: usize, save: u32) -> Option<Vec<String>> {
    // An empty cursor is one of one part too.
    let parts = cursor.len().div_ceil(PART_BYTES).max(1);
    if parts > partitions {
        return None;
    }
    let bytes = |part: usize| cursor.chunks(PART_BYTES).nth(part).unwrap_or_default();
    let text = |partition: usize| {
        let mut text = format!("{MARK}{save:08x}");
        if partition < parts {
            text.push_str(&format!(" {partition}/{parts} "));
            encode(bytes(partition), &mut text);
        }
        text
    };
    Some((0..partitions).map(text).collect())
}

/// The cursor that these texts hold, one of each partition that has a commit.
pub(super) fn join<'a>(texts: impl Iterator<Item = &'a str>) -> Found {
    let (mut save, mut count, mut parts) = (None, None, BTreeMap::new());
    for text in texts {
        let Some(read) = Part::read(text) else { return Found::Foreign };
        // One that was committed at another time was committed by another.
        if *save.get_or_insert(read.save) != read.save {
            return Found::Foreign;
        }
        if let Some((index, of, bytes)) = read.bytes
            && (*count.get_or_insert(of) != of || parts.insert(index, bytes).is_some())
        {
            return Found::Foreign;
        }
    }
    if save.is_none() {
        return Found::Nothing;
    }
    if count != Some(parts.len()) || parts.keys().enumerate().any(|(at, index)| at != *index) {
        return Found::Foreign;
    }
    Found::Cursor(parts.into_values().flatten().collect())
}

struct Part {
    save: u32,
    /// Which part, of how many, and its bytes.
    bytes: Option<(usize, usize, Vec<u8>)>,
}

impl Part {
    fn read(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix(MARK)?.splitn(3, ' ');
        let save = u32::from_str_radix(words.next()?, 16).ok()?;
        let Some(place) = words.next() else { return Some(Self { save, bytes: None }) };
        let (index, of) = place.split_once('/')?;
        let bytes = decode(words.next()?.as_bytes())?;
        Some(Self { save, bytes: Some((index.parse().ok()?, of.parse().ok()?, bytes)) })
    }
}

fn encode(bytes: &[u8], text: &mut String) {
    for four in bytes.chunks(4) {
        let mut word = [0; 4];
        word[..four.len()].copy_from_slice(four);
        let mut value = u32::from_be_bytes(word);
        let mut signs = [0; 5];
        for sign in signs.iter_mut().rev() {
            *sign = SIGNS[(value % 85) as usize];
            value /= 85;
        }
        text.extend(signs[..=four.len()].iter().map(|sign| char::from(*sign)));
    }
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 5 * 4 + 4);
    for five in text.chunks(5) {
        // A rest was cut off behind what it needs: the greatest sign gives back what was there.
        let last = [SIGNS[84]; 5];
        let signs = five.iter().chain(&last[five.len()..]);
        let mut value = 0_u64;
        for sign in signs {
            let digit = SIGNS.iter().position(|known| known == sign)?;
            value = value * 85 + digit as u64;
        }
        let kept = five.len().checked_sub(1).filter(|kept| *kept > 0)?;
        bytes.extend_from_slice(&u32::try_from(value).ok()?.to_be_bytes()[..kept]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(texts: &[String]) -> Found {
        join(texts.iter().map(String::as_str))
    }

    #[test]
    fn the_bytes_of_the_specification_are_its_text() {
        let mut text = String::new();
        encode(&[0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b], &mut text);
        assert_eq!(text, "HelloWorld");
        assert_eq!(decode(b"HelloWorld").unwrap(), [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b]);
        for text in ["a", "a b", "#####", "HelloW", "ü"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_largest_cursor_has_room_beside_the_offsets() {
        let cursor = vec![0xff; 64 * CURSOR_BYTES_MAX];
        let texts = split(&cursor, 64, u32::MAX).unwrap();
        assert!(texts.iter().all(|text| text.len() <= 4096), "{:?}", texts.iter().map(String::len).max());
        assert_eq!(joined(&texts), Found::Cursor(cursor.clone()));
        assert_eq!(split(&cursor, 63, 1), None);
    }

    #[test]
    fn what_another_has_committed_is_noticed() {
        let texts = split(b"a cursor", 3, 7).unwrap();
        for other in
            ["", "agora-cursor1 ", "agora-cursor1 00000008", "agora-cursor1 00000007 0/1 a", "a note"]
        {
            for lane in 0..3 {
                let mut texts = texts.clone();
                texts[lane] = other.to_owned();
                assert_eq!(joined(&texts), Found::Foreign, "{other:?} in {lane}");
            }
        }
        assert_eq!(joined(&texts[1..]), Found::Foreign, "the part is gone");
        assert_eq!(joined(&[]), Found::Nothing);
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_from_as_many_partitions_as_there_are(
            cursor in proptest::collection::vec(any::<u8>(), 0..10_000), partitions in 4..9_usize, save in any::<u32>(),
        ) {
            let texts = split(&cursor, partitions, save).unwrap();
            prop_assert_eq!(joined(&texts), Found::Cursor(cursor));
        }

        #[test]
        fn no_text_does_harm(text in "(agora-cursor1 [0-9a-f]{1,9} [0-9]{1,3}/[0-9]{1,20} )?.{0,20}") {
            join([text.as_str()].into_iter());
        }
    }
}
