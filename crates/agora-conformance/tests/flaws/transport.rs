//! The transport that passes everything on, but for its flaw.

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use agora_core::id::{SourceId, TopicName};
use agora_core::transport::{
    Address, Admin, BoxFuture, Capabilities, CursorStore, Framing, GroupInbox, GroupSpec, GroupStart, Hint,
    Inbox, Link, LogInbox, LogStart, OutFrame, Position, PublishFailed, Raw, Support, TopicInfo, TopicSpec,
    Transport,
};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::flaw::Flaw;
use super::group::FlawedGroup;
use super::readers::{FlawedInbox, FlawedLog};
use super::subject::{SECRET, World, lock};

pub(crate) struct Flawed {
    pub inner: Arc<dyn Transport>,
    pub flaw: Flaw,
    pub world: Arc<World>,
    pub closed: AtomicBool,
    capabilities: Capabilities,
    down: watch::Sender<Link>,
    readers: AtomicU64,
    /// One of the node's subscriptions has ended.
    one_has_ended: Arc<AtomicBool>,
}

impl Flawed {
    pub(crate) fn new(
        inner: Arc<dyn Transport>,
        capabilities: Capabilities,
        flaw: Flaw,
        world: Arc<World>,
    ) -> Self {
        let down = watch::Sender::new(Link::Down { since: SystemTime::UNIX_EPOCH, why: "ever".into() });
        Self {
            inner,
            flaw,
            world,
            closed: AtomicBool::new(false),
            capabilities,
            down,
            readers: AtomicU64::new(0),
            one_has_ended: Arc::default(),
        }
    }

    /// The name that a topic has behind this.
    pub(crate) fn topic(&self, topic: &TopicName) -> TopicName {
        let name = match self.flaw {
            Flaw::FoldsNames => topic.as_str().to_lowercase().replace('-', "_"),
            Flaw::CutsTopicNames => topic.as_str().chars().take(150).collect(),
            _ => return topic.clone(),
        };
        TopicName::new(name.trim_end_matches('.')).unwrap_or_else(|_| topic.clone())
    }

    fn shown<T>(&self, answer: Result<T>) -> Result<T> {
        match self.flaw {
            Flaw::ShowsItsSecret => answer.map_err(|error| error.context("password", SECRET)),
            _ => answer,
        }
    }

    fn change(&self, frames: Vec<OutFrame>) -> Vec<OutFrame> {
        let max = self.capabilities.message_bytes_max;
        let mut changed = Vec::new();
        for mut frame in frames {
            match self.flaw {
                Flaw::CutsWhatIsTooLarge => frame.payload.truncate(max),
                Flaw::LosesWhatIsLarge if frame.payload.len() > 500_000 && frame.payload.len() <= max => {
                    continue;
                }
                Flaw::LosesWhatIsEmpty if frame.payload.is_empty() => continue,
                Flaw::CarriesTextOnly => {
                    frame.payload = String::from_utf8_lossy(&frame.payload).into_owned().into();
                }
                Flaw::ForgetsHeaders => frame.headers.clear(),
                Flaw::ForgetsKeys => frame.key = None,
                Flaw::OneKeyForAll => frame.key = Some(Bytes::from_static(b"key")),
                _ => {}
            }
            changed.push(frame);
        }
        if self.flaw == Flaw::ReversesOneCall {
            changed.reverse();
        }
        changed
    }
}

