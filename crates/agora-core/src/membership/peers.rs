//! The table of the sources that a node knows of, and what can be asked of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::ClockOffset;
use super::config::MembershipConfig;
use super::member::{Member, MemberInfo, MemberState};
use crate::id::{Incarnation, NodeId, SourceId};
use crate::limits::{MEMBERS_MAX, TOMBSTONE_AGE};

/// The most rivals of one source that are reported: beyond these, one more says nothing new.
const RIVALS_MAX: usize = 8;

/// One source. Deadlines are computed from what was heard, never stored, so that no two of them can disagree.
#[derive(Debug)]
pub(super) struct Peer {
    /// What its last heartbeat said. `None`: known by its frames alone, and never told to the application.
    pub(super) info: Option<Arc<MemberInfo>>,
    pub(super) state: MemberState,
    /// A verdict is owed when the deadline passes. True for a live source, and for one that failed or left but of
    /// which a frame was seen since.
    pub(super) armed: bool,
    /// When it was last heard of.
    pub(super) heard: Instant,
    /// From when its silence counts: when it was heard, or when all deadlines began anew.
    since: Instant,
    /// When the backend reported it gone, if nothing was heard of it since.
    pub(super) hinted: Option<Instant>,
    /// When it failed or left.
    ended: Option<Instant>,
    pub(super) clock: ClockOffset,
    alternation: Alternation,
}

/// How a source takes turns with other lives of its node. A restart hands over once; two live processes do so for
/// ever.
#[derive(Debug, Default)]
struct Alternation {
    /// When a heartbeat last counted: copies of one message, made by the network, must not look like life.
    counted: Option<Instant>,
    /// The place of that heartbeat among all that counted.
    order: u64,
    /// How many heartbeats counted.
    beats: u32,
    /// How often it was heard again after another life had been heard.
    turns: u32,
    /// Who was reported already.
    rivals: Vec<Incarnation>,
}

impl Peer {
    fn unnamed(now: Instant) -> Self {
        Self {
            info: None,
            state: MemberState::Alive,
            armed: true,
            heard: now,
            since: now,
            hinted: None,
            ended: None,
            clock: ClockOffset::default(),
            alternation: Alternation::default(),
        }
    }

    /// The member, as the application sees it; `None` for one without a name.
    pub(super) fn member(&self) -> Option<Member> {
        Some(Member {
            info: self.info.clone()?,
            state: self.state,
            heard: self.heard,
            clock_offset_us: self.clock.us(),
        })
    }

    /// It lives at `now`: its silence counts from here, and no hint stands against it. Its state is live already.
    pub(super) fn sign_of_life(&mut self, now: Instant) {
        self.armed = true;
        self.ended = None;
        self.heard = now;
        self.restart(now);
    }

    /// A frame of one that is no live member was seen: a verdict is owed, from now on.
    pub(super) fn frame_seen(&mut self, now: Instant) {
        self.armed = true;
        self.restart(now);
        if self.state.is_live() {
            self.heard = now;
        }
    }

    /// Its silence counts from `now`. Nothing was heard, so its state stays.
    fn restart(&mut self, now: Instant) {
        self.since = now;
        self.hinted = None;
    }

    /// It has failed or left: from here on it is a tombstone.
    pub(super) fn end(&mut self, now: Instant, state: MemberState) {
        self.state = state;
        self.armed = false;
        self.hinted = None;
        self.ended = Some(now);
    }

    /// A member, as far as the application was told, that has neither failed nor left.
    pub(super) fn is_live_member(&self) -> bool {
        self.info.is_some() && self.state.is_live()
    }

    /// When it will have been silent for too long. Only members are suspected: who has no name has no event.
    pub(super) fn suspect_at(&self, config: &MembershipConfig) -> Option<Instant> {
        (self.info.is_some() && self.state == MemberState::Alive).then(|| self.since + config.suspect_after)
    }

    /// When it would fail if the backend had given no hint.
    pub(super) fn fail_unhinted_at(&self, config: &MembershipConfig) -> Option<Instant> {
        self.armed.then(|| self.since + config.fail_after)
    }

    /// When it fails.
    pub(super) fn fail_at(&self, config: &MembershipConfig) -> Option<Instant> {
        let regular = self.fail_unhinted_at(config)?;
        Some(self.hinted.map_or(regular, |hinted| regular.min(hinted + config.hint_grace)))
    }

    fn forget_at(&self) -> Option<Instant> {
        self.ended.filter(|_| !self.armed).map(|ended| ended + TOMBSTONE_AGE)
    }
}

/// All sources, by node and then by life.
#[derive(Debug, Default)]
pub(super) struct Peers {
    map: BTreeMap<SourceId, Peer>,
    /// Counts heartbeats, to tell who was heard later.
    clock: u64,
}

impl Peers {
    pub(super) fn get(&self, source: SourceId) -> Option<&Peer> {
        self.map.get(&source)
    }

    pub(super) fn get_mut(&mut self, source: SourceId) -> Option<&mut Peer> {
        self.map.get_mut(&source)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SourceId, &Peer)> {
        self.map.iter().map(|(source, peer)| (*source, peer))
    }

    pub(super) fn live_members(&self) -> impl Iterator<Item = (SourceId, &Peer)> {
        self.iter().filter(|(_, peer)| peer.is_live_member())
    }

