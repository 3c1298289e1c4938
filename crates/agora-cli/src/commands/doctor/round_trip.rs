//! An event from one bus to another, through the backend and back.

use std::time::Duration;

use agora::{Bus, Delivery, Event, RawBytes, Record, Start, Subscription};
use tokio::time::{Instant, timeout_at};

use super::check::Check;
use crate::args::Global;
use crate::failure::Failure;
use crate::session::{Part, connect};

const NAME: &str = "round trip";
/// The topic of the events that doctors send. One and the same, so that no server collects topics of them; and live, so
/// that nobody keeps them.
pub(super) const TOPIC: &str = "agora-doctor";
/// How many are sent, at most.
const TRIES: u32 = 5;
/// How long one is waited for before the next is sent.
const PATIENCE: Duration = Duration::from_secs(1);
/// Slower than this is worth a look.
const SLOW: Duration = Duration::from_millis(500);
/// How long the second bus may take to leave.
const CLOSE: Duration = Duration::from_secs(1);

/// How a doctor takes part.
pub(super) fn part() -> Part {
    Part { live: Some(TOPIC), ..Part::default() }
}

/// Publishes on `bus`, and waits for it on a bus of its own.
pub(super) async fn check(global: &Global, bus: &Bus) -> Check {
    let other = match connect(global, part()).await {
        Ok(other) => other,
        Err(Failure::Error(error)) => return Check::error(NAME, &error),
        Err(_) => return Check::red(NAME, "a second connection was not made", "look at the log with -v"),
    };
    let result = over(bus, &other).await;
    // It has done its work; how it leaves changes nothing in what was seen.
    let _ = other.close(CLOSE).await;
    match result {
        Err(error) => Check::error(NAME, &error),
        Ok(None) => Check::red(
            NAME,
            format!("none of {TRIES} events on the topic {TOPIC} came back within {PATIENCE:?} each"),
            "look whether this node may publish and subscribe there, and at firewalls between the nodes: a \
             connection alone is not enough",
        ),
        Ok(Some((took, tries))) => {
            let found = format!("an event came back after {}", text_of(took));
            let lost = tries - 1;
            if took > SLOW {
                let todo = "look at the network and at the load of the backend";
                Check::yellow(NAME, found, todo)
            } else if lost > 1 {
                let found = format!("{found}, and {lost} before it did not in time");
                Check::yellow(
                    NAME,
                    found,
                    "try again; where it stays so, look at the network for lost messages",
                )
            } else {
                Check::green(NAME, found)
            }
        }
    }
}

/// How long the first took that came back, and how many were sent.
async fn over(bus: &Bus, other: &Bus) -> agora::Result<Option<(Duration, u32)>> {
    let mut events = other.subscribe(TOPIC).start(Start::Live).await?;
    let publisher = bus.publisher(TOPIC)?;
    for tries in 1..=TRIES {
        let mark = format!("{}-{tries}", bus.me().incarnation).into_bytes();
        let sent = Instant::now();
        publisher.publish(&RawBytes(mark.clone())).await?;
        match timeout_at(sent + PATIENCE, heard(&mut events, &mark)).await {
            Ok(heard) => {
                heard?;
                return Ok(Some((sent.elapsed(), tries)));
            }
            Err(_) => continue,
        }
    }
    Ok(None)
}

async fn heard(events: &mut Subscription<Record>, mark: &[u8]) -> agora::Result<()> {
    while let Some(delivery) = events.try_next().await? {
        if let Delivery::Event(event) = delivery
            && event.record().kind() == RawBytes::KIND
            && event.record().body() == mark
        {
            return Ok(());
        }
    }
    // The bus has ended; nothing will be heard.
    std::future::pending().await
}

/// A time in the unit that reads best.
pub(super) fn text_of(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1000 => format!("{micros} us"),
        micros @ 1000..1_000_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}
