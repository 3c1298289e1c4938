//! Just enough of Kafka's protocol to ask a broker who leads what, and to have a topic made.
//!
//! Old versions of its messages on purpose: they are plain, and every broker from 3.9 on understands them.
//! Source: <https://kafka.apache.org/protocol>.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::{Doing, Failure, Result};

/// How long one answer may take, and how long the broker is told that it may.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
const BROKER_WAIT_MS: i32 = 8000;
/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;
/// Not found, for a topic whose creation this broker has not heard of yet.
const UNKNOWN_TOPIC: i16 = 3;

/// A topic, as one broker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaTopic {
    /// Its name.
    pub name: String,
    /// Its partitions, by their numbers.
    pub partitions: Vec<KafkaPartition>,
}

/// A partition. Nodes are counted from 1, as they count themselves.
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

/// What a broker knows of itself and the others, and of a topic where one is named.
pub(super) async fn metadata(port: u16, topic: Option<&str>) -> Result<Metadata> {
    let mut say = Say::default();
    say.list(topic.into_iter(), Say::text);
    let mut answer = request(port, METADATA, 1, say).await?;
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
        return Err(Failure::new("the answer to Metadata cannot be read"));
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
    say.0.push(0);
    let mut answer = request(port, CREATE_TOPICS, 4, say).await?;
    answer.i32();
    let results = answer.list(|result| {
        result.text()?;
        Some((result.i16()?, result.text_or_none()?))
    });
    match results.as_deref() {
        Some([(0, _)]) => Ok(()),
        Some([(error, said)]) => {
            let said = said.as_deref().unwrap_or("no reason");
            Err(Failure::new(format!("topic {name} is not made: error {error}, {said}")))
        }
        _ => Err(Failure::new("the answer to CreateTopics cannot be read")),
    }
}

/// Sends one request, and gives the answer behind its head.
async fn request(port: u16, key: i16, version: i16, body: Say) -> Result<Heard> {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.doing("connect")?;
        let mut say = Say::default();
        say.i16(key);
        say.i16(version);
        // The number of the request, and nobody's name.
        say.i32(1);
        say.i16(-1);
        say.0.extend(body.0);
        let length = i32::try_from(say.0.len()).map_err(|_| Failure::new("too long a request"))?;
        stream.write_all(&[&length.to_be_bytes()[..], &say.0].concat()).await.doing("ask")?;
        let length = stream.read_u32().await.doing("read an answer")?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(4..=ANSWER_BYTES_MAX).contains(&length) {
            return Err(Failure::new(format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await.doing("read an answer")?;
        Ok(Heard { bytes: answer, at: 4 })
    };
    let answer = timeout(ANSWER_WAIT, asked).await;
    let answer = answer.unwrap_or_else(|_| Err(Failure::new(format!("no answer within {ANSWER_WAIT:?}"))));
    answer.map_err(|failure| Failure::new(format!("request {key} to the broker on port {port}: {failure}")))
}

/// What is being said.
#[derive(Default)]
struct Say(Vec<u8>);

impl Say {
    fn i16(&mut self, number: i16) {
        self.0.extend(number.to_be_bytes());
    }

    fn i32(&mut self, number: i32) {
        self.0.extend(number.to_be_bytes());
    }

    /// Names of tests are short: a longer one is cut off, and refused by the broker.
    fn text(&mut self, text: &str) {
        let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
        self.i16(length);
        self.0.extend(text.bytes().take(length.unsigned_abs().into()));
    }

    fn list<T>(&mut self, all: impl ExactSizeIterator<Item = T>, each: impl Fn(&mut Self, T)) {
        self.i32(i32::try_from(all.len()).unwrap_or(i32::MAX));
        all.for_each(|one| each(self, one));
    }
}

/// What was heard, read from its beginning. `None` where it is too short.
struct Heard {
    bytes: Vec<u8>,
    at: usize,
}

impl Heard {
    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// The number of a node; `None` for that of none, too.
    fn node(&mut self) -> Option<usize> {
        usize::try_from(self.i32()?).ok()
    }

    /// The outer `None` where it is too short, the inner one where there is no text.
    fn text_or_none(&mut self) -> Option<Option<String>> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Some(None) };
        Some(Some(String::from_utf8_lossy(self.take(length)?).into_owned()))
    }

    fn text(&mut self) -> Option<String> {
        self.text_or_none().map(Option::unwrap_or_default)
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.i32()?;
        (0..count.max(0)).map(|_| each(self)).collect()
    }
}
