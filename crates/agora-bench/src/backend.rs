//! What is measured of a backend, the same of each.

use agora_core::transport::{Framing, OutFrame, Transport};

use crate::bus::{self, Load};
use crate::contest::{Aim, Entrant, contest};
use crate::latency::{self, Latency};
use crate::overload::overload;
use crate::sample::Sample;
use crate::wanted;

/// How often each entrant runs.
const ROUNDS: usize = 5;
/// How often a latency is measured.
const LATENCY_ROUNDS: usize = 3;
/// What a raw client that batches puts into one message.
const BATCH: usize = 32;

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
    fn bare(events: u64, bytes: usize, batch: usize) -> Self {
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
    /// Events in one run of those who send many.
    pub(crate) many: u64,
    /// How many times as many events as the raw client agora is to reach.
    pub(crate) least: f64,
    /// Does the raw client hear what became of a message? Then agora waits for that as well.
    pub(crate) is_answered: bool,
}

/// A backend with a server, and what a careful user of its client writes without agora.
pub(crate) trait Backend {
    type Transport: Transport;

    /// Publisher to subscriber without a log; `None` where a backend has logs alone.
    const LIVE: Option<Part>;
    /// Publisher to the reader of a log.
    const LOG: Part;
    /// One member of a group, which handles what was published before.
    const GROUP: Part;

    /// A connection of agora's.
    async fn transport(&self) -> Self::Transport;
    /// The raw client, as in [`LIVE`](Self::LIVE).
    async fn live(&self, messages: Messages) -> Sample;
    /// The raw client, as in [`LOG`](Self::LOG).
    async fn log(&self, messages: Messages) -> Sample;
    /// The raw client, as in [`GROUP`](Self::GROUP).
    async fn group(&self, messages: Messages) -> Sample;
    /// The raw client, on a log or live.
    async fn latency(&self, log: bool) -> Latency;
}

async fn pair<B: Backend>(backend: &B) -> (B::Transport, B::Transport) {
    (backend.transport().await, backend.transport().await)
}

/// Measures what is asked for.
pub(crate) async fn measure<B: Backend>(backend: &B) {
    for bytes in [100, 512] {
        if let Some(part) = B::LIVE.filter(|_| wanted("live")) {
            one_to_one(backend, part, bytes, false).await;
        }
        if wanted("log") {
            one_to_one(backend, B::LOG, bytes, true).await;
        }
    }
    if wanted("group") {
        group(backend).await;
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

const RAW: &str = "raw, one event a message";
const FRAMES: &str = "raw, 32 events a message";
const DRESSED: &str = "raw, with the messages of agora, one event each";
const AGORA: &str = "agora";
const EACH: &str = "agora, one event a message";

fn aims(part: Part) -> [Aim; 4] {
    [
        Aim { of: AGORA, to: RAW, least: part.least },
        Aim { of: AGORA, to: FRAMES, least: 0.8 },
        Aim { of: EACH, to: RAW, least: 0.8 },
        // What is left of that is what agora adds to the price of its messages.
        Aim { of: EACH, to: DRESSED, least: 0.8 },
    ]
}

async fn one_to_one<B: Backend>(backend: &B, part: Part, bytes: usize, log: bool) {
    let raw = |messages| async move {
        if log { backend.log(messages).await } else { backend.live(messages).await }
    };
    let agora = |framing, events| async move {
        let (a, b) = pair(backend).await;
        bus::one_to_one(a, b, Load { events, bytes, framing, log }).await
    };
    let (singles, many) = (part.singles, part.many);
    let entrants = [
        Entrant::new(RAW, || raw(Messages::bare(singles, bytes, 1))),
        Entrant::new(FRAMES, || raw(Messages::bare(many, bytes, BATCH))),
        Entrant::new(DRESSED, || raw(bus::messages(singles, bytes))),
        Entrant::new(AGORA, || agora(Framing::Batch, many)),
        Entrant::new(EACH, || agora(Framing::Each, singles)),
    ];
    contest(&format!("{}, {bytes} bytes", part.title), ROUNDS, &entrants, &aims(part)).await;
}

async fn group<B: Backend>(backend: &B) {
    let part = B::GROUP;
    let bytes = 100;
    let agora = |framing, events| async move {
        let (a, b) = pair(backend).await;
        bus::group(a, b, Load { events, bytes, framing, log: true }).await
    };
    let (singles, many) = (part.singles, part.many);
    let entrants = [
        Entrant::new(RAW, || backend.group(Messages::bare(singles, bytes, 1))),
        Entrant::new(FRAMES, || backend.group(Messages::bare(many, bytes, BATCH))),
        Entrant::new(DRESSED, || backend.group(bus::messages(singles, bytes))),
        Entrant::new(AGORA, || agora(Framing::Batch, many)),
        Entrant::new(EACH, || agora(Framing::Each, singles)),
    ];
    contest(&format!("{}, {bytes} bytes", part.title), ROUNDS, &entrants, &aims(part)).await;
}

async fn latencies<B: Backend>(backend: &B, part: Part, log: bool) {
    let (mut raws, mut agoras) = (Vec::new(), Vec::new());
    for _ in 0..LATENCY_ROUNDS {
        raws.push(backend.latency(log).await);
        let (a, b) = pair(backend).await;
        agoras.push(bus::latency(a, b, log, part.is_answered).await);
    }
    latency::table(part.title, &raws, &agoras);
}
