//! What members of a group tell each other through the coordinator, which does not look at it: what they want, and who
//! gets what. These are `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment` of Kafka, each behind its version,
//! so that a group may have members of any client.
//!
//! Written in version 0, which every client reads. Read in any version: later ones only append. What is read was written
//! by a stranger, so nothing is reserved by a count that it announces.

use std::collections::{BTreeMap, BTreeSet};

use agora_core::{ErrorKind, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::assign::Wish;
use crate::error::error;

/// What such groups call their kind.
pub(crate) const KIND: &str = "consumer";
/// The version that is written.
const VERSION: i16 = 0;

/// What a member wants: one topic.
///
/// # Errors
/// `TooLarge`: never for a name that a topic can have.
pub(super) fn subscription(topic: &str) -> Result<Bytes> {
    let topics = vec![StrBytes::from_string(topic.to_owned())];
    encoded(&ConsumerProtocolSubscription::default().with_topics(topics).with_user_data(None))
}

/// What a member gets.
///
/// # Errors
/// `TooLarge`: more than the protocol can say.
pub(super) fn assignment(topics: &BTreeMap<String, Vec<i32>>) -> Result<Bytes> {
    let of = |(topic, partitions): (&String, &Vec<i32>)| {
        let topic = TopicName(StrBytes::from_string(topic.clone()));
        TopicPartition::default().with_topic(topic).with_partitions(partitions.clone())
    };
    let all = topics.iter().map(of).collect();
    encoded(&ConsumerProtocolAssignment::default().with_assigned_partitions(all).with_user_data(None))
}

fn encoded(message: &impl Encodable) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    message.encode(&mut bytes, VERSION).map_err(|cause| {
        error(ErrorKind::TooLarge, "what a member of a group is told cannot be said")
            .source(cause.into_boxed_dyn_error())
    })?;
    Ok(bytes.freeze())
}

/// A member, by what it said that it wants. One that cannot be understood wants nothing.
pub(super) fn wish(id: &str, instance: Option<&str>, said: &[u8]) -> Wish {
    let topics = topics(said).unwrap_or_else(|| {
        tracing::warn!(member = %id, "what a member of the group subscribes to cannot be read: it gets nothing");
        BTreeSet::new()
    });
    Wish { id: id.to_owned(), instance: instance.map(str::to_owned), topics }
}

/// The topics of a subscription; `None`: it cannot be read.
pub(crate) fn topics(mut said: &[u8]) -> Option<BTreeSet<String>> {
    version(&mut said)?;
    (0..count(&mut said)?).map(|_| text(&mut said)).collect()
}

/// The partitions of this topic in an assignment; `None`: it cannot be read. An empty one is that of a member that gets
/// nothing.
pub(crate) fn assigned(mut said: &[u8], topic: &str) -> Option<BTreeSet<i32>> {
    let mut found = BTreeSet::new();
    if said.is_empty() {
        return Some(found);
    }
    version(&mut said)?;
    for _ in 0..count(&mut said)? {
        let is_ours = text(&mut said)? == topic;
        for _ in 0..count(&mut said)? {
            let partition = said.try_get_i32().ok().filter(|partition| *partition >= 0)?;
            if is_ours {
                found.insert(partition);
            }
        }
    }
    Some(found)
}

fn version(said: &mut &[u8]) -> Option<()> {
    (said.try_get_i16().ok()? >= 0).then_some(())
}

/// How many are announced; none for a list that is not there.
fn count(said: &mut &[u8]) -> Option<i32> {
    said.try_get_i32().ok().map(|count| count.max(0))
}

fn text(said: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(said.try_get_i16().ok()?).ok()?;
    let (text, rest) = said.split_at_checked(length)?;
    *said = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::consumer_protocol_subscription;
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// The bytes of the Java client for `new Subscription(List.of("t"))` in version 0.
    #[test]
    fn a_subscription_has_the_bytes_that_others_write() {
        assert_eq!(&subscription("t").unwrap()[..], b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff");
    }

    #[test]
    fn an_assignment_is_read_as_it_was_written() {
        let given = BTreeMap::from([("t".to_owned(), vec![0, 2]), ("u".to_owned(), vec![1])]);
        let bytes = assignment(&given).unwrap();
        assert_eq!(assigned(&bytes, "t"), Some(BTreeSet::from([0, 2])));
        assert_eq!(assigned(&bytes, "u"), Some(BTreeSet::from([1])));
        assert_eq!(assigned(&bytes, "v"), Some(BTreeSet::new()), "a topic of others");
        assert_eq!(assigned(b"", "t"), Some(BTreeSet::new()), "a member that came last");
    }

    #[test]
    fn subscriptions_of_every_version_are_read_and_one_to_come_too() {
        let owned = consumer_protocol_subscription::TopicPartition::default()
            .with_topic(TopicName(StrBytes::from_static_str("u")))
            .with_partitions(vec![7]);
        for version in 0..=3 {
            let mut message = ConsumerProtocolSubscription::default();
            message.topics = vec![StrBytes::from_static_str("t"), StrBytes::from_static_str("u")];
            message.user_data = Some(Bytes::from_static(b"mine"));
            if version > 0 {
                message.owned_partitions = vec![owned.clone()];
            }
            let mut bytes = BytesMut::new();
            bytes.put_i16(version);
            message.encode(&mut bytes, version).unwrap();
            assert_eq!(wish("m", None, &bytes).topics, names(&["t", "u"]), "version {version}");
            bytes[..2].copy_from_slice(&9_i16.to_be_bytes());
            bytes.extend_from_slice(b"something new");
            assert_eq!(wish("m", None, &bytes).topics, names(&["t", "u"]), "version 9 of {version}");
        }
    }

    #[test]
    fn who_cannot_be_understood_wants_nothing() {
        for said in
            [&b""[..], b"\0", b"\xff\xff\0\0\0\0", b"\0\0\x7f\xff\xff\xff", b"\0\0\0\0\0\x01\x7f\xfft"]
        {
            assert_eq!(wish("m", Some("i"), said).topics, names(&[]), "{said:?}");
        }
        assert_eq!(assigned(b"\0\0\x7f\xff\xff\xff\0\x01t\x7f\xff\xff\xff", "t"), None);
        assert_eq!(assigned(b"\0\0\0\0\0\x01\0\x01t\0\0\0\x01\xff\xff\xff\xff", "t"), None, "partition -1");
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(said in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (topics(&said), assigned(&said, "t"));
        }
    }
}
