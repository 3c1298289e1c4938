//! One node of the demo: a process of its own, a real member, driven through its pipes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use agora::builtin::{Builtin, CacheInvalidated};
use agora::{
    Bus, Config, Delivery, Error, ErrorKind, Event, MemberChange, MemberEvent, Missing, Publisher, Receipt,
    Start, Subscription, TopicName, TopicSettings,
};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::ledger::Ledger;
use super::protocol::{Books, Command, Report, micros};
use super::service::Service;
use super::{TOPIC, membership};
use crate::args::{DemoNode, Global};
use crate::failure::{DONE, Failure};
use crate::json;
use crate::kinds;
use crate::output::Output;

/// Reports that wait to be written.
const REPORTS_MAX: usize = 256;
/// How long a publish may take.
const PUBLISH: Duration = Duration::from_secs(10);
/// How long a leave may take.
const CLOSE: Duration = Duration::from_secs(3);
/// How long joining may take.
const JOIN: Duration = Duration::from_secs(15);

type Commands = Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>;

/// Runs until it is told to leave, or its parent is gone.
pub(crate) async fn run_node(
    global: &Global,
    args: &DemoNode,
    stdin: Box<dyn AsyncRead + Send + Unpin>,
    output: &mut Output,
) -> Result<u8, Failure> {
    die_with(args.parent)?;
    let (reports, outgoing) = mpsc::channel(REPORTS_MAX);
    match Node::start(global, reports).await {
        Ok(node) => node.run(BufReader::new(stdin).lines(), outgoing, output).await,
        Err(error) => {
            let report = Report::Failed { message: format!("{error:#}") };
            output.line(json::line(&report)).await?;
            Err(error.into())
        }
    }
}

/// Asks the kernel to kill this process when its parent ends, however that ends: a node that was stopped could not
/// notice that its pipe has closed.
fn die_with(parent: i32) -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    // Where the kernel will not, the closed pipe is noticed all the same.
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    if nix::unistd::getppid().as_raw() == parent {
        return Ok(());
    }
    Err(Failure::Error(
        Error::new(ErrorKind::Config, "not started by a demo").help("`agora demo` starts its nodes itself"),
    ))
}

struct Node {
    bus: Bus,
    publisher: Publisher,
    service: Service,
    ledger: Ledger,
    /// The sequence of the last event that was accepted.
    published: Arc<AtomicU64>,
    reports: mpsc::Sender<Report>,
}

impl Node {
    async fn start(global: &Global, reports: mpsc::Sender<Report>) -> Result<Self, Error> {
        let mut limits = agora::Limits::default();
        limits.publish_timeout = PUBLISH;
        let mut builder = Bus::builder().limits(limits).membership(membership());
        builder = builder.connect_timeout(super::connect_timeout(global));
        builder = builder.topic(TOPIC, one_lane(global)?);
        for (set, value) in [
            (agora::Builder::url as fn(agora::Builder, String) -> agora::Builder, &global.url),
            (agora::Builder::cluster, &global.cluster),
            (agora::Builder::node, &global.node),
        ] {
            if let Some(value) = value {
                builder = set(builder, value.clone());
            }
        }
        let bus = builder.connect().await?;
        let publisher = bus.publisher(TOPIC)?;
        let (service, ledger) = (Service::default(), Ledger::default());
        Ok(Self { bus, publisher, service, ledger, published: Arc::default(), reports })
    }

    async fn run(
        mut self,
        mut commands: Commands,
        mut outgoing: mpsc::Receiver<Report>,
        output: &mut Output,
    ) -> Result<u8, Failure> {
        let mut members = self.bus.members();
        self.bus.ready(JOIN).await?;
        let mut events = self.bus.subscribe(TOPIC).typed::<Builtin>().start(Start::Live).await?;
        let incarnation = self.bus.me().incarnation.to_string();
        output.line(json::line(&Report::Ready { incarnation })).await?;
        loop {
            let report = tokio::select! {
                command = commands.next_line() => match command {
                    Ok(Some(line)) => {
                        let Ok(command) = serde_json::from_str(&line) else { continue };
                        if command == Command::Leave {
                            return self.leave(&mut events, output).await;
                        }
                        self.obey(command)
                    }
                    // The parent is gone.
                    Ok(None) | Err(_) => {
                        drop(self.bus.close(Duration::from_millis(500)).await);
                        return Ok(DONE);
                    }
                },
                delivery = events.try_next() => match delivery? {
                    Some(delivery) => self.take(delivery),
                    None => return Ok(DONE),
                },
                change = members.next() => change.and_then(member),
                report = outgoing.recv() => report,
            };
            if let Some(report) = report {
                output.line(json::line(&report)).await?;
            }
        }
    }

    fn obey(&mut self, command: Command) -> Option<Report> {
        match command {
            Command::Idle { account } => {
                self.service.open_session(account);
                Some(Report::Done)
            }
            Command::ServePush => {
                self.service.serve_push();
                Some(Report::Done)
            }
            Command::Publish { kind, body } => self.publish(&kind, &body.to_string()),
            Command::Connect { address } => {
                Some(Report::Connection { address, accepted: self.service.accepts(address) })
            }
            Command::Flow { per_second, milliseconds } => {
                self.flow(per_second, Duration::from_millis(milliseconds));
                None
            }
            Command::Books => Some(Report::Books(self.books())),
            // Taken care of before.
            Command::Leave => None,
        }
    }

