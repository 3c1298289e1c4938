//! Reading a log: a consumer of one's own, which is asked for so many records at a time.
//!
//! A stream of agora has one subject, so its sequences have no holes but those that retention makes: a jump is a
//! [`FromLog::Trimmed`]. What is known of the log ends with the connection, and with the consumer, which the server keeps
//! in memory: both are [`FromLog::Interrupted`].

use std::sync::Arc;

use agora_core::id::TopicName;
use agora_core::transport::{FromLog, LogInbox, LogStart, Position};
use agora_core::{ErrorKind, Result};
use async_nats::Message;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::stream::State;
use async_trait::async_trait;
use futures_util::FutureExt;

use crate::by_hand;
use crate::consumers;
use crate::error::closed;
use crate::headers;
use crate::names;
use crate::pull::{Meta, Pull, Pulled};
use crate::shared::Shared;
use crate::streams;

/// The most records that wait in a reader. It begins with as many as were asked of it, and doubles that with each request;
/// when half of them have been read, it asks for more.
pub const READ_AHEAD_RECORDS: usize = 512;
/// The most bytes that one request brings: 8 MiB.
pub const READ_AHEAD_BYTES: usize = 8 << 20;

/// Opens a log for reading.
pub(crate) async fn open(
    shared: &Arc<Shared>,
    topic: &TopicName,
    from: &LogStart,
) -> Result<Box<dyn LogInbox>> {
    let session = shared.session()?;
    let stream = shared.stream_of(topic)?;
    let missing = |cause: agora_core::Error| match cause.kind() {
        ErrorKind::NotFound => streams::missing(topic, cause),
        _ => cause,
    };
    let state = streams::info(&session, &stream).await.map_err(missing)?.state;
    let (place, policy) = Place::new(from, &state)?;
    let name = session.client.new_inbox().replace(['.', '_'], "");
    let made = consumers::create(&session, &stream, &name, consumers::of_reader(policy)).await;
    let made = made.map_err(missing)?;
    let mut place = place;
    place.unseen = made.delivered.stream_sequence.saturating_add(1);
    place.has_caught_up_with(made.num_pending);
    let subject = names::log_subject(&shared.cluster, topic);
    let by_hand = by_hand::poison(&session, &shared.doubts, &stream, &subject, place.unseen).await?;
    let pull = Pull::new(session, &stream, &name).await?;
    let (shared, ahead, is_over) = (Arc::clone(shared), 0, false);
    Ok(Box::new(Reader { shared, pull, stream, subject, name, place, ahead, by_hand, is_over }))
}

/// Where the reading stands. A pure value: what comes in is what the server delivered.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// What comes next if nothing was trimmed, where that is known.
    due: Option<u64>,
    /// The log begins with what is read first, and that is to be told.
    beginning: bool,
    /// The end was told.
    caught_up: bool,
    /// Retention has taken the record where it was to begin, and left none: that is to be told first.
    emptied: bool,
    /// The end is to be told before anything else.
    tell_end: bool,
    /// The record here is only a mark: the end is told behind it.
    mark: Option<u64>,
    /// The first place of which nothing has come.
    unseen: u64,
}

impl Place {
    /// Where a reader begins in a stream like this, and what its consumer has to deliver.
    fn new(from: &LogStart, state: &State) -> Result<(Self, DeliverPolicy)> {
        let (first, last) = (state.first_sequence, state.last_sequence);
        let (emptied, tell_end) = (false, false);
        let place =
            Self { due: None, beginning: false, caught_up: false, emptied, tell_end, mark: None, unseen: 1 };
        let at = |sequence: u64| DeliverPolicy::ByStartSequence { start_sequence: sequence.max(1) };
        Ok(match from {
            LogStart::Earliest => {
                // The server counts from 1.
                let beginning = first <= 1;
                (Self { beginning, due: beginning.then_some(1), ..place }, DeliverPolicy::All)
            }
            LogStart::Last if state.messages == 0 => (
                Self { tell_end: true, due: Some(last.saturating_add(1)), ..place },
                at(last.saturating_add(1)),
            ),
            LogStart::Last => (Self { mark: Some(last), ..place }, at(last)),
            LogStart::Time(time) => {
                (place, DeliverPolicy::ByStartTime { start_time: consumers::date(*time)? })
            }
            // Beyond the end, the end is the place: a log that was rewound goes on there.
            LogStart::At(position) => {
                let sequence = u64::try_from(position.0).unwrap_or(u64::MAX);
                let emptied = state.messages == 0 && (1..=last).contains(&sequence);
                (Self { emptied, ..place }, at(sequence.min(last.saturating_add(1))))
            }
        })
    }

