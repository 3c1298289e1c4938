//! The logs of a space: what its server keeps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::group::Group;
use super::queue::Parcel;
use super::state::named;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ClusterName, GroupName, TopicName};
use crate::transport::{TopicInfo, TopicKind, TopicSettings, TopicSpec};

/// How a log is found.
pub(super) type LogKey = (ClusterName, TopicName);

/// Everything that the server of a space keeps.
#[derive(Default)]
pub(super) struct Logs {
    logs: BTreeMap<LogKey, Log>,
    /// The live topics that were opened: no log can have their name.
    live: BTreeSet<LogKey>,
    /// Told of every change: a record, a fault, the end of a connection, what a group's member did.
    pub(super) changed: Arc<Notify>,
    /// Who asked how many lanes a log has that was deleted: of the next one of its name they are told.
    orphans: BTreeMap<LogKey, Vec<watch::Sender<u32>>>,
    /// The era of a log that is made now: beyond that of every log that was deleted.
    era: u64,
}

/// One log.
pub(super) struct Log {
    /// What each lane holds; at least one.
    pub(super) lanes: Vec<Records>,
    pub(super) groups: BTreeMap<GroupName, Group>,
    /// Who is told how many lanes there are. One channel each: the waiters of one channel are woken in no order of their
    /// own.
    told: Vec<watch::Sender<u32>>,
    /// What it was made with, `None` as long as nobody has said it.
    pub(super) settings: Option<TopicSettings>,
}

/// A record, as it is kept.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) parcel: Parcel,
    pub(super) time: SystemTime,
    pub(super) era: u64,
}

/// What a lane of a log holds.
#[derive(Default)]
pub(super) struct Records {
    /// The place of the oldest record that is left.
    pub(super) first: u64,
    pub(super) records: VecDeque<Stored>,
    pub(super) bytes: usize,
    /// Changes whenever the log is rewound or replaced; 0 only in the first life of the first log.
    pub(super) era: u64,
}

impl Records {
    pub(super) fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    pub(super) fn get(&self, at: u64) -> Option<&Stored> {
        self.records.get(usize::try_from(at.checked_sub(self.first)?).ok()?)
    }

    /// The place of the first record that was appended at this time or later.
    pub(super) fn at_time(&self, time: SystemTime) -> u64 {
        self.first + self.records.iter().take_while(|record| record.time < time).count() as u64
    }

    fn drop_oldest(&mut self) {
        if let Some(record) = self.records.pop_front() {
            self.bytes -= record.parcel.bytes();
            self.first += 1;
        }
    }
}

impl Log {
    fn new(era: u64) -> Self {
        let lanes = vec![Records { era, ..Records::default() }];
        Self { lanes, groups: BTreeMap::new(), told: Vec::new(), settings: None }
    }

    /// The lanes are so many from now on, if they were fewer.
    fn grow(&mut self, now: Instant, lanes: u32) {
        let era = self.era();
        while self.lanes.len() < lanes as usize {
            self.lanes.push(Records { era, ..Records::default() });
        }
        for group in self.groups.values_mut() {
            group.grow(now, self.lanes.len());
        }
        let lanes = self.lanes_count();
        self.told.retain(|told| !told.is_closed());
        for told in &self.told {
            told.send_replace(lanes);
        }
    }

    pub(super) fn lanes_count(&self) -> u32 {
        u32::try_from(self.lanes.len()).unwrap_or(u32::MAX)
    }

    fn era(&self) -> u64 {
        self.lanes.first().map_or(0, |lane| lane.era)
    }

    fn info(&mut self) -> TopicInfo {
        let (told, lanes) = watch::channel(self.lanes_count());
        self.told.retain(|told| !told.is_closed());
        self.told.push(told);
        TopicInfo::of_lanes(lanes)
    }

    /// Retention by time: what is older leaves.
    fn expire(&mut self, time: SystemTime) {
        let Some(retention) = self.settings.and_then(|settings| settings.retention) else { return };
        let Some(oldest) = time.checked_sub(retention) else { return };
        for lane in &mut self.lanes {
            while lane.records.front().is_some_and(|record| record.time <= oldest) {
                lane.drop_oldest();
            }
        }
    }

