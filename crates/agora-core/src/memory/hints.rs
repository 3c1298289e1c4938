//! Hints: who is seen, and who no longer.
//!
//! They follow cuts at once, which no real backend can, and know no loss, delay or pause: a hint is never proof.

use std::collections::BTreeSet;

use tokio::sync::mpsc;

use super::state::{EndpointId, State};
use crate::error::Error;
use crate::id::{ClusterName, SourceId};
use crate::transport::Hint;

/// The most hints that wait for their reader; further ones are lost. Enough for every member of a large cluster to
/// come and go.
const HINTS_MAX: usize = 2 * crate::limits::MEMBERS_MAX;

/// What a node has said of itself, and whom it has been told of.
pub(super) struct Announced {
    pub(super) me: SourceId,
    hints: mpsc::Sender<Hint>,
    seen: BTreeSet<SourceId>,
}

impl Announced {
    fn gone(&mut self, source: SourceId) {
        if self.seen.remove(&source) {
            // A full or forgotten channel loses the hint, which costs no more than time.
            let _ = self.hints.try_send(Hint::Gone(source));
        }
    }

    fn seen(&mut self, source: SourceId) {
        if self.seen.insert(source) {
            let _ = self.hints.try_send(Hint::Seen(source));
        }
    }
}

impl State {
    /// Says who an endpoint is, in place of what it may have said before.
    pub(super) fn announce(
        &mut self,
        id: EndpointId,
        me: SourceId,
    ) -> Result<Option<mpsc::Receiver<Hint>>, Error> {
        let is_on = self.config.failure_hints;
        let endpoint = self.usable(id)?;
        if !is_on {
            return Ok(None);
        }
        let (sender, receiver) = mpsc::channel(HINTS_MAX);
        let before = endpoint.announced.replace(Announced { me, hints: sender, seen: BTreeSet::new() });
        let (cluster, node) = (endpoint.cluster.clone(), endpoint.node);
        if let Some(before) = before.filter(|before| before.me != me) {
            self.hint_gone(&cluster, before.me);
        }
        let network = &self.network;
        for (other, endpoint) in &mut self.endpoints {
            if *other != id
                && endpoint.cluster == cluster
                && network.hears_hints(endpoint.node)
                && network.is_seen(node, endpoint.node)
                && let Some(announced) = &mut endpoint.announced
            {
                announced.seen(me);
            }
        }
        self.look_around(id);
        Ok(Some(receiver))
    }

    /// Tells a cluster that a source has ended. Whoever cannot be told now is told when it can.
    pub(super) fn hint_gone(&mut self, cluster: &ClusterName, source: SourceId) {
        for endpoint in self.endpoints.values_mut() {
            if endpoint.cluster == *cluster
                && self.network.hears_hints(endpoint.node)
                && let Some(announced) = &mut endpoint.announced
            {
                announced.gone(source);
            }
        }
    }

    /// Tells everybody what a change of the network has changed for them.
    pub(super) fn refresh_hints(&mut self) {
        let ids: Vec<EndpointId> = self.endpoints.keys().copied().collect();
        for id in ids {
            self.look_around(id);
        }
    }

    /// Tells one endpoint of everyone whom it has begun to see, or sees no longer.
    fn look_around(&mut self, id: EndpointId) {
        let Some(me) = self.endpoints.get(&id) else { return };
        if me.announced.is_none() || !self.network.hears_hints(me.node) {
            return;
        }
        let others = self.endpoints.iter().filter(|(other, endpoint)| {
            **other != id && endpoint.cluster == me.cluster && self.network.is_seen(endpoint.node, me.node)
        });
        let visible: BTreeSet<SourceId> =
            others.filter_map(|(_, endpoint)| Some(endpoint.announced.as_ref()?.me)).collect();
        let Some(announced) = self.endpoints.get_mut(&id).and_then(|me| me.announced.as_mut()) else {
            return;
        };
        let lost: Vec<SourceId> = announced.seen.difference(&visible).copied().collect();
        for source in lost {
            announced.gone(source);
        }
        for source in visible {
            announced.seen(source);
        }
    }
}
