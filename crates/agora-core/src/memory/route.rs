//! The way of a message: from a publish to the inboxes.

use std::time::Duration;

use tokio::time::Instant;

use super::link_faults::draw_delay;
use super::logs::no_lane;
use super::queue::Parcel;
use super::script::PublishFault;
use super::state::{EndpointId, Held, State, named};
use crate::error::{Error, ErrorKind};
use crate::id::{ClusterName, TopicName};
use crate::transport::{Address, OutFrame, Outcome, PublishFailed};

/// What a publish comes to, and when its caller learns of it: at once, or later.
pub(super) struct Answer {
    pub(super) outcome: Result<(), PublishFailed>,
    pub(super) at: Option<Instant>,
}

/// Which of the sender's own inboxes, and which of all the others, a message is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whom {
    All,
    /// Those of the sender itself, which need no network.
    Oneself,
    Others,
}

impl State {
    pub(super) fn publish(
        &mut self,
        now: Instant,
        from: EndpointId,
        to: &Address,
        frames: &[OutFrame],
        by: Instant,
    ) -> Answer {
        let refuse = |accepted, error| Answer { outcome: Err(not_stored(accepted, error)), at: None };
        let (node, cluster) = match self.usable(from) {
            Ok(endpoint) => (endpoint.node, endpoint.cluster.clone()),
            Err(error) => return refuse(0, error),
        };
        if let Err(error) = self.check(now, &cluster, to, by) {
            return refuse(0, error);
        }
        if let Err((fit, error)) = self.check_sizes(frames) {
            let accepted = self.send(now, from, to, &frames[..fit]);
            return refuse(accepted, error);
        }
        let outcome = match self.scripts.next_failure(node) {
            None => {
                let accepted = self.send(now, from, to, frames);
                if accepted == frames.len() { Ok(()) } else { Err(not_stored(accepted, held_full())) }
            }
            Some((accepted, fault)) => {
                let accepted = accepted.min(frames.len().saturating_sub(1));
                let sent = if fault == PublishFault::UnknownStored { frames.len() } else { accepted };
                let sent = self.send(now, from, to, &frames[..sent]);
                Err(scripted(accepted.min(sent), fault))
            }
        };
        let at = self
            .scripts
            .answers(node)
            .map(|(least, most)| now + draw_delay(least, most, &mut self.network.rng));
        Answer { outcome, at }
    }

    fn check(&self, now: Instant, cluster: &ClusterName, to: &Address, by: Instant) -> Result<(), Error> {
        let lanes = match to.lane {
            0 => 1,
            _ => self.logs.lanes(cluster, &to.topic),
        };
        if to.lane >= lanes {
            return Err(no_lane(&to.topic, to.lane, lanes));
        }
        if by < now {
            return Err(named(Error::new(ErrorKind::Timeout, "the deadline had passed already")));
        }
        Ok(())
    }

    /// The number of frames before the first that is too large, and the error about it.
    fn check_sizes(&self, frames: &[OutFrame]) -> Result<(), (usize, Error)> {
        let bytes_max = self.config.message_bytes_max;
        match frames.iter().position(|frame| frame.payload.len() > bytes_max) {
            None => Ok(()),
            Some(fit) => {
                let error = Error::new(ErrorKind::TooLarge, "a message is larger than this space allows")
                    .context("bytes", frames[fit].payload.len())
                    .context("allowed", bytes_max);
                Err((fit, named(error)))
            }
        }
    }

    /// Sends frames, or holds them back. Returns how many of the first ones were taken.
    fn send(&mut self, now: Instant, from: EndpointId, to: &Address, frames: &[OutFrame]) -> usize {
        let Some(endpoint) = self.endpoints.get(&from) else { return 0 };
        let (cluster, node) = (endpoint.cluster.clone(), endpoint.node);
        let parcels: Vec<Parcel> =
            frames.iter().map(|frame| Parcel { frame: frame.clone(), lane: to.lane, from: node }).collect();
        if !self.paused.contains(&node) {
            self.route(now, from, &cluster, &to.topic, &parcels, Whom::All);
            return parcels.len();
        }
        let taken = self.hold(from, &to.topic, &parcels);
        if !self.network.has_server {
            self.route(now, from, &cluster, &to.topic, &parcels[..taken], Whom::Oneself);
        }
        taken
    }

