//! The sender of one lane: forms frames, sends them in order, answers receivers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Shared;
use super::fate::Receipt;
use super::queue::{Batch, Outlet};
use super::role::Role;
use super::sender::{BACKOFF, SenderCommand};
use super::single::Messages;
use super::stats::add;
use super::topic::sleep_until;
use crate::codec::{self, Stamp};
use crate::error::{Error, ErrorKind, Result};
use crate::id::StreamId;
use crate::live::Announcement;
use crate::transport::{
    Address, BoxFuture, Durability, Framing, OutFrame, PublishFailed, TopicKind, TopicSettings,
};

/// At most so many frames, and about so many bytes, go to the transport in one call. The next call waits for the answers
/// to this one, so that where each event is a message of its own a call of few would spend its time waiting.
const CALL_FRAMES_MAX: usize = 1024;
const CALL_BYTES_MAX: usize = 1 << 20;
/// Frames of one event share memory in pieces of this size: what is kept of a piece keeps all of it.
const FORMING_BYTES_MAX: usize = 32 << 10;
/// Heads and repair answers that wait; further ones are dropped, and asked for again.
const ANNOUNCEMENTS_MAX: usize = 1024;

/// What a formed frame becomes on success or failure.
struct InFlight {
    frame: Bytes,
    /// `None`: an announcement, which is not sent again when it fails.
    batch: Option<(Batch, Receipt)>,
}

pub(crate) struct LaneSender {
    shared: Arc<Shared>,
    address: Address,
    settings: TopicSettings,
    stream: StreamId,
    outlet: Outlet,
    role: Role,
    messages: Messages,
    announcements: VecDeque<Announcement>,
    /// In the order of their sequences; sent again from the front after a failure.
    flight: VecDeque<InFlight>,
    call: Option<BoxFuture<Result<(), PublishFailed>>>,
    retry_at: Option<Instant>,
    backoff: Duration,
    finishing: Option<oneshot::Sender<(u64, u64)>>,
    finished: bool,
}

impl LaneSender {
    pub(crate) fn new(shared: Arc<Shared>, address: Address, outlet: Outlet) -> Self {
        let settings = shared.config.settings_of(&address.topic);
        Self {
            stream: shared.stream_of(&address.topic, address.lane),
            role: Role::new(&settings, Instant::now(), shared.config.limits.repair_age),
            messages: Messages::new(settings, shared.me),
            address,
            settings,
            outlet,
            announcements: VecDeque::new(),
            flight: VecDeque::new(),
            call: None,
            retry_at: None,
            backoff: BACKOFF.0,
            finishing: None,
            finished: false,
            shared,
        }
    }

