//! The handle by which a test spoils a space.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::link_faults::{LinkFaults, checked_delay};
use super::network::{FaultCounts, NodeIx, SERVER_IX};
use super::script::{Failures, PublishFault};
use super::space::Shared;

/// The faults of a [`Space`](super::Space). All take effect at once, and until they are taken back.
///
/// Nodes are named as they connect, now or later, in whatever cluster; [`SERVER`](super::SERVER) names the server of
/// a space that has one. A link has two directions, and `from`, `to` name one of them.
///
/// # Panics
/// All methods panic on a name that no node can have, on a topic that is no log, and on `SERVER` where the space has none
/// ([`SpaceConfig::echo_via_server`](super::SpaceConfig::echo_via_server)): such a script would test nothing.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Shared>,
}

impl Faults {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sets what every link does to its messages, where nothing is set for that link alone: the links between nodes
    /// and the server where the space has one, else those between nodes.
    pub fn everywhere(&self, faults: LinkFaults) {
        self.shared.lock().network.set_everywhere(faults);
    }

    /// Sets what the link between two nodes, or a node and the server, does in both directions.
    ///
    /// In a space with a server, a message from `a` to `b` passes the links of both nodes to the server and, if it
    /// was set, this one too.
    #[track_caller]
    pub fn between(&self, a: &str, b: &str, faults: LinkFaults) {
        let mut state = self.shared.lock();
        let (a, b) = (state.network.ix(a), state.network.ix(b));
        state.network.set_link(a, b, faults.clone());
        state.network.set_link(b, a, faults);
    }

    /// Sets what the link does in this direction only.
    #[track_caller]
    pub fn one_way(&self, from: &str, to: &str, faults: LinkFaults) {
        let mut state = self.shared.lock();
        let (from, to) = (state.network.ix(from), state.network.ix(to));
        state.network.set_link(from, to, faults);
    }

    /// No more loss, duplication and delay anywhere. What is on its way stays delayed. Cuts stay.
    pub fn calm(&self) {
        self.shared.lock().network.clear_links();
    }

    /// Cuts the link between two nodes, or a node and the server, in both directions. What is on its way over it is
    /// lost.
    ///
    /// Between peers nobody is told. A node that is cut off from the server sees its link go down.
    #[track_caller]
    pub fn cut(&self, a: &str, b: &str) {
        self.cut_links(&[(a, b), (b, a)]);
    }

    /// Cuts the link in this direction only.
    ///
    /// A node that can no longer send to the server sees its link go down, though it still hears. One that can no
    /// longer hear the server sees nothing: it sends, and its link looks as if it were up.
    #[track_caller]
    pub fn cut_one_way(&self, from: &str, to: &str) {
        self.cut_links(&[(from, to)]);
    }

    /// Cuts every link between a node of one group and a node of another, in both directions.
    #[track_caller]
    pub fn partition(&self, groups: &[&[&str]]) {
        let mut links = Vec::new();
        for (ix, group) in groups.iter().enumerate() {
            for other in groups.iter().skip(ix + 1) {
                for a in *group {
                    links.extend(other.iter().flat_map(|b| [(*a, *b), (*b, *a)]));
                }
            }
        }
        self.cut_links(&links);
    }

