//! Whoever reads a subscription, and writes down what it is handed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use agora_core::bus::{Delivery, Missing, Subscription};
use agora_core::id::TopicName;

use super::note::Note;
use super::recorder::Recorder;
use crate::history::{LogWhat, Pace, Sub, Topic, What};

pub(super) struct Reader {
    pub(super) sub: Sub,
    pub(super) pace: Pace,
    /// Slow readers are slow no more.
    pub(super) hurry: Arc<AtomicBool>,
    pub(super) recorder: Recorder,
    pub(super) names: Arc<Vec<TopicName>>,
    /// Of a log: which, and after how many deliveries the place is saved; 0: never.
    pub(super) log: Option<(Topic, u8)>,
}

impl Reader {
    pub(super) async fn read(self, mut subscription: Subscription<Note>) {
        let mut taken = 0_u8;
        loop {
            match subscription.try_next().await {
                Ok(Some(delivery)) => self.note(delivery),
                Ok(None) => return self.recorder.record(What::Ended(self.sub, None)),
                Err(error) => return self.recorder.record(What::Ended(self.sub, Some(error.kind()))),
            }
            let slow = matches!(self.pace, Pace::Slow(_));
            if let (Pace::Slow(pause), false) = (self.pace, self.hurry.load(Relaxed)) {
                tokio::time::sleep(pause).await;
            }
            if slow && self.log.is_some() {
                self.recorder.record(What::Log(LogWhat::Done(self.sub)));
            }
            taken = taken.wrapping_add(1);
            if self.log.is_some_and(|(_, saves)| saves > 0 && taken.is_multiple_of(saves)) {
                // A name that was taken over ends the subscription too, and that is written down.
                let _ = subscription.save().await;
            }
        }
    }

    fn note(&self, delivery: Delivery<Note>) {
        let sub = self.sub;
        let what = match delivery {
            Delivery::Event(event) => What::Event {
                sub,
                of: self.recorder.life_of(event.source()),
                topic: self.topic(event.topic()),
                seq: event.seq(),
                value: event.value(),
            },
            Delivery::Gap(gap) => match gap.missing {
                Missing::Source { source, from, to, .. } => {
                    let (of, topic) = (self.recorder.life_of(source), self.topic(&gap.topic));
                    What::Gap { sub, of, topic, from, to, reason: gap.reason }
                }
                Missing::Log { .. } => What::Log(LogWhat::Missing(sub, gap.reason)),
                _ => What::Foreign(sub),
            },
            Delivery::Foreign(_) => What::Foreign(sub),
        };
        self.recorder.record(what);
    }

    fn topic(&self, name: &TopicName) -> Topic {
        // A name that is none of this run's gets a number that no subscription has.
        (0..).zip(self.names.iter()).find(|(_, n)| *n == name).map_or(Topic(u8::MAX), |(n, _)| Topic(n))
    }
}
