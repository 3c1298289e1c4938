//! Who is connected, and what that means for the link.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use agora_core::transport::Link;
use zenoh::session::ZenohId;

use crate::config::Mode;

/// The connections of this session. No clock and no I/O: what happened comes in, the link's state comes out.
#[derive(Debug)]
pub(crate) struct Connections {
    mode: Mode,
    /// Were there endpoints to connect to?
    endpoints: usize,
    connected: BTreeSet<ZenohId>,
    /// Those that were connected once, so that a return can be told from an arrival.
    former: BTreeSet<ZenohId>,
    /// Those whose connection lost a link, and since when; most of them end with it.
    torn: BTreeMap<ZenohId, Instant>,
    /// What the watchdog says of the mesh.
    mesh: Option<String>,
}

/// The most former connections that are remembered; beyond it the memory starts anew, and a return of one that was
/// forgotten looks like an arrival.
const FORMER_MAX: usize = 4096;
/// A connection that lost a link and goes on for so long does not end with it.
const TORN_AFTER: Duration = Duration::from_millis(500);

impl Connections {
    pub(crate) fn new(mode: Mode, endpoints: usize) -> Self {
        let (connected, former, torn) = Default::default();
        Self { mode, endpoints, connected, former, torn, mesh: None }
    }

    /// A connection was made. Was it one that had been lost?
    pub(crate) fn opened(&mut self, peer: ZenohId) -> bool {
        self.torn.remove(&peer);
        self.connected.insert(peer) && self.former.remove(&peer)
    }

    /// A connection was lost.
    pub(crate) fn closed(&mut self, peer: ZenohId) {
        self.torn.remove(&peer);
        if self.connected.remove(&peer) {
            if self.former.len() >= FORMER_MAX {
                self.former.clear();
            }
            self.former.insert(peer);
        }
    }

    /// A link below a connection was lost: the connection ends too, or goes on over another link.
    pub(crate) fn link_lost(&mut self, now: Instant, peer: ZenohId) {
        if self.connected.contains(&peer) {
            self.torn.entry(peer).or_insert(now);
        }
    }

    /// The connections that lost a link and go on without it, each told once. What was on its way there is gone, and
    /// nothing tells. Worse: where the other side gave the connection up first and dialled anew, zenoh joins the new
    /// link to what is the old connection here, and drops all that comes until the other's new numbers have overtaken
    /// its old ones.
    pub(crate) fn torn(&mut self, now: Instant) -> Vec<ZenohId> {
        let due = |since: &Instant| now.saturating_duration_since(*since) >= TORN_AFTER;
        let torn = self.torn.iter().filter(|(_, since)| due(since)).map(|(peer, _)| *peer).collect();
        self.torn.retain(|_, since| !due(since));
        torn
    }

    /// Takes what the watchdog says of the mesh.
    pub(crate) fn mesh(&mut self, problem: Option<String>) {
        self.mesh = problem;
    }

    /// What is wrong now, and whether it is so bad that nothing can be sent; `None` where nothing is.
    fn problem(&self) -> Option<(bool, String)> {
        if let Some(mesh) = &self.mesh {
            return Some((false, mesh.clone()));
        }
        if !self.connected.is_empty() {
            return None;
        }
        match self.mode {
            Mode::Client => Some((true, "not connected to any router".into())),
            _ if self.endpoints > 0 => {
                Some((false, format!("connected to none of the {} endpoints configured", self.endpoints)))
            }
            // The first peer of a cluster is alone, and that is fine.
            _ => None,
        }
    }

    /// The state of the link, which keeps its beginning as long as it stays as bad as it was.
    pub(crate) fn link(&self, before: &Link, now: SystemTime) -> Link {
        match self.problem() {
            None => Link::Up,
            Some((true, why)) => before.down(why, now),
            Some((false, why)) => before.degraded(why, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> ZenohId {
        ZenohId::try_from([byte; 16].as_slice()).unwrap()
    }

    fn shown(connections: &Connections) -> String {
        match connections.link(&Link::Up, SystemTime::UNIX_EPOCH) {
            Link::Up => "up".into(),
            Link::Degraded { why, .. } => format!("degraded: {why}"),
            Link::Down { why, .. } => format!("down: {why}"),
        }
    }

    #[test]
    fn what_having_nobody_means_depends_on_the_mode() {
        for (mode, endpoints, expected) in [
            (Mode::Peer, 0, "up"),
            (Mode::Router, 0, "up"),
            (Mode::Peer, 3, "degraded: connected to none of the 3 endpoints configured"),
            (Mode::Client, 1, "down: not connected to any router"),
            (Mode::Client, 0, "down: not connected to any router"),
        ] {
            let mut connections = Connections::new(mode, endpoints);
            assert_eq!(shown(&connections), expected);
            connections.opened(id(1));
            assert_eq!(shown(&connections), "up");
            connections.closed(id(1));
            assert_eq!(shown(&connections), expected);
        }
    }

    #[test]
    fn a_hole_in_the_mesh_degrades_the_link() {
        let mut connections = Connections::new(Mode::Peer, 0);
        connections.opened(id(1));
        connections.mesh(Some("connected to 1 of 2".into()));
        assert_eq!(shown(&connections), "degraded: connected to 1 of 2");
        connections.mesh(None);
        assert_eq!(shown(&connections), "up");
    }

    #[test]
    fn a_connection_that_outlives_its_link_is_torn_and_one_that_ends_with_it_is_not() {
        let mut connections = Connections::new(Mode::Peer, 0);
        let now = Instant::now();
        for peer in [1, 2, 3] {
            connections.opened(id(peer));
        }
        for peer in [1, 2, 3, 4] {
            connections.link_lost(now, id(peer));
        }
        assert!(connections.torn(now + TORN_AFTER / 2).is_empty(), "all of them may be about to end");
        connections.closed(id(2));
        connections.closed(id(3));
        connections.opened(id(3));
        assert_eq!(connections.torn(now + TORN_AFTER), [id(1)], "2 ended, 3 is new, 4 was never connected");
        assert!(connections.torn(now + 2 * TORN_AFTER).is_empty(), "once");
    }

    #[test]
    fn only_a_return_is_a_return() {
        let mut connections = Connections::new(Mode::Peer, 0);
        assert!(!connections.opened(id(1)), "an arrival");
        assert!(!connections.opened(id(1)), "told twice");
        connections.closed(id(2));
        assert!(!connections.opened(id(2)), "it was never here");
        connections.closed(id(1));
        assert!(connections.opened(id(1)));
        assert!(!connections.opened(id(1)));
    }

    #[test]
    fn a_trouble_keeps_its_beginning() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut connections = Connections::new(Mode::Peer, 0);
        connections.mesh(Some("connected to 1 of 2".into()));
        let first = connections.link(&Link::Up, at(1));
        connections.mesh(Some("connected to 0 of 2".into()));
        let second = connections.link(&first, at(2));
        assert_eq!(second, Link::Degraded { since: at(1), why: "connected to 0 of 2".into() });
        connections.mesh(None);
        assert_eq!(connections.link(&second, at(3)), Link::Up);
    }
}
