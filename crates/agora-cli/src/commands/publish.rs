//! `agora publish`: an event from the arguments, or from the standard input.

use std::collections::VecDeque;
use std::time::Duration;

use agora::{Bus, Error, ErrorKind, Event, Publish as Publishing, Publisher, RawBytes, Receipt};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::timeout;

use crate::args::{Global, Publish};
use crate::failure::{DONE, Failure};
use crate::io::Interrupt;
use crate::json::{Note, ReceiptLine};
use crate::kinds::{self, Message};
use crate::output::Output;
use crate::session::{Part, joined, with_bus};

/// Events whose outcome is awaited at the same time.
const IN_FLIGHT_MAX: usize = 1024;
/// The most that is read for one event: the most that an event may have, and one byte to notice that it is more.
const INPUT_BYTES_MAX: u64 = agora::core::limits::BODY_BYTES_MAX as u64 + 1;

/// Where the data comes from when it is not an argument.
pub(crate) struct Input {
    pub(crate) stdin: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) is_terminal: bool,
}

pub(crate) async fn run(
    global: &Global,
    args: Publish,
    input: Input,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    let kind = args.kind.as_deref().unwrap_or(RawBytes::KIND);
    if args.key.is_some() && kind != RawBytes::KIND {
        return Err(Failure::Error(
            Error::new(ErrorKind::Config, "--key is for plain bytes")
                .context("kind", kind)
                .help("a built-in event has its key from its fields; leave --key out"),
        ));
    }
    if input.is_terminal && args.data.is_none() && !args.lines {
        return Err(no_data());
    }
    // What is wrong with the data is said before anything is connected.
    let mut events = tokio::select! {
        events = Events::read(&args, kind, input.stdin) => events?,
        () = interrupt.wait() => return Err(Failure::Interrupted),
    };
    let logs = if args.log { vec![args.topic.clone()] } else { Vec::new() };
    let part = Part { publish_timeout: Some(args.timeout), logs, ..Part::default() };
    with_bus(global, part, interrupt, output.broken(), async |bus: &Bus| {
        let publisher = bus.publisher(&args.topic)?;
        joined(bus, global.connect_timeout).await?;
        // A log keeps the event for whoever comes.
        if !args.log {
            look_for_somebody(bus, args.wait, output).await;
        }
        let mut printer = Receipts { bus, publisher: &publisher, kind, output, sent: 0 };
        let mut waiting: VecDeque<Publishing> = VecDeque::new();
        let mut more = true;
        while more || !waiting.is_empty() {
            tokio::select! {
                message = events.next(), if more && waiting.len() < IN_FLIGHT_MAX => match message? {
                    Some(message) => waiting.push_back(message.publish(&publisher)),
                    None => more = false,
                },
                receipt = oldest(&mut waiting) => printer.print(receipt?).await?,
            }
        }
        printer.sum_up().await
    })
    .await?;
    Ok(DONE)
}

/// The outcome of the oldest event that is on its way.
async fn oldest(waiting: &mut VecDeque<Publishing>) -> Result<Receipt, Error> {
    let receipt = match waiting.front_mut() {
        Some(publishing) => publishing.await,
        None => std::future::pending().await,
    };
    waiting.pop_front();
    receipt
}

/// A live topic reaches those who listen now: waits until somebody is there, and warns where nobody comes.
async fn look_for_somebody(bus: &Bus, wait: Duration, output: &Output) {
    if timeout(wait, bus.wait_for_others()).await.is_err() {
        let cluster = bus.config().cluster.as_str();
        let message =
            format!("nobody was heard in cluster {cluster}; a live topic reaches those who listen now");
        output.note(&Note::Warning { message: &message }, || format!("warning: {message}"));
    }
}

struct Receipts<'a> {
    bus: &'a Bus,
    publisher: &'a Publisher,
    kind: &'a str,
    output: &'a mut Output,
    sent: u64,
}

impl Receipts<'_> {
    async fn print(&mut self, receipt: Receipt) -> Result<(), Failure> {
        self.sent += 1;
        if !self.output.json() {
            return Ok(());
        }
        let node = self.bus.config().node.as_str();
        let line = ReceiptLine::of(&receipt, self.publisher.topic(), self.kind, node);
        self.output.line(crate::json::line(&line)).await
    }

    async fn sum_up(self) -> Result<(), Failure> {
        if self.output.json() {
            return Ok(());
        }
        let (sent, events) = (self.sent, if self.sent == 1 { "event" } else { "events" });
        self.output.line(format!("published {sent} {events} on {}", self.publisher.topic())).await
    }
}

/// The events to publish, one after the other.
enum Events<'a> {
    Same {
        message: Message,
        left: u64,
    },
    Lines {
        input: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
        /// What was read of the next line.
        line: Vec<u8>,
        kind: &'a str,
        key: Option<String>,
    },
}

impl<'a> Events<'a> {
    async fn read(
        args: &Publish,
        kind: &'a str,
        stdin: Box<dyn AsyncRead + Send + Unpin>,
    ) -> Result<Self, Failure> {
        if args.lines {
            let (input, key) = (BufReader::new(stdin), args.key.clone());
            return Ok(Self::Lines { input, line: Vec::new(), kind, key });
        }
        let data = match args.data.as_deref() {
            None | Some("-") => {
                let mut data = Vec::new();
                stdin.take(INPUT_BYTES_MAX).read_to_end(&mut data).await.map_err(|e| cannot_read(&e))?;
                // More likely a pipe whose writer failed, or no input at all, than an empty event.
                if data.is_empty() {
                    return Err(no_data());
                }
                data
            }
            Some(text) => text.as_bytes().to_vec(),
        };
        Ok(Self::Same { message: message(kind, args.key.clone(), data)?, left: args.count })
    }

    /// The next event. What was read stays when the future is dropped.
    async fn next(&mut self) -> Result<Option<Message>, Failure> {
        match self {
            Self::Same { left: 0, .. } => Ok(None),
            Self::Same { message, left } => {
                *left -= 1;
                Ok(Some(message.clone()))
            }
            Self::Lines { input, line, kind, key } => {
                // Longer than an event may be: what was read is enough to be refused.
                let room = (INPUT_BYTES_MAX + 1).saturating_sub(line.len() as u64);
                let read = input.take(room).read_until(b'\n', line).await;
                if read.map_err(|e| cannot_read(&e))? == 0 && line.is_empty() {
                    return Ok(None);
                }
                let mut line = std::mem::take(line);
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Ok(Some(message(kind, key.clone(), line)?))
            }
        }
    }
}

fn message(kind: &str, key: Option<String>, data: Vec<u8>) -> Result<Message, Failure> {
    if kind == RawBytes::KIND {
        return Ok(Message::bytes(data, key));
    }
    let text = String::from_utf8(data).map_err(|_| {
        Error::new(ErrorKind::Config, format!("the data is not what {kind} takes: it is not UTF-8"))
    })?;
    Ok(kinds::parse(kind, &text)?)
}

fn no_data() -> Failure {
    Failure::Error(Error::new(ErrorKind::Config, "no data was given").operation("publish").help(
        "give it as an argument ('' for an empty event), or through the standard input; `-` reads what is typed \
         until Ctrl-D",
    ))
}

fn cannot_read(cause: &std::io::Error) -> Failure {
    Failure::Error(
        Error::new(ErrorKind::Config, "the standard input cannot be read").source(cause.to_string()),
    )
}
