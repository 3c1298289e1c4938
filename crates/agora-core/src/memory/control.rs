//! What faults do to a space at the moment when they are set.

use tokio::time::Instant;

use super::group::Departure;
use super::network::NodeIx;
use super::state::{EndpointId, State};
use crate::transport::Link;

impl State {
    /// Makes links and hints agree with the network, after it was changed.
    pub(super) fn network_changed(&mut self, now: Instant) {
        let ids: Vec<EndpointId> = self.endpoints.keys().copied().collect();
        for id in ids {
            self.refresh_link(now, id);
        }
        self.refresh_hints();
        self.logs.changed.notify_waiters();
    }

    fn refresh_link(&mut self, now: Instant, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get(&id) else { return };
        let was_up = endpoint.link.borrow().is_usable();
        match self.network.why_down(endpoint.node) {
            Some(why) if was_up => {
                endpoint.link.send_replace(self.down(now, why));
                for group in self.logs.groups_mut() {
                    group.depart_all(now, id, Departure::OutOfReach);
                }
            }
            None if !was_up => {
                for id in &endpoint.inboxes {
                    let Some(inbox) = self.inboxes.get_mut(id) else { continue };
                    inbox.queue.resubscribed(now);
                    inbox.wake.notify_one();
                }
                endpoint.link.send_replace(Link::Up);
            }
            _ => {}
        }
    }

    /// Loses what is on its way, from one node or all, to one node or all.
    pub(super) fn lose(&mut self, now: Instant, from: Option<NodeIx>, to: Option<NodeIx>) {
        for inbox in self.inboxes.values_mut() {
            if to.is_none_or(|to| inbox.node == to) {
                self.network.counts.cut += inbox.queue.lose(now, from);
            }
        }
    }

    pub(super) fn pause(&mut self, now: Instant, node: NodeIx) {
        self.paused.insert(node);
        for inbox in self.inboxes.values_mut().filter(|inbox| inbox.node == node) {
            inbox.queue.pause(now);
        }
        for id in self.endpoints_of(node) {
            self.logs.groups_mut().for_each(|group| group.falls_silent(now, id));
        }
    }

    pub(super) fn resume(&mut self, now: Instant, node: NodeIx) {
        if !self.paused.remove(&node) {
            return;
        }
        for inbox in self.inboxes.values_mut().filter(|inbox| inbox.node == node) {
            inbox.queue.resume(now);
            inbox.wake.notify_one();
        }
        for id in self.endpoints_of(node) {
            self.flush(now, id);
        }
        self.logs.changed.notify_waiters();
    }

    /// Kills the connections of a node. `false`: there were none.
    pub(super) fn crash(&mut self, now: Instant, node: NodeIx) -> bool {
        self.lose(now, Some(node), None);
        let ids = self.endpoints_of(node);
        for id in &ids {
            let inboxes = self.endpoints.get(id).map(|endpoint| endpoint.inboxes.clone());
            self.disconnect(now, *id, "the node has crashed");
            for inbox in inboxes.into_iter().flatten() {
                if let Some(inbox) = self.inboxes.get_mut(&inbox) {
                    inbox.queue.clear();
                }
            }
        }
        !ids.is_empty()
    }

    fn endpoints_of(&self, node: NodeIx) -> Vec<EndpointId> {
        self.endpoints.iter().filter(|(_, endpoint)| endpoint.node == node).map(|(id, _)| *id).collect()
    }
}
