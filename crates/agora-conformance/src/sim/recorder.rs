//! Writes the history of a run, and knows what the judge must know and no node can: whose source is whose, and what
//! each one has formed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::codec::{self, Control, Frame, FrameType, Parsed};
use agora_core::event::{DeadLetter, LetterOrigin};
use agora_core::id::{ClusterName, Incarnation, NodeId, SourceId, StreamId, TopicName};
use agora_core::log::Cursor;
use agora_core::transport::{Fence, OutFrame, PublishFailed, Token};
use bytes::Bytes;
use tokio::time::Instant;

use super::fault::{Damage, Refusal};
use super::note::Note;
use crate::history::{
    Durable, Entry, GroupWhat, History, Life, LogWhat, Place, Stands, Sub, Topic, Value, What, Wire,
};

/// Frames that are kept to be sent again, per topic.
const FRAMES_KEPT: usize = 200;

/// Shared by everything that takes part in a run.
#[derive(Clone)]
pub(super) struct Recorder(Arc<Mutex<Inner>>);

struct Inner {
    start: Instant,
    cluster: ClusterName,
    history: History,
    lives: BTreeMap<SourceId, Life>,
    topics: BTreeMap<StreamId, Topic>,
    /// The next sequence of each source, by what it handed to its transport.
    formed: BTreeMap<(Life, Topic), u64>,
    /// When a heartbeat of the second last reached the first, and where it says that it publishes.
    heard: BTreeMap<(Life, Life), (Instant, Vec<Topic>)>,
    frames: BTreeMap<Topic, VecDeque<Bytes>>,
    calls: u64,
    refusals: BTreeMap<u8, (u16, Refusal)>,
    damages: BTreeMap<u8, (u16, Damage)>,
    ended: bool,
}

