//! What is measured of a backend, the same of each.

use agora_core::transport::{Framing, OutFrame, Transport};
use futures_util::future::LocalBoxFuture;

use crate::bus::{self, Load};
use crate::contest::{Aim, Entrant, contest};
use crate::latency::{self, Latency};
use crate::overload::overload;
use crate::sample::Sample;
use crate::{scaled, wanted};

/// How often each entrant runs. A build that is not optimised shows that it does, and measures nothing.
const ROUNDS: usize = if cfg!(debug_assertions) { 1 } else { 5 };
/// How often a latency is measured.
const LATENCY_ROUNDS: usize = if cfg!(debug_assertions) { 1 } else { 3 };
/// What a raw client that batches puts into one message.
const BATCH: usize = 32;

/// What is done with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Publisher to subscriber without a log.
    Live,
    /// Publisher to the reader of a log.
    Log,
    /// One member of a group handles what was published before.
    Group,
}

/// What the raw client sends.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    /// Events in one run.
    pub(crate) events: u64,
    /// Events in one message.
    pub(crate) batch: usize,
    /// What each message is. Only the raw client that sends the messages of agora has a key and headers in it.
    pub(crate) one: OutFrame,
}

impl Messages {
    /// Messages of nothing but events.
    pub(crate) fn bare(events: u64, bytes: usize, batch: usize) -> Self {
        Self { events, batch, one: OutFrame::new(vec![7; bytes * batch]) }
    }

    /// How many they are.
    pub(crate) fn count(&self) -> u64 {
        self.events / self.batch as u64
    }

    /// Are they the messages of agora?
    pub(crate) fn is_dressed(&self) -> bool {
        !self.one.headers.is_empty()
    }
}

/// A part of the benchmark on one backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// What it is, to those who know the backend.
    pub(crate) title: &'static str,
    /// Events in one run of those who send one a message.
    pub(crate) singles: u64,
    /// Events in one run of those who send many; `None`: here a message is one event.
    pub(crate) many: Option<u64>,
    /// What is to be reached.
    pub(crate) aims: &'static [Aim],
    /// Does the raw client hear what became of a message? Then agora waits for that as well.
    pub(crate) is_answered: bool,
}

/// A backend with a server, and what a careful user of its client writes without agora.
pub(crate) trait Backend {
    type Transport: Transport;

    /// Without a log; `None` where a backend has logs alone.
    const LIVE: Option<Part>;
    /// A log.
    const LOG: Part;
    /// A group.
    const GROUP: Part;
    /// How large events are; the first size alone where one is enough.
    const BYTES: [usize; 2] = [100, 512];
    /// How many keys agora's events have: they decide the lane. 0: they have none.
    const KEYS: u64 = 0;

    /// A connection of agora's.
    async fn transport(&self) -> Self::Transport;
    /// The raw client.
    async fn raw(&self, work: Work, messages: Messages) -> Sample;
    /// The raw client, on a log or live.
    async fn latency(&self, log: bool) -> Latency;

    /// Another client, which runs beside the raw one.
    fn reference(&self) -> Option<&dyn Reference> {
        None
    }
}

/// A client that others are compared with.
pub(crate) trait Reference {
    /// What it is called in the tables.
    fn name(&self) -> &'static str;
    /// As [`Backend::raw`].
    fn run(&self, work: Work, messages: Messages) -> LocalBoxFuture<'_, Sample>;
    /// As [`Backend::latency`], on a log.
    fn latency(&self) -> LocalBoxFuture<'_, Latency>;
}

async fn pair<B: Backend>(backend: &B) -> (B::Transport, B::Transport) {
    (backend.transport().await, backend.transport().await)
}

