//! One node of a case: a transport, with the calls that most cases make of it.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{
    Address, FromLog, Inbound, Inbox, LogInbox, LogStart, OutFrame, Position, Raw, TopicSettings, TopicSpec,
    Transport,
};
use bytes::Bytes;
use tokio::time::timeout;

use super::case::{Fault, Verdict, ensure};
use super::stage::Stage;

/// A message that only shows that the way is open. No case counts it.
const BEACON: &[u8] = b"\0beacon of the conformance suite";
/// How long a beacon is waited for before the next one.
const BEACON_INTERVAL: Duration = Duration::from_millis(100);

/// A connected node of a case.
pub struct Node {
    transport: Arc<dyn Transport>,
    stage: Stage,
}

impl Deref for Node {
    type Target = dyn Transport;

    fn deref(&self) -> &Self::Target {
        &*self.transport
    }
}

/// A message that holds a number, by which cases count.
pub(super) fn numbered(number: u64) -> OutFrame {
    OutFrame::new(format!("number {number}"))
}

/// The number that a message holds.
///
/// # Errors
/// Where it holds none: the message was changed on its way, or was never sent.
pub(super) fn number_of(payload: &[u8]) -> Result<u64, Fault> {
    let text = std::str::from_utf8(payload).ok().and_then(|text| text.strip_prefix("number "));
    let number = text.and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| Fault::broken(format!("a message that nobody sent: {}", payload.escape_ascii())))
}

impl Node {
    pub(super) fn new(transport: Arc<dyn Transport>, stage: Stage) -> Self {
        Self { transport, stage }
    }

    /// The transport alone, for a bus.
    pub fn into_transport(self) -> Arc<dyn Transport> {
        self.transport
    }

