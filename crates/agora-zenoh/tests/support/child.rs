//! What a started process does: it connects, obeys the lines of its standard input, and prints what happens.
//!
//! It obeys `subscribe TOPIC [MICROSECONDS]` (reads so slowly), `publish TOPIC FROM COUNT BYTES DEADLINE_MS`,
//! `announce`, `threads` (how many this backend has), `drop` (the transport), `close MS` and `exit`. It prints lines that begin with `> `.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use agora_core::id::{ClusterName, Incarnation, NodeId, SourceId, TopicName};
use agora_core::transport::{Address, Hint, Inbound, Link, OutFrame, Transport};
use agora_zenoh::{ZenohConfig, ZenohTransport};
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// The variables that make a test program a node.
pub const URL: &str = "AGORA_ZENOH_TEST_URL";
pub const CLUSTER: &str = "AGORA_ZENOH_TEST_CLUSTER";
pub const NODE: &str = "AGORA_ZENOH_TEST_NODE";

/// Prints a line for the parent.
pub fn say(line: &str) {
    // Ignored on purpose: the parent has gone, and this process is about to be killed.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "> {line}").and_then(|()| out.flush());
}

/// The whole life of a node. Ends with the process.
pub fn run() -> ! {
    on_a_runtime(|url| async move { live(&url).await })
}

/// Runs the life of a node with the URL that it was started with, and ends the process.
pub fn on_a_runtime<L: Future<Output = ()>>(live: impl FnOnce(String) -> L) -> ! {
    let url = std::env::var(URL).expect("started by the other tests only, never by hand");
    // Where one asks for it: what zenoh says, which the parent passes on.
    if std::env::var_os("RUST_LOG").is_some() {
        zenoh::init_log_from_env_or("error");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(live(url));
    std::process::exit(0);
}

/// Prints the state of the link, now and whenever it changes.
pub fn tell_link(mut link: watch::Receiver<Link>) {
    say(&format!("link {}", show(&link.borrow_and_update())));
    tokio::spawn(async move {
        while link.changed().await.is_ok() {
            let now = show(&link.borrow_and_update());
            say(&format!("link {now}"));
        }
    });
}

/// The lines of the standard input. A parent that dies closes the pipe: nothing outlives a test run.
pub fn commands() -> mpsc::Receiver<String> {
    let (lines, commands) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    commands
}

async fn live(url: &str) {
    let config =
        if url.starts_with("zenoh:") { ZenohConfig::from_url(url) } else { ZenohConfig::from_json5(url) };
    let cluster = ClusterName::new(&std::env::var(CLUSTER).unwrap()).unwrap();
    let me: u64 = std::env::var(NODE).unwrap().parse().unwrap();
    let connected = ZenohTransport::connect(&config.unwrap(), &cluster, Duration::from_secs(10)).await;
    let mut kept = match connected {
        Ok(transport) => Some(Arc::new(transport)),
        Err(error) => return say(&format!("failed {}", error.kind().as_str())),
    };
    tell_link(kept.as_ref().unwrap().link());
    say("ready");
    let mut commands = commands();
    while let Some(line) = commands.recv().await {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["drop"] => {
                kept = None;
                continue;
            }
            ["threads"] => {
                say(&format!("threads {}", threads()));
                continue;
            }
            ["exit"] => return,
            _ => {}
        }
        let transport = Arc::clone(kept.as_ref().expect("the transport was dropped"));
        match words.as_slice() {
            ["subscribe", topic, rest @ ..] => {
                let pause = rest.first().map_or(0, |us| us.parse().unwrap());
                subscribe(&transport, topic, Duration::from_micros(pause)).await;
            }
            ["publish", topic, from, count, bytes, within] => {
                let topic = TopicName::new(topic).unwrap();
                let within = within.parse().unwrap();
                let (from, count) = (from.parse().unwrap(), count.parse().unwrap());
                let bytes = bytes.parse().unwrap();
                tokio::spawn(async move { publish(&transport, topic, me, from, count, bytes, within).await });
            }
            ["announce"] => announce(&transport, me).await,
            ["close", ms] => {
                let started = Instant::now();
                let by = started + Duration::from_millis(ms.parse().unwrap());
                let result = transport.close(by).await;
                let result = result.map_or_else(|error| error.kind().as_str(), |()| "ok");
                say(&format!("closed {result} {}", started.elapsed().as_millis()));
            }
            other => panic!("not a command: {other:?}"),
        }
    }
}

