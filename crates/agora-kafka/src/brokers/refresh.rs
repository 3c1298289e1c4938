//! Keeps what is known of the cluster fresh: asked once for all who want to know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::{ErrorKind, Result};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::{Mutex as Turn, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Brokers, Line, TRY_WAIT, Target, View, too_late};
use crate::error::{Refusal, error, of_repeatable};
use crate::meter::Shortage;

/// The shortest time between two questions about the cluster.
const PAUSE: Duration = Duration::from_millis(100);
/// For how long a topic is remembered that nobody asks for.
const FORGET_AFTER: Duration = Duration::from_secs(10 * 60);

#[derive(Default)]
pub(super) struct Refresher {
    view: Mutex<Arc<View>>,
    wanted: Mutex<Wanted>,
    /// Whoever has it may ask; when it was asked last.
    turn: Turn<Option<Instant>>,
    shortage: Shortage,
}

/// What is wanted fresh.
#[derive(Default)]
struct Wanted {
    topics: BTreeMap<String, Wish>,
    /// An answer to a question from before then does not do for the brokers themselves.
    brokers_since: Option<Instant>,
    brokers_asked: Option<Instant>,
}

struct Wish {
    /// An answer to a question from before then does not do.
    since: Instant,
    /// When somebody wanted to know last.
    wanted: Instant,
    /// How many partitions it has, for those who wait for more. 0: not known yet.
    count: watch::Sender<u32>,
}

impl Refresher {
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Nobody looks any more.
    pub(super) fn end(&self) {
        self.shortage.set(0);
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a topic is not to be trusted.
    pub(super) fn doubt(&self, topic: &str) {
        if let Some(wish) = self.wanted().topics.get_mut(topic) {
            wish.since = Instant::now();
        }
    }

    /// What is known of the brokers is not to be trusted.
    pub(super) fn doubt_brokers(&self) {
        self.wanted().brokers_since = Some(Instant::now());
    }

    /// Somebody wants to know of a topic. Returns how many partitions it has, where that is known, now and later.
    fn want(&self, topic: &str) -> watch::Receiver<u32> {
        let now = Instant::now();
        let mut wanted = self.wanted();
        let wish = wanted.topics.entry(topic.to_owned()).or_insert_with(|| Wish {
            since: now,
            wanted: now,
            count: watch::Sender::new(0),
        });
        wish.wanted = now;
        wish.count.subscribe()
    }

    /// Is what is known of this fresh enough?
    fn is_fresh(&self, topic: Option<&str>) -> bool {
        let wanted = self.wanted();
        match topic {
            None => wanted
                .brokers_asked
                .is_some_and(|asked| wanted.brokers_since.is_none_or(|since| asked >= since)),
            Some(topic) => {
                let since = wanted.topics.get(topic).map(|wish| wish.since);
                let asked = self.view().topics.get(topic).map(|topic| topic.asked);
                matches!((since, asked), (Some(since), Some(asked)) if asked >= since)
            }
        }
    }

    /// The topics to ask for: all that are not fresh, or all.
    fn stale(&self, all: bool) -> Vec<String> {
        let wanted = self.wanted();
        let view = self.view();
        let is_stale =
            |topic: &str, wish: &Wish| view.topics.get(topic).is_none_or(|known| known.asked < wish.since);
        let topics = wanted.topics.iter().filter(|(topic, wish)| all || is_stale(topic, wish));
        topics.map(|(topic, _)| topic.clone()).collect()
    }

    fn learn(&self, answer: &MetadataResponse, asked: Instant) {
        let mut view = self.view().with(answer, asked);
        let mut wanted = self.wanted();
        wanted.brokers_asked = Some(asked);
        wanted
            .topics
            .retain(|_, wish| wish.count.receiver_count() > 0 || wish.wanted.elapsed() < FORGET_AFTER);
        view.topics.retain(|topic, _| wanted.topics.contains_key(topic));
        for (name, topic) in &view.topics {
            if let (Some(wish), Some(count)) = (wanted.topics.get(name), topic.count()) {
                wish.count.send_if_modified(|known| {
                    let changed = *known != count;
                    *known = count;
                    changed
                });
            }
        }
        self.shortage.set(view.short());
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }
}

impl Brokers {
    /// Who leads a partition, and the epoch of that.
    ///
    /// # Errors
    /// `NotFound`: there is no such topic or partition. `Unreachable`: nobody leads it now, or no broker says.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn leader(self: &Arc<Self>, topic: &str, partition: i32, by: Instant) -> Result<(i32, i32)> {
        let view = self.know(topic, by, |view| view.partition(topic, partition).is_ok()).await?;
        let known = view.partition(topic, partition)?;
        known.leader.map(|leader| (leader, known.leader_epoch)).ok_or_else(|| {
            self.refresher.doubt(topic);
            Refusal::no_leader().into_error().context("topic", topic).context("partition", partition)
        })
    }

