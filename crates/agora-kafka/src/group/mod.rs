//! Groups: genuine ones of the classic protocol, which any client of Kafka can join.
//!
//! ```text
//!   GroupInbox            task               Coordinator
//!   recv, settle  <-->  [ desk ]  <--->  member (pure)  <-- join, sync, heartbeat, leave
//!                          ^  |               |
//!                 reading -+  +-- commit ---> lead: assign, protocol
//! ```
//!
//! `member` is the life of a member, `lane` what it knows of a lane, `notes` what stands beside a commit,
//! `assign` and `protocol` what members share with those of other clients: all of them pure. `task` has the time
//! and the connections.
//!
//! **Settling.** An ack is answered when it is committed. Kafka keeps one number for a lane; what is done behind a hole
//! stands beside it, so that the next owner does not do it again. How often a record was given out stands there too: before
//! the first records of a lane are given out, afterwards within a moment. So a record that crashes its member again and
//! again is counted, and a record that is done quickly costs no commit of its own. An orderly handover counts for nothing.
//!
//! **Times.** The session timeout, after which a silent member has gone, is the shorter of `kafka.session_timeout` and the
//! lease of the group: neither is exceeded. A lease is not extended record by record: heartbeats keep the lanes. How long a
//! member may take to give its lanes back is the lease.

mod assign;
mod calls;
mod desk;
mod inbox;
mod lane;
mod lead;
mod member;
mod notes;
mod protocol;
mod reading;
mod standing;
mod task;
mod words;

pub(crate) use notes::read as notes;
pub(crate) use protocol::{KIND, assigned, topics as subscribed};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agora_core::transport::{GroupInbox, GroupSpec};
use agora_core::{ErrorKind, Result};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::brokers::Brokers;
use crate::error::error;
use crate::read::Hub;
use calls::Place;
use inbox::{KafkaGroupInbox, Shared};
use member::{Member, Terms};
use task::Task;

/// How long joining waits for the brokers before it is an error.
const JOIN_WAIT: Duration = Duration::from_secs(10);
/// The longest name that a member keeps its place by, in bytes (`JoinGroupRequest` of Kafka).
const INSTANCE_BYTES_MAX: usize = 249;

/// A group on the brokers, and how to be in it.
pub struct Entry {
    /// The group, by its name on the brokers.
    pub group: String,
    /// The topic, by its name on the brokers.
    pub topic: String,
    /// What the engine wants of it.
    pub spec: GroupSpec,
    /// `kafka.session_timeout`.
    pub session_timeout: Duration,
    /// `kafka.instance`. The name under which a member keeps its place holds the topic, too: a node may be several members
    /// of one group, for several topics.
    pub instance: Option<String>,
}

/// Joins a group. It returns when it is certain where a new group begins; the place in it comes later, as the members that
/// are there give back what is to be shared.
///
/// # Errors
/// `Config`: the name of the instance is too long. `NotFound`, `Unreachable`, `Unauthorized`, `Closed`.
///
/// # Cancel safety
/// Dropped before it returns, where a new group begins may have been committed; nobody is a member.
pub async fn join(brokers: &Arc<Brokers>, hub: &Arc<Hub>, entry: Entry) -> Result<Box<dyn GroupInbox>> {
    let Entry { group, topic, spec, session_timeout, instance } = entry;
    let instance = instance.map(|instance| format!("{instance}.{topic}"));
    if instance.as_ref().is_some_and(|instance| instance.len() > INSTANCE_BYTES_MAX) {
        return Err(error(ErrorKind::Config, "the name of this member would be too long for the brokers")
            .context("topic", topic)
            .context("allowed", INSTANCE_BYTES_MAX)
            .help("shorten `kafka.instance`"));
    }
    let session = session_timeout.min(spec.lease);
    let terms = Terms { session, rebalance: spec.lease.max(session), is_static: instance.is_some() };
    let patience = terms.rebalance;
    let place = Place::new(brokers, group, topic, instance);
    let by = Instant::now() + JOIN_WAIT;
    let begun = async {
        let count = *brokers.partitions(&place.topic, by).await?.borrow();
        let lanes: BTreeSet<i32> = (0..count).filter_map(|lane| i32::try_from(lane).ok()).collect();
        let committed = place.committed(&lanes, by).await?;
        let new: BTreeSet<i32> = lanes.into_iter().filter(|lane| !committed.contains_key(lane)).collect();
        let starts = place.starts(&new, spec.start, by).await?;
        if !starts.is_empty() {
            place.commit_starts(&starts, by).await?;
        }
        Ok(starts)
    };
    let starts = begun.await.map_err(|error| place.told(error))?;
    let shared = Arc::new(Shared::new(Arc::clone(brokers)));
    let (leave, leaving) = mpsc::channel(1);
    let member = Member::new(Instant::now(), terms);
    tokio::spawn(Task::new(place, Arc::clone(&shared), Arc::clone(hub), member, starts, leaving).run());
    Ok(Box::new(KafkaGroupInbox::new(shared, patience, leave)))
}
