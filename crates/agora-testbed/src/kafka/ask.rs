//! Just enough of Kafka's protocol to ask a broker who leads what, and to have a topic made.
//!
//! Old versions of its messages on purpose: they are plain, and every broker from 3.9 on understands them.
//! Source: <https://kafka.apache.org/protocol>.

use super::wire::{Api, Heard, Say, request};
use crate::failure::{Failure, Result};

/// How long the broker is told that it may take: less than one waits for it.
const BROKER_WAIT_MS: i32 = 4000;

const METADATA: Api = Api::plain(3, 1);
const FIND_COORDINATOR: Api = Api::plain(10, 1);
const CREATE_TOPICS: Api = Api::plain(19, 4);
const ELECT_LEADERS: Api = Api::plain(43, 1);
const ALTER_PARTITION_REASSIGNMENTS: Api = Api::compact(45, 0);
const DESCRIBE_QUORUM: Api = Api::compact(55, 0);

/// Not found, for a topic whose creation this broker has not heard of yet.
const UNKNOWN_TOPIC: i16 = 3;
/// Coordinator not available, not a coordinator: it is being made, or moves.
const NO_COORDINATOR: [i16; 3] = [14, 15, 16];
/// The election that makes the first of the replicas lead.
const PREFERRED: u8 = 0;
/// Already led by whom the election would make lead.
const ELECTION_NOT_NEEDED: i16 = 84;

/// A topic, as one broker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaTopic {
    /// Its name.
    pub name: String,
    /// Its partitions, by their numbers.
    pub partitions: Vec<KafkaPartition>,
}

/// A partition. Nodes are counted from 0, as they count themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaPartition {
    /// The node that leads it; `None` while it has no leader.
    pub leader: Option<usize>,
    /// The nodes that have it, the preferred leader first.
    pub replicas: Vec<usize>,
    /// Those of them that are in sync.
    pub in_sync: Vec<usize>,
}

/// What one broker knows.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    /// The nodes that serve.
    pub(super) brokers: Vec<usize>,
    pub(super) topics: Vec<KafkaTopic>,
}

/// Of which topics a broker is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of<'a> {
    None,
    One(&'a str),
    /// The brokers' own included.
    All,
}

/// What a broker knows of itself and the others, and of topics.
pub(super) async fn metadata(port: u16, of: Of<'_>) -> Result<Metadata> {
    let mut say = Say::default();
    match of {
        Of::None => say.list(std::iter::empty(), Say::text),
        Of::One(topic) => say.list(std::iter::once(topic), Say::text),
        // No list is another thing than an empty one.
        Of::All => say.i32(-1),
    }
    let mut answer = request(port, METADATA, say).await?;
    let brokers = answer.list(|broker| {
        let id = broker.node()?;
        broker.text()?;
        broker.i32()?;
        broker.text()?;
        Some(id)
    });
    let controller = answer.i32();
    let topics = answer.list(|topic| {
        let error = topic.i16()?;
        let name = topic.text()?;
        topic.take(1)?;
        let mut partitions = topic.list(|partition| {
            partition.i16()?;
            let number = partition.i32()?;
            let leader = partition.node();
            let (replicas, in_sync) = (partition.list(Heard::node)?, partition.list(Heard::node)?);
            Some((number, KafkaPartition { leader, replicas, in_sync }))
        })?;
        partitions.sort_by_key(|(number, _)| *number);
        let partitions = partitions.into_iter().map(|(_, partition)| partition).collect();
        Some((error, KafkaTopic { name, partitions }))
    });
    let (Some(brokers), Some(_), Some(topics)) = (brokers, controller, topics) else {
        return Err(unreadable("Metadata"));
    };
    let topics = topics.into_iter().filter(|(error, _)| *error != UNKNOWN_TOPIC).map(|(_, topic)| topic);
    Ok(Metadata { brokers, topics: topics.collect() })
}

/// Has a topic made, with as many replicas as the broker makes by default.
pub(super) async fn create_topic(port: u16, name: &str, partitions: u32) -> Result {
    let partitions = i32::try_from(partitions).map_err(|_| Failure::new("too many partitions"))?;
    let mut say = Say::default();
    say.list([name].into_iter(), |say, name| {
        say.text(name);
        say.i32(partitions);
        // Of replicas: the default. Then no assignments and no settings.
        say.i16(-1);
        say.i32(0);
        say.i32(0);
    });
    say.i32(BROKER_WAIT_MS);
    say.u8(0);
    let mut answer = request(port, CREATE_TOPICS, say).await?;
    answer.i32();
    let results = answer.list(|result| {
        result.text()?;
        Some((result.i16()?, result.text_or_none()?))
    });
    match results.as_deref() {
        Some([(0, _)]) => Ok(()),
        Some([(error, said)]) => Err(refused(&format!("topic {name} is not made"), *error, said.as_deref())),
        _ => Err(unreadable("CreateTopics")),
    }
}

