//! A publisher at full speed against a subscriber that is far too slow: what is lost, what is told, and how much memory it
//! takes.

use std::time::{Duration, Instant};

use agora_core::bus::{Delivery, Start};
use agora_core::transport::{Framing, Transport};

use crate::bus::{close, open, payload, topic};

/// How long the publisher goes on.
const LASTS: Duration = Duration::from_secs(60);
/// The subscriber rests so long after so many events: some ten thousand a second, of millions.
const REST: (u64, Duration) = (1000, Duration::from_millis(100));
/// How long the end of it may take to arrive.
const SETTLE: Duration = Duration::from_secs(120);
/// Events that the publisher has under way.
const STEP: u64 = 4096;

/// Runs it on a live topic, and prints what became of every event.
///
/// # Panics
/// Where an event is lost that nobody named, comes twice, or overtakes another.
pub(crate) async fn overload(title: &str, a: impl Transport, b: impl Transport) {
    let topic = topic(false, Framing::Batch);
    let (a, b) = (open(a, "a", &topic).await, open(b, "b", &topic).await);
    let mut events = b.subscribe(topic.0.as_str()).start(Start::Live).await.unwrap();
    let publisher = a.publisher(topic.0.as_str()).unwrap();
    let before = resident();
    let publishing = tokio::spawn(async move {
        let (event, until, mut sent) = (payload(100, 0), Instant::now() + LASTS, 0);
        while Instant::now() < until {
            let mut last = None;
            for _ in 0..STEP {
                last = Some(publisher.publish(&event));
            }
            sent += STEP;
            last.unwrap().await.unwrap();
        }
        sent
    });
    let (mut delivered, mut named, mut gaps, mut last) = (0, 0, 0, 0);
    let mut most = before;
    let until = Instant::now() + LASTS + SETTLE;
    let mut published = None;
    let mut publishing = Some(publishing);
    while published.is_none_or(|published| delivered + named < published) {
        assert!(Instant::now() < until, "{delivered} delivered and {named} named, of {published:?}");
        if let Ok(delivery) = tokio::time::timeout(Duration::from_secs(1), events.try_next()).await {
            match delivery.unwrap().unwrap() {
                Delivery::Event(event) => {
                    let seq = event.record().seq();
                    assert!(seq > last, "{seq} after {last}");
                    (delivered, last) = (delivered + 1, seq);
                }
                Delivery::Gap(gap) => {
                    named += gap.events().expect("a gap of which the size is known");
                    gaps += 1;
                }
                Delivery::Foreign(_) => panic!("nobody else publishes here"),
            }
        }
        if delivered % REST.0 == 0 && published.is_none() {
            tokio::time::sleep(REST.1).await;
            most = most.max(resident());
        }
        if publishing.as_ref().is_some_and(|publishing| publishing.is_finished())
            && let Some(publishing) = publishing.take()
        {
            published = Some(publishing.await.unwrap());
        }
    }
    let published = published.unwrap();
    println!("\n### {title}: a minute at full speed against a subscriber of ten thousand a second\n");
    println!(
        "- published {published}, delivered in order {delivered}, named in {gaps} gaps {named}, silent 0"
    );
    println!("- memory: {} MiB before, {} MiB at most", before >> 20, most >> 20);
    close(a, b, &topic).await;
}

/// What this process has in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system tells what a process uses");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) << 10
}
