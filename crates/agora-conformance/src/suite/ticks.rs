//! Numbered events, by which cases count at the level of the bus.

use agora_core::bus::{Bus, Delivery, Start, Subscription};
use agora_core::event::Event;
use agora_core::id::TopicName;
use serde::{Deserialize, Serialize};

use super::case::{Fault, Verdict, ensure};
use super::stage::Stage;

/// An event that holds a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tick(pub(super) u64);

impl Event for Tick {
    const KIND: &'static str = "conformance.tick";
}

/// A subscription of ticks.
pub(super) struct Ticks {
    pub(super) events: Subscription,
    stage: Stage,
}

/// Subscribes.
pub(super) async fn subscribe(
    stage: &Stage,
    bus: &Bus,
    topic: &TopicName,
    start: Start,
) -> Result<Ticks, Fault> {
    let starting = bus.subscribe(topic).start(start);
    let events = stage.soon("a subscription is established", starting).await??;
    Ok(Ticks::new(stage, events))
}

/// Publishes ticks in this order, all at once, and waits until each is accepted.
pub(super) async fn publish(
    stage: &Stage,
    bus: &Bus,
    topic: &TopicName,
    numbers: impl IntoIterator<Item = u64>,
) -> Verdict {
    let publisher = bus.publisher(topic.as_str())?;
    let all: Vec<_> = numbers.into_iter().map(|number| publisher.publish(&Tick(number))).collect();
    for one in all {
        stage.soon("a receipt", one).await??;
    }
    Ok(())
}

impl Ticks {
    pub(super) fn new(stage: &Stage, events: Subscription) -> Self {
        Self { events, stage: stage.clone() }
    }

    /// The next delivery; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Delivery>, Fault> {
        Ok(self.stage.soon("a delivery", self.events.try_next()).await??)
    }

    /// The next tick.
    pub(super) async fn tick(&mut self) -> Result<u64, Fault> {
        match self.next().await? {
            Some(Delivery::Event(event)) => {
                let tick = event.decode::<Tick>();
                Ok(tick.map_err(|error| Fault::broken(format!("an event that is no tick: {error}")))?.0)
            }
            other => Err(Fault::broken(format!("an event was due, and this came: {other:?}"))),
        }
    }

    /// Reads these ticks in this order.
    pub(super) async fn expect(&mut self, numbers: impl IntoIterator<Item = u64>) -> Verdict {
        for due in numbers {
            let found = self.tick().await?;
            ensure!(found == due, "tick {due} was due, and {found} came");
        }
        Ok(())
    }

    /// Nothing comes for a while.
    pub(super) async fn expect_nothing(&mut self) -> Verdict {
        let stage = self.stage.clone();
        stage.never("a subscription", self.events.try_next()).await
    }
}