/// Who coordinates a group; `None` while nobody does.
pub(super) async fn coordinator(port: u16, group: &str) -> Result<Option<usize>> {
    let mut say = Say::default();
    say.text(group);
    // A group, and not a transaction.
    say.u8(0);
    let mut answer = request(port, FIND_COORDINATOR, say).await?;
    answer.i32();
    let (Some(error), Some(said)) = (answer.i16(), answer.text_or_none()) else {
        return Err(unreadable("FindCoordinator"));
    };
    match error {
        0 => answer.node().map(Some).ok_or_else(|| unreadable("FindCoordinator")),
        error if NO_COORDINATOR.contains(&error) => Ok(None),
        error => Err(refused(&format!("no coordinator of {group}"), error, said.as_deref())),
    }
}

/// Which controller is the active one; `None` while there is none.
pub(super) async fn controller(port: u16) -> Result<Option<usize>> {
    let mut say = Say::default();
    say.compact_list(["__cluster_metadata"].into_iter(), |say, topic| {
        say.compact_text(topic);
        say.compact_list([0].into_iter(), |say, partition| {
            say.i32(partition);
            say.no_tags();
        });
        say.no_tags();
    });
    say.no_tags();
    let mut answer = request(port, DESCRIBE_QUORUM, say).await?;
    let leader = (|| {
        let error = answer.i16()?;
        let (_, _) = (answer.compact_count()?, answer.compact_text()?);
        let (_, _) = (answer.compact_count()?, answer.i32()?);
        let partition_error = answer.i16()?;
        Some((error, partition_error, answer.i32()?))
    })();
    match leader {
        Some((0, 0, leader)) => Ok(usize::try_from(leader).ok()),
        Some((0, error, _) | (error, _, _)) => Err(refused("the quorum is not described", error, None)),
        None => Err(unreadable("DescribeQuorum")),
    }
}

/// Puts the replicas of a partition into this order. The same ones in another order need no copying.
pub(super) async fn order_replicas(port: u16, topic: &str, partition: u32, replicas: &[usize]) -> Result {
    let partition = number(partition as usize);
    let mut say = Say::default();
    say.i32(BROKER_WAIT_MS);
    say.compact_list([topic].into_iter(), |say, topic| {
        say.compact_text(topic);
        say.compact_list([partition].into_iter(), |say, partition| {
            say.i32(partition);
            say.compact_list(replicas.iter(), |say, replica| say.i32(number(*replica)));
            say.no_tags();
        });
        say.no_tags();
    });
    say.no_tags();
    let mut answer = request(port, ALTER_PARTITION_REASSIGNMENTS, say).await?;
    let errors = (|| {
        answer.i32()?;
        let (error, _) = (answer.i16()?, answer.compact_text()?);
        let (_, _) = (answer.compact_count()?, answer.compact_text()?);
        let (_, _) = (answer.compact_count()?, answer.i32()?);
        Some((error, answer.i16()?))
    })();
    match errors {
        Some((0, 0)) => Ok(()),
        Some((0, error) | (error, _)) => Err(refused("replicas are not put in order", error, None)),
        None => Err(unreadable("AlterPartitionReassignments")),
    }
}

/// Makes the first replica of a partition lead it.
pub(super) async fn elect_first(port: u16, topic: &str, partition: u32) -> Result {
    let partition = number(partition as usize);
    let mut say = Say::default();
    say.u8(PREFERRED);
    say.list([topic].into_iter(), |say, topic| {
        say.text(topic);
        say.list([partition].into_iter(), Say::i32);
    });
    say.i32(BROKER_WAIT_MS);
    let mut answer = request(port, ELECT_LEADERS, say).await?;
    answer.i32();
    let error = answer.i16();
    let results = answer.list(|topic| {
        topic.text()?;
        topic.list(|partition| {
            partition.i32()?;
            Some((partition.i16()?, partition.text_or_none()?))
        })
    });
    let (Some(error), Some(results)) = (error, results) else { return Err(unreadable("ElectLeaders")) };
    let first = results.into_iter().flatten().next().unwrap_or((error, None));
    match first {
        (0 | ELECTION_NOT_NEEDED, _) => Ok(()),
        (error, said) => Err(refused("no election", error, said.as_deref())),
    }
}

fn number(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn refused(what: &str, error: i16, said: Option<&str>) -> Failure {
    Failure::new(format!("{what}: error {error}, {}", said.unwrap_or("no reason")))
}

fn unreadable(what: &str) -> Failure {
    Failure::new(format!("the answer to {what} cannot be read"))
}