/// How many threads of this process bear the backend's name.
fn threads() -> usize {
    let names = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        // A thread may end while it is looked at.
        std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
    });
    names.filter(|name| name.starts_with("agora-zenoh")).count()
}

fn show(link: &Link) -> String {
    match link {
        Link::Up => "up".into(),
        Link::Degraded { why, .. } => format!("degraded: {why}"),
        Link::Down { why, .. } => format!("down: {why}"),
    }
}

/// A frame of the tests: who, which, and padding.
fn frame(me: u64, seq: u64, bytes: usize) -> OutFrame {
    let mut payload = Vec::with_capacity(bytes.max(16));
    payload.extend(me.to_be_bytes());
    payload.extend(seq.to_be_bytes());
    payload.resize(bytes.max(16), 0);
    OutFrame::new(Bytes::from(payload))
}

/// Publishes in calls of at most 16 frames, one call after the other, and says how it ended.
async fn publish(
    transport: &ZenohTransport,
    topic: TopicName,
    me: u64,
    from: u64,
    count: u64,
    bytes: usize,
    within: u64,
) {
    let to = Address { topic, lane: 0 };
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut next = from;
    let mut accepted = 0;
    while next < from + count {
        let end = (next + 16).min(from + count);
        let frames = (next..end).map(|seq| frame(me, seq, bytes)).collect();
        let call = Instant::now();
        let result = transport.publish(&to, frames, call + Duration::from_millis(within)).await;
        slowest = slowest.max(call.elapsed());
        match result {
            Ok(()) => accepted += end - next,
            Err(failed) => {
                accepted += failed.accepted as u64;
                say(&format!(
                    "failed-publish {} {:?} {}",
                    failed.error.kind().as_str(),
                    failed.outcome,
                    call.elapsed().as_millis()
                ));
            }
        }
        next = end;
    }
    say(&format!(
        "published {} {accepted} {} {}",
        to.topic,
        started.elapsed().as_millis(),
        slowest.as_millis()
    ));
}

/// Prints runs of consecutive frames: `got TOPIC NODE FROM TO`.
async fn subscribe(transport: &Arc<ZenohTransport>, topic: &str, pause: Duration) {
    let mut inbox = transport.subscribe(&TopicName::new(topic).unwrap()).await.unwrap();
    say(&format!("subscribed {topic}"));
    let topic = topic.to_owned();
    tokio::spawn(async move {
        let mut batch = Vec::new();
        loop {
            batch.clear();
            let max = if pause.is_zero() { 256 } else { 1 };
            if let Err(error) = inbox.recv(max, &mut batch).await {
                return say(&format!("end {topic} {}", error.kind().as_str()));
            }
            let mut runs: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
            for inbound in &batch {
                match inbound {
                    Inbound::Message(raw) => {
                        let number =
                            |at: usize| u64::from_be_bytes(raw.payload[at..at + 8].try_into().unwrap());
                        let (node, seq) = (number(0), number(8));
                        match runs.get_mut(&node) {
                            Some((_, to)) if *to + 1 == seq => *to = seq,
                            _ => {
                                if let Some((from, to)) = runs.insert(node, (seq, seq)) {
                                    say(&format!("got {topic} {node} {from} {to}"));
                                }
                            }
                        }
                    }
                    other => {
                        // What came before is told first: the order is what is tested.
                        for (node, (from, to)) in std::mem::take(&mut runs) {
                            say(&format!("got {topic} {node} {from} {to}"));
                        }
                        match other {
                            Inbound::Dropped(count) => say(&format!("dropped {topic} {}", count.unwrap())),
                            _ => say(&format!("resubscribed {topic}")),
                        }
                    }
                }
            }
            for (node, (from, to)) in runs {
                say(&format!("got {topic} {node} {from} {to}"));
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    });
}

async fn announce(transport: &ZenohTransport, me: u64) {
    let source = SourceId { node: NodeId(me), incarnation: Incarnation(1) };
    let mut hints = transport.announce(source).await.unwrap().expect("this backend has hints");
    say("announced");
    tokio::spawn(async move {
        while let Some(hint) = hints.recv().await {
            match hint {
                Hint::Seen(source) => say(&format!("seen {}", source.node.0)),
                Hint::Gone(source) => say(&format!("gone {}", source.node.0)),
            }
        }
    });
}
