//! What members of a group have told the coordinator, and what stands beside their commits. Written by strangers: nothing
//! is reserved by a count that is announced, and what cannot be read says nothing.

use std::collections::BTreeSet;

use bytes::Buf;

/// The partitions of this topic in an assignment (`ConsumerProtocolAssignment` of Kafka, in any version).
pub(super) fn assigned(mut said: &[u8], topic: &str) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut read = || {
        version(&mut said)?;
        for _ in 0..count(&mut said)? {
            let is_it = text(&mut said)? == topic.as_bytes();
            for _ in 0..count(&mut said)? {
                let partition = said.try_get_i32().ok()?;
                if is_it {
                    found.insert(partition);
                }
            }
        }
        Some(())
    };
    read();
    found
}

/// Is the topic one of a subscription (`ConsumerProtocolSubscription` of Kafka, in any version)?
pub(super) fn subscribes(mut said: &[u8], topic: &str) -> bool {
    let mut read = || {
        version(&mut said)?;
        for _ in 0..count(&mut said)? {
            if text(&mut said)? == topic.as_bytes() {
                return Some(true);
            }
        }
        None
    };
    read().unwrap_or(false)
}

fn version(said: &mut &[u8]) -> Option<()> {
    (said.try_get_i16().ok()? >= 0).then_some(())
}

/// How many are announced; none for a list that is not there.
fn count(said: &mut &[u8]) -> Option<i32> {
    said.try_get_i32().ok().map(|count| count.max(0))
}

fn text<'a>(said: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(said.try_get_i16().ok()?).ok()?;
    let (text, rest) = said.split_at_checked(length)?;
    *said = rest;
    Some(text)
}

/// What a member of agora notes beside a commit: of the records from there on, how many are done, and how many are given
/// out and not done. The text is `agora1 ` and one sign for each offset, with a count before a sign that is repeated: `d`
/// is done, a capital letter is given out, `_` is neither.
pub(super) fn noted(text: &str) -> (u64, u64) {
    let (mut done, mut open, mut count) = (0_u64, 0_u64, None::<u64>);
    for sign in text.strip_prefix("agora1 ").unwrap_or_default().chars() {
        if let Some(digit) = sign.to_digit(10) {
            count = Some(count.unwrap_or(0).saturating_mul(10).saturating_add(digit.into()));
            continue;
        }
        let times = count.take().unwrap_or(1);
        match sign {
            'd' => done = done.saturating_add(times),
            'A'..='Z' => open = open.saturating_add(times),
            '_' => {}
            _ => return (0, 0),
        }
    }
    (done, open)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_members_have_and_want_is_read() {
        // As the Java client writes it: version 0, one topic with the partitions 0 and 2, then user data.
        let given = b"\0\0\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x02\xff\xff\xff\xff";
        assert_eq!(assigned(given, "t"), BTreeSet::from([0, 2]));
        assert_eq!(assigned(given, "u"), BTreeSet::new());
        assert_eq!(assigned(b"", "t"), BTreeSet::new(), "one that came last");
        let wanted = b"\0\x01\0\0\0\x02\0\x01s\0\x01t\xff\xff\xff\xff\0\0\0\0";
        assert!(subscribes(wanted, "t") && subscribes(wanted, "s") && !subscribes(wanted, "u"));
        assert!(!subscribes(b"\0\0\x7f\xff\xff\xff", "t"));
    }

    #[test]
    fn notes_beside_a_commit_are_counted_and_those_of_others_are_not() {
        assert_eq!(noted("agora1 A3d2_B"), (3, 2));
        for text in ["", "A3d", "agora1", "agora1 ", "agora2 A", "agora1 3?"] {
            assert_eq!(noted(text), (0, 0), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(said in proptest::collection::vec(any::<u8>(), 0..64), text in "(agora1 )?[0-9A-Zd_]{0,40}") {
            let _ = (assigned(&said, "t"), subscribes(&said, "t"), noted(&text));
        }
    }
}