    /// How many partitions a topic has, now and whenever it gets more.
    ///
    /// # Errors
    /// As [`Brokers::leader`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn partitions(self: &Arc<Self>, topic: &str, by: Instant) -> Result<watch::Receiver<u32>> {
        let mut count = self.refresher.want(topic);
        let is_there = |view: &View| view.topics.get(topic).is_some_and(|topic| topic.partitions.is_ok());
        let view = self.know(topic, by, is_there).await?;
        if let Some(Err(refusal)) = view.topics.get(topic).map(|topic| &topic.partitions) {
            return Err(refusal.clone().into_error().context("topic", topic));
        }
        count.mark_unchanged();
        Ok(count)
    }

    /// The id of the controller, or of a broker that passes on to it.
    ///
    /// # Errors
    /// `Unreachable`: no broker says.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn controller(self: &Arc<Self>, by: Instant) -> Result<i32> {
        self.refresh(None, by).await?;
        self.view().controller.ok_or_else(|| {
            self.refresher.doubt_brokers();
            error(ErrorKind::Unreachable, "the cluster has no controller now")
        })
    }

    /// What is known of a topic. What is not there by an answer from before this call is asked for once more: it may have
    /// been made meanwhile.
    async fn know(
        self: &Arc<Self>,
        topic: &str,
        by: Instant,
        is_there: impl Fn(&View) -> bool,
    ) -> Result<Arc<View>> {
        let began = Instant::now();
        let _count = self.refresher.want(topic);
        self.refresh(Some(topic), by).await?;
        let view = self.view();
        if is_there(&view) || view.topics.get(topic).is_some_and(|known| known.asked >= began) {
            return Ok(view);
        }
        self.refresher.doubt(topic);
        self.refresh(Some(topic), by).await?;
        Ok(self.view())
    }

    /// Sees to it that what is known of the topic, or of the brokers, is fresh enough. Many who want that ask once.
    async fn refresh(self: &Arc<Self>, topic: Option<&str>, by: Instant) -> Result<()> {
        if self.refresher.is_fresh(topic) {
            return Ok(());
        }
        let mut last = timeout_at(by, self.refresher.turn.lock()).await.map_err(|_| too_late())?;
        // Somebody else may have asked meanwhile.
        if self.refresher.is_fresh(topic) {
            return Ok(());
        }
        if let Some(at) = last.map(|last| last + PAUSE) {
            if at >= by {
                return Err(too_late());
            }
            sleep_until(at).await;
        }
        *last = Some(Instant::now());
        let (request, asked) = (question(self.refresher.stale(false)), Instant::now());
        let line = self.shared_line();
        let asking = Box::pin(line.ask(Target::Any, &request, TRY_WAIT, by, |_| Ok(())));
        self.learn(&asking.await?, asked);
        Ok(())
    }

    /// Asks for everything that anybody wants to know, also where it is fresh. A broker that does not answer is no reason
    /// to wait for long.
    pub(crate) async fn refresh_all(self: &Arc<Self>, line: &Line, by: Instant) -> Result<()> {
        let mut last = timeout_at(by, self.refresher.turn.lock()).await.map_err(|_| too_late())?;
        *last = Some(Instant::now());
        let (request, asked) = (question(self.refresher.stale(true)), Instant::now());
        let try_by = || by.min(Instant::now() + TRY_WAIT);
        let answer = match line.call(Target::Any, &request, try_by()).await {
            // The connection to the silent one was given up: this goes to another.
            Err(error) if matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Timeout) => {
                line.call(Target::Any, &request, try_by()).await.map_err(of_repeatable)?
            }
            answer => answer?,
        };
        self.learn(&answer, asked);
        Ok(())
    }

    fn learn(&self, answer: &MetadataResponse, asked: Instant) {
        self.refresher.learn(answer, asked);
        let view = self.view();
        let is_known = |address: &_| {
            view.brokers.values().any(|known| known == address) || self.plan.brokers.contains(address)
        };
        self.pool.keep_only(is_known);
    }
}

fn question(topics: Vec<String>) -> MetadataRequest {
    let topic = |name: String| {
        MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(name))))
    };
    MetadataRequest::default()
        .with_topics(Some(topics.into_iter().map(topic).collect()))
        .with_allow_auto_topic_creation(false)
}