#[async_trait]
impl Transport for Flawed {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn link(&self) -> watch::Receiver<Link> {
        if self.flaw == Flaw::NeverUp { self.down.subscribe() } else { self.inner.link() }
    }

    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        let spec = TopicSpec { name: self.topic(&topic.name), ..topic.clone() };
        if self.flaw == Flaw::OpensOnce && lock(&self.world.opened).contains(&spec) {
            return Err(Error::new(ErrorKind::Conflict, "it was opened before"));
        }
        lock(&self.world.opened).push(spec.clone());
        let mut spec = spec;
        if self.flaw == Flaw::MakesOneLane {
            spec.settings.lanes = None;
        }
        let info = self.shown(self.inner.open(&spec).await)?;
        // A sender that is dropped tells of nothing.
        let lanes = watch::channel(info.lanes()).1;
        Ok(if self.flaw == Flaw::HidesNewLanes { TopicInfo::of_lanes(lanes) } else { info })
    }

    fn publish(
        &self,
        to: &Address,
        frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>> {
        let mut to = Address { topic: self.topic(&to.topic), lane: to.lane };
        let mut by = by;
        let frames = self.change(frames);
        match self.flaw {
            Flaw::SaysOkAndSendsNothing if self.world.calls.fetch_add(1, Ordering::Relaxed) % 5 == 4 => {
                return Box::pin(ready(Ok(())));
            }
            Flaw::WorksAfterClose if self.closed.load(Ordering::Relaxed) => return Box::pin(ready(Ok(()))),
            Flaw::CloseEndsOthers if self.world.ended.load(Ordering::Relaxed) => return Box::pin(pending()),
            Flaw::HangsWhileDown if !self.inner.link().borrow().is_usable() => return Box::pin(pending()),
            Flaw::RefusesEmptyCalls if frames.is_empty() => {
                let error = Error::new(ErrorKind::Config, "nothing to send");
                let outcome = agora_core::transport::Outcome::NotStored;
                return Box::pin(ready(Err(PublishFailed { accepted: 0, outcome, error })));
            }
            Flaw::IgnoresDeadlines => by = Instant::now() + Duration::from_secs(60),
            Flaw::TakesEveryLane => to.lane = 0,
            Flaw::SendsWhenPolled => {
                let inner = self.inner.clone();
                return Box::pin(async move { inner.publish(&to, frames, by).await });
            }
            Flaw::DeliversTheOld => {
                let raw = |frame: &OutFrame| Raw {
                    payload: frame.payload.clone(),
                    lane: 0,
                    key: None,
                    headers: Vec::new(),
                    time: None,
                };
                let said = frames.iter().map(|frame| (to.topic.clone(), raw(frame)));
                lock(&self.world.said).extend(said);
            }
            _ => {}
        }
        self.inner.publish(&to, frames, by)
    }

    async fn subscribe(&self, topic: &TopicName) -> Result<Box<dyn Inbox>> {
        let topic = self.topic(topic);
        let inner = self.shown(self.inner.subscribe(&topic).await)?;
        let is_deaf = match self.flaw {
            Flaw::DeliversNothing => true,
            Flaw::OneSubscriptionOnly => self.readers.fetch_add(1, Ordering::Relaxed) > 0,
            _ => false,
        };
        let said = lock(&self.world.said);
        let old = said.iter().filter(|(of, _)| *of == topic).map(|(_, raw)| raw.clone()).collect();
        Ok(Box::new(FlawedInbox::new(inner, self.flaw, is_deaf, old, self.one_has_ended.clone())))
    }

    async fn open_log(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        let topic = self.topic(topic);
        let before = self.readers.fetch_add(1, Ordering::Relaxed);
        let has_ended = self.world.ended.load(Ordering::Relaxed);
        let from = match (self.flaw, from) {
            (Flaw::LastIsEarliest, LogStart::Last)
            | (Flaw::IgnoresTimes, LogStart::Time(_))
            | (Flaw::IgnoresPlaces, LogStart::At(_)) => LogStart::Earliest,
            (Flaw::ReadersShareAPlace, _) if before > 0 => LogStart::At(Position(u128::MAX)),
            (Flaw::ForgetsAtTheEnd, _) if has_ended => LogStart::At(Position(5)),
            (_, from) => from,
        };
        if self.flaw == Flaw::RefusesEmptyLogs {
            let described = match self.inner.admin() {
                Some(admin) => admin.describe_topic(&topic).await?.lanes,
                None => Vec::new(),
            };
            if described.iter().all(|lane| lane.records == 0) {
                return Err(Error::new(ErrorKind::NotFound, "there is nothing"));
            }
        }
        let lane = if self.flaw == Flaw::ReadsTheFirstLane { 0 } else { lane };
        let inner = self.shown(self.inner.open_log(&topic, lane, from).await)?;
        Ok(Box::new(FlawedLog::new(inner, self.flaw)))
    }

    fn cursors(&self) -> Option<&dyn CursorStore> {
        (self.flaw != Flaw::GivesNoStores).then_some(self)
    }

    async fn join_group(&self, topic: &TopicName, group: &GroupSpec) -> Result<Box<dyn GroupInbox>> {
        let topic = self.topic(topic);
        let mut group = group.clone();
        match self.flaw {
            Flaw::ClaimsGroups => return Err(Error::unsupported("no groups", "something else")),
            Flaw::RefusesWithoutHelp => return Err(Error::new(ErrorKind::Unsupported, "no groups")),
            Flaw::RefusesWithAnotherKind => {
                return Err(Error::new(ErrorKind::Config, "no groups").help("something else"));
            }
            Flaw::RefusesBatchTopics => {
                let opened = lock(&self.world.opened);
                let spec = opened.iter().find(|spec| spec.name == topic);
                if spec.is_some_and(|spec| spec.settings.framing == Framing::Batch) {
                    return Err(Error::unsupported("batches", "one event a message"));
                }
            }
            Flaw::LeasesForever => group.lease = Duration::from_secs(100_000),
            Flaw::GroupsBeginEarly => group.start = GroupStart::Earliest,
            Flaw::StartIsPartOfTheName if group.start == GroupStart::Latest => {
                group.name = agora_core::id::GroupName::new(&format!("{}-latest", group.name))?;
            }
            Flaw::OneGroupOnly => group.name = agora_core::id::GroupName::new("one")?,
            _ => {}
        }
        let inner = self.inner.join_group(&topic, &group).await?;
        Ok(Box::new(FlawedGroup::new(inner, self.flaw, self.world.clone())))
    }

    fn admin(&self) -> Option<&dyn Admin> {
        (self.flaw != Flaw::GivesNoStores && self.capabilities.admin == Support::Yes).then_some(self)
    }

    async fn announce(&self, me: SourceId) -> Result<Option<mpsc::Receiver<Hint>>> {
        let hints = self.inner.announce(me).await?;
        Ok(hints.filter(|_| self.flaw != Flaw::GivesNoHints))
    }

    async fn close(&self, by: Instant) -> Result<()> {
        let is_second = self.closed.swap(true, Ordering::Relaxed);
        self.world.ended.store(true, Ordering::Relaxed);
        match self.flaw {
            Flaw::CloseHangs => pending().await,
            Flaw::SecondCloseFails if is_second => Err(Error::new(ErrorKind::Closed, "it was closed")),
            Flaw::CloseNeedsTime if by <= Instant::now() => Err(Error::new(ErrorKind::Timeout, "no time")),
            _ => self.inner.close(by).await,
        }
    }
}