    /// The entry of a source, made if there is room. At the bound the oldest tombstone makes room; an entry to
    /// which a verdict is owed never does.
    pub(super) fn admit(&mut self, source: SourceId, now: Instant) -> Option<&mut Peer> {
        if !self.map.contains_key(&source) && self.map.len() >= MEMBERS_MAX {
            let (_, oldest) =
                self.iter().filter_map(|(source, peer)| Some((peer.forget_at()?, source))).min()?;
            self.map.remove(&oldest);
        }
        Some(self.map.entry(source).or_insert_with(|| Peer::unnamed(now)))
    }

    /// Forgets tombstones that are old enough.
    pub(super) fn forget(&mut self, now: Instant) {
        self.map.retain(|_, peer| peer.forget_at().is_none_or(|at| now < at));
    }

    /// All silence counts from `now`.
    pub(super) fn restart(&mut self, now: Instant) {
        self.map.values_mut().for_each(|peer| peer.restart(now));
    }

    /// The next time at which a tombstone is forgotten.
    pub(super) fn next_forget(&self) -> Option<Instant> {
        self.map.values().filter_map(Peer::forget_at).min()
    }

    /// The nodes of which no life was heard for `suspect_after`, or every life is reported gone, and how many nodes
    /// there are. By what was really heard: a deadline that began anew is no sign of life. By nodes and not by lives:
    /// who was restarted is heard in its new life, and its former ones, which nobody will ever hear again, must not
    /// outvote it.
    pub(super) fn silence(&self, now: Instant, suspect_after: Duration) -> (Vec<Arc<MemberInfo>>, usize) {
        let mut nodes: BTreeMap<NodeId, Option<Arc<MemberInfo>>> = BTreeMap::new();
        for (source, peer) in self.live_members() {
            let is_silent = peer.hinted.is_some() || now >= peer.heard + suspect_after;
            let silent = peer.info.clone().filter(|_| is_silent);
            let node = nodes.entry(source.node).or_insert_with(|| silent.clone());
            *node = node.take().and(silent);
        }
        let of = nodes.len();
        (nodes.into_values().flatten().collect(), of)
    }

    /// Of the live members other than `source`: was at least half, and at least one, heard so?
    pub(super) fn others_heard(&self, source: SourceId, so: impl Fn(Instant) -> bool) -> bool {
        let (mut others, mut heard) = (0_usize, 0_usize);
        for (_, peer) in self.live_members().filter(|(other, _)| *other != source) {
            others += 1;
            heard += usize::from(so(peer.heard));
        }
        heard > 0 && heard * 2 >= others
    }

    /// Did the life of this node that was heard last, other than `source` itself, fail?
    pub(super) fn former_failed(&self, source: SourceId) -> bool {
        self.others_of_node(source)
            .max_by_key(|(_, peer)| peer.alternation.order)
            .is_some_and(|(_, peer)| peer.state == MemberState::Failed)
    }

    /// Notes a heartbeat of a member, and returns another life of its node if this shows that both live: each was
    /// heard again after the other, this one twice. Heartbeats less than `spacing` apart count once.
    pub(super) fn take_turn(
        &mut self,
        source: SourceId,
        now: Instant,
        spacing: Duration,
    ) -> Option<Incarnation> {
        let rival = self
            .others_of_node(source)
            .filter(|(_, peer)| peer.state.is_live())
            .max_by_key(|(_, peer)| peer.alternation.order)
            .map(|(other, peer)| (other, peer.alternation.order, peer.alternation.turns));
        self.clock += 1;
        let clock = self.clock;
        let mine = &mut self.get_mut(source)?.alternation;
        if mine.counted.is_some_and(|at| now < at + spacing) {
            return None;
        }
        let before = std::mem::replace(&mut mine.order, clock);
        mine.counted = Some(now);
        mine.beats = mine.beats.saturating_add(1);
        let Some((rival, rival_order, rival_turns)) = rival else {
            // Alone: what happened at an earlier restart says nothing about the next.
            mine.turns = 0;
            return None;
        };
        if before != 0 && rival_order > before {
            mine.turns = mine.turns.saturating_add(1);
        }
        if mine.turns < 2 || rival_turns < 1 {
            return None;
        }
        self.is_new_pair(source, rival.incarnation).then_some(rival.incarnation)
    }

    /// Is this the first time that this source, of one's own node, is seen to live beside oneself? Two heartbeats
    /// prove it: one may be a last word of one's own former life.
    pub(super) fn is_second_self(&mut self, source: SourceId, me: SourceId) -> bool {
        let beats = self.get(source).map_or(0, |peer| peer.alternation.beats);
        source.node == me.node && beats >= 2 && self.is_new_pair(source, me.incarnation)
    }

    fn is_new_pair(&mut self, a: SourceId, b: Incarnation) -> bool {
        let other = SourceId { node: a.node, incarnation: b };
        let told = |peer: &Peer, of: Incarnation| peer.alternation.rivals.contains(&of);
        if self.get(other).is_some_and(|peer| told(peer, a.incarnation)) {
            return false;
        }
        let Some(peer) = self.get_mut(a).filter(|peer| !told(peer, b)) else { return false };
        let rivals = &mut peer.alternation.rivals;
        if rivals.len() >= RIVALS_MAX {
            return false;
        }
        rivals.push(b);
        true
    }

    /// The other lives of the node of `source` that sent heartbeats.
    fn others_of_node(&self, source: SourceId) -> impl Iterator<Item = (SourceId, &Peer)> {
        let at = |node: NodeId, incarnation| SourceId { node, incarnation: Incarnation(incarnation) };
        self.map
            .range(at(source.node, u64::MIN)..=at(source.node, u64::MAX))
            .map(|(other, peer)| (*other, peer))
            .filter(move |(other, peer)| *other != source && peer.info.is_some())
    }
}
