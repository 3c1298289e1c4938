//! What nodes say to each other about themselves: records in a frame of type control.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::builder::FrameBuilder;
use super::header::{FrameType, Stamp};
use super::record::RecordRef;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{DecodeError, Event};
use crate::id::{NodeName, SourceId, StreamId};
use crate::limits::{ASK_RANGES_MAX, CONTROL_BODY_BYTES_MAX, HEARTBEAT_TOPICS_MAX, TAG_BYTES_MAX, TAGS_MAX};

/// A sign of life, with what the others need to know of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The name of the node: a [`NodeName`].
    pub name: String,
    /// What it runs, for people to read: at most 200 bytes.
    pub software: String,
    /// What its operator wants to say of it: at most [`TAGS_MAX`], each part at most [`TAG_BYTES_MAX`] bytes.
    pub tags: Vec<(String, String)>,
    /// Asks the others to answer with a heartbeat of theirs soon.
    pub greet: bool,
    /// The topics that it has open, at most [`HEARTBEAT_TOPICS_MAX`].
    pub topics: Vec<TopicState>,
}

/// A topic that a node has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicState {
    /// Lane 0 of the topic.
    pub stream: u64,
    /// A hash of the settings that all nodes must share.
    pub settings: u64,
    /// Does the node publish on it, or only listen?
    pub publishes: bool,
}

/// A node leaves of its own will.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// Where each stream ends on which it has published, at most [`HEARTBEAT_TOPICS_MAX`].
    pub streams: Vec<FinalHead>,
}

/// Where a stream of a source ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalHead {
    /// The stream.
    pub stream: u64,
    /// The number that the next event would have had.
    pub next: u64,
    /// The oldest number that is still held for repair.
    pub floor: u64,
}

/// Asks every source of a stream for a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The stream.
    pub stream: u64,
    /// What the head must repeat, so that it is known to answer this hello.
    pub nonce: u64,
}

/// Asks one source to send again what did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The stream.
    pub stream: u64,
    /// The node that is asked.
    pub node: u64,
    /// Its life.
    pub incarnation: u64,
    /// The missing numbers, half open, at most [`ASK_RANGES_MAX`].
    pub ranges: Vec<(u64, u64)>,
}

/// A sign of life of a process that takes part without being a member: a command line, a probe. It has no name, no
/// tags and no place among the members; what it publishes ends with its leave or its silence, as a member's does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observer {
    /// Asks the members to answer with a heartbeat soon.
    pub greet: bool,
}

impl Event for Observer {
    const KIND: &'static str = "agora.observer";
}

impl Event for Heartbeat {
    const KIND: &'static str = "agora.heartbeat";
}

impl Event for Leave {
    const KIND: &'static str = "agora.leave";
}

impl Event for Hello {
    const KIND: &'static str = "agora.hello";
}

impl Event for Ask {
    const KIND: &'static str = "agora.ask";
}

/// Any record of a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// See [`Heartbeat`].
    Heartbeat(Heartbeat),
    /// See [`Leave`].
    Leave(Leave),
    /// See [`Hello`].
    Hello(Hello),
    /// See [`Ask`].
    Ask(Ask),
    /// See [`Observer`].
    Observer(Observer),
}

impl Control {
    /// Forms a control frame of this record alone. `stream` names the lane on which it is sent.
    ///
    /// # Errors
    /// `TooLarge` or `Config` when a part of it is not as its type says.
    pub fn encode(&self, source: SourceId, stream: StreamId, sent_us: u64) -> Result<Bytes> {
        let mut builder = FrameBuilder::new();
        self.push_to(&mut builder)?;
        Ok(builder.finish(&Stamp { source, stream, seq: 0, floor: 0, sent_us }, FrameType::Control))
    }