    /// The consumer was made, and so many records wait for it.
    fn has_caught_up_with(&mut self, pending: u64) {
        self.tell_end |= pending == 0 && self.mark.is_none();
    }

    /// What is to be told before the next record.
    fn before(&mut self, into: &mut Vec<FromLog>) {
        if std::mem::take(&mut self.beginning) {
            into.push(FromLog::Beginning);
        }
        if std::mem::take(&mut self.emptied) {
            into.push(FromLog::Trimmed);
        }
        if std::mem::take(&mut self.tell_end) {
            self.end(into);
        }
    }

    fn end(&mut self, into: &mut Vec<FromLog>) {
        if !std::mem::replace(&mut self.caught_up, true) {
            into.push(FromLog::CaughtUp);
        }
    }

    /// There is nothing more: what was to come and has not is gone.
    fn quiet(&mut self, into: &mut Vec<FromLog>) {
        self.pass_mark();
        self.end(into);
    }

    /// The mark is behind, whether it came or not: what is due is what follows it.
    fn pass_mark(&mut self) {
        if let Some(mark) = self.mark.take() {
            self.due.get_or_insert(mark.saturating_add(1));
        }
    }

    /// Takes a record in. What was told already, because the server delivered it twice, is passed over.
    fn record(&mut self, message: Message, meta: Meta, into: &mut Vec<FromLog>) {
        self.unseen = self.unseen.max(meta.at.saturating_add(1));
        if self.due.is_some_and(|due| meta.at < due) {
            return;
        }
        if let Some(mark) = self.mark
            && meta.at > mark
        {
            // Retention was faster than the reader.
            self.pass_mark();
            self.end(into);
        }
        if self.due.is_some_and(|due| meta.at > due) {
            into.push(FromLog::Trimmed);
        }
        let raw = headers::raw(message.payload, message.headers.as_ref(), Some(meta.time()));
        into.push(FromLog::Record { raw, at: Position(meta.at.into()), stamp: meta.stored_ns });
        self.due = Some(meta.at.saturating_add(1));
        self.caught_up = false;
        let is_mark = self.mark.is_some_and(|mark| meta.at == mark);
        if is_mark || self.mark.is_none() && meta.pending == 0 {
            self.mark = None;
            self.end(into);
        }
    }
}

struct Reader {
    shared: Arc<Shared>,
    pull: Pull,
    stream: String,
    subject: String,
    name: String,
    place: Place,
    /// How many records are asked for before they are wanted.
    ahead: usize,
    /// Up to here, where there is a record that the client cannot take, the records are fetched by hand.
    by_hand: Option<u64>,
    is_over: bool,
}

impl Reader {
    /// Takes in what came.
    fn take(&mut self, pulled: Pulled, into: &mut Vec<FromLog>) {
        match pulled {
            Pulled::Message(message, meta) => self.place.record(message, meta, into),
            Pulled::Quiet => self.place.quiet(into),
            Pulled::Ended => {}
            Pulled::Gone(why) => {
                tracing::debug!(stream = self.stream, why, "the reading of a log is interrupted");
                self.is_over = true;
                if self.pull.session.is_over() && self.pull.asked() > 0 {
                    self.shared.doubts.add(&self.stream, self.place.unseen);
                }
            }
        }
    }

