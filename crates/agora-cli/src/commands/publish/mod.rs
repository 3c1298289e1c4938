//! `agora publish`: an event from the arguments, or events from the standard input.

mod input;
mod object;
mod pace;

use std::collections::VecDeque;
use std::time::Duration;

use agora::{Bus, Error, ErrorKind, Event, Publish as Publishing, Publisher, RawBytes, Receipt, TopicKind};
use tokio::time::{Instant, sleep_until, timeout};

use self::input::{Events, Item};
use self::pace::Pace;
use crate::args::{Global, Publish};
use crate::failure::{DONE, Failure};
use crate::io::{Input, Interrupt};
use crate::json::{Note, ReceiptLine};
use crate::output::Output;
use crate::progress::Progress;
use crate::session::{Part, joined, with_bus};

/// Events whose outcome is awaited at the same time.
const IN_FLIGHT_MAX: usize = 1024;

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
    let total = progress_of(&args, input.is_terminal);
    // What is wrong with the data is said before anything is connected.
    let mut events = tokio::select! {
        events = Events::read(&args, input) => events?,
        () = interrupt.wait() => return Err(Failure::Interrupted),
    };
    let part = Part {
        publish_timeout: Some(args.timeout),
        logs: Vec::from_iter(args.log.then(|| args.topic.clone())),
        plain: Vec::from_iter(args.raw.then(|| args.topic.clone())),
        ..Part::default()
    };
    with_bus(global, part, interrupt, output.broken(), async |bus: &Bus| {
        let publisher = bus.publisher(&args.topic)?;
        joined(bus, global.connect_timeout).await?;
        // A log keeps the event for whoever comes, and who hears plain messages tells nobody.
        if bus.config().kind_of(publisher.topic()) == TopicKind::Live && !args.raw {
            look_for_somebody(bus, args.wait, output).await;
        }
        let progress = total.map_or_else(Progress::none, |total| output.progress(total));
        let mut printer = Receipts { bus, publisher: &publisher, output, progress, sent: 0 };
        let mut pace = args.rate.map(Pace::new);
        let mut waiting: VecDeque<(Publishing, String)> = VecDeque::new();
        let mut more = true;
        while more || !waiting.is_empty() {
            tokio::select! {
                item = next(&mut events, &mut pace), if more && waiting.len() < IN_FLIGHT_MAX => match item? {
                    Some(item) => waiting.push_back((item.message.publish(&publisher), item.kind)),
                    None => more = false,
                },
                receipt = oldest(&mut waiting) => {
                    let (receipt, kind) = receipt.map_err(|error| printer.count(error))?;
                    printer.print(receipt, &kind).await?;
                }
            }
        }
        printer.sum_up(events.passed_over()).await
    })
    .await?;
    Ok(DONE)
}

/// What there is to show of how far it has come: the number of events, where that is known.
#[allow(clippy::option_option, reason = "nothing to show, and a number that nobody knows, are two things")]
fn progress_of(args: &Publish, stdin_is_terminal: bool) -> Option<Option<u64>> {
    match args.count {
        // What is typed is not drawn over.
        _ if args.lines || args.ndjson => (!stdin_is_terminal).then_some(None),
        1 => None,
        count => Some(Some(count)),
    }
}

/// The next event, when it is due. What was read stays when the future is dropped.
async fn next(events: &mut Events, pace: &mut Option<Pace>) -> Result<Option<Item>, Failure> {
    if let Some(due) = pace.as_ref().and_then(Pace::due) {
        sleep_until(due).await;
    }
    let item = events.next().await?;
    if let Some(pace) = pace {
        pace.took(Instant::now());
    }
    Ok(item)
}

/// The outcome of the oldest event that is on its way, and its kind.
async fn oldest(waiting: &mut VecDeque<(Publishing, String)>) -> Result<(Receipt, String), Error> {
    let receipt = match waiting.front_mut() {
        Some((publishing, _)) => publishing.await,
        None => std::future::pending().await,
    };
    let kind = waiting.pop_front().map(|(_, kind)| kind).unwrap_or_default();
    Ok((receipt?, kind))
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
    output: &'a mut Output,
    progress: Progress,
    sent: u64,
}

impl Receipts<'_> {
    async fn print(&mut self, receipt: Receipt, kind: &str) -> Result<(), Failure> {
        self.sent += 1;
        self.progress.step();
        if !self.output.json() {
            return Ok(());
        }
        let node = self.bus.config().node.as_str();
        let line = ReceiptLine::of(&receipt, self.publisher.topic(), kind, node);
        self.output.line(crate::json::line(&line)).await
    }

    /// What went before an event that failed.
    fn count(&self, error: Error) -> Error {
        if self.sent == 0 { error } else { error.context("published before it", self.sent) }
    }

    async fn sum_up(self, passed_over: u64) -> Result<(), Failure> {
        if passed_over > 0 {
            let message = format!("{passed_over} objects were no events, and were passed over");
            self.output.note(&Note::Warning { message: &message }, || format!("warning: {message}"));
        }
        drop(self.progress);
        if self.output.json() {
            return Ok(());
        }
        let (sent, events) = (self.sent, if self.sent == 1 { "event" } else { "events" });
        self.output.line(format!("published {sent} {events} on {}", self.publisher.topic())).await
    }
}
