//! `agora subscribe`: prints what arrives.

mod group;
mod settle;

use agora::{Bus, Delivery, Error, ErrorKind, Record, Start, Subscription, Support, TopicKind, TopicName};
use tokio::time::{Instant, sleep_until};

use crate::args::{Global, Subscribe};
use crate::failure::{DONE, Failure, NEGATIVE};
use crate::io::{Input, Interrupt};
use crate::json::{Beside, EventLine, ForeignLine, GapLine, Note};
use crate::output::Output;
use crate::session::{Part, joined_or_warned, name_of, with_bus};
use crate::text;
use crate::whence::Whence;

pub(crate) async fn run(
    global: &Global,
    args: Subscribe,
    input: Input,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    if args.group.is_some() {
        return group::run(global, args, input, output, interrupt).await;
    }
    let start = Whence::parse(args.from.as_deref().unwrap_or("latest")).start()?;
    let part = Part {
        logs: if args.log { args.topics.clone() } else { Vec::new() },
        plain: if args.raw { args.topics.clone() } else { Vec::new() },
        ..Part::default()
    };
    with_bus(global, part, interrupt, output.reader_gone(), async |bus: &Bus| {
        joined_or_warned(bus, output, global.connect_timeout).await;
        let mut events = bus.subscribe(args.topics.as_slice());
        if let Some(name) = &args.durable {
            events = events.durable(name);
        }
        if start != Start::Live || args.durable.is_some() {
            must_be_logs(bus, &args)?;
        }
        let mut events = events.start(start).await?;
        established(bus, &args.topics, output);
        let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
        let code = read(bus, &mut events, &args, deadline, output).await?;
        // What was printed counts as done; after a signal or a failure the last of it comes again.
        output.flush().await?;
        events.close().await?;
        Ok(code)
    })
    .await
}

/// Says what to do where a live topic is to be read again. Where the backend has no logs, the bus says that.
fn must_be_logs(bus: &Bus, args: &Subscribe) -> Result<(), Failure> {
    if bus.capabilities().log != Support::Yes {
        return Ok(());
    }
    for name in &args.topics {
        let topic = TopicName::new(name)?;
        if bus.config().kind_of(&topic) == TopicKind::Live {
            let (asked, value) = match &args.durable {
                Some(name) => ("--durable", name.clone()),
                None => ("--from", args.from.clone().unwrap_or_default()),
            };
            return Err(Failure::Error(
                Error::new(ErrorKind::Config, "this topic is live: nothing of it is kept")
                    .operation("subscribe")
                    .context("topic", topic)
                    .context(asked, value)
                    .help(
                        "make it a log: --log here and where it is published, or `kind = \"log\"` in the \
                         configuration of every node",
                    ),
            ));
        }
    }
    Ok(())
}

/// Prints until the count is reached, the time is up, or the bus ends.
async fn read(
    bus: &Bus,
    events: &mut Subscription<Record>,
    args: &Subscribe,
    deadline: Option<Instant>,
    output: &mut Output,
) -> Result<u8, Failure> {
    let mut seen = 0;
    let timeout = until(deadline);
    tokio::pin!(timeout);
    loop {
        let delivery = tokio::select! {
            delivery = events.try_next() => delivery?,
            () = &mut timeout => {
                return Ok(if args.count.is_some() { NEGATIVE } else { DONE });
            }
        };
        let Some(delivery) = delivery else { return Err(closed()) };
        match &delivery {
            Delivery::Foreign(foreign) if args.raw && !output.json() => {
                output.bytes(foreign.raw.payload.to_vec()).await?;
            }
            Delivery::Event(event) if args.raw && !output.json() => {
                output.bytes(event.record().body().to_vec()).await?;
            }
            _ => {
                let cursor = output.json().then(|| cursor_of(bus, events, &delivery)).flatten();
                print(bus, &delivery, cursor, output).await?;
            }
        }
        let counts = match delivery {
            Delivery::Event(_) => true,
            Delivery::Foreign(_) => args.raw,
            Delivery::Gap(_) => false,
        };
        seen += u64::from(counts);
        if args.count.is_some_and(|count| seen >= count) {
            return Ok(DONE);
        }
    }
}

/// Returns at this time, where there is one.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The place behind an event of a log.
fn cursor_of(bus: &Bus, events: &Subscription<Record>, delivery: &Delivery<Record>) -> Option<String> {
    let topic = match delivery {
        Delivery::Event(event) => event.topic(),
        Delivery::Foreign(foreign) => &foreign.topic,
        Delivery::Gap(_) => return None,
    };
    (bus.config().kind_of(topic) == TopicKind::Log).then(|| events.cursor().to_string())
}

/// Prints one delivery, of a log with the cursor behind it.
pub(crate) async fn print(
    bus: &Bus,
    delivery: &Delivery<Record>,
    cursor: Option<String>,
    output: &mut Output,
) -> Result<(), Failure> {
    match delivery {
        Delivery::Event(event) => {
            let beside = Beside { cursor, lane: event.lane(), ..Beside::default() };
            let (topic, record, node) = (event.topic(), event.record(), name_of(bus, event.source()));
            let line = EventLine::of(topic, record, node.clone(), beside);
            output.say(&line, || text::event(topic, record, &node)).await
        }
        Delivery::Gap(gap) => {
            let name = |source| name_of(bus, source);
            output.say(&GapLine::of(gap, name), || text::gap(gap, name)).await
        }
        Delivery::Foreign(foreign) => {
            let (topic, raw, arrived) = (&foreign.topic, &foreign.raw, foreign.arrived);
            let beside = Beside { cursor, ..Beside::default() };
            let line = ForeignLine::of(topic, raw, arrived, beside);
            output.say(&line, || text::foreign(topic, raw, arrived)).await
        }
    }
}

/// Tells that what is published from now on is shown.
pub(crate) fn established(bus: &Bus, topics: &[String], output: &Output) {
    let (node, cluster) = (bus.config().node.as_str(), bus.config().cluster.as_str());
    let backend = bus.capabilities().backend;
    output.note(&Note::Established { topics, group: None, node, cluster, backend }, || {
        format!("listening to {} in cluster {cluster} over {backend}; Ctrl-C ends", topics.join(", "))
    });
}

pub(crate) fn closed() -> Failure {
    Failure::Error(Error::new(ErrorKind::Closed, "the subscription ended").operation("subscribe"))
}
