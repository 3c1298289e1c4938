//! `agora subscribe`: prints what arrives.

use agora::{Bus, Delivery, Error, ErrorKind, Record, Start, Subscription};
use tokio::time::{Instant, sleep_until};

use crate::args::{Global, Subscribe};
use crate::failure::{DONE, Failure, NEGATIVE};
use crate::io::Interrupt;
use crate::json::{EventLine, ForeignLine, GapLine, Note};
use crate::output::Output;
use crate::session::{Part, joined_or_warned, name_of, with_bus};
use crate::text;

pub(crate) async fn run(
    global: &Global,
    args: Subscribe,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    let start = start(&args.from)?;
    let logs = if args.log { args.topics.clone() } else { Vec::new() };
    let part = Part { logs, ..Part::default() };
    with_bus(global, part, interrupt, output.reader_gone(), async |bus: &Bus| {
        joined_or_warned(bus, output, global.connect_timeout).await;
        let mut events = bus.subscribe(args.topics.as_slice());
        if let Some(name) = &args.durable {
            events = events.durable(name);
        }
        let mut events = events.start(start).await?;
        established(bus, &args.topics, output);
        let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
        let code = read(bus, &mut events, &args, deadline, output).await?;
        // What was printed counts as done; after a signal or a failure the last of it comes again.
        events.close().await?;
        Ok(code)
    })
    .await
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
    let timeout = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(timeout);
    loop {
        let delivery = tokio::select! {
            delivery = events.try_next() => delivery?,
            () = &mut timeout => {
                return Ok(if args.count.is_some() { NEGATIVE } else { DONE });
            }
        };
        let Some(delivery) = delivery else { return Err(closed()) };
        seen += u64::from(matches!(delivery, Delivery::Event(_)));
        let cursor = (args.log && output.json()).then(|| events.cursor().to_string());
        print(bus, &delivery, cursor, output).await?;
        if args.count.is_some_and(|count| seen >= count) {
            return Ok(DONE);
        }
    }
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
            let node = name_of(bus, event.source());
            output.say(&EventLine::of(event, node.clone(), cursor), || text::event(event, &node)).await
        }
        Delivery::Gap(gap) => {
            let name = |source| name_of(bus, source);
            output.say(&GapLine::of(gap, name), || text::gap(gap, name)).await
        }
        Delivery::Foreign(foreign) => output.say(&ForeignLine::of(foreign), || text::foreign(foreign)).await,
    }
}

/// Tells that what is published from now on is shown.
pub(crate) fn established(bus: &Bus, topics: &[String], output: &Output) {
    let (node, cluster) = (bus.config().node.as_str(), bus.config().cluster.as_str());
    let backend = bus.capabilities().backend;
    output.note(&Note::Established { topics, node, cluster, backend }, || {
        format!("listening to {} in cluster {cluster} over {backend}; Ctrl-C ends", topics.join(", "))
    });
}

pub(crate) fn closed() -> Failure {
    Failure::Error(Error::new(ErrorKind::Closed, "the subscription ended").operation("subscribe"))
}

fn start(from: &str) -> Result<Start, Failure> {
    match from {
        "live" => Ok(Start::Live),
        "earliest" => Ok(Start::Earliest),
        time_or_cursor => {
            if let Ok(time) = time_or_cursor.parse::<jiff::Timestamp>() {
                return Ok(Start::Time(time.into()));
            }
            time_or_cursor.parse().map(Start::Cursor).map_err(|error: Error| {
                let shown: String = time_or_cursor.chars().take(80).collect();
                Failure::Error(
                    Error::new(ErrorKind::Config, "not a place to begin")
                        .context("--from", format!("{shown:?}"))
                        .help(
                            "it takes live, earliest, a time such as 2026-01-31T12:00:00Z, or the whole `cursor` of \
                             an event that was printed with --json --log",
                        )
                        .source(error),
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_begin() {
        assert_eq!(start("live").unwrap(), Start::Live);
        assert_eq!(start("earliest").unwrap(), Start::Earliest);
        assert!(matches!(start("2026-01-31T12:00:00Z").unwrap(), Start::Time(_)));
        for bad in ["", "yesterday", "2026-01-31"] {
            assert_eq!(start(bad).unwrap_err().exit(), 2, "{bad}");
        }
    }
}