impl Recorder {
    /// Begins a history now.
    pub(super) fn new(cluster: &ClusterName, topics: &[TopicName]) -> Self {
        let streams = (0..).zip(topics).map(|(n, name)| (StreamId::of(cluster, name, 0), Topic(n)));
        Self(Arc::new(Mutex::new(Inner {
            start: Instant::now(),
            cluster: cluster.clone(),
            history: History::default(),
            lives: BTreeMap::new(),
            topics: streams.collect(),
            formed: BTreeMap::new(),
            heard: BTreeMap::new(),
            frames: BTreeMap::new(),
            calls: 0,
            refusals: BTreeMap::new(),
            damages: BTreeMap::new(),
            ended: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, what: What) {
        self.lock().record(what);
    }

    /// The transport of a node dropped what had arrived for it on a topic.
    pub(super) fn overrun(&self, by: Life, on: &TopicName) {
        let mut inner = self.lock();
        let topic = inner.topics.get(&StreamId::of(&inner.cluster, on, 0)).copied();
        inner.record(What::Overrun(by, topic));
    }

    /// Nothing more is recorded; what was.
    pub(super) fn end(&self) -> History {
        let mut inner = self.lock();
        inner.ended = true;
        std::mem::take(&mut inner.history)
    }

    pub(super) fn name(&self, source: SourceId, life: Life) {
        self.lock().lives.insert(source, life);
    }

    pub(super) fn life_of(&self, source: SourceId) -> Option<Life> {
        self.lock().lives.get(&source).copied()
    }

    /// How long ago a heartbeat of one life last reached another.
    pub(super) fn silent(&self, by: Life, of: Life) -> Option<Duration> {
        self.lock().heard.get(&(by, of)).map(|(at, _)| at.elapsed())
    }

    /// Frames that were sent on a topic, oldest first.
    pub(super) fn frames(&self, topic: Topic) -> Vec<Bytes> {
        self.lock().frames.get(&topic).map(|frames| frames.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn set_refusal(&self, node: u8, permille: u16, how: Refusal) {
        self.lock().refusals.insert(node, (permille, how));
    }

    pub(super) fn set_damage(&self, node: u8, permille: u16, how: Damage) {
        self.lock().damages.insert(node, (permille, how));
    }

    pub(super) fn clear_faults(&self) {
        let mut inner = self.lock();
        inner.refusals.clear();
        inner.damages.clear();
    }

    pub(super) fn refusal(&self, node: u8) -> Option<(u16, Refusal)> {
        self.lock().refusals.get(&node).copied().filter(|(permille, _)| *permille > 0)
    }

    pub(super) fn damage(&self, node: u8) -> Option<(u16, Damage)> {
        self.lock().damages.get(&node).copied().filter(|(permille, _)| *permille > 0)
    }

    /// A node hands frames to its transport. The number of the call; `None` for heartbeats alone, of which there are
    /// too many to write down.
    pub(super) fn send(&self, by: Life, frames: &[OutFrame]) -> Option<u64> {
        let mut inner = self.lock();
        let (mut wires, mut formed) = (Vec::new(), Vec::new());
        for frame in frames {
            let Parsed::Frame(frame) = codec::parse(frame.payload.clone()) else { continue };
            for wire in inner.wires(&frame) {
                if let Wire::Data { of, topic, seq, end, .. } = wire {
                    let next = inner.formed.entry((of, topic)).or_insert(1);
                    if end > *next {
                        *next = end;
                        formed.extend(values(&frame, seq));
                    }
                }
                match &wire {
                    Wire::Data { topic, .. } | Wire::Head { topic, .. } => inner.keep(*topic, frame.bytes()),
                    Wire::Heartbeat { .. } => continue,
                    _ => {}
                }
                wires.push(wire);
            }
        }
        if wires.is_empty() {
            return None;
        }
        inner.calls += 1;
        let call = inner.calls;
        inner.record(What::Send { by, call, wires, formed });
        Some(call)
    }

    /// What the transport said of a call of so many frames.
    pub(super) fn sent(
        &self,
        by: Life,
        call: Option<u64>,
        frames: usize,
        result: &Result<(), PublishFailed>,
    ) {
        let Some(call) = call else { return };
        let (accepted, failed) = match result {
            Ok(()) => (frames, None),
            Err(failed) => (failed.accepted, Some(failed.error.kind())),
        };
        self.record(What::Sent { by, call, accepted, failed });
    }

    /// A subscription has taken a name over.
    pub(super) fn taken(&self, sub: Sub, topic: &TopicName, name: &str, fence: Fence, cursor: Option<&[u8]>) {
        let mut inner = self.lock();
        let place = cursor.map(|cursor| inner.place(topic, cursor));
        let (durable, fence) = (durable_of(name), fence.0);
        inner.record(What::Log(LogWhat::Taken { sub, durable, fence, place }));
    }

    /// A place was saved, or not.
    pub(super) fn saved(
        &self,
        topic: &TopicName,
        name: &str,
        fence: Fence,
        cursor: &[u8],
        result: &agora_core::Result<()>,
    ) {
        let mut inner = self.lock();
        let place = inner.place(topic, cursor);
        let result = result.as_ref().copied().map_err(agora_core::Error::kind);
        inner.record(What::Log(LogWhat::Saved { durable: durable_of(name), fence: fence.0, place, result }));
    }

    /// The backend gave a record of a group to a node.
    pub(super) fn given(&self, by: Life, on: &TopicName, token: Token, attempt: u32, payload: &Bytes) {
        let mut inner = self.lock();
        let (mut of, mut seq, mut end) = (None, 0, 0);
        if let Parsed::Frame(frame) = codec::parse(payload.clone())
            && frame.header().stream == StreamId::of(&inner.cluster, on, 0)
        {
            of = inner.lives.get(&frame.header().source).copied();
            (seq, end) = (frame.seq(), frame.end());
        }
        let token = token.0;
        inner.record(What::Group(GroupWhat::Given { by, token, attempt, of, seq, end }));
    }

    /// The events whose dead letters are in each of these frames.
    pub(super) fn letters(&self, on: &TopicName, frames: &[OutFrame]) -> Vec<Vec<(Option<Life>, u64)>> {
        if !on.is_dead_letters() {
            return Vec::new();
        }
        let inner = self.lock();
        let letters = |frame: &OutFrame| {
            let Parsed::Frame(frame) = codec::parse(frame.payload.clone()) else { return Vec::new() };
            let origins = frame.records().filter_map(|record| record.decode::<DeadLetter>().ok()?.origin);
            let whose = origins.map(|LetterOrigin { node, incarnation, seq, .. }| {
                let source = SourceId { node: NodeId(node), incarnation: Incarnation(incarnation) };
                (inner.lives.get(&source).copied(), seq)
            });
            whose.collect()
        };
        frames.iter().map(letters).collect()
    }

    /// What became of dead letters.
    pub(super) fn buried(
        &self,
        by: Life,
        letters: Vec<Vec<(Option<Life>, u64)>>,
        result: &Result<(), PublishFailed>,
    ) {
        let accepted = result.as_ref().map_or_else(|failed| failed.accepted, |()| letters.len());
        for (n, letters) in letters.into_iter().enumerate() {
            for (of, seq) in letters {
                self.record(What::Group(GroupWhat::Buried(by, of, seq, n < accepted)));
            }
        }
    }

    /// A record stands in a log, since so long after the beginning.
    pub(super) fn stored(&self, topic: Topic, at: u64, since: Duration, payload: &Bytes) {
        let mut inner = self.lock();
        let (mut of, mut seq, mut end, mut floor) = (None, 0, 0, 0);
        if let Parsed::Frame(frame) = codec::parse(payload.clone())
            && inner.topics.get(&frame.header().stream) == Some(&topic)
        {
            of = inner.lives.get(&frame.header().source).copied();
            (seq, end, floor) = (frame.seq(), frame.end(), frame.header().floor);
        }
        inner.record(What::Log(LogWhat::Stored { topic, at, since, of, seq, end, floor }));
    }

    /// A frame reaches a node on a topic; `spoiled`: not as it was sent. One that belongs to another topic is no frame
    /// there.
    pub(super) fn receive(&self, by: Life, on: &TopicName, payload: &Bytes, spoiled: Option<Damage>) {
        let Parsed::Frame(frame) = codec::parse(payload.clone()) else { return };
        let mut inner = self.lock();
        if frame.header().stream != StreamId::of(&inner.cluster, on, 0) {
            return;
        }
        for wire in inner.wires(&frame) {
            match (spoiled, &wire) {
                (Some(how), _) => {
                    let newer = how == Damage::Newer;
                    inner.record(What::Spoiled { by, wire, newer });
                }
                (None, Wire::Heartbeat { of, topics }) => {
                    let now = Instant::now();
                    let before = inner.heard.insert((by, *of), (now, topics.clone()));
                    if before.is_none_or(|(_, known)| known != *topics) {
                        inner.record(What::Got(by, wire));
                    }
                }
                (None, _) => inner.record(What::Got(by, wire)),
            }
        }
    }
}

impl Inner {
    fn record(&mut self, what: What) {
        if !self.ended {
            let at = self.start.elapsed();
            self.history.entries.push(Entry { at, what });
        }
    }

    fn keep(&mut self, topic: Topic, frame: &Bytes) {
        let frames = self.frames.entry(topic).or_default();
        frames.push_back(frame.clone());
        if frames.len() > FRAMES_KEPT {
            frames.pop_front();
        }
    }

    /// What a cursor says of a log. One that cannot be read says nothing.
    fn place(&self, topic: &TopicName, cursor: &[u8]) -> Place {
        let stream = StreamId::of(&self.cluster, topic, 0);
        let cursor = Cursor::from_bytes(cursor).ok();
        let Some(lane) = cursor.as_ref().and_then(|cursor| cursor.lane(stream)) else {
            return Place::default();
        };
        let sources = lane.sources().filter_map(|(source, start, next)| {
            Some(Stands { of: self.lives.get(&source).copied()?, start, next })
        });
        Place { whole: lane.whole, sources: sources.collect() }
    }

    /// What a frame says; nothing where it is of nobody in this run.
    fn wires(&self, frame: &Frame) -> Vec<Wire> {
        let header = frame.header();
        let Some(of) = self.lives.get(&header.source).copied() else { return Vec::new() };
        let topic = self.topics.get(&header.stream).copied();
        match (frame.frame_type(), topic, frame.head()) {
            (FrameType::Data, Some(topic), _) => {
                let (seq, end, floor, crc) = (frame.seq(), frame.end(), header.floor, header.crc);
                vec![Wire::Data { of, topic, seq, end, floor, crc }]
            }
            (FrameType::Head, Some(topic), Some(head)) => {
                let (next, floor, fin, nonces) = (header.seq, header.floor, head.fin, head.nonces.clone());
                vec![Wire::Head { of, topic, next, floor, fin, nonces }]
            }
            (FrameType::Control, ..) => {
                frame.records().filter_map(|r| self.control(of, Control::from_record(r).ok()??)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn control(&self, by: Life, control: Control) -> Option<Wire> {
        let topic = |stream: u64| self.topics.get(&StreamId(stream)).copied();
        Some(match control {
            Control::Heartbeat(heartbeat) => {
                let publishing = heartbeat.topics.iter().filter(|t| t.publishes);
                Wire::Heartbeat { of: by, topics: publishing.filter_map(|t| topic(t.stream)).collect() }
            }
            Control::Leave(leave) => {
                let ends = leave.streams.iter();
                let ends = ends.filter_map(|end| Some((topic(end.stream)?, end.next, end.floor)));
                Wire::Leave { of: by, ends: ends.collect() }
            }
            Control::Hello(hello) => Wire::Hello { by, topic: topic(hello.stream)?, nonce: hello.nonce },
            Control::Ask(ask) => {
                let of = self.lives.iter().find(|(source, _)| {
                    source.node.0 == ask.node && source.incarnation.0 == ask.incarnation
                })?;
                Wire::Ask { by, of: *of.1, topic: topic(ask.stream)?, ranges: ask.ranges }
            }
            _ => return None,
        })
    }
}

/// The number in the name of a durable subscription.
fn durable_of(name: &str) -> Durable {
    Durable(name.strip_prefix('d').and_then(|number| number.parse().ok()).unwrap_or(u8::MAX))
}

fn values(frame: &Frame, seq: u64) -> Vec<(u64, Option<Value>)> {
    let value = |record: codec::RecordRef<'_>| record.decode::<Note>().ok().and_then(|note| note.value());
    (seq..).zip(frame.records().map(value)).collect()
}