    /// Holds parcels back until the node is resumed. Returns how many of the first ones fit.
    fn hold(&mut self, from: EndpointId, topic: &TopicName, parcels: &[Parcel]) -> usize {
        let Some(endpoint) = self.endpoints.get_mut(&from) else { return 0 };
        let mut taken = 0;
        for parcel in parcels {
            if !endpoint.held_room.enter(parcel.bytes()) {
                break;
            }
            endpoint.held.push_back(Held { topic: topic.clone(), parcel: parcel.clone() });
            taken += 1;
        }
        taken
    }

    /// Sends what an endpoint has held back.
    pub(super) fn flush(&mut self, now: Instant, from: EndpointId) {
        let Some(endpoint) = self.endpoints.get_mut(&from) else { return };
        let held = std::mem::take(&mut endpoint.held);
        endpoint.held_room.clear();
        endpoint.flushed.notify_waiters();
        let cluster = endpoint.cluster.clone();
        let whom = if self.network.has_server { Whom::All } else { Whom::Others };
        for Held { topic, parcel } in held {
            self.route(now, from, &cluster, &topic, &[parcel], whom);
        }
    }

    fn route(
        &mut self,
        now: Instant,
        from: EndpointId,
        cluster: &ClusterName,
        topic: &TopicName,
        parcels: &[Parcel],
        whom: Whom,
    ) {
        if !self.logs.is_empty() {
            let bounds = (self.config.log_records_max, self.config.log_bytes_max);
            let time = self.time_of_day(now);
            if self.logs.append(cluster, topic, parcels, time, bounds) {
                return;
            }
        }
        let Self { listeners, inboxes, network, .. } = self;
        let Some(listeners) = listeners.get(cluster).and_then(|topics| topics.get(topic)) else { return };
        let is_calm = network.is_calm();
        // What a link does to a message on its way to the server, it does once for all who listen.
        let to_fan_out: Vec<Vec<Duration>> = match whom {
            Whom::All | Whom::Others if !is_calm => {
                parcels.iter().map(|parcel| network.reach_fan_out(parcel.from)).collect()
            }
            _ => Vec::new(),
        };
        for id in listeners {
            let Some(inbox) = inboxes.get_mut(id) else { continue };
            let is_local = inbox.endpoint == from && !network.has_server;
            match whom {
                Whom::Oneself if inbox.endpoint != from => continue,
                Whom::Others if inbox.endpoint == from => continue,
                _ => {}
            }
            for (ix, parcel) in parcels.iter().enumerate() {
                if is_local {
                    inbox.queue.send_local(now, parcel.clone());
                } else if is_calm {
                    inbox.queue.send(now, Duration::ZERO, parcel.clone());
                } else {
                    for delay in network.reach_receiver(parcel.from, inbox.node, &to_fan_out[ix]) {
                        inbox.queue.send(now, delay, parcel.clone());
                    }
                }
            }
            inbox.wake.notify_one();
        }
    }
}

fn not_stored(accepted: usize, error: Error) -> PublishFailed {
    PublishFailed { accepted, outcome: Outcome::NotStored, error }
}

fn held_full() -> Error {
    named(Error::new(ErrorKind::Unreachable, "the node is paused and holds back all that it may"))
}

fn scripted(accepted: usize, fault: PublishFault) -> PublishFailed {
    let (outcome, kind) = match fault {
        PublishFault::NotStored => (Outcome::NotStored, ErrorKind::Backend),
        PublishFault::UnknownStored | PublishFault::UnknownLost => {
            (Outcome::Unknown, ErrorKind::OutcomeUnknown)
        }
    };
    PublishFailed { accepted, outcome, error: named(Error::new(kind, "a scripted failure")) }
}
