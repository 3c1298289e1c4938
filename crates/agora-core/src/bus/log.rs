//! The task behind one lane of a log of one subscription: reads it as fast as the application takes it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Shared;
use super::backlog::{Backlog, Item};
use super::delivery::{Foreign, Gap, Missing};
use super::meter::Receiving;
use super::progress::Place;
use super::stats::add;
use super::topic::{Piece, sleep_until};
use crate::codec::{self, FrameType, Parsed};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{StreamId, TopicName};
use crate::limits::FRAME_OVERHEAD_BYTES;
use crate::log::{Mark, Out, Print, Progress, Reader, Record, Then};
use crate::transport::{FromLog, LogInbox, LogStart, Position, Raw, TopicInfo};

/// At most so many records of a lane are taken from the transport at once. They wait here for room in the backlog, beside its
/// memory: with the largest frames, 17 MiB.
const READ_RECORDS_MAX: usize = 16;
/// The first and the last pause between tries to open the log anew.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// What the lanes of a log of one subscription have in common.
#[derive(Clone)]
pub(crate) struct LogReading {
    pub(crate) shared: Arc<Shared>,
    pub(crate) topic: TopicName,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) place: Arc<Place>,
    /// Leave out what this node publishes itself.
    pub(crate) hide_own: bool,
    /// So much of what stands behind a hole is held of each lane.
    pub(crate) held_bytes: usize,
}

impl LogReading {
    /// Opens a lane. The receiver hears when it is known where the reading begins.
    pub(crate) async fn open(
        &self,
        lane: u32,
        mut reader: Reader<Piece>,
    ) -> Result<(LogTask, oneshot::Receiver<Progress>)> {
        let inbox = self.shared.transport.open_log(&self.topic, lane, reader.reopen()).await?;
        let (established, done) = oneshot::channel();
        Ok((LogTask::new(self.clone(), lane, reader, inbox, Some(established)), done))
    }

