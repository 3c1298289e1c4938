//! `agora peek`: what a log holds, without a group, a cursor or any other trace.

use std::collections::VecDeque;
use std::time::SystemTime;

use agora::core::bus::{Peeked, PeekedWhat};
use agora::core::transport::{LogStart, Position, TopicDescription};
use agora::{Bus, Error, ErrorKind, Record, TopicName};
use serde::Serialize;

use super::admin::{lane_of, position, read_position, with_admin};
use crate::args::{Global, Peek};
use crate::failure::{DONE, Failure, NEGATIVE};
use crate::io::Interrupt;
use crate::json::{Beside, Content, EventLine, ForeignLine, Note};
use crate::output::Output;
use crate::session::name_of;
use crate::text;
use crate::whence::Whence;

/// So many records are read at once.
const RECORDS_MAX: usize = 256;

/// A record that cannot be read.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "unreadable")]
struct UnreadableLine<'a> {
    topic: &'a str,
    lane: u32,
    position: String,
    why: &'static str,
    bytes: usize,
}

/// One thing to show.
enum Shown {
    Event { lane: u32, at: Position, record: Record },
    Other(Peeked),
}

pub(crate) async fn run(
    global: &Global,
    args: Peek,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    let topic = TopicName::new(&args.topic)?;
    let from = from(&args.from)?;
    with_admin(global, interrupt, output.reader_gone(), async |bus: &Bus| {
        let mut peek = Peeking { bus, topic: &topic, args: &args, shown: 0, last: VecDeque::new() };
        peek.all(from, output).await
    })
    .await
}

fn from(text: &str) -> Result<LogStart, Failure> {
    match Whence::parse(text) {
        Whence::Earliest => Ok(LogStart::Earliest),
        Whence::Time(time) => Ok(LogStart::Time(time)),
        Whence::Place(place) => Ok(LogStart::At(read_position("--from", &place)?)),
        Whence::Latest => Err(Failure::Error(
            Error::new(ErrorKind::Config, "there is nothing to see behind the newest event")
                .context("--from", text.to_owned())
                .help("`--last N` shows the last events that are there; `agora subscribe` shows what comes"),
        )),
    }
}

struct Peeking<'a> {
    bus: &'a Bus,
    topic: &'a TopicName,
    args: &'a Peek,
    shown: u64,
    /// The last so many that were seen, where those are wanted.
    last: VecDeque<Shown>,
}

