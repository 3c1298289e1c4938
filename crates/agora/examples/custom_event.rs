//! Events of one's own: two kinds, an enum over both, and how a kind grows without stopping the cluster.
//!
//! `cargo run -p agora --example custom_event`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use agora::{Bus, DecodeError, Delivery, Event, Key, Start, Unknown};
use serde::{Deserialize, Serialize};

/// An order was placed. Its first version had no `currency`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OrderPlaced {
    order: u64,
    cents: u64,
    /// Appended in version 2: older readers ignore it.
    currency: String,
}

impl Event for OrderPlaced {
    const KIND: &'static str = "shop.order.placed";
    const VERSION: u16 = 2;

    /// Events of one order keep their order, wherever they are stored.
    fn key(&self) -> Option<Key<'_>> {
        Some(self.order.into())
    }

    /// What a node that is not updated yet publishes is still understood.
    fn upgrade(version: u16, body: &[u8]) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        struct V1 {
            order: u64,
            cents: u64,
        }
        match version {
            1 => {
                let V1 { order, cents } = agora::core::codec::body::decode(body)?;
                Ok(Self { order, cents, currency: "EUR".to_owned() })
            }
            version => Err(DecodeError::Unsupported { version, supported: Self::VERSION }),
        }
    }
}

/// A price changed. Whoever does not know this kind would go on selling at the old price, so it must not be skipped:
/// to such a node it is a `Gap`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PriceChanged {
    article: String,
    cents: u64,
}

impl Event for PriceChanged {
    const KIND: &'static str = "shop.price.changed";
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        Some((&self.article).into())
    }
}

agora::events! {
    /// What the shop's nodes listen to.
    #[derive(Debug, PartialEq)]
    enum ShopEvent {
        Placed(OrderPlaced),
        Price(PriceChanged),
    }
}

/// Publishes one of each kind, and returns what arrived.
pub(crate) async fn run() -> agora::Result<Vec<String>> {
    let till = Bus::builder().url("memory:shop-example").node("till-1").connect().await?;
    let stock = Bus::builder().url("memory:shop-example").node("stock-1").connect().await?;
    let mut events = stock.subscribe("shop.events").typed::<ShopEvent>().start(Start::Live).await?;

    let publisher = till.publisher("shop.events")?;
    // Both are on their way before either is waited for, and they arrive in this order.
    let price = publisher.publish(&PriceChanged { article: "tea".into(), cents: 450 });
    let order = publisher.publish(&OrderPlaced { order: 1, cents: 450, currency: "EUR".into() });
    let (price, order) = (price.await?, order.await?);
    assert_eq!((price.seq, order.seq), (1, 2));

    let mut said = Vec::new();
    while said.len() < 2 {
        match events.try_next().await? {
            Some(Delivery::Event(event)) => {
                said.push(format!("{}: {:?}", event.record().kind(), event.event))
            }
            Some(other) => said.push(format!("{other:?}")),
            None => break,
        }
    }
    till.close(Duration::from_secs(1)).await?;
    stock.close(Duration::from_secs(1)).await?;
    Ok(said)
}

#[tokio::main]
async fn main() -> agora::Result<()> {
    for line in run().await? {
        println!("{line}");
    }
    Ok(())
}