    /// Runs until nobody can ask it anything any more.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<SenderCommand>) {
        loop {
            self.prepare();
            let (usable, link) = self.shared.link.read();
            if usable && self.call.is_none() && self.retry_at.is_none() {
                self.send();
            }
            if self.is_done() {
                self.finish();
            }
            let may_take = usable && self.call.is_none() && self.retry_at.is_none();
            let expiry = if usable { None } else { self.outlet.poll_expiry() };
            let flight = self.call.is_none().then(|| self.flight_deadline()).flatten();
            let timer = [expiry, flight, self.retry_at, self.role.poll_timeout()];
            let timer = timer.into_iter().flatten().min();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.handle(command),
                    None => return,
                },
                result = poll_call(&mut self.call) => {
                    self.call = None;
                    self.sent(result);
                    tokio::task::coop::consume_budget().await;
                }
                // While the link is down too: the deadline of what was queued decides when to look again.
                () = self.outlet.appended(), if may_take || !usable => {}
                changed = self.shared.link.changed(link) => if !changed { return },
                () = sleep_until(timer) => self.handle_timeout(),
            }
        }
    }

    pub(crate) fn handle(&mut self, command: SenderCommand) {
        match command {
            SenderCommand::Hello(nonce) => {
                if let Some(source) = self.role.source() {
                    source.handle_hello(nonce);
                }
            }
            SenderCommand::Ask(ranges) => {
                if let Some(source) = self.role.source() {
                    source.handle_ask(Instant::now(), &ranges);
                }
            }
            SenderCommand::Finish(done) => self.finishing = Some(done),
        }
    }

    fn handle_timeout(&mut self) {
        let now = Instant::now();
        if let Some(source) = self.role.source() {
            source.handle_timeout(now);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        if self.call.is_none() {
            self.give_up_overdue(now);
        }
        self.count_expired();
    }

    fn count_expired(&mut self) {
        let expired = self.outlet.expire(Instant::now());
        if expired > 0 {
            self.count_failed(expired, ErrorKind::Timeout);
        }
    }

    fn count_failed(&self, events: u64, kind: ErrorKind) {
        self.shared.counters.failed(events, kind);
        self.outlet.queue.meter.failed(events, kind);
    }

    /// Takes over what the source has to send. Hellos wait for the next call, so that one head answers many.
    fn prepare(&mut self) {
        while let Some(announcement) = self.role.poll_due() {
            self.announce_later(announcement);
        }
    }

    fn announce_later(&mut self, announcement: Announcement) {
        // While nothing can be sent, heads of the same news would pile up: the last one says it all.
        let stale = |a: &Announcement| matches!(a, Announcement::Head { nonces, .. } if nonces.is_empty());
        if self.announcements.back().is_some_and(stale) && matches!(announcement, Announcement::Head { .. }) {
            self.announcements.pop_back();
        }
        if self.announcements.len() < ANNOUNCEMENTS_MAX {
            self.announcements.push_back(announcement);
        }
    }

    /// Begins a call to the transport with what there is: what failed before, announcements, new events.
    fn send(&mut self) {
        let by = Instant::now() + self.shared.config.limits.publish_timeout;
        while let Some(announcement) = self.role.poll() {
            self.announce_later(announcement);
        }
        // Half of a call at most: answers must not keep what is new waiting.
        while self.flight.len() < CALL_FRAMES_MAX / 2 {
            let Some(announcement) = self.announcements.pop_front() else { break };
            let frame = self.announce(announcement);
            self.flight.push_back(InFlight { frame, batch: None });
        }
        self.count_expired();
        if self.flight.len() < CALL_FRAMES_MAX {
            let batches = self.outlet.take(CALL_FRAMES_MAX - self.flight.len(), CALL_BYTES_MAX);
            // Frames of one event are formed in here, so that a call of a thousand needs no memory of its own for each.
            let mut forming = BytesMut::new();
            if self.settings.framing == Framing::Each {
                // No more than is needed: what is kept of it for repair is counted.
                let bytes: usize = batches.iter().map(|batch| batch.builder.frame_bytes()).sum();
                forming.reserve(bytes.min(FORMING_BYTES_MAX));
            }
            let now = (Instant::now(), self.shared.config.clock.now_us());
            batches.into_iter().for_each(|batch| self.form(now, batch, &mut forming));
        }
        if self.flight.is_empty() {
            return;
        }
        let messages = &mut self.messages;
        let message = |f: &InFlight| match &f.batch {
            Some((_, receipt)) => messages.of(&f.frame, receipt.seq),
            None => OutFrame::new(f.frame.clone()),
        };
        let frames = self.flight.iter().map(message).collect();
        let by = self.flight_deadline().map_or(by, |deadline| deadline.min(by));
        self.call = Some(self.shared.transport.publish(&self.address, frames, by));
    }

    fn announce(&mut self, announcement: Announcement) -> Bytes {
        match announcement {
            Announcement::Repeat(frame) => {
                add(&self.shared.counters.repeats_sent, 1);
                self.outlet.queue.meter.repeats.add(1);
                frame
            }
            Announcement::Head { next, floor, fin, nonces } => {
                let sent_us = self.shared.config.clock.now_us();
                codec::encode_head(&self.stamp(next, floor, sent_us), fin, &nonces)
            }
        }
    }

    /// Gives a batch its sequences. From here on it is immutable, and can no longer be called back.
    fn form(&mut self, (now, sent_us): (Instant, u64), mut batch: Batch, forming: &mut BytesMut) {
        let (records, seq) = (batch.builder.records(), self.role.next());
        let stamp = self.stamp(seq, self.role.floor(), sent_us);
        let builder = std::mem::take(&mut batch.builder);
        let frame = match self.settings.framing {
            Framing::Batch => builder.into_frame(&stamp),
            Framing::Each => builder.into_frame_of(forming, &stamp),
        };
        let share = self.shared.repair_share();
        self.role.formed(now, frame.clone(), records, share);
        let durability = match self.settings.kind {
            TopicKind::Live => self.shared.transport.capabilities().live_durability,
            TopicKind::Log => Durability::Stored,
        };
        let receipt = Receipt { source: self.shared.me, lane: self.address.lane, seq, durability };
        batch.count(records);
        self.flight.push_back(InFlight { frame, batch: Some((batch, receipt)) });
    }

    fn stamp(&self, seq: u64, floor: u64, sent_us: u64) -> Stamp {
        Stamp { source: self.shared.me, stream: self.stream, seq, floor, sent_us }
    }

    fn sent(&mut self, result: Result<(), PublishFailed>) {
        let accepted = match &result {
            Ok(()) => self.flight.len(),
            Err(failed) => failed.accepted.min(self.flight.len()),
        };
        let (now, queue) = (Instant::now(), &self.outlet.queue);
        let (mut frames, mut settled) = (0, 0);
        for done in self.flight.drain(..accepted) {
            if let Some((batch, receipt)) = done.batch {
                self.role.settled(receipt.seq);
                let events = batch.events() as u64;
                (frames, settled) = (frames + 1, settled + events);
                queue.meter.accepted(events, queue.waited(&batch, now));
                batch.decide(Ok(receipt));
            }
        }
        if frames > 0 {
            add(&self.shared.counters.frames_sent, frames);
            add(&self.shared.counters.accepted, settled);
            self.outlet.settle(settled);
        }
        match result {
            Ok(()) => self.backoff = BACKOFF.0,
            Err(failed) => {
                tracing::debug!(topic = %self.address.topic, error = %failed.error, "publish failed");
                self.flight.retain(|f| f.batch.is_some());
                if !failed.error.is_retryable() {
                    self.give_up(|_| true, &failed.error);
                } else {
                    self.give_up_overdue(now);
                }
                self.retry_at = Some(now + self.backoff.mul_f64(0.5 + self.shared.jitter() / 2.0));
                self.backoff = (self.backoff * 2).min(BACKOFF.1);
            }
        }
    }

    fn flight_deadline(&self) -> Option<Instant> {
        self.flight.iter().filter_map(|f| f.batch.as_ref()).map(|(batch, _)| batch.deadline).min()
    }

    /// What was formed and not accepted in time may have gone out, and is still held for repair: its outcome is
    /// unknown.
    fn give_up_overdue(&mut self, now: Instant) {
        let error = Error::new(ErrorKind::OutcomeUnknown, "sent, but not accepted in time");
        self.give_up(|batch| batch.deadline <= now, &error);
    }

    fn give_up(&mut self, which: impl Fn(&Batch) -> bool, cause: &Error) {
        let mut settled = 0;
        let role = &mut self.role;
        self.flight.retain(|f| match &f.batch {
            Some((batch, receipt)) if which(batch) => {
                role.settled(receipt.seq);
                settled += batch.events() as u64;
                batch.decide(Err(outcome_unknown(cause)));
                false
            }
            _ => true,
        });
        if settled > 0 {
            self.count_failed(settled, ErrorKind::OutcomeUnknown);
            self.outlet.settle(settled);
        }
    }

    fn is_done(&self) -> bool {
        self.finishing.is_some() && !self.finished && self.flight.is_empty() && self.outlet.is_empty()
    }

    /// Everything is sent: announces the end, and goes on answering until the task is ended.
    fn finish(&mut self) {
        self.finished = true;
        if let Some(source) = self.role.source() {
            source.finish();
        }
        if let Some(done) = self.finishing.take() {
            // Whoever closes the bus may have run out of time and be gone.
            let _ = done.send((self.role.next(), self.role.floor()));
        }
        if self.call.is_none() {
            self.send();
        }
    }
}

/// What was under way when it ends has an outcome that nobody will learn.
impl Drop for LaneSender {
    fn drop(&mut self) {
        let cut_short: u64 =
            self.flight.iter().filter_map(|f| f.batch.as_ref()).map(|(batch, _)| batch.events() as u64).sum();
        self.count_failed(cut_short, ErrorKind::OutcomeUnknown);
    }
}

async fn poll_call(call: &mut Option<BoxFuture<Result<(), PublishFailed>>>) -> Result<(), PublishFailed> {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

fn outcome_unknown(cause: &Error) -> Error {
    if cause.kind() == ErrorKind::OutcomeUnknown {
        return cause.clone().operation("publish");
    }
    Error::new(ErrorKind::OutcomeUnknown, "sent, but whether it was accepted is not known")
        .operation("publish")
        .source(cause.clone())
}
