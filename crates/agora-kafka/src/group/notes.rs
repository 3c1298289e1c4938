//! What stands beside a committed offset: which records behind it are done already, and how often the others were given
//! out. Whoever has the lane next goes by it: what is done is not done again, and a record that kills its member again
//! and again is noticed.
//!
//! It is text, in the metadata of the commit: `agora1 ` and one sign for each offset from the committed one on, with a
//! count before a sign that is repeated. `d`: done. `A` to `Z`: given out once to 26 times or more, and not done. `_`: no
//! record, or one that was not given out. So `agora1 A3d2_B` says: the first record was tried once, the next three are
//! done, then there are two that nobody has had, and one that was tried twice.
//!
//! Text that was written by others, or for a later version, says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What it begins with.
const MARK: &str = "agora1 ";
/// The most signs of one text behind the mark. The brokers allow 4096 with it (`offset.metadata.max.bytes`).
pub(super) const SIGNS_MAX: usize = 4000;
/// The most records that are heeded of one text.
const RECORDS_MAX: usize = 4096;
/// The most that is said of how often a record was given out.
const ATTEMPTS_MAX: u32 = 26;

/// What is noted of the records from the committed offset on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// The records that are done.
    pub(crate) done: BTreeSet<u64>,
    /// How often others were given out.
    pub(crate) attempts: BTreeMap<u64, u32>,
}

/// What is noted of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Done,
    /// Given out so often.
    Tried(u32),
}

impl Note {
    fn sign(self) -> char {
        match self {
            Self::Done => 'd',
            Self::Tried(0) => '_',
            Self::Tried(attempts) => {
                let letter = u8::try_from(attempts.min(ATTEMPTS_MAX)).map_or(0, |attempts| attempts - 1);
                char::from(b'A' + letter)
            }
        }
    }
}

/// How many signs a record can need, behind so many offsets of which nothing is noted.
pub(super) fn signs_of(gap: u64) -> usize {
    1 + gap.checked_ilog10().map_or(0, |digits| digits as usize + 2)
}

/// The text for these records, in order; empty where there is nothing to say.
pub(super) fn write(committed: u64, records: impl Iterator<Item = (u64, Note)>) -> String {
    let mut text = String::new();
    let (mut end, mut run) = (committed, (0, '_'));
    let put = |text: &mut String, (count, sign): (u64, char)| {
        if text.is_empty() && count > 0 {
            text.push_str(MARK);
        }
        match count {
            0 => {}
            1 => text.push(sign),
            _ => _ = write!(text, "{count}{sign}"),
        }
    };
    for (offset, note) in records {
        for (count, sign) in [(offset.saturating_sub(end), '_'), (1, note.sign())] {
            if count == 0 {
                continue;
            }
            if run.1 != sign {
                put(&mut text, run);
                run = (0, sign);
            }
            run.0 += count;
        }
        end = offset.saturating_add(1);
    }
    if run.1 != '_' {
        put(&mut text, run);
    }
    text
}

/// What a text says.
pub(crate) fn read(committed: u64, text: &str) -> Notes {
    let said = text.strip_prefix(MARK).and_then(|text| try_read(committed, text));
    said.unwrap_or_default()
}

fn try_read(committed: u64, text: &str) -> Option<Notes> {
    let mut notes = Notes::default();
    let (mut offset, mut count) = (committed, None);
    for sign in text.chars() {
        if let Some(digit) = sign.to_digit(10) {
            count = Some(count.unwrap_or(0_u64).checked_mul(10)?.checked_add(digit.into())?);
            continue;
        }
        let end = offset.checked_add(count.take().unwrap_or(1))?;
        let attempts = match sign {
            '_' => {
                offset = end;
                continue;
            }
            'd' => None,
            'A'..='Z' => Some(u32::from(sign) - u32::from('A') + 1),
            _ => return None,
        };
        if end - offset > (RECORDS_MAX - notes.done.len() - notes.attempts.len()) as u64 {
            return None;
        }
        match attempts {
            None => notes.done.extend(offset..end),
            Some(attempts) => notes.attempts.extend((offset..end).map(|offset| (offset, attempts))),
        }
        offset = end;
    }
    count.is_none().then_some(notes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sign_stands_for_an_offset_and_a_count_for_many() {
        use Note::{Done, Tried};
        let records = [(10, Tried(1)), (11, Done), (12, Done), (13, Done), (16, Tried(2)), (17, Tried(99))];
        assert_eq!(write(10, records.into_iter()), "agora1 A3d2_BZ");
        let notes = read(10, "agora1 A3d2_BZ");
        assert_eq!(notes.done, BTreeSet::from([11, 12, 13]));
        assert_eq!(notes.attempts, BTreeMap::from([(10, 1), (16, 2), (17, 26)]));
        assert_eq!(write(10, [(12, Tried(0))].into_iter()), "", "released before it was tried");
    }

    #[test]
    fn text_of_others_says_nothing() {
        for text in
            ["", "agora1 ", "agora2 A", "agora1 A?", "agora1 3", "{\"node\":7}", "agora1 99999999999d"]
        {
            assert_eq!(read(0, text), Notes::default(), "{text}");
        }
        assert_eq!(read(u64::MAX, "agora1 dd"), Notes::default());
        assert_eq!(read(0, "agora1 99999999999999999999999d"), Notes::default());
    }

    fn noted() -> impl Strategy<Value = Vec<(u64, Note)>> {
        let note = prop_oneof![Just(Note::Done), (1..30_u32).prop_map(Note::Tried)];
        let gap = prop_oneof![8 => Just(0_u64), 2 => 0..4_u64, 1 => 0..5000_u64];
        proptest::collection::vec((gap, note), 0..50).prop_map(|records| {
            let mut next = 100;
            let place = |(gap, note)| {
                let offset = next + gap;
                next = offset + 1;
                (offset, note)
            };
            records.into_iter().map(place).collect()
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_is_no_longer_than_was_reckoned(records in noted()) {
            let text = write(100, records.iter().copied());
            let mut expected = Notes::default();
            let (mut signs, mut end) = (0, 100);
            for (offset, note) in records {
                signs += signs_of(offset - end);
                end = offset + 1;
                match note {
                    Note::Done => _ = expected.done.insert(offset),
                    Note::Tried(attempts) => _ = expected.attempts.insert(offset, attempts.min(26)),
                }
            }
            prop_assert!(text.len() <= MARK.len() + signs, "{text}");
            prop_assert_eq!(read(100, &text), expected);
        }

        #[test]
        fn no_text_does_harm(committed: u64, text in "(agora1 )?[0-9A-Zd_]{0,20}") {
            let notes = read(committed, &text);
            prop_assert!(notes.done.len() + notes.attempts.len() <= RECORDS_MAX);
        }
    }
}
