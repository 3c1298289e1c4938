//! How to test a service of one's own against the network that it will meet: losses, repetitions, and a cut that
//! lasts longer than anything can be repaired.
//!
//! `cargo run -p agora --example testing_your_service`
//!
//! The service here keeps the list of blocked addresses. It is right at every moment because it does two things:
//! it applies each event, and on a `Gap` it reads the list itself.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agora::builtin::AddressBlocked;
use agora::memory::{LinkFaults, Space};
use agora::{Bus, Delivery, Publisher, Start, Subscription};

const TOPIC: &str = "stwt.agora";

/// What the service would read from its database.
type Database = Arc<Mutex<BTreeSet<IpAddr>>>;

/// The service under test.
struct BlockList {
    bus: Bus,
    events: Subscription<AddressBlocked>,
    database: Database,
    blocked: BTreeSet<IpAddr>,
    reloads: u32,
}

impl BlockList {
    async fn start(url: &str, node: &str, database: Database) -> agora::Result<Self> {
        let bus = Bus::builder().url(url).node(node).connect().await?;
        let events = bus.subscribe(TOPIC).typed::<AddressBlocked>().start(Start::Live).await?;
        let mut list = Self { bus, events, database, blocked: BTreeSet::new(), reloads: 0 };
        // Only now: what happens from here on is an event, what happened before is in the database.
        list.reload();
        Ok(list)
    }

    fn reload(&mut self) {
        self.blocked = self.database.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.reloads += 1;
    }

    async fn step(&mut self) -> agora::Result<()> {
        match self.events.try_next().await? {
            Some(Delivery::Event(event)) => drop(self.blocked.insert(event.address)),
            Some(Delivery::Gap(_)) => self.reload(),
            Some(Delivery::Foreign(_)) | None => {}
        }
        Ok(())
    }

    async fn until(&mut self, addresses: usize) -> agora::Result<()> {
        while self.blocked.len() < addresses {
            self.step().await?;
        }
        Ok(())
    }
}

/// Blocks addresses: in the database first, then the event.
async fn block(
    publisher: &Publisher,
    database: &Database,
    numbers: std::ops::Range<u32>,
) -> agora::Result<()> {
    for number in numbers {
        let address = IpAddr::V4(Ipv4Addr::from(0xcb00_7100 + number));
        database.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
        let reason = "test".to_owned();
        publisher.publish(&AddressBlocked { address, prefix_bits: None, reason, expires_ms: None }).await?;
    }
    Ok(())
}

/// The test. In a project of your own this is a `#[tokio::test(start_paused = true)]`.
pub(crate) async fn run() -> agora::Result<Vec<String>> {
    let (url, database) = ("memory:testing-example", Database::default());
    // The same space that the service finds by its name; the service itself knows nothing of the test.
    let space = Space::named("testing-example")?;
    let front = Bus::builder().url(url).node("front-1").connect().await?;
    let publisher = front.publisher(TOPIC)?;
    let mut list = BlockList::start(url, "list-1", database.clone()).await?;
    let mut said = Vec::new();

    // One message in ten is lost, and as many come twice. Nearly all of it is repaired, and what is not is a gap: the
    // list is right either way.
    space.faults().everywhere(LinkFaults::none().loss(0.1).duplication(0.1));
    block(&publisher, &database, 0..200).await?;
    list.until(200).await?;
    assert!(space.faults().counts().lost > 0, "the test would prove nothing");
    let reloads = list.reloads;
    said.push("200 addresses through a bad network".to_owned());

    // A cut that lasts longer than what is kept for repair: this can only be a gap.
    space.faults().clear();
    space.faults().isolate("list-1");
    block(&publisher, &database, 200..250).await?;
    tokio::time::sleep(front.config().limits.repair_age * 2).await;
    space.faults().rejoin("list-1");
    list.until(250).await?;
    assert_eq!(list.blocked, *database.lock().unwrap_or_else(PoisonError::into_inner));
    assert!(list.reloads > reloads, "nothing else could have brought the missing ones");
    said.push("250 addresses after a cut of a minute, by reading the list again".to_owned());

    list.bus.close(Duration::from_secs(1)).await?;
    front.close(Duration::from_secs(1)).await?;
    Ok(said)
}

// Paused time: the minute of the cut takes no time at all.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> agora::Result<()> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}
