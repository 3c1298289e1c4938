//! The state of the network between the nodes: which links are cut, and what the others do to messages.
//!
//! A pure value with its own random numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

use super::link_faults::{Draw, LinkFaults};
use crate::id::{NAME_BYTES_MAX, check_words};

/// The name of the server, where a space has one: [`Faults`](super::Faults) take it like the name of a node. No
/// node can be called so.
pub const SERVER: &str = "@server";

/// A name within a space, as an index.
pub(super) type NodeIx = usize;

/// The server comes first, whether the space has one or not.
pub(super) const SERVER_IX: NodeIx = 0;

/// How often faults struck, since the space began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Messages that a link lost by [`LinkFaults::loss`]; on the way to the server, one loss is everybody's.
    pub lost: u64,
    /// Messages that a link doubled.
    pub duplicated: u64,
    /// Copies that arrive later than they were sent.
    pub delayed: u64,
    /// Copies that a cut, an isolated node, a crash or the server's end kept from an inbox.
    pub cut: u64,
}

/// The state of the network.
pub(super) struct Network {
    pub(super) has_server: bool,
    pub(super) rng: Rng,
    pub(super) counts: FaultCounts,
    names: BTreeMap<String, NodeIx>,
    everywhere: LinkFaults,
    links: BTreeMap<(NodeIx, NodeIx), LinkFaults>,
    cuts: BTreeSet<(NodeIx, NodeIx)>,
    isolated: BTreeSet<NodeIx>,
    server_is_down: bool,
}

impl Network {
    pub(super) fn new(seed: u64, has_server: bool) -> Self {
        Self {
            has_server,
            rng: Rng::with_seed(seed),
            counts: FaultCounts::default(),
            names: BTreeMap::from([(SERVER.to_owned(), SERVER_IX)]),
            everywhere: LinkFaults::none(),
            links: BTreeMap::new(),
            cuts: BTreeSet::new(),
            isolated: BTreeSet::new(),
            server_is_down: false,
        }
    }

    /// The index of a name, which is new or known.
    ///
    /// # Panics
    /// When nothing in this space can be called so: a script with a slip of the pen would test nothing.
    #[track_caller]
    pub(super) fn ix(&mut self, name: &str) -> NodeIx {
        if let Some(ix) = self.names.get(name) {
            assert!(*ix != SERVER_IX || self.has_server, "this space has no server: see `echo_via_server`");
            return *ix;
        }
        if let Err(error) = check_words("node", name, NAME_BYTES_MAX) {
            panic!("{error}");
        }
        let ix = self.names.len();
        self.names.insert(name.to_owned(), ix);
        ix
    }

    /// Like [`Network::ix`], for what a server cannot do.
    #[track_caller]
    pub(super) fn node_ix(&mut self, name: &str) -> NodeIx {
        let ix = self.ix(name);
        assert!(ix != SERVER_IX, "this needs the name of a node: see `server_down` and `server_up`");
        ix
    }

    pub(super) fn set_everywhere(&mut self, faults: LinkFaults) {
        self.everywhere = faults;
    }

    pub(super) fn set_link(&mut self, from: NodeIx, to: NodeIx, faults: LinkFaults) {
        self.links.insert((from, to), faults);
    }

    pub(super) fn clear_links(&mut self) {
        self.everywhere = LinkFaults::none();
        self.links.clear();
    }

    pub(super) fn cut(&mut self, from: NodeIx, to: NodeIx) {
        self.cuts.insert((from, to));
    }

    pub(super) fn heal(&mut self, from: NodeIx, to: NodeIx) {
        self.cuts.remove(&(from, to));
    }

    pub(super) fn isolate(&mut self, node: NodeIx) {
        self.isolated.insert(node);
    }

    pub(super) fn rejoin(&mut self, node: NodeIx) {
        self.isolated.remove(&node);
    }

    pub(super) fn set_server_down(&mut self, down: bool) {
        self.server_is_down = down;
    }

