//! What the commands share that look into logs and groups, and change them.

use agora::core::transport::{Position, TopicDescription};
use agora::{Bus, Error, ErrorKind};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::args::Global;
use crate::failure::Failure;
use crate::io::{Input, Interrupt};
use crate::output::Output;
use crate::session::{Part, joined, with_bus};

/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1024;

/// Something was done to a log or a group.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "done")]
pub(super) struct DoneLine<'a> {
    pub(super) did: &'static str,
    pub(super) topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) events: Option<u64>,
}

/// Connects, waits until the backend answers, and does the work.
pub(super) async fn with_admin<R>(
    global: &Global,
    interrupt: &mut Interrupt,
    reader_gone: impl Future<Output = ()>,
    work: impl AsyncFnOnce(&Bus) -> Result<R, Failure>,
) -> Result<R, Failure> {
    with_admin_of(global, Vec::new(), interrupt, reader_gone, work).await
}

/// As [`with_admin`], for work that publishes on these logs.
pub(super) async fn with_admin_of<R>(
    global: &Global,
    logs: Vec<String>,
    interrupt: &mut Interrupt,
    reader_gone: impl Future<Output = ()>,
    work: impl AsyncFnOnce(&Bus) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let part = Part { logs, ..Part::default() };
    with_bus(global, part, interrupt, reader_gone, async |bus: &Bus| {
        // A backend that cannot be looked into says so, before anything is waited for.
        bus.admin()?;
        joined(bus, global.connect_timeout).await?;
        work(bus).await
    })
    .await
}

/// What a destructive command is told before it begins.
pub(super) struct Consent {
    input: Option<Input>,
}

impl Consent {
    /// With `--yes` nobody is asked.
    ///
    /// # Errors
    /// `Config` where nobody can be asked.
    pub(super) fn new(yes: bool, input: Input) -> Result<Self, Failure> {
        if yes {
            return Ok(Self { input: None });
        }
        if !input.is_terminal {
            return Err(Failure::Error(
                Error::new(ErrorKind::Config, "this cannot be undone, and nobody can be asked")
                    .context("standard input", "no terminal")
                    .help("give --yes to do it without being asked"),
            ));
        }
        Ok(Self { input: Some(input) })
    }

    /// Asks for the name of what is to be changed.
    ///
    /// # Errors
    /// `Config` where another answer is given.
    pub(super) async fn ask(self, what: &str, name: &str, output: &Output) -> Result<(), Failure> {
        let Some(input) = self.input else { return Ok(()) };
        output.prompt(&format!("{what}. Type {name} to go on: "));
        let mut answer = String::new();
        let read = BufReader::new(input.stdin.take(ANSWER_BYTES_MAX)).read_line(&mut answer).await;
        if read.is_ok() && answer.trim() == name {
            return Ok(());
        }
        Err(Failure::Error(
            Error::new(ErrorKind::Config, "nothing was changed: the answer was not the name")
                .help(format!("type {name}, or give --yes")),
        ))
    }
}

/// A place in a lane, as the backend counts. Text in JSON too: it may be larger than a number there can be.
pub(super) fn position(position: Position) -> String {
    position.0.to_string()
}

/// The lane that is meant of a log.
///
/// # Errors
/// `Config` where it has several and none was named, or none of this number.
pub(super) fn lane_of(topic: &TopicDescription, named: Option<u32>) -> Result<u32, Failure> {
    let lanes = topic.lanes.len();
    let wrong = |what: String| {
        Err(Failure::Error(
            Error::new(ErrorKind::Config, what)
                .context("topic", &topic.name)
                .help("name one with --lane; `agora topics describe` shows what each holds"),
        ))
    };
    match named {
        None if lanes > 1 => wrong(format!("the log has {lanes} lanes, and none was named")),
        Some(lane) if topic.lanes.iter().all(|found| found.lane != lane) => {
            wrong(format!("the log has no lane {lane}: it has {lanes}, counted from 0"))
        }
        named => Ok(named.unwrap_or(0)),
    }
}

/// Reads a place in a lane.
///
/// # Errors
/// `Config`, with what is taken.
pub(super) fn read_position(option: &'static str, text: &str) -> Result<Position, Failure> {
    text.parse().map(Position).map_err(|_| {
        let help = "it takes earliest, latest, a time such as 2026-01-31T12:00:00Z or 15m (ago), or a `position` as \
                    `agora peek` and `agora topics describe` show it";
        Failure::Error(crate::whence::wrong(option, text, help))
    })
}