    /// The transport, to be used by several tasks.
    pub fn share(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    /// Waits until something can be sent.
    ///
    /// # Errors
    /// Where the link does not come up.
    pub async fn usable(&self) -> Verdict {
        let mut link = self.transport.link();
        let up = async { link.wait_for(|link| link.is_usable()).await.is_ok() };
        let up = self.stage.soon("the link comes up", up).await?;
        ensure!(up, "the link ended before it was up");
        Ok(())
    }

    /// Opens a live topic and listens to it.
    ///
    /// # Errors
    /// What the transport says.
    pub async fn listen(&self, topic: &TopicName) -> Result<Listener, Fault> {
        self.transport.open(&TopicSpec::live(topic.clone())).await?;
        let subscribing = self.transport.subscribe(topic);
        let inbox = self.stage.soon("subscribing", subscribing).await??;
        Ok(Listener {
            inbox,
            stage: self.stage.clone(),
            waiting: Vec::new().into_iter(),
            seen: BTreeSet::new(),
        })
    }

    /// Opens a log of the usual kind.
    ///
    /// # Errors
    /// What the transport says.
    pub async fn open_a_log(&self, topic: &TopicName) -> Verdict {
        self.open_as(topic, TopicSettings::LOG).await
    }

    /// Opens a topic.
    ///
    /// # Errors
    /// What the transport says.
    pub async fn open_as(&self, topic: &TopicName, settings: TopicSettings) -> Verdict {
        let spec = TopicSpec { name: topic.clone(), settings };
        let info = self.stage.soon("opening a topic", self.transport.open(&spec)).await??;
        ensure!(info.lanes() > 0, "a topic of no lanes");
        Ok(())
    }

    /// Publishes messages in one call, on the lane 0.
    ///
    /// # Errors
    /// What the transport says; and where it does not answer by the deadline.
    pub async fn send(&self, topic: &TopicName, frames: Vec<OutFrame>) -> Verdict {
        self.send_to(topic, 0, frames).await
    }

    /// Publishes messages in one call, on a lane.
    ///
    /// # Errors
    /// As [`send`](Node::send).
    pub async fn send_to(&self, topic: &TopicName, lane: u32, frames: Vec<OutFrame>) -> Verdict {
        let to = Address { topic: topic.clone(), lane };
        let publishing = self.transport.publish(&to, frames, self.stage.by());
        Ok(self.stage.soon("a publish", publishing).await??)
    }

    /// Publishes numbers, each a call.
    ///
    /// # Errors
    /// As [`send`](Node::send).
    pub async fn count(&self, topic: &TopicName, numbers: impl IntoIterator<Item = u64>) -> Verdict {
        for number in numbers {
            self.send(topic, vec![numbered(number)]).await?;
        }
        Ok(())
    }

    /// Sends beacons until one is heard: peers need a moment to find each other, and a case wants to judge what
    /// comes after.
    ///
    /// # Errors
    /// Where none is heard in time.
    pub async fn meet(&self, listener: &mut Listener, topic: &TopicName) -> Verdict {
        let heard = async {
            loop {
                self.send(topic, vec![OutFrame::new(BEACON)]).await?;
                if let Ok(heard) = timeout(BEACON_INTERVAL, listener.beacon()).await {
                    return heard;
                }
            }
        };
        self.stage.soon("two nodes meet on a live topic", heard).await?
    }

    /// Opens the lane 0 of a log for reading.
    ///
    /// # Errors
    /// What the transport says.
    pub async fn read(&self, topic: &TopicName, from: LogStart) -> Result<Reader, Fault> {
        self.read_lane(topic, 0, from).await
    }

    /// Opens a lane of a log for reading.
    ///
    /// # Errors
    /// What the transport says.
    pub async fn read_lane(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Reader, Fault> {
        let opening = self.transport.open_log(topic, lane, from);
        let inbox = self.stage.soon("opening a log", opening).await??;
        Ok(Reader { inbox, stage: self.stage.clone(), waiting: Vec::new().into_iter() })
    }
}

/// The lane 0 of a topic.
pub(super) fn to(topic: &TopicName) -> Address {
    Address { topic: topic.clone(), lane: 0 }
}

/// Listens to a live topic.
pub struct Listener {
    /// The inbox itself, for cases that call it in a way of their own.
    pub inbox: Box<dyn Inbox>,
    stage: Stage,
    waiting: std::vec::IntoIter<Inbound>,
    seen: BTreeSet<Bytes>,
}

impl Listener {
    async fn raw_next(&mut self) -> Result<Inbound, Fault> {
        loop {
            if let Some(next) = self.waiting.next() {
                return Ok(next);
            }
            let mut into = Vec::new();
            self.inbox.recv(64, &mut into).await?;
            self.waiting = into.into_iter();
        }
    }

    async fn beacon(&mut self) -> Verdict {
        loop {
            match self.raw_next().await? {
                Inbound::Message(raw) if raw.payload == BEACON => return Ok(()),
                Inbound::Message(raw) => {
                    return Err(Fault::broken(format!(
                        "a message before any was due: {}",
                        raw.payload.escape_ascii()
                    )));
                }
                Inbound::Dropped(_) | Inbound::Resubscribed => {}
            }
        }
    }

    /// The next thing that is not a beacon, without a bound in time.
    ///
    /// # Errors
    /// What the inbox says.
    pub async fn next(&mut self) -> Result<Inbound, Fault> {
        loop {
            match self.raw_next().await? {
                Inbound::Message(raw) if raw.payload == BEACON => {}
                other => return Ok(other),
            }
        }
    }

    /// The next message. A live topic may deliver one again, so that is passed over: no case sends the same bytes twice.
    /// A connection may be made anew at any time, and say so; whether something was lost by it the numbers tell.
    ///
    /// # Errors
    /// Where something else comes, or nothing.
    pub async fn message(&mut self) -> Result<Raw, Fault> {
        let stage = self.stage.clone();
        loop {
            match stage.soon("a message on a live topic", self.next()).await?? {
                Inbound::Message(raw) if !self.seen.insert(raw.payload.clone()) => {}
                Inbound::Message(raw) => return Ok(raw),
                Inbound::Resubscribed => {}
                other => return Err(Fault::broken(format!("a message was due, and this came: {other:?}"))),
            }
        }
    }

    /// Reads these numbers in this order: what is left out, or comes before its turn, is a broken promise.
    ///
    /// # Errors
    /// Where something else comes, or nothing.
    pub async fn expect(&mut self, numbers: impl IntoIterator<Item = u64>) -> Verdict {
        for due in numbers {
            let found = number_of(&self.message().await?.payload)?;
            ensure!(found == due, "number {due} was due on a live topic, and {found} came");
        }
        Ok(())
    }
}

/// A record of a log, as it was read.
#[derive(Clone, Debug)]
pub struct Record {
    /// The message.
    pub raw: Raw,
    /// Where it stands.
    pub at: Position,
    /// What the backend wrote beside it.
    pub stamp: u64,
}

/// Reads a log.
pub struct Reader {
    /// The inbox itself, for cases that call it in a way of their own.
    pub inbox: Box<dyn LogInbox>,
    stage: Stage,
    waiting: std::vec::IntoIter<FromLog>,
}

impl Reader {
    /// The next thing, without a bound in time.
    ///
    /// # Errors
    /// What the inbox says.
    pub async fn next(&mut self) -> Result<FromLog, Fault> {
        loop {
            if let Some(next) = self.waiting.next() {
                return Ok(next);
            }
            let mut into = Vec::new();
            self.inbox.recv(64, &mut into).await?;
            self.waiting = into.into_iter();
        }
    }

    /// The next thing.
    ///
    /// # Errors
    /// Where nothing comes in time.
    pub async fn soon(&mut self) -> Result<FromLog, Fault> {
        let stage = self.stage.clone();
        stage.soon("something of a log", self.next()).await?
    }

    /// The next record; that the end or the beginning was reached is passed over.
    ///
    /// # Errors
    /// Where something is said to be missing, or nothing comes.
    pub async fn record(&mut self) -> Result<Record, Fault> {
        loop {
            match self.soon().await? {
                FromLog::Record { raw, at, stamp } => return Ok(Record { raw, at, stamp }),
                FromLog::Beginning | FromLog::CaughtUp => {}
                other => return Err(Fault::broken(format!("a record was due, and this came: {other:?}"))),
            }
        }
    }

    /// Reads these numbers, in this order, each once.
    ///
    /// # Errors
    /// Where something else comes, or nothing.
    pub async fn expect(&mut self, numbers: impl IntoIterator<Item = u64>) -> Result<Vec<Record>, Fault> {
        let mut records = Vec::new();
        for due in numbers {
            let record = self.record().await?;
            let found = number_of(&record.raw.payload)?;
            ensure!(found == due, "record {due} was due, and {found} came");
            records.push(record);
        }
        Ok(records)
    }

    /// Waits until the end of the log is told. Answers with the payloads that came before it.
    ///
    /// # Errors
    /// Where something is said to be missing, or nothing comes.
    pub async fn caught_up(&mut self) -> Result<Vec<Bytes>, Fault> {
        let mut payloads = Vec::new();
        loop {
            match self.soon().await? {
                FromLog::Record { raw, .. } => payloads.push(raw.payload),
                FromLog::CaughtUp => return Ok(payloads),
                FromLog::Beginning => {}
                other => return Err(Fault::broken(format!("the end was due, and this came: {other:?}"))),
            }
        }
    }
}