    #[track_caller]
    fn cut_links(&self, links: &[(&str, &str)]) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        for (from, to) in links {
            let (from, to) = (state.network.ix(from), state.network.ix(to));
            state.network.cut(from, to);
            let node = |ix: NodeIx| (ix != SERVER_IX).then_some(ix);
            state.lose(now, node(from), node(to));
        }
        state.network_changed(now);
    }

    /// Takes the cuts between two nodes, or a node and the server, back. A link that was down comes up, and its
    /// subscriptions are told that they were interrupted.
    #[track_caller]
    pub fn heal(&self, a: &str, b: &str) {
        let mut state = self.shared.lock();
        let (a, b) = (state.network.ix(a), state.network.ix(b));
        state.network.heal(a, b);
        state.network.heal(b, a);
        state.network_changed(Instant::now());
    }

    /// Cuts a node off from everyone and from the server, in both directions.
    #[track_caller]
    pub fn isolate(&self, node: &str) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        let node = state.network.node_ix(node);
        state.network.isolate(node);
        state.lose(now, Some(node), None);
        state.lose(now, None, Some(node));
        state.network_changed(now);
    }

    /// Takes [`isolate`](Self::isolate) back. Cuts that were made otherwise stay.
    #[track_caller]
    pub fn rejoin(&self, node: &str) {
        let mut state = self.shared.lock();
        let node = state.network.node_ix(node);
        state.network.rejoin(node);
        state.network_changed(Instant::now());
    }

    /// Takes the server down: what is on its way is lost, and every link goes down.
    #[track_caller]
    pub fn server_down(&self) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        state.network.ix(super::SERVER);
        state.network.set_server_down(true);
        state.lose(now, None, None);
        state.network_changed(now);
    }

    /// Takes the server up again; the links come up and subscriptions are told that they were interrupted.
    #[track_caller]
    pub fn server_up(&self) {
        let mut state = self.shared.lock();
        state.network.ix(super::SERVER);
        state.network.set_server_down(false);
        state.network_changed(Instant::now());
    }

    /// Takes all cuts and isolations back, and the server up.
    pub fn heal_all(&self) {
        let mut state = self.shared.lock();
        state.network.heal_all();
        state.network_changed(Instant::now());
    }

    /// Holds what a node sends and what is sent to it, as if its process were stopped. The task that uses the
    /// transport goes on: its publishes succeed as long as there is room
    /// ([`SpaceConfig::inbox_messages_max`](super::SpaceConfig::inbox_messages_max)), and it can read what had
    /// arrived. Does nothing to a node that is paused already.
    #[track_caller]
    pub fn pause(&self, node: &str) {
        let mut state = self.shared.lock();
        let node = state.network.node_ix(node);
        state.pause(Instant::now(), node);
    }

    /// Lets flow what was held, in its order.
    #[track_caller]
    pub fn resume(&self, node: &str) {
        let mut state = self.shared.lock();
        let node = state.network.node_ix(node);
        state.resume(Instant::now(), node);
    }

    /// Kills a node as if its process had died: what it has sent and is still on its way is lost, its inboxes end,
    /// and every further call on its transport fails with `Closed`. A node of the same name can connect anew.
    ///
    /// Returns whether such a node was connected.
    #[track_caller]
    pub fn crash(&self, node: &str) -> bool {
        let mut state = self.shared.lock();
        let node = state.network.node_ix(node);
        state.crash(Instant::now(), node)
    }

    /// Lets the next `times` publishes of a node fail, after those to which the same was said before. Of each, the
    /// first `accepted` frames are sent as if nothing were wrong (at most all but one), and reported so.
    ///
    /// A publish that is refused anyway does not count.
    #[track_caller]
    pub fn fail_publishes(&self, node: &str, times: u32, accepted: usize, fault: PublishFault) {
        let mut state = self.shared.lock();
        let node = state.network.node_ix(node);
        state.scripts.fail(node, Failures { left: times, accepted, fault });
    }

    /// Gives the log of this name so many lanes, where it has fewer, in every cluster.
    #[track_caller]
    pub fn grow_log(&self, topic: &str, lanes: u32) {
        let changed = self.shared.lock().logs.grow(Instant::now(), topic, lanes);
        assert!(changed > 0, "no log has the name {topic:?}");
    }

    /// Retention: of the log of this name only the last `keep` records of each lane are left, in every cluster.
    #[track_caller]
    pub fn trim_log(&self, topic: &str, keep: usize) {
        let changed = self.shared.lock().logs.trim(topic, keep);
        assert!(changed > 0, "no log has the name {topic:?}");
    }

    /// A failover to a server that was behind: the last `lost` records of each lane of the log are gone, though they were
    /// acknowledged. Its readers are interrupted.
    #[track_caller]
    pub fn rewind_log(&self, topic: &str, lost: usize) {
        let changed = self.shared.lock().logs.rewind(topic, lost);
        assert!(changed > 0, "no log has the name {topic:?}");
    }

    /// Somebody deleted the log and made it anew: it is empty. Its readers are interrupted.
    #[track_caller]
    pub fn replace_log(&self, topic: &str) {
        let changed = self.shared.lock().logs.replace(topic);
        assert!(changed > 0, "no log has the name {topic:?}");
    }

    /// Lets the next `times` settlements of a node in its groups succeed without an answer: they have their effect, and the
    /// caller gets `OutcomeUnknown`. One that is refused anyway does not count.
    #[track_caller]
    pub fn lose_settle_answers(&self, node: &str, times: u32) {
        let mut state = self.shared.lock();
        let node = state.network.node_ix(node);
        state.scripts.lose_settle_answers(node, times);
    }

    /// Ends every lease in the groups of the log of this name; where lanes are shared out, their owners lose them.
    #[track_caller]
    pub fn end_leases(&self, topic: &str) {
        let now = Instant::now();
        let changed = self.shared.lock().logs.change_groups(topic, |group| group.end_leases(now));
        assert!(changed > 0, "no log has the name {topic:?}");
    }

    /// Asks the owners of lanes of the log of this name to give them up, for the oldest other member, or for themselves
    /// where they are alone. Without effect on groups by lease.
    #[track_caller]
    pub fn rebalance(&self, topic: &str) {
        let now = Instant::now();
        let changed = self.shared.lock().logs.change_groups(topic, |group| group.rebalance(now));
        assert!(changed > 0, "no log has the name {topic:?}");
    }

    /// Lets the results of a node's publishes take their time: the frames leave at once, the result is there after
    /// a delay of its own for each. One that would come after the publish's deadline never comes: the outcome is
    /// unknown.
    ///
    /// # Panics
    /// When the range is empty or reaches beyond [`DELAY_MAX`](super::DELAY_MAX).
    #[track_caller]
    pub fn slow_results(&self, node: &str, range: RangeInclusive<Duration>) {
        let range = checked_delay(&range);
        let mut state = self.shared.lock();
        let node = state.network.node_ix(node);
        state.scripts.set_answers(node, range);
    }

    /// Takes every fault back: calms and heals all links, resumes all nodes, forgets what was said about
    /// publishes and settlements.
    /// Every history ends so before it is judged.
    pub fn clear(&self) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        state.network.clear_links();
        state.network.heal_all();
        state.scripts.clear();
        state.network_changed(now);
        for node in state.paused.clone() {
            state.resume(now, node);
        }
    }

    /// How often faults struck: a test that relies on losses can see that there were some.
    pub fn counts(&self) -> FaultCounts {
        self.shared.lock().network.counts
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("counts", &self.counts()).finish_non_exhaustive()
    }
}