    /// Publishes a built-in event, and takes it in: one's own events are not delivered.
    fn publish(&mut self, kind: &str, body: &str) -> Option<Report> {
        let (message, event) = match kinds::parse(kind, body).and_then(|m| Ok((m, kinds::value(kind, body)?)))
        {
            Ok(parsed) => parsed,
            Err(error) => return Some(failed(&error)),
        };
        self.service.handle(&event);
        let publishing = message.publish(&self.publisher);
        let (published, reports) = (self.published.clone(), self.reports.clone());
        tokio::spawn(async move {
            if let Err(error) = publishing.await.and_then(|receipt| enter(&receipt, &published)) {
                drop(reports.send(failed(&error)).await);
            }
        });
        None
    }

    /// Publishes at a rate. What could not be published while the process was stopped is not made up for.
    fn flow(&self, per_second: u64, time: Duration) {
        let (publisher, reports) = (self.publisher.clone(), self.reports.clone());
        let published = self.published.clone();
        tokio::spawn(async move {
            let end = Instant::now() + time;
            let mut ticks =
                tokio::time::interval(Duration::from_secs(1) / u32::try_from(per_second).unwrap_or(1).max(1));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut count = 0;
            while Instant::now() < end {
                ticks.tick().await;
                let event = CacheInvalidated { cache: "flow".into(), entries: vec![count.to_string()] };
                let outcome = publisher.publish(&event).await;
                if let Err(error) = outcome.and_then(|receipt| enter(&receipt, &published)) {
                    drop(reports.send(failed(&error)).await);
                }
                count += 1;
            }
            let published = published.load(Ordering::Relaxed);
            drop(reports.send(Report::FlowEnded { published }).await);
        });
    }

    fn take(&mut self, delivery: Delivery<Builtin>) -> Option<Report> {
        let at_us = micros(SystemTime::now());
        match delivery {
            Delivery::Event(event) => {
                let from = event.source().incarnation.to_string();
                self.ledger.deliver(&from, event.seq());
                let kind = event.record().kind().to_owned();
                if kind == CacheInvalidated::KIND {
                    return None;
                }
                let did = self.service.handle(&event)?;
                Some(Report::Did { kind, from, did, sent_us: micros(event.time()), at_us })
            }
            Delivery::Gap(gap) => {
                let reason = gap.reason.as_str().to_owned();
                let Missing::Source { source, from, to, .. } = gap.missing else {
                    self.ledger.unnamed += 1;
                    return Some(Report::Gap { source: None, from: None, to: None, reason, at_us });
                };
                let source = source.incarnation.to_string();
                self.ledger.gap(&source, from, to, &reason);
                Some(Report::Gap { source: Some(source), from, to, reason, at_us })
            }
            Delivery::Foreign(_) => None,
        }
    }

    fn books(&self) -> Books {
        Books {
            published: self.published.load(Ordering::Relaxed),
            stats: self.bus.stats().iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ledger: self.ledger.clone(),
        }
    }

    /// Leaves, and reports the books with all that came until then.
    async fn leave(mut self, events: &mut Subscription<Builtin>, output: &mut Output) -> Result<u8, Failure> {
        self.bus.close(CLOSE).await?;
        while let Some(delivery) = events.try_next().await? {
            self.take(delivery);
        }
        output.line(json::line(&Report::Books(self.books()))).await?;
        output.line(json::line(&Report::Left)).await?;
        Ok(DONE)
    }
}

/// What the topic is on this backend, with one lane: the books are of one order of all events of a source.
fn one_lane(global: &Global) -> Result<TopicSettings, Error> {
    let config = Config::from_url(global.url.clone().unwrap_or_default())?;
    let mut settings = config.topic(&TopicName::new(TOPIC)?, None);
    settings.lanes = Some(1);
    Ok(settings)
}

fn failed(error: &Error) -> Report {
    Report::Failed { message: format!("{error:#}") }
}

/// Enters an event that was accepted into the books of this node.
fn enter(receipt: &Receipt, published: &AtomicU64) -> Result<(), Error> {
    if receipt.lane > 0 {
        let several =
            format!("the topic {TOPIC} has several lanes, and the books of the demo are kept for one");
        return Err(Error::new(ErrorKind::Config, several)
            .help("play in another cluster, or leave --cluster out: then a topic is made for the demo"));
    }
    published.fetch_max(receipt.seq, Ordering::Relaxed);
    Ok(())
}

fn member(change: MemberChange) -> Option<Report> {
    let MemberChange::Event(event) = change else { return None };
    let word = json::event_word(&event)?;
    match event {
        MemberEvent::Joined(info)
        | MemberEvent::Suspected(info)
        | MemberEvent::Recovered(info)
        | MemberEvent::Failed(info)
        | MemberEvent::Left(info)
        | MemberEvent::Returned(info) => Some(Report::Member {
            event: word.to_owned(),
            node: info.name.to_string(),
            incarnation: info.source.incarnation.to_string(),
            at_us: micros(SystemTime::now()),
        }),
        _ => None,
    }
}
