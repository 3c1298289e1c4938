//! A started process, as the tests see it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::child;

/// How long a test waits for something that must happen. Long, because the machine may be busy; a test that passes
/// never waits so long. Shorter than [`LONG_LEASE`] lets anybody wait.
pub const SOON: Duration = Duration::from_secs(40);

/// For an URL: what is noticed within [`SOON`] was not noticed by the lease, which ends after 45 s at the earliest.
pub const LONG_LEASE: &str = "&lease=60s";

/// A process. Dropped, it is killed.
pub struct Node {
    pub name: u64,
    process: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// Runs of frames that arrived: by topic and node.
    pub got: BTreeMap<(String, u64), Vec<(u64, u64)>>,
    /// Frames that were dropped, as the inbox counted them, by topic.
    pub dropped: BTreeMap<String, u64>,
    /// Every line, for the message of a failure.
    pub log: Vec<String>,
}

impl Node {
    /// Starts a node, and waits until it is connected, or has failed to.
    pub fn start(name: u64, cluster: &str, url: &str) -> Self {
        Self::start_in(None, name, cluster, url)
    }

    /// The same, in a network namespace.
    pub fn start_in(namespace: Option<&str>, name: u64, cluster: &str, url: &str) -> Self {
        let mut node = Self::spawn_in(namespace, name, cluster, url);
        node.wait(SOON, "is ready", |line| line == "ready");
        node
    }

    /// Starts a node, and does not wait.
    pub fn spawn_in(namespace: Option<&str>, name: u64, cluster: &str, url: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = match namespace {
            None => Command::new(program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
        };
        let mut process = command
            .args(["--ignored", "--exact", "a_node", "--nocapture", "--test-threads=1"])
            .env(child::URL, url)
            .env(child::CLUSTER, cluster)
            .env(child::NODE, name.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cannot start a process");
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        let logging = std::env::var_os("RUST_LOG").is_some();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if logging {
                    println!("node {name}: {line}");
                }
                // The test harness prints lines of its own.
                let Some(line) = line.split_once("> ").map(|(_, line)| line.to_owned()) else { continue };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { name, process, input, lines, got: BTreeMap::new(), dropped: BTreeMap::new(), log: Vec::new() }
    }

    /// Tells it to do something.
    pub fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").expect("the process has ended");
    }

    /// Tells it to subscribe, and waits until it has.
    pub fn subscribe(&mut self, topic: &str, pause: Duration) {
        self.tell(&format!("subscribe {topic} {}", pause.as_micros()));
        let expected = format!("subscribed {topic}");
        self.wait(SOON, "has subscribed", |line| line == expected);
    }

    /// Reads lines until one is as wanted, and returns it.
    pub fn wait(&mut self, within: Duration, what: &str, mut wanted: impl FnMut(&str) -> bool) -> String {
        let deadline = Instant::now() + within;
        loop {
            match self.next(deadline) {
                Some(line) if wanted(&line) => return line,
                Some(_) => {}
                None => panic!("node {} never {what}; it said: {:#?}", self.name, self.tail()),
            }
        }
    }

    /// Reads lines until this is true, and returns whether it became so in time.
    pub fn within(&mut self, wait: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let deadline = Instant::now() + wait;
        while !holds(self) {
            if self.next(deadline).is_none() {
                return false;
            }
        }
        true
    }

    /// Reads lines until this is true of what it has said so far.
    pub fn until(&mut self, what: &str, holds: impl FnMut(&Self) -> bool) {
        let became = self.within(SOON, holds);
        assert!(became, "node {} never {what}; it said: {:#?}", self.name, self.tail());
    }

    /// The last line that begins with one of these.
    pub fn last(&self, beginnings: &[&str]) -> Option<&str> {
        let of = |line: &&String| beginnings.iter().any(|beginning| line.starts_with(beginning));
        self.log.iter().rev().find(of).map(String::as_str)
    }

    /// Waits until its last word on its link is as wanted.
    pub fn wait_link(&mut self, wanted: &str) {
        let wanted = format!("link {wanted}");
        self.until(&format!("said {wanted:?}"), |node| {
            node.last(&["link "]).is_some_and(|last| last.starts_with(&wanted))
        });
    }

    /// The next line, booked; `None` at the deadline or at the end.
    pub fn next(&mut self, deadline: Instant) -> Option<String> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => {
                self.book(&line);
                Some(line)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    fn book(&mut self, line: &str) {
        self.log.push(line.to_owned());
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["got", topic, node, from, to] => {
                let run = (from.parse().unwrap(), to.parse().unwrap());
                self.got.entry(((*topic).into(), node.parse().unwrap())).or_default().push(run);
            }
            ["dropped", topic, count] => {
                *self.dropped.entry((*topic).into()).or_default() += count.parse::<u64>().unwrap();
            }
            _ => {}
        }
    }

    /// The last of what it said.
    pub fn tail(&self) -> Vec<&String> {
        self.log.iter().rev().take(30).rev().collect()
    }

    /// How many frames of a node arrived.
    pub fn count(&self, topic: &str, node: u64) -> u64 {
        let runs = self.got.get(&(topic.to_owned(), node)).map_or(&[][..], Vec::as_slice);
        runs.iter().map(|(from, to)| to - from + 1).sum()
    }

    /// Waits until it has got this frame of a node, or a later one.
    pub fn wait_frame(&mut self, topic: &str, node: u64, seq: u64) {
        let key = (topic.to_owned(), node);
        self.until(&format!("got {seq} of {node} on {topic}"), |node| {
            node.got.get(&key).is_some_and(|runs| runs.iter().any(|run| run.1 >= seq))
        });
    }

    /// Checks that what arrived of a node is in order and has no repetition.
    pub fn assert_ordered(&self, topic: &str, node: u64) {
        let runs = self.got.get(&(topic.to_owned(), node)).map_or(&[][..], Vec::as_slice);
        for pair in runs.windows(2) {
            assert!(pair[0].1 < pair[1].0, "out of order on {topic} from {node}: {pair:?}");
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, signal).expect("the process has ended");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Also ends one that is stopped. Reaped, so that its port and its namespace are free again.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