    /// The records of another life are not those that groups knew.
    fn begin_era(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.era += 1);
        for group in self.groups.values_mut() {
            group.begin_era(&self.lanes);
        }
    }

    /// Takes what a node says of the log, if that agrees with what the log was made with.
    fn agree(&mut self, now: Instant, topic: &TopicSpec) -> Result<()> {
        let asked = topic.settings;
        let Some(made) = self.settings else {
            self.settings = Some(asked);
            self.grow(now, asked.lanes.unwrap_or(1));
            return Ok(());
        };
        if made.framing != asked.framing {
            return Err(differs(&topic.name, "framing", &asked.framing, &made.framing));
        }
        if made.wire != asked.wire {
            return Err(differs(&topic.name, "wire", &asked.wire, &made.wire));
        }
        match asked.retention {
            Some(retention) if made.retention != asked.retention => {
                Err(differs(&topic.name, "retention", &retention, &made.retention))
            }
            _ => Ok(()),
        }
    }
}

impl Logs {
    /// Makes a topic known, and says how many lanes it has.
    ///
    /// # Errors
    /// `Config` where it is known as the other kind, `Conflict` where a log was made with other settings,
    /// `Unsupported` for settings that a space has not.
    pub(super) fn open(
        &mut self,
        now: Instant,
        cluster: &ClusterName,
        topic: &TopicSpec,
    ) -> Result<TopicInfo> {
        self.check_kind(cluster, &topic.name, topic.kind())?;
        match topic.kind() {
            TopicKind::Log => {
                check_settings(topic)?;
                let log = self.log_or_new(cluster, &topic.name);
                log.agree(now, topic)?;
                Ok(log.info())
            }
            TopicKind::Live => {
                self.live.insert((cluster.clone(), topic.name.clone()));
                Ok(TopicInfo::one_lane())
            }
        }
    }

    /// A log to read, of which nothing is said but that it is one.
    pub(super) fn open_log(&mut self, cluster: &ClusterName, topic: &TopicName) -> Result<&mut Log> {
        self.check_kind(cluster, topic, TopicKind::Log)?;
        Ok(self.log_or_new(cluster, topic))
    }

    fn check_kind(&self, cluster: &ClusterName, topic: &TopicName, kind: TopicKind) -> Result<()> {
        let key = (cluster.clone(), topic.clone());
        match kind {
            TopicKind::Log if self.live.contains(&key) => Err(other_kind(topic, "a log", "live")),
            TopicKind::Live if self.logs.contains_key(&key) => Err(other_kind(topic, "live", "a log")),
            _ => Ok(()),
        }
    }

    fn log_or_new(&mut self, cluster: &ClusterName, topic: &TopicName) -> &mut Log {
        let (era, orphans) = (self.era, &mut self.orphans);
        let key = (cluster.clone(), topic.clone());
        self.logs.entry(key).or_insert_with_key(|key| {
            let told = orphans.remove(key).unwrap_or_default();
            Log { told, ..Log::new(era) }
        })
    }

    /// The log of this name, as it is at this time of day.
    pub(super) fn get(&mut self, key: &LogKey, time: SystemTime) -> Option<&mut Log> {
        let log = self.logs.get_mut(key)?;
        log.expire(time);
        Some(log)
    }

    /// How many lanes a topic has. What is no log has one.
    pub(super) fn lanes(&self, cluster: &ClusterName, topic: &TopicName) -> u32 {
        self.logs.get(&(cluster.clone(), topic.clone())).map_or(1, Log::lanes_count)
    }

    /// Is there a log of this name?
    pub(super) fn has(&self, key: &LogKey) -> bool {
        self.logs.contains_key(key)
    }

    /// The names of a cluster's logs.
    pub(super) fn names(&self, cluster: &ClusterName) -> Vec<TopicName> {
        self.logs.keys().filter(|(of, _)| of == cluster).map(|(_, name)| name.clone()).collect()
    }

    /// Forgets a log and its groups. Answers whether there was one. One that is made anew is another one.
    pub(super) fn delete(&mut self, key: &LogKey) -> bool {
        let Some(mut log) = self.logs.remove(key) else { return false };
        log.told.retain(|told| !told.is_closed());
        if !log.told.is_empty() {
            self.orphans.insert(key.clone(), std::mem::take(&mut log.told));
        }
        self.era = self.era.max(log.era() + 1);
        self.changed.notify_waiters();
        true
    }