    /// Fetches the next record, where that is to be done by hand; else goes on with a consumer behind what was fetched.
    ///
    /// Cancel safe: nothing is taken before all of it is here.
    async fn fetch(&mut self, until: u64, into: &mut Vec<FromLog>) -> Result<()> {
        let session = Arc::clone(&self.pull.session);
        let next = by_hand::fetch(&session, &self.stream, &self.subject, self.place.unseen).await?;
        // One that is poisoned seldom stands alone.
        if let Some(fetched) = next.filter(|fetched| fetched.at <= until || fetched.is_poison) {
            if fetched.is_poison {
                tracing::warn!(
                    stream = self.stream,
                    at = fetched.at,
                    "a record has headers that are none: it is handed over without them"
                );
                self.by_hand = Some(until.max(fetched.at));
            }
            let meta = fetched.meta();
            self.place.record(fetched.message, meta, into);
            return Ok(());
        }
        let name = session.client.new_inbox().replace(['.', '_'], "");
        let policy = DeliverPolicy::ByStartSequence { start_sequence: self.place.unseen };
        let made = consumers::create(&session, &self.stream, &name, consumers::of_reader(policy)).await?;
        let pull = Pull::new(session, &self.stream, &name).await?;
        self.forget_consumer();
        (self.pull, self.name, self.by_hand) = (pull, name, None);
        self.place.has_caught_up_with(made.num_pending);
        self.place.before(into);
        Ok(())
    }

    /// Nobody waits for the consumer to be gone; where this is not heard, the server removes it by itself.
    fn forget_consumer(&self) {
        let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.stream, self.name);
        let _ = self.pull.session.client.publish(subject, bytes::Bytes::new()).now_or_never();
    }

    fn over(&self, into: &mut Vec<FromLog>) -> Result<()> {
        if self.shared.is_closed() {
            return Err(closed().operation("recv"));
        }
        into.push(FromLog::Interrupted);
        Ok(())
    }
}

#[async_trait]
impl LogInbox for Reader {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromLog>) -> Result<()> {
        let before = into.len();
        self.place.before(into);
        let mut records = 0;
        loop {
            while records < records_max.max(1)
                && !self.is_over
                && let Some(pulled) = self.pull.try_next()
            {
                records += usize::from(matches!(pulled, Pulled::Message(..)));
                self.take(pulled, into);
            }
            if self.shared.is_closed() {
                into.truncate(before);
                return Err(closed().operation("recv"));
            }
            if into.len() > before {
                return Ok(());
            }
            if self.is_over {
                return self.over(into);
            }
            if let Some(until) = self.by_hand {
                let shared = Arc::clone(&self.shared);
                let fetched = tokio::select! {
                    biased;
                    () = shared.closed() => return Err(closed().operation("recv")),
                    fetched = self.fetch(until, into) => fetched,
                };
                if let Err(error) = fetched {
                    tracing::debug!(stream = self.stream, %error, "a record cannot be fetched by hand");
                    self.is_over = true;
                }
                continue;
            }
            if self.pull.asked() <= self.ahead / 2 {
                let ahead = (self.ahead * 2).max(records_max).clamp(1, READ_AHEAD_RECORDS);
                let more = ahead - self.pull.asked().min(ahead - 1);
                self.ahead = ahead;
                if self.pull.ask(more, Some(READ_AHEAD_BYTES)).await.is_err() {
                    self.is_over = true;
                    continue;
                }
            }
            let pulled = tokio::select! {
                biased;
                pulled = self.pull.next() => pulled,
                () = self.shared.closed() => return Err(closed().operation("recv")),
            };
            records += usize::from(matches!(pulled, Pulled::Message(..)));
            self.take(pulled, into);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.forget_consumer();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told when the server delivers the records at these places, one after the other.
    fn told(places: &[u64]) -> Vec<String> {
        let mut place = Place {
            due: Some(1),
            beginning: false,
            caught_up: false,
            emptied: false,
            tell_end: false,
            mark: None,
            unseen: 1,
        };
        let mut told = Vec::new();
        for at in places {
            let message = Message {
                subject: "log".into(),
                reply: None,
                length: 1,
                payload: "x".into(),
                headers: None,
                status: None,
                description: None,
            };
            let meta = Meta { delivered: 1, at: *at, delivery: *at, stored_ns: 0, pending: 1 };
            place.record(message, meta, &mut told);
        }
        let word = |one: &FromLog| match one {
            FromLog::Record { at, .. } => at.0.to_string(),
            FromLog::Trimmed => "trimmed".to_owned(),
            other => format!("{other:?}"),
        };
        told.iter().map(word).collect()
    }

    #[test]
    fn what_is_delivered_twice_is_told_once() {
        assert_eq!(told(&[1, 1, 2, 1, 2, 3]), ["1", "2", "3"]);
    }

    #[test]
    fn a_jump_is_told_before_what_follows_it() {
        assert_eq!(told(&[1, 4, 5]), ["1", "trimmed", "4", "5"]);
    }
}