    pub(super) fn heal_all(&mut self) {
        self.cuts.clear();
        self.isolated.clear();
        self.server_is_down = false;
    }

    /// Does every message arrive at once and once?
    pub(super) fn is_calm(&self) -> bool {
        self.everywhere == LinkFaults::none()
            && self.links.is_empty()
            && self.cuts.is_empty()
            && self.isolated.is_empty()
            && !self.server_is_down
    }

    /// Why a node sees its link down, if it does: only where there is a server whose silence it notices, and only
    /// when it cannot send. One that hears nothing more does not know.
    pub(super) fn why_down(&self, node: NodeIx) -> Option<&'static str> {
        if !self.has_server {
            None
        } else if self.server_is_down {
            Some("the server is down")
        } else if self.is_cut(node, SERVER_IX) {
            Some("the server cannot be reached")
        } else {
            None
        }
    }

    /// Is nothing that `from` sends heard by `to`?
    pub(super) fn is_severed(&self, from: NodeIx, to: NodeIx) -> bool {
        let by_way_of_server = self.has_server
            && (self.server_is_down || self.is_cut(from, SERVER_IX) || self.is_cut(SERVER_IX, to));
        by_way_of_server || self.is_cut(from, to)
    }

    /// Do the hints that `observer` gets know `subject` as present, if it is?
    pub(super) fn is_seen(&self, subject: NodeIx, observer: NodeIx) -> bool {
        if self.has_server {
            !self.server_is_down && !self.is_cut(subject, SERVER_IX)
        } else {
            !self.is_cut(subject, observer)
        }
    }

    /// Can a node be given hints? Between peers each finds out by itself; a server has to reach it.
    pub(super) fn hears_hints(&self, node: NodeIx) -> bool {
        !self.has_server || (self.why_down(node).is_none() && !self.is_cut(SERVER_IX, node))
    }

    fn is_cut(&self, from: NodeIx, to: NodeIx) -> bool {
        self.isolated.contains(&from) || self.isolated.contains(&to) || self.cuts.contains(&(from, to))
    }

    /// Sends one message as far as the point where it is copied for the receivers: the delay of each copy that gets
    /// there. Between peers that is at once.
    pub(super) fn reach_fan_out(&mut self, from: NodeIx) -> Vec<Duration> {
        let mut copies = vec![Duration::ZERO];
        if self.has_server {
            self.pass((from, SERVER_IX), true, &mut copies);
        }
        copies
    }

    /// Sends the copies that got there on to one receiver: the delay of each that arrives. Where there is a server,
    /// a link between two nodes has the faults that were set for it alone.
    pub(super) fn reach_receiver(&mut self, from: NodeIx, to: NodeIx, copies: &[Duration]) -> Vec<Duration> {
        if self.is_severed(from, to) {
            self.counts.cut += copies.len() as u64;
            return Vec::new();
        }
        let mut copies = copies.to_vec();
        if self.has_server {
            self.pass((SERVER_IX, to), true, &mut copies);
        }
        self.pass((from, to), !self.has_server, &mut copies);
        self.counts.delayed += copies.iter().filter(|delay| !delay.is_zero()).count() as u64;
        copies
    }

    fn pass(&mut self, link: (NodeIx, NodeIx), everywhere: bool, copies: &mut Vec<Duration>) {
        let faults = match self.links.get(&link) {
            Some(faults) => faults,
            None if everywhere => &self.everywhere,
            None => return,
        };
        let mut passed = Vec::with_capacity(copies.len());
        for so_far in copies.iter() {
            match faults.draw(&mut self.rng) {
                Draw::Lost => self.counts.lost += 1,
                Draw::Once(delay) => passed.push(*so_far + delay),
                Draw::Twice(one, other) => {
                    self.counts.duplicated += 1;
                    passed.extend([*so_far + one, *so_far + other]);
                }
            }
        }
        *copies = passed;
    }
}
