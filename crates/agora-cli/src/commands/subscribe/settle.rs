//! What the standard input says of the events of a group.

use std::collections::BTreeMap;

use agora::Record;
use agora::core::bus::{ForeignJob, Job};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 8 << 10;

/// An event that was handed out, and waits for its line.
#[derive(Debug)]
pub(super) enum Held {
    Event(Job<Record>),
    Foreign(ForeignJob),
}

impl Held {
    /// It is done.
    pub(super) fn ack(self) {
        match self {
            Self::Event(job) => job.ack(),
            Self::Foreign(job) => job.ack(),
        }
    }

    fn retry(self, reason: &str) {
        match self {
            Self::Event(job) => job.retry(reason),
            Self::Foreign(job) => job.retry(reason),
        }
    }

    fn reject(self, reason: &str) {
        match self {
            Self::Event(job) => job.reject(reason),
            Self::Foreign(job) => job.reject(reason),
        }
    }
}

/// The events that wait for their lines, by the number that was printed with each. Dropped, they are released.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    last: u64,
    held: BTreeMap<u64, Held>,
}

impl Waiting {
    /// The number that the next event gets.
    pub(super) fn next_id(&self) -> u64 {
        self.last + 1
    }

    /// Keeps an event until its line comes.
    pub(super) fn keep(&mut self, held: Held) {
        self.last += 1;
        self.held.insert(self.last, held);
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Does what a line says.
    ///
    /// # Errors
    /// What is wrong with it, for whoever wrote it.
    pub(super) fn settle(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.trim().splitn(3, char::is_whitespace);
        let (word, id) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let reason = words.next().map(str::trim).filter(|reason| !reason.is_empty());
        let shown: String = line.trim().chars().take(80).collect();
        if !matches!(word, "ack" | "retry" | "reject") || id.is_empty() {
            return Err(format!(
                "not understood: {shown:?}; a line is `ack ID`, `retry ID [REASON]` or `reject ID [REASON]`"
            ));
        }
        let held = id.parse().ok().and_then(|id: u64| self.held.remove(&id));
        let Some(held) = held else {
            return Err(format!("there is no event {id:?} that waits to be settled: {shown:?} does nothing"));
        };
        match word {
            "ack" => held.ack(),
            "retry" => held.retry(reason.unwrap_or("asked for on the command line")),
            _ => held.reject(reason.unwrap_or("rejected on the command line")),
        }
        Ok(())
    }
}

/// The lines of the standard input, as they come.
pub(super) struct Lines {
    input: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    line: Vec<u8>,
}

impl Lines {
    pub(super) fn new(input: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Self { input: BufReader::new(input), line: Vec::new() }
    }

    /// The next line; `None` at the end, and where it cannot be read any more. What was read stays when the future is
    /// dropped.
    pub(super) async fn next(&mut self) -> Option<String> {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len() as u64);
        let read = (&mut self.input).take(room).read_until(b'\n', &mut self.line).await;
        if read.is_err() || self.line.is_empty() {
            return None;
        }
        Some(String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned())
    }
}