    /// Are there none? Most topics are live, and a space without logs should not look for them.
    pub(super) fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Every group of every log.
    pub(super) fn groups_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.logs.values_mut().flat_map(|log| log.groups.values_mut())
    }

    /// Every group of the logs of this name, in every cluster. Answers how many logs there are.
    pub(super) fn change_groups(&mut self, topic: &str, change: impl Fn(&mut Group)) -> usize {
        self.change(topic, |log| log.groups.values_mut().for_each(&change))
    }

    /// Appends to a log. Answers whether the topic is one.
    pub(super) fn append(
        &mut self,
        cluster: &ClusterName,
        topic: &TopicName,
        parcels: &[Parcel],
        time: SystemTime,
        (records_max, bytes_max): (usize, usize),
    ) -> bool {
        let Some(log) = self.get(&(cluster.clone(), topic.clone()), time) else { return false };
        for parcel in parcels {
            // What was held back for a lane of a log that was replaced meanwhile is lost, as with a server.
            let Some(kept) = log.lanes.get_mut(parcel.lane as usize) else { continue };
            kept.bytes += parcel.bytes();
            kept.records.push_back(Stored { parcel: parcel.clone(), time, era: kept.era });
            while kept.records.len() > records_max || kept.bytes > bytes_max && kept.records.len() > 1 {
                kept.drop_oldest();
            }
        }
        self.changed.notify_waiters();
        true
    }

    /// Does something to the log of this name in every cluster. Answers to how many.
    fn change(&mut self, topic: &str, change: impl Fn(&mut Log)) -> usize {
        let of_name = self.logs.iter_mut().filter(|((_, name), _)| name.as_str() == topic);
        let count = of_name.map(|(_, log)| change(log)).count();
        self.changed.notify_waiters();
        count
    }

    /// So many lanes from now on, where there are fewer.
    pub(super) fn grow(&mut self, now: Instant, topic: &str, lanes: u32) -> usize {
        self.change(topic, |log| log.grow(now, lanes))
    }

    /// Retention: only the last `keep` records of each lane are left.
    pub(super) fn trim(&mut self, topic: &str, keep: usize) -> usize {
        self.change(topic, |log| {
            for lane in &mut log.lanes {
                while lane.records.len() > keep {
                    lane.drop_oldest();
                }
            }
        })
    }

    /// A failover to a server that was behind: the last `lost` records of each lane are gone.
    pub(super) fn rewind(&mut self, topic: &str, lost: usize) -> usize {
        self.change(topic, |log| {
            for kept in &mut log.lanes {
                kept.records.truncate(kept.records.len().saturating_sub(lost));
                kept.bytes = kept.records.iter().map(|record| record.parcel.bytes()).sum();
            }
            log.begin_era();
        })
    }

    /// Somebody deleted its records and let it begin anew.
    pub(super) fn replace(&mut self, topic: &str) -> usize {
        self.change(topic, |log| {
            for lane in &mut log.lanes {
                *lane = Records { era: lane.era, ..Records::default() };
            }
            log.begin_era();
        })
    }
}

/// Refuses what a space has not.
fn check_settings(topic: &TopicSpec) -> Result<()> {
    if topic.settings.replicas.is_some_and(|replicas| replicas > 1) {
        let instead = "set `replicas` to 1, or leave it out";
        let error = named(Error::unsupported("a log in memory has one server", instead));
        return Err(error.context("topic", &topic.name));
    }
    Ok(())
}

/// The error about a lane that a topic has not.
pub(super) fn no_lane(topic: &TopicName, lane: u32, lanes: u32) -> Error {
    named(Error::new(ErrorKind::Config, "the topic has no such lane"))
        .context("topic", topic)
        .context("lane", lane)
        .context("lanes", lanes)
}

fn differs(topic: &TopicName, setting: &str, asked: &dyn Debug, made: &dyn Debug) -> Error {
    let what = format!("the log is asked for with the {setting} {asked:?}, and was made with {made:?}");
    named(Error::new(ErrorKind::Conflict, what))
        .context("topic", topic)
        .help("every node must be told the same of a topic: correct its settings, or delete the log")
}

fn other_kind(topic: &TopicName, asked: &str, found: &str) -> Error {
    named(Error::new(ErrorKind::Config, format!("the topic is asked for as {asked}, and is {found} here")))
        .context("topic", topic)
        .help("every node must be told the same of a topic: is it live, or a log?")
}