/// Measures what is asked for.
pub(crate) async fn measure<B: Backend>(backend: &B) {
    for bytes in B::BYTES {
        if let Some(part) = B::LIVE.filter(|_| wanted("live")) {
            compete(backend, part, Work::Live, bytes).await;
        }
        if wanted("log") {
            compete(backend, B::LOG, Work::Log, bytes).await;
        }
    }
    if wanted("group") {
        compete(backend, B::GROUP, Work::Group, B::BYTES[0]).await;
    }
    for (part, log) in [(B::LIVE, false), (Some(B::LOG), true)] {
        if let Some(part) = part.filter(|_| wanted("latency")) {
            latencies(backend, part, log).await;
        }
    }
    if let Some(part) = B::LIVE.filter(|_| wanted("overload")) {
        let (a, b) = pair(backend).await;
        overload(part.title, a, b).await;
    }
}

/// The raw client.
pub(crate) const RAW: &str = "raw, one event a message";
/// The raw client as one would write it who wants to be fast.
pub(crate) const FRAMES: &str = "raw, 32 events a message";
/// What is lost against this one is what agora adds to the price of its messages.
pub(crate) const DRESSED: &str = "raw, with the messages of agora, one event each";
/// agora as it is without a word said.
pub(crate) const AGORA: &str = "agora";
/// agora where strangers read.
pub(crate) const EACH: &str = "agora, one event a message";
/// The same events as those of the group, by a subscription.
pub(crate) const BROADCAST: &str = "agora, one event a message, each read by everybody";

/// What is to be reached where agora is to have this many times as many events as the raw client.
pub(crate) const fn aims(least: f64) -> [Aim; 4] {
    [
        Aim { of: AGORA, to: RAW, least },
        Aim { of: AGORA, to: FRAMES, least: 0.8 },
        Aim { of: EACH, to: RAW, least: 0.8 },
        Aim { of: EACH, to: DRESSED, least: 0.8 },
    ]
}

async fn compete<B: Backend>(backend: &B, part: Part, work: Work, bytes: usize) {
    let agora = |framing, events| async move {
        let (a, b) = pair(backend).await;
        let load = Load { events, bytes, framing, keys: B::KEYS };
        match work {
            Work::Live | Work::Log => bus::one_to_one(a, b, load, work == Work::Log).await,
            Work::Group => bus::group(a, b, load).await,
        }
    };
    let replay = |events| async move {
        let (a, b) = pair(backend).await;
        bus::replay(a, b, Load { events, bytes, framing: Framing::Each, keys: B::KEYS }).await
    };
    let singles = scaled(part.singles);
    let mut entrants = vec![
        Entrant::new(RAW, || backend.raw(work, Messages::bare(singles, bytes, 1))),
        Entrant::new(DRESSED, || backend.raw(work, bus::messages(singles, bytes, B::KEYS))),
    ];
    if let Some(reference) = backend.reference() {
        let run = move || reference.run(work, Messages::bare(singles, bytes, 1));
        entrants.push(Entrant::new(reference.name(), run));
    }
    if let Some(many) = part.many.map(scaled) {
        entrants.push(Entrant::new(FRAMES, move || backend.raw(work, Messages::bare(many, bytes, BATCH))));
        entrants.push(Entrant::new(AGORA, move || agora(Framing::Batch, many)));
    }
    entrants.push(Entrant::new(EACH, || agora(Framing::Each, singles)));
    if work == Work::Group {
        entrants.push(Entrant::new(BROADCAST, || replay(singles)));
    }
    contest(&format!("{}, {bytes} bytes", part.title), ROUNDS, &entrants, part.aims).await;
}

async fn latencies<B: Backend>(backend: &B, part: Part, log: bool) {
    let (mut raws, mut agoras, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let reference = backend.reference().filter(|_| log);
    for _ in 0..LATENCY_ROUNDS {
        raws.push(backend.latency(log).await);
        if let Some(reference) = reference {
            others.push(reference.latency().await);
        }
        let (a, b) = pair(backend).await;
        agoras.push(bus::latency(a, b, log, part.is_answered).await);
    }
    latency::table(part.title, &raws, reference.map(Reference::name).zip(Some(&others)), &agoras);
}
