//! Groups: members that share the events of a log.

mod content;
mod handle;
mod hub;
mod job;
mod lag;
mod letters;
mod redrive;
mod run;
mod task;

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use handle::{ForeignJob, Group, Work};
pub use job::{Attempt, Job};
pub use run::Failed;

use super::Bus;
use super::meter::Meter;
use crate::codec::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Events;
use crate::group::Policy;
use crate::id::{GroupName, TopicName};
use crate::transport::{Framing, GroupSpec, GroupStart, Support, TopicKind};
pub(crate) use hub::Hub;
use task::GroupTask;

/// So many events are ready at once where the application takes them one by one.
const DEMAND: usize = 16;
/// The bounds of a lease: below the least it would end before it is extended, above the most a dead member's work
/// would lie too long.
const LEASE: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(3600));

/// The most that a pause, or a try, may take.
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// A description of a place in a group; awaiting it joins.
#[must_use = "nothing is joined before it is awaited"]
pub struct JoinGroup<E = Record> {
    bus: Bus,
    topic: String,
    name: String,
    start: GroupStart,
    policy: Policy,
    events: PhantomData<fn() -> E>,
}

impl JoinGroup<Record> {
    pub(crate) fn new(bus: Bus, topic: &str, name: &str) -> Self {
        let (topic, name) = (topic.to_owned(), name.to_owned());
        let (start, policy) = (GroupStart::default(), Policy::default());
        Self { bus, topic, name, start, policy, events: PhantomData }
    }
}

impl<E: Events> JoinGroup<E> {
    /// Asks for events of this type, or for one of these types where `T` is an enum made by
    /// [`events!`](crate::events). What it does not know goes to the dead letters: a newer member may know it.
    pub fn typed<T: Events>(self) -> JoinGroup<T> {
        let Self { bus, topic, name, start, policy, .. } = self;
        JoinGroup { bus, topic, name, start, policy, events: PhantomData }
    }

    /// Where the group begins if nobody has joined it before. Default: with the oldest event.
    pub fn start(mut self, start: GroupStart) -> Self {
        self.start = start;
        self
    }

    /// How often an event is tried before it goes to the dead letters, at least 1. Default 5.
    pub fn attempts(mut self, attempts_max: u32) -> Self {
        self.policy.attempts_max = attempts_max;
        self
    }

    /// The first and the last pause before an event is tried again; it doubles in between. Default 100 ms and 30 s,
    /// at most a day.
    pub fn backoff(mut self, first: Duration, last: Duration) -> Self {
        self.policy.backoff = (first, last);
        self
    }

    /// How long the work of a member that is gone lies before others get it, from 300 ms to an hour. Default 30 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.policy.lease = lease;
        self
    }

    /// How long one try may take before it has failed. Default 5 min, at most a day.
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.policy.job_timeout = timeout;
        self
    }

    /// What is wrong with it, before anything is joined.
    fn check(&self) -> Result<(TopicName, GroupName)> {
        let (topic, name) = (TopicName::new(&self.topic)?, GroupName::new(&self.name)?);
        let capabilities = self.bus.capabilities();
        let needs = |support, what| match support {
            Support::Yes => Ok(()),
            Support::No { instead } => {
                Err(Error::unsupported(format!("it has no {what}"), instead).backend(capabilities.backend))
            }
        };
        needs(capabilities.group, "groups")?;
        let settings = self.bus.config().settings_of(&topic);
        if settings.kind == TopicKind::Live {
            return Err(Error::new(
                ErrorKind::Config,
                "this topic is live: it keeps nothing that a group could share",
            )
            .help("make it a log, on every node (`topics` of the configuration)"));
        }
        if settings.framing == Framing::Batch {
            needs(capabilities.group_on_batch, "groups on a topic whose messages hold many events")?;
        }
        // Where the dead letters would lie, which is better known now than when there is one.
        topic.dead_letters(&name)?;
        let wrong = |what: &str, found: String, allowed: &str| {
            let error = Error::new(ErrorKind::Config, format!("`{what}` is out of range"));
            Err(error.context("found", found).context("allowed", allowed))
        };
        let Policy { attempts_max, backoff, lease, job_timeout } = self.policy;
        if attempts_max == 0 {
            return wrong("attempts", "0".to_owned(), "at least 1");
        }
        if !(LEASE.0..=LEASE.1).contains(&lease) {
            return wrong("lease", format!("{lease:?}"), "300 ms to 1 hour");
        }
        if job_timeout.is_zero() || job_timeout > TIME_MAX {
            return wrong(
                "handler_timeout",
                format!("{job_timeout:?}"),
                "more than nothing, at most 24 hours",
            );
        }
        if backoff.0.max(backoff.1) > TIME_MAX {
            return wrong("backoff", format!("{backoff:?}"), "at most 24 hours");
        }
        Ok((topic, name))
    }

    async fn join(self) -> Result<Group<E>> {
        let (topic, name) = self.check()?;
        let shared = self.bus.shared().clone();
        self.bus.open_topic(&topic).await?;
        let spec = GroupSpec { name: name.clone(), start: self.start, lease: self.policy.lease };
        let inbox = shared.transport.join_group(&topic, &spec).await?;
        let hub = Arc::new(Hub::new(shared.clone(), topic, name, self.policy));
        hub.lock().bytes_max = self.bus.add_group(&hub)?;
        let task = GroupTask::new(hub.clone(), Arc::downgrade(&self.bus.0), spec, inbox);
        self.bus.spawn(task.run())?;
        if Meter::RECORDS {
            self.bus.spawn(lag::follow(hub.clone()))?;
        }
        Ok(Group::new(self.bus, hub))
    }
}

impl<E: Events> IntoFuture for JoinGroup<E> {
    type Output = Result<Group<E>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let (topic, name) = (self.topic.clone(), self.name.clone());
        Box::pin(async move {
            let joined = self.join().await;
            joined.map_err(|error| error.operation("group").context("topic", topic).context("group", name))
        })
    }
}
