//! An event-sourced shop: orders are events of a log, a group of projectors keeps a table up to date, and a new table is
//! built by reading the log from its start.
//!
//! `cargo run -p agora --example event_sourced`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agora::serde::{Deserialize, Serialize};
use agora::{Bus, Delivery, Event, Failed, Framing, Key, Result, Start, TopicSettings, Unknown};

/// The topic of a domain: `<prefix>.events.<domain>`. One event a message, so that the backend sees the keys.
const ORDERS: &str = "shop.events.order";
const WAIT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(crate = "agora::serde")]
struct OrderPlaced {
    order: String,
    customer: String,
    cents: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(crate = "agora::serde")]
struct OrderPaid {
    order: String,
}

impl Event for OrderPlaced {
    const KIND: &'static str = "shop.order.placed";
    // A reader that does not know it would have a wrong table, and must be told.
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        Some(format!("order/{}", self.order).into())
    }
}

impl Event for OrderPaid {
    const KIND: &'static str = "shop.order.paid";
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        Some(format!("order/{}", self.order).into())
    }
}

agora::events! {
    /// What happens to orders.
    #[derive(Clone, Debug)]
    enum OrderEvent {
        Placed(OrderPlaced),
        Paid(OrderPaid),
    }
}

/// What the shop asks its table: what each customer still owes. An event is applied at least once, so applying it again
/// must change nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Table {
    open: BTreeMap<String, (String, u64)>,
    paid: BTreeMap<String, bool>,
}

impl Table {
    fn apply(&mut self, event: &OrderEvent) -> Result<(), Failed> {
        match event {
            OrderEvent::Placed(placed) if placed.cents == 0 => {
                return Err(Failed::reject("an order without a price"));
            }
            OrderEvent::Placed(OrderPlaced { order, customer, cents }) => {
                if !self.paid.contains_key(order) {
                    self.open.insert(order.clone(), (customer.clone(), *cents));
                }
            }
            OrderEvent::Paid(OrderPaid { order }) => {
                self.open.remove(order);
                self.paid.insert(order.clone(), true);
            }
        }
        Ok(())
    }
}

async fn connect(node: &str) -> Result<Bus> {
    // In earnest the URL names a backend that keeps logs, and stands in a file: see `Bus::from_config`.
    let settings = TopicSettings::LOG.framing(Framing::Each);
    let bus = Bus::builder().url("memory:event-sourced").node(node).topic(ORDERS, settings).connect().await?;
    bus.ready(WAIT).await?;
    Ok(bus)
}

/// One member of the group: each event is handled by one of them, those of one order one after the other.
async fn project(bus: Bus, table: Arc<Mutex<Table>>) -> Result<()> {
    let mut jobs = bus.group(ORDERS, "debt-projector").typed::<OrderEvent>().attempts(3).await?;
    jobs.run(8, |job| {
        let table = table.clone();
        async move { table.lock().expect("nobody panics under it").apply(&job) }
    })
    .await
}

/// Builds the table anew: everything that the log holds, from its start to its end.
async fn rebuild(bus: &Bus, events: usize) -> Result<Table> {
    let mut table = Table::default();
    let mut past = bus.subscribe(ORDERS).typed::<OrderEvent>().start(Start::Earliest).await?;
    let mut read = 0;
    while read < events
        && let Some(delivery) = past.try_next().await?
    {
        match delivery {
            Delivery::Event(event) => {
                // What the projectors gave up is no part of the table here either.
                let _ = table.apply(&event);
                read += 1;
            }
            Delivery::Gap(gap) => panic!("the table would be wrong: {gap}"),
            Delivery::Foreign(_) => {}
        }
    }
    Ok(table)
}

/// Plays the story, and returns what there is to say.
pub(crate) async fn run() -> Result<Vec<String>> {
    let (shop, one, two) =
        (connect("shop").await?, connect("projector-1").await?, connect("projector-2").await?);
    let table: Arc<Mutex<Table>> = Arc::default();
    let projectors = [one, two].map(|bus| (bus.clone(), tokio::spawn(project(bus, table.clone()))));

    let orders = shop.publisher(ORDERS)?;
    let (placed, paid) = (40, 25);
    for n in 0..placed {
        let (order, customer) = (n.to_string(), format!("customer-{}", n % 4));
        // One of them is poison: it has no price, and goes to the dead letters.
        orders.publish(&OrderPlaced { order, customer, cents: 100 * n }).await?;
    }
    for n in 0..paid {
        orders.publish(&OrderPaid { order: n.to_string() }).await?;
    }

    // The work is done when the group has no lag.
    let (topic, group) = (agora::TopicName::new(ORDERS)?, agora::GroupName::new("debt-projector")?);
    while shop.admin()?.describe_group(&topic, &group).await?.lag() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (bus, projector) in projectors {
        // Closing leaves the group when what is handled has ended, and ends `run`.
        bus.close(WAIT).await?;
        projector.await.expect("a projector does not panic")?;
    }

    let kept = table.lock().expect("nobody panics under it").clone();
    let mut said = vec![format!("{} orders are open", kept.open.len())];
    let events = usize::try_from(placed + paid).expect("a small number");
    assert_eq!(rebuild(&shop, events).await?, kept, "a table that is built anew is the same");
    said.push(format!("a table built anew from {events} events is the same"));

    let dead = topic.dead_letters(&group)?;
    let mut letters =
        shop.subscribe(dead.as_str()).typed::<agora::DeadLetter>().start(Start::Earliest).await?;
    if let Some(Delivery::Event(letter)) = letters.try_next().await? {
        said.push(format!("in the dead letters of {}: {}", letter.group, letter.reason));
    }
    shop.close(WAIT).await?;
    Ok(said)
}

#[tokio::main]
async fn main() -> Result<()> {
    run().await?.iter().for_each(|line| println!("{line}"));
    Ok(())
}
