use super::*;

/// A mesh of node 1, and a clock. The others are called by their numbers.
struct Script {
    mesh: Mesh,
    now: Instant,
}

fn id(number: u8) -> ZenohId {
    ZenohId::try_from([number; 16].as_slice()).unwrap()
}

fn at(number: u8) -> Vec<String> {
    vec![format!("tcp/10.0.0.{number}:7447")]
}

impl Script {
    fn new() -> Self {
        Self { mesh: Mesh::new(id(1)), now: Instant::now() }
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn connected(&mut self, numbers: &[u8]) {
        self.mesh.connections(self.now, numbers.iter().map(|n| id(*n)).collect(), false);
    }

    fn reports(&mut self, from: u8, sees: &[u8]) {
        let sees = sees.iter().map(|n| (id(*n), at(*n))).collect();
        self.mesh.report(self.now, Report { id: id(from), at: at(from), sees });
    }

    /// Whom to try, as numbers.
    fn due(&mut self) -> Vec<u8> {
        let due = self.mesh.due(self.now, 16);
        due.iter().map(|(due, _)| (2..=9).find(|n| id(*n) == *due).unwrap()).collect()
    }

    fn tried(&mut self, number: u8, outcome: Tried) {
        self.mesh.tried(self.now, id(number), outcome);
    }

    fn problem(&self) -> Option<String> {
        self.mesh.problem(self.now)
    }

    /// Three nodes that all see each other.
    fn whole() -> Self {
        let mut script = Self::new();
        script.connected(&[2, 3]);
        script.reports(2, &[1, 3]);
        script.reports(3, &[1, 2]);
        assert_eq!((script.problem(), script.due()), (None, vec![]));
        script
    }
}

#[test]
fn alone_is_well() {
    let script = Script::new();
    assert!(!script.mesh.is_troubled());
    assert_eq!(script.problem(), None);
}

#[test]
fn a_cut_that_others_do_not_have_is_reported_and_tried() {
    let mut script = Script::whole();
    script.pass(10_000);
    script.connected(&[3]);
    assert_eq!(script.due(), [2]);
    script.pass(1);
    script.reports(3, &[1, 2]);
    script.tried(2, Tried::Silent);
    let expected = "connected to 1 of 2 other nodes: not to tcp/10.0.0.2:7447, which others reach";
    assert_eq!(script.problem().as_deref(), Some(expected));
    assert!(script.due().is_empty());
    script.pass(500);
    assert_eq!(script.due(), [2]);
    script.tried(2, Tried::Connected);
    script.connected(&[2, 3]);
    assert_eq!(script.problem(), None);
    assert!(!script.mesh.is_troubled());
}

#[test]
fn a_node_cut_from_all_keeps_trying_all() {
    let mut script = Script::whole();
    script.connected(&[]);
    assert_eq!(script.due(), [2, 3]);
    for number in [2, 3] {
        script.tried(number, Tried::Silent);
    }
    let problem = script.problem().unwrap();
    assert_eq!(problem, "connected to 0 of 2 other nodes: not to tcp/10.0.0.2:7447, and 1 more");
    // For minutes, at most five seconds apart.
    for _ in 0..60 {
        script.pass(5_000);
        script.connected(&[]);
        assert_eq!(script.due(), [2, 3]);
        script.tried(2, Tried::Silent);
        script.tried(3, Tried::Silent);
    }
    // But not for ever: a machine that was taken away is not a fault of the mesh.
    script.pass(600_000);
    script.connected(&[]);
    assert_eq!((script.problem(), script.due()), (None, vec![]));
}

#[test]
fn a_process_that_ended_is_no_fault_of_the_mesh() {
    let mut script = Script::whole();
    script.connected(&[3]);
    assert_eq!(script.problem(), None, "before the first try nothing is known");
    script.tried(2, Tried::Refused);
    // The other survivor may have been asked just before it noticed; what it says then is soon outdated.
    script.reports(3, &[1, 2]);
    assert_eq!(script.problem(), None);
    for _ in 0..6 {
        script.pass(500);
        script.reports(3, &[1]);
        assert_eq!(script.problem(), None);
    }
    script.connected(&[3]);
    assert_eq!((script.problem(), script.due()), (None, vec![]));
    assert!(!script.mesh.is_troubled());
}

#[test]
fn a_refusal_does_not_count_while_others_see_the_node() {
    let mut script = Script::whole();
    script.connected(&[3]);
    script.pass(1);
    script.reports(3, &[1, 2]);
    script.tried(2, Tried::Refused);
    // The other may not have noticed yet that a process has ended.
    assert_eq!(script.problem(), None);
    script.pass(500);
    assert_eq!(script.due(), [2]);
    script.reports(3, &[1, 2]);
    script.tried(2, Tried::Refused);
    assert_eq!(script.problem(), None);
    script.pass(1_500);
    script.reports(3, &[1, 2]);
    assert!(script.problem().unwrap().starts_with("connected to 1 of 2 other nodes"));
}

#[test]
fn a_node_that_just_started_is_given_time() {
    let mut script = Script::whole();
    script.reports(2, &[1, 3, 4]);
    assert_eq!((script.problem(), script.due()), (None, vec![]));
    script.pass(1_000);
    script.connected(&[2, 3, 4]);
    script.pass(5_000);
    assert_eq!((script.problem(), script.due()), (None, vec![]));
}

#[test]
fn a_node_that_was_never_connected_is_helped() {
    let mut script = Script::whole();
    script.reports(2, &[1, 3, 4]);
    script.pass(2_000);
    script.reports(2, &[1, 3, 4]);
    assert_eq!(script.due(), [4]);
    assert!(script.problem().unwrap().starts_with("connected to 2 of 3 other nodes"));
    // Nobody sees it any more: it has gone.
    script.pass(1_600);
    script.reports(2, &[1, 3]);
    script.connected(&[2, 3]);
    assert_eq!((script.problem(), script.due()), (None, vec![]));
}

#[test]
fn a_way_over_a_router_is_a_way() {
    let mut script = Script::whole();
    script.mesh.connections(script.now, BTreeSet::from([id(9)]), true);
    script.pass(10_000);
    assert_eq!((script.problem(), script.due()), (None, vec![]));
}

#[test]
fn strangers_and_what_is_said_of_oneself_count_for_nothing() {
    let mut script = Script::whole();
    script.connected(&[2, 3, 7]);
    script.connected(&[2, 3]);
    assert!(!script.mesh.is_troubled(), "7 never answered as a member");
    script.reports(8, &[9]);
    script.reports(1, &[9]);
    script.pass(3_000);
    assert_eq!((script.problem(), script.due()), (None, vec![]));
}

#[test]
fn members_are_bounded() {
    let mut script = Script::new();
    script.connected(&[2]);
    let many = (0..3000u32).map(|n| {
        let mut bytes = [9; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        (ZenohId::try_from(bytes.as_slice()).unwrap(), at(9))
    });
    script.mesh.report(script.now, Report { id: id(2), at: at(2), sees: many.collect() });
    assert_eq!(script.mesh.members.len(), MEMBERS_MAX);
}

#[test]
fn one_try_at_a_time_and_not_too_many_at_once() {
    let mut script = Script::whole();
    script.connected(&[]);
    assert_eq!(script.mesh.due(script.now, 1).len(), 1);
    assert_eq!(script.due(), [3]);
    script.pass(2_000);
    assert!(script.due().is_empty(), "the first tries are still under way");
    assert!(script.problem().unwrap().starts_with("connected to 0 of 2 other nodes"), "which takes long");
    script.tried(2, Tried::Silent);
    script.pass(500);
    assert_eq!(script.due(), [2]);
}