impl Peeking<'_> {
    async fn all(&mut self, mut from: LogStart, output: &mut Output) -> Result<u8, Failure> {
        let admin = self.bus.admin()?;
        let description = admin.describe_topic(self.topic).await?;
        let lane = lane_of(&description, self.args.lane)?;
        if let (Some(last), LogStart::Earliest) = (self.args.last, &from)
            && !self.is_choosy()
            && let Some(near) = near_the_end(&description, lane, last)
        {
            from = LogStart::At(near);
        }
        loop {
            let records = admin.peek(self.topic, lane, from, RECORDS_MAX).await?;
            let read = records.len();
            let next = records.iter().map(|record| record.at.0).max().unwrap_or_default().saturating_add(1);
            for record in records {
                let at = record.at;
                for one in split(record) {
                    if !self.is_wanted(&one) {
                        continue;
                    }
                    if self.args.last.is_none() && self.shown == self.args.count {
                        self.more(at, output);
                        return Ok(DONE);
                    }
                    self.take(one, output).await?;
                }
            }
            if read < RECORDS_MAX {
                break;
            }
            from = LogStart::At(Position(next));
        }
        for one in std::mem::take(&mut self.last) {
            self.show(&one, output).await?;
        }
        if self.shown == 0 {
            return self.nothing(output).await;
        }
        Ok(DONE)
    }

    /// Is something of what is there left out?
    fn is_choosy(&self) -> bool {
        self.args.kind.is_some() || self.args.key.is_some() || self.args.grep.is_some()
    }

    fn is_wanted(&self, one: &Shown) -> bool {
        let Peek { kind, key, grep, .. } = self.args;
        let (its_kind, its_key, content) = match one {
            Shown::Event { record, .. } => (Some(record.kind()), record.key(), Content::of(record)),
            Shown::Other(Peeked { raw, what: PeekedWhat::Foreign, .. }) => {
                (None, raw.key.as_deref(), Content::of_bytes(&raw.payload))
            }
            Shown::Other(_) => return !self.is_choosy(),
        };
        kind.as_deref().is_none_or(|kind| its_kind == Some(kind))
            && key.as_deref().is_none_or(|key| its_key == Some(key.as_bytes()))
            && grep.as_deref().is_none_or(|part| text::content(&content).contains(part))
    }

    async fn take(&mut self, one: Shown, output: &mut Output) -> Result<(), Failure> {
        let Some(last) = self.args.last else { return self.show(&one, output).await };
        if self.last.len() as u64 == last {
            self.last.pop_front();
        }
        self.last.push_back(one);
        Ok(())
    }

    async fn show(&mut self, one: &Shown, output: &mut Output) -> Result<(), Failure> {
        self.shown += 1;
        let topic = self.topic;
        match one {
            Shown::Event { lane, at, record } => {
                let node = name_of(self.bus, record.source());
                let place = position(*at);
                let beside = Beside { lane: *lane, position: Some(place.clone()), ..Beside::default() };
                let line = EventLine::of(topic, record, node.clone(), beside);
                output.say(&line, || format!("{place} {}", text::event(topic, record, &node))).await
            }
            Shown::Other(Peeked { at, raw, what: PeekedWhat::Foreign, .. }) => {
                let (place, arrived) = (position(*at), SystemTime::UNIX_EPOCH);
                let beside = Beside { position: Some(place.clone()), ..Beside::default() };
                let line = ForeignLine::of(topic, raw, arrived, beside);
                output.say(&line, || format!("{place} {}", text::foreign(topic, raw, arrived))).await
            }
            Shown::Other(Peeked { lane, at, raw, what, .. }) => {
                let why =
                    if let PeekedWhat::Unreadable(why) = what { why } else { "not known to this version" };
                let (place, bytes) = (position(*at), raw.payload.len());
                let line = UnreadableLine {
                    topic: topic.as_str(),
                    lane: *lane,
                    position: place.clone(),
                    why,
                    bytes,
                };
                output.say(&line, || format!("{place} {topic} UNREADABLE: {why} ({bytes} bytes)")).await
            }
        }
    }

    fn more(&self, at: Position, output: &Output) {
        let (topic, from) = (self.topic.as_str(), position(at));
        output.note(&Note::More { topic, from: from.clone() }, || format!("there is more: --from {from}"));
    }

    /// Nothing was found: of a search that is an answer, and a negative one.
    async fn nothing(&self, output: &mut Output) -> Result<u8, Failure> {
        let (message, code) = if self.is_choosy() {
            (format!("nothing in {} is like that", self.topic), NEGATIVE)
        } else {
            (format!("there is nothing in {} from there on", self.topic), DONE)
        };
        output.note(&Note::Warning { message: &message }, || message.clone());
        Ok(code)
    }
}

/// Where the last so many events are behind, where each place of the lane holds a record, and each record an event at
/// least.
fn near_the_end(topic: &TopicDescription, lane: u32, events: u64) -> Option<Position> {
    let lane = topic.lanes.iter().find(|found| found.lane == lane)?;
    let ((first, _), (last, _)) = (lane.first?, lane.last?);
    let dense = last.0.checked_sub(first.0)? + 1 == u128::from(lane.records);
    dense.then(|| Position(first.0.max((last.0 + 1).saturating_sub(u128::from(events)))))
}

/// The events of a record, each on its own.
fn split(record: Peeked) -> Vec<Shown> {
    let (lane, at) = (record.lane, record.at);
    match record.what {
        PeekedWhat::Events(events) => {
            events.into_iter().map(|record| Shown::Event { lane, at, record }).collect()
        }
        _ => vec![Shown::Other(record)],
    }
}