    /// Adds it to a control frame.
    ///
    /// # Errors
    /// As [`Control::encode`]; the builder is unchanged.
    pub fn push_to(&self, builder: &mut FrameBuilder) -> Result<()> {
        if let Err(why) = self.check() {
            return Err(Error::new(ErrorKind::TooLarge, why).operation("control"));
        }
        match self {
            Self::Heartbeat(heartbeat) => builder.push_event(heartbeat),
            Self::Leave(leave) => builder.push_event(leave),
            Self::Hello(hello) => builder.push_event(hello),
            Self::Ask(ask) => builder.push_event(ask),
            Self::Observer(observer) => builder.push_event(observer),
        }
    }

    /// Decodes a record of a control frame; `None` for a kind that is not known, which is no error: a later
    /// version may say more. `None` too for a record of any other frame, so that no event is taken for control.
    ///
    /// # Errors
    /// The body is malformed or breaks a limit.
    pub fn from_record(record: RecordRef<'_>) -> Result<Option<Self>, DecodeError> {
        if record.header().frame_type() != Some(FrameType::Control) {
            return Ok(None);
        }
        if record.body().len() > CONTROL_BODY_BYTES_MAX {
            return Err(DecodeError::Invalid("a control record is too large"));
        }
        let control = match record.kind() {
            Heartbeat::KIND => Self::Heartbeat(record.decode()?),
            Leave::KIND => Self::Leave(record.decode()?),
            Hello::KIND => Self::Hello(record.decode()?),
            Ask::KIND => Self::Ask(record.decode()?),
            Observer::KIND => Self::Observer(record.decode()?),
            _ => return Ok(None),
        };
        control.check().map_err(DecodeError::Invalid)?;
        Ok(Some(control))
    }

    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Heartbeat(heartbeat) => heartbeat.check(),
            Self::Leave(leave) if leave.streams.len() > HEARTBEAT_TOPICS_MAX => {
                Err("a leave names too many streams")
            }
            Self::Leave(leave) if leave.streams.iter().any(|end| end.next == 0 || end.floor > end.next) => {
                Err("a leave ends a stream before its beginning")
            }
            Self::Ask(ask) if ask.ranges.is_empty() => Err("a repair request without a range"),
            Self::Ask(ask) if ask.ranges.len() > ASK_RANGES_MAX => {
                Err("a repair request with too many ranges")
            }
            Self::Ask(ask) if ask.ranges.iter().any(|(from, to)| *from == 0 || from >= to) => {
                Err("a repair request with an impossible range")
            }
            Self::Leave(_) | Self::Hello(_) | Self::Ask(_) | Self::Observer(_) => Ok(()),
        }
    }
}

impl Heartbeat {
    fn check(&self) -> Result<(), &'static str> {
        if NodeName::new(&self.name).is_err() {
            return Err("a heartbeat with an invalid node name");
        }
        if self.software.len() > TAG_BYTES_MAX {
            return Err("a heartbeat with too long a software name");
        }
        if self.tags.len() > TAGS_MAX {
            return Err("a heartbeat with too many tags");
        }
        if self.tags.iter().any(|(name, value)| name.len().max(value.len()) > TAG_BYTES_MAX) {
            return Err("a heartbeat with too long a tag");
        }
        if self.topics.len() > HEARTBEAT_TOPICS_MAX {
            return Err("a heartbeat with too many topics");
        }
        Ok(())
    }
}

impl From<Heartbeat> for Control {
    fn from(heartbeat: Heartbeat) -> Self {
        Self::Heartbeat(heartbeat)
    }
}

impl From<Leave> for Control {
    fn from(leave: Leave) -> Self {
        Self::Leave(leave)
    }
}

impl From<Hello> for Control {
    fn from(hello: Hello) -> Self {
        Self::Hello(hello)
    }
}

impl From<Observer> for Control {
    fn from(observer: Observer) -> Self {
        Self::Observer(observer)
    }
}

impl From<Ask> for Control {
    fn from(ask: Ask) -> Self {
        Self::Ask(ask)
    }
}