    /// Reads the lanes that come later, each from its start: nobody could have read what stands there.
    pub(crate) async fn follow(self, mut info: TopicInfo, mut known: u32) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = self.backlog.wait_abandoned() => return,
                // How it ended the backlog was told.
                Some(_) = tasks.join_next() => {}
                lanes = info.more_than(known) => {
                    tracing::info!(topic = %self.topic, known, lanes, "the log has more lanes");
                    for lane in known..lanes {
                        tasks.spawn(self.clone().read_late(lane));
                    }
                    known = lanes;
                }
            }
        }
    }

    async fn read_late(self, lane: u32) {
        let reader = Reader::new(&LogStart::Earliest, self.held_bytes);
        match self.reopen(lane, LogStart::Earliest).await {
            Ok(inbox) => LogTask::new(self, lane, reader, inbox, None).run().await,
            Err(error) => self.end(error),
        }
    }

    /// Opens a lane anew, as long as it takes and a retry can help.
    async fn reopen(&self, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        let mut pause = BACKOFF.0;
        loop {
            match self.shared.transport.open_log(&self.topic, lane, from.clone()).await {
                Ok(inbox) => return Ok(inbox),
                Err(error) if error.is_retryable() => {
                    tracing::debug!(topic = %self.topic, lane, %error, "the log cannot be opened yet");
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                biased;
                () = self.backlog.wait_abandoned() => return Err(abandoned()),
                () = tokio::time::sleep(pause.mul_f64(0.5 + self.shared.jitter() / 2.0)) => {}
            }
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// A bus that is closed ends its subscriptions in good order.
    fn end(&self, error: Error) {
        self.backlog.end(if error.kind() == ErrorKind::Closed { Ok(()) } else { Err(error) });
    }
}

pub(crate) struct LogTask {
    of: LogReading,
    lane: u32,
    stream: StreamId,
    reader: Reader<Piece>,
    inbox: Box<dyn LogInbox>,
    /// Told when everything that comes from now on is owed, and where that begins.
    established: Option<oneshot::Sender<Progress>>,
    pending: VecDeque<(Item, Progress)>,
    meter: Receiving,
}

impl LogTask {
    fn new(
        of: LogReading,
        lane: u32,
        reader: Reader<Piece>,
        inbox: Box<dyn LogInbox>,
        established: Option<oneshot::Sender<Progress>>,
    ) -> Self {
        let stream = of.shared.stream_of(&of.topic, lane);
        of.place.know(stream, &of.topic, lane);
        let meter = of.shared.meter.receiving(&of.topic);
        Self { of, lane, stream, reader, inbox, established, pending: VecDeque::new(), meter }
    }

    /// Runs until the subscription is gone or the bus ends.
    pub(crate) async fn run(mut self) {
        // That it has ended in good order is said when it is dropped.
        if let Err(error) = self.read().await {
            self.of.end(error);
        }
    }

    async fn read(&mut self) -> Result<()> {
        self.establish();
        let mut inbound = Vec::with_capacity(READ_RECORDS_MAX);
        loop {
            self.hand_over().await;
            if self.of.backlog.is_abandoned() {
                return Ok(());
            }
            let backlog = self.of.backlog.clone();
            tokio::select! {
                biased;
                () = backlog.wait_abandoned() => return Ok(()),
                received = self.inbox.recv(READ_RECORDS_MAX, &mut inbound) => {
                    received?;
                    self.receive_all(&mut inbound).await?;
                }
                () = sleep_until(self.reader.poll_timeout()) => {
                    self.reader.handle_timeout(Instant::now());
                    self.collect();
                }
            }
        }
    }

    /// From here on everything is owed, if it is so.
    fn establish(&mut self) {
        if !self.reader.is_anchored() {
            return;
        }
        if let Some(established) = self.established.take() {
            // Whoever subscribes may have given up; its backlog says so.
            let _ = established.send(self.reader.progress());
        }
    }

    async fn receive_all(&mut self, inbound: &mut Vec<FromLog>) -> Result<()> {
        for one in inbound.drain(..) {
            if let Some(from) = self.receive(one) {
                // What was read besides belongs to the log as it was.
                self.inbox = self.of.reopen(self.lane, from).await?;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes one thing that the log told. `Some`: the log is to be opened anew, there.
    fn receive(&mut self, from_log: FromLog) -> Option<LogStart> {
        let now = Instant::now();
        let then = match from_log {
            FromLog::Record { raw, at, stamp } => self.receive_record(now, raw, at, stamp),
            FromLog::Beginning => {
                self.reader.handle_beginning();
                Then::Read
            }
            FromLog::Trimmed => {
                self.reader.handle_trimmed();
                Then::Read
            }
            FromLog::Rewritten => self.reader.handle_rewritten(),
            FromLog::CaughtUp => self.reader.handle_caught_up(now),
            FromLog::Interrupted => return Some(self.reader.reopen()),
        };
        self.collect();
        self.establish();
        (then == Then::Reopen).then_some(LogStart::Earliest)
    }

    fn receive_record(&mut self, now: Instant, raw: Raw, at: Position, stamp: u64) -> Then {
        let counters = &self.of.shared.counters;
        let other = |raw: &Raw| {
            let crc = crc32c::crc32c(&raw.payload);
            Mark { at: at.0, print: Print { node: 0, incarnation: 0, seq: 0, crc, stamp } }
        };
        match codec::parse(raw.payload.clone()) {
            Parsed::Frame(frame)
                if frame.frame_type() == FrameType::Data && frame.header().stream == self.stream =>
            {
                add(&counters.frames_received, 1);
                let header = frame.header().clone();
                let bytes = frame.bytes().len() + FRAME_OVERHEAD_BYTES;
                let (seq, end) = (frame.seq(), frame.end());
                let item = Piece { frame: Some(Arc::new(frame)), seq, end, bytes };
                self.reader.handle_record(now, record(&header, at, stamp, item))
            }
            Parsed::Unreadable { header, why }
                if header.stream == self.stream && !header.range().is_empty() =>
            {
                add(&counters.rejected_unreadable, 1);
                self.meter.rejected.unreadable.add(1);
                tracing::warn!(topic = %self.of.topic, source = %header.source, ?why, "a frame needs a newer version");
                let range = header.range();
                let item =
                    Piece { frame: None, seq: range.start, end: range.end, bytes: FRAME_OVERHEAD_BYTES };
                self.reader.handle_record(now, record(&header, at, stamp, item))
            }
            Parsed::Foreign(_) => {
                let (progress, then) = self.reader.handle_foreign(other(&raw));
                if let Some(progress) = progress {
                    let arrived = self.of.shared.config.clock.now();
                    let item = Item::Foreign(Foreign { topic: self.of.topic.clone(), raw, arrived });
                    self.collect();
                    self.pending.push_back((item, progress));
                }
                then
            }
            refused => {
                let rejected = &self.meter.rejected;
                let (counter, meter) = match refused {
                    Parsed::Frame(_) | Parsed::Unreadable { .. } => {
                        (&counters.rejected_stream, &rejected.stream)
                    }
                    _ => (&counters.rejected_corrupt, &rejected.corrupt),
                };
                add(counter, 1);
                meter.add(1);
                tracing::debug!(topic = %self.of.topic, ?at, "a record was dropped");
                self.reader.handle_foreign(other(&raw)).1
            }
        }
    }

    /// Takes what the reader has to hand over.
    fn collect(&mut self) {
        while let Some(out) = self.reader.poll() {
            let topic = self.of.topic.clone();
            let gap = |missing, reason| Item::Gap(Gap { topic: self.of.topic.clone(), missing, reason });
            let one = match out {
                Out::Item { source, progress, .. } if self.of.hide_own && source == self.of.shared.me => {
                    (Item::Mark, progress)
                }
                Out::Item { source, item, from, progress } => match item.frame {
                    Some(frame) => (Item::Frame { topic, lane: self.lane, frame, from }, progress),
                    None => {
                        let missing =
                            Missing::Source { source, lane: self.lane, from: Some(from), to: Some(item.end) };
                        (gap(missing, crate::live::Reason::Unreadable), progress)
                    }
                },
                Out::Gap { source, progress, .. } if self.of.hide_own && source == self.of.shared.me => {
                    (Item::Mark, progress)
                }
                Out::Gap { source, from, to, reason, progress } => (
                    gap(Missing::Source { source, lane: self.lane, from: Some(from), to: Some(to) }, reason),
                    progress,
                ),
                Out::Missing { reason, progress } => {
                    (gap(Missing::Log { lane: self.lane }, reason), progress)
                }
            };
            self.pending.push_back(one);
        }
    }

    /// Hands over what was read. Waits for the application: what it does not take is not read.
    async fn hand_over(&mut self) {
        while let Some((item, progress)) = self.pending.pop_front() {
            self.of.backlog.wait_room(&item).await;
            self.of.backlog.push_log(item, self.stream, progress);
        }
    }
}

fn abandoned() -> Error {
    Error::new(ErrorKind::Closed, "the subscription was dropped")
}

fn record(header: &codec::Header, at: Position, stamp: u64, item: Piece) -> Record<Piece> {
    let source = header.source;
    let (node, incarnation, seq, crc) = (source.node.0, source.incarnation.0, header.seq, header.crc);
    let mark = Mark { at: at.0, print: Print { node, incarnation, seq, crc, stamp } };
    Record { mark, source, floor: header.floor, sent_us: header.sent_us, item }
}

/// However the task ends, nobody is left waiting.
impl Drop for LogTask {
    fn drop(&mut self) {
        self.of.backlog.end(Ok(()));
    }
}
