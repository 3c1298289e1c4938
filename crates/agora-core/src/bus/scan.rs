//! Reads a lane of a log from a place to its end, as an operator does: without an order to mend, a group or a cursor.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::timeout;

use super::Bus;
use super::contents::{Contents, contents};
use crate::codec::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{StreamId, TopicName};
use crate::transport::{FromLog, LogInbox, LogStart, Position, Raw};

/// At most so many records are taken from the transport at once.
const READ_RECORDS_MAX: usize = 64;
/// How long the backend may be silent while there is more to read.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// One record of a log, as it stands there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peeked {
    /// Its lane.
    pub lane: u32,
    /// Its place in the lane.
    pub at: Position,
    /// The message.
    pub raw: Raw,
    /// What it holds.
    pub what: PeekedWhat,
}

/// What a record of a log holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PeekedWhat {
    /// The events of a frame.
    Events(Vec<Record>),
    /// A message of other software.
    Foreign,
    /// Bytes that cannot be read, and why.
    Unreadable(&'static str),
}

/// The reading of a lane up to the end that it had.
pub(crate) struct Scan {
    topic: TopicName,
    stream: StreamId,
    inbox: Box<dyn LogInbox>,
    inbound: Vec<FromLog>,
    read: VecDeque<Peeked>,
    ended: bool,
}

impl Scan {
    pub(crate) async fn begin(bus: &Bus, topic: &TopicName, lane: u32, from: LogStart) -> Result<Self> {
        let inbox = bus.shared().transport.open_log(topic, lane, from).await?;
        let stream = bus.shared().stream_of(topic, lane);
        let (inbound, read) = (Vec::new(), VecDeque::new());
        Ok(Self { topic: topic.clone(), stream, inbox, inbound, read, ended: false })
    }

    /// The next record; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Peeked>> {
        while self.read.is_empty() && !self.ended {
            let received = timeout(SILENCE_MAX, self.inbox.recv(READ_RECORDS_MAX, &mut self.inbound)).await;
            received.map_err(|_| self.broken("the backend says nothing"))??;
            for one in std::mem::take(&mut self.inbound) {
                match one {
                    FromLog::Record { raw, at, .. } => {
                        let what = look(self.stream, &raw);
                        self.read.push_back(Peeked { lane: raw.lane, at, raw, what });
                    }
                    FromLog::CaughtUp => {
                        self.ended = true;
                        break;
                    }
                    FromLog::Interrupted => return Err(self.broken("the connection was interrupted")),
                    FromLog::Beginning | FromLog::Trimmed => {}
                }
            }
        }
        Ok(self.read.pop_front())
    }

    fn broken(&self, why: &str) -> Error {
        Error::new(ErrorKind::Unreachable, format!("the log cannot be read to its end: {why}"))
            .context("topic", &self.topic)
    }
}

fn look(stream: StreamId, raw: &Raw) -> PeekedWhat {
    match contents(stream, raw) {
        Contents::Frame(frame) => PeekedWhat::Events(frame.to_records().collect()),
        Contents::Foreign => PeekedWhat::Foreign,
        Contents::Elsewhere => PeekedWhat::Unreadable("a frame of another topic, or of another cluster"),
        Contents::Newer => PeekedWhat::Unreadable("a frame that needs a newer version"),
        Contents::Damaged => PeekedWhat::Unreadable("a damaged frame"),
    }
}
