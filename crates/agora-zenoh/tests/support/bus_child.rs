//! What a started process does that is a whole bus: it subscribes, and prints all that it is handed.
//!
//! It obeys `publish COUNT` and `stats`. It prints, after `> `: `subscribed`, `published NEXT`, `event NODE SEQ`,
//! `gap NODE FROM TO REASON` (half open; `?` where it is not known), `member EVENT NODE`, `stats NAME=VALUE..`.

use std::fmt::Display;
use std::time::Duration;

use agora_core::bus::{Bus, BusConfig, Delivery, MemberChange, Missing, Publisher, Start, Subscription};
use agora_core::event::RawBytes;
use agora_core::id::{ClusterName, NodeId, NodeName, SourceId};
use agora_core::membership::MemberEvent;
use agora_zenoh::{ZenohConfig, ZenohTransport};

use super::child::{self, CLUSTER, NODE, say};

const TOPIC: &str = "books";
const WAIT: Duration = Duration::from_secs(30);

/// The whole life of a node. Ends with the process.
pub fn run() -> ! {
    child::on_a_runtime(|url| async move { live(&url).await })
}

fn name(number: u64) -> NodeName {
    NodeName::new(&format!("node-{number}")).unwrap()
}

/// The number of a node, by its name.
fn number(source: SourceId) -> u64 {
    (1..=9).find(|number| NodeId::of(&name(*number)) == source.node).expect("a stranger")
}

async fn live(url: &str) {
    let cluster = ClusterName::new(&std::env::var(CLUSTER).unwrap()).unwrap();
    let me = name(std::env::var(NODE).unwrap().parse().unwrap());
    let transport =
        ZenohTransport::connect(&ZenohConfig::from_url(url).unwrap(), &cluster, WAIT).await.unwrap();
    let bus = Bus::open(transport, BusConfig::new(cluster, me)).unwrap();
    child::tell_link(bus.link());
    tell_members(&bus);
    let events = bus.subscribe(TOPIC).typed::<RawBytes>().start(Start::Live).await.unwrap();
    tell_deliveries(events);
    say("subscribed");
    say("ready");
    let publisher = bus.publisher(TOPIC).unwrap();
    let mut commands = child::commands();
    while let Some(line) = commands.recv().await {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["publish", count] => publish(&publisher, count.parse().unwrap()).await,
            ["stats"] => {
                let stats: Vec<_> =
                    bus.stats().iter().map(|(name, value)| format!("{name}={value}")).collect();
                say(&format!("stats {}", stats.join(" ")));
            }
            other => panic!("not a command: {other:?}"),
        }
    }
}

/// One after the other, so that each is a frame of its own.
async fn publish(publisher: &Publisher, count: u64) {
    let mut last = 0;
    for _ in 0..count {
        last = publisher.publish(&RawBytes(vec![7; 100])).await.expect("an event was not accepted").seq;
    }
    say(&format!("published {last}"));
}

fn tell_deliveries(mut events: Subscription<RawBytes>) {
    tokio::spawn(async move {
        while let Some(delivery) = events.try_next().await.unwrap() {
            match delivery {
                Delivery::Event(event) => say(&format!("event {} {}", number(event.source()), event.seq())),
                Delivery::Gap(gap) => {
                    let Missing::Source { source, from, to, .. } = gap.missing else { panic!("{gap:?}") };
                    let shown = |at: Option<u64>| at.map_or_else(|| "?".to_owned(), |at| at.to_string());
                    let (from, to) = (shown(from), shown(to));
                    say(&format!("gap {} {from} {to} {}", number(source), gap.reason.as_str()));
                }
                Delivery::Foreign(foreign) => panic!("{foreign:?}"),
            }
        }
    });
}

fn tell_members(bus: &Bus) {
    let mut members = bus.members();
    tokio::spawn(async move {
        while let Some(MemberChange::Event(event)) = members.next().await {
            let (what, who): (_, &dyn Display) = match &event {
                MemberEvent::Joined(info) => ("joined", &info.name),
                MemberEvent::Failed(info) => ("failed", &info.name),
                MemberEvent::Returned(info) => ("returned", &info.name),
                _ => continue,
            };
            say(&format!("member {what} {who}"));
        }
    });
}
