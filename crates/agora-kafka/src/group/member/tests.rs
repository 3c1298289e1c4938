use proptest::prelude::*;

use super::super::words::Leads;
use super::*;

const SESSION: Duration = Duration::from_secs(9);
const REBALANCE: Duration = Duration::from_secs(30);

/// A member, and the time since it was made.
struct Scene {
    member: Member,
    now: Instant,
}

impl Scene {
    fn new(is_static: bool) -> Self {
        let now = Instant::now();
        let member = Member::new(now, Terms { session: SESSION, rebalance: REBALANCE, is_static });
        Self { member, now }
    }

    /// What it asks for, in words.
    fn asks(&mut self) -> Vec<String> {
        self.member.handle_timeout(self.now);
        let word = |ask: Ask| match ask {
            Ask::Join { member, session, .. } => format!("join as {member:?} for {}", session.as_secs()),
            Ask::Bounds { .. } => "bounds".into(),
            Ask::Sync { joined, .. } if joined.leads.is_some() => format!("lead {}", joined.seat.generation),
            Ask::Sync { joined, .. } => format!("sync {}", joined.seat.generation),
            Ask::Beat { seat } => format!("beat {}", seat.generation),
            Ask::Take { lanes, .. } => format!("take {lanes:?}"),
            Ask::GiveBack => "give back".into(),
            Ask::Lose => "lose".into(),
            Ask::Leave { member } => format!("leave {member}"),
            Ask::Fail(error) => format!("fail {:?}", error.kind()),
        };
        std::iter::from_fn(|| self.member.poll()).map(word).collect()
    }

    fn wait(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.asks()
    }

    fn joined(&mut self, member: &str, generation: i32, leads: bool) -> Vec<String> {
        let seat = Seat { member: member.into(), generation };
        let leads = leads.then(|| Leads { members: Vec::new(), is_settled: false });
        let joined = Joined { seat, protocol: "range".into(), leads };
        self.member.handle_joined(self.now, self.member.round, Ok(joined));
        self.asks()
    }

    fn refused(&mut self, code: Code, named: &str) -> Vec<String> {
        let trouble = Trouble::Refused(refusal(code), Some(named.into()));
        self.member.handle_joined(self.now, self.member.round, Err(trouble));
        self.asks()
    }

    fn synced(&mut self, synced: Result<&[i32], Trouble>) -> Vec<String> {
        let synced = synced.map(|lanes| lanes.iter().copied().collect());
        self.member.handle_synced(self.now, self.member.round, synced);
        self.asks()
    }

    fn beat(&mut self, beat: Result<(), Trouble>) -> Vec<String> {
        let seat = self.member.seat.clone();
        self.member.handle_beat(self.now, &seat, beat);
        self.asks()
    }

    fn given_back(&mut self) -> Vec<String> {
        self.member.handle_given_back(self.now);
        self.asks()
    }

    /// In the group, with the lanes 0 and 1.
    fn stable(is_static: bool, leads: bool) -> Self {
        let mut scene = Self::new(is_static);
        scene.asks();
        scene.joined("m", 3, leads);
        assert_eq!(scene.synced(Ok(&[0, 1])), ["take {0, 1}"]);
        scene
    }
}

fn refusal(code: Code) -> Refusal {
    Refusal::check(code.code()).unwrap_err()
}

fn no(code: Code) -> Trouble {
    Trouble::Refused(refusal(code), None)
}

#[test]
fn it_joins_under_the_name_it_is_given_waits_for_its_part_and_says_that_it_is_there() {
    let mut scene = Scene::new(false);
    assert_eq!(scene.asks(), ["join as \"\" for 9"]);
    assert_eq!(scene.refused(Code::MemberIdRequired, "m"), ["join as \"m\" for 9"]);
    assert_eq!(scene.joined("m", 3, true), ["lead 3"]);
    assert_eq!(scene.synced(Ok(&[0, 1])), ["take {0, 1}"]);
    assert_eq!(scene.wait(SESSION / 3), ["beat 3"]);
    assert_eq!(scene.wait(SESSION / 3), [""; 0], "the last one is not answered");
    assert_eq!(scene.beat(Ok(())), ["beat 3"]);
}

#[test]
fn what_it_has_is_given_back_before_it_joins_anew() {
    let mut scene = Scene::stable(false, false);
    scene.wait(SESSION / 3);
    assert_eq!(scene.beat(Err(no(Code::RebalanceInProgress))), ["give back"]);
    assert_eq!(scene.wait(SESSION / 3), ["beat 3"], "it is there all the while");
    assert_eq!(scene.beat(Err(no(Code::RebalanceInProgress))), [""; 0]);
    assert_eq!(scene.given_back(), ["join as \"m\" for 9"]);
    assert_eq!(scene.joined("m", 4, false), ["sync 4"]);
    assert_eq!(scene.synced(Ok(&[])), [""; 0]);
    scene.wait(SESSION / 3);
    assert_eq!(scene.beat(Err(no(Code::RebalanceInProgress))), ["join as \"m\" for 9"], "it has nothing");
}

#[test]
fn who_takes_too_long_loses_what_it_has() {
    let mut scene = Scene::stable(false, false);
    scene.wait(SESSION / 3);
    scene.beat(Err(no(Code::RebalanceInProgress)));
    let asks = scene.wait(REBALANCE - SESSION / 3);
    assert_eq!(asks, ["lose", "join as \"m\" for 9"]);
    assert_eq!(scene.given_back(), [""; 0]);
}

#[test]
fn a_refusal_costs_what_it_must() {
    let again = "join as \"m\" for 9";
    let table: &[(Code, &[&str])] = &[
        (Code::UnknownMemberId, &["lose", "join as \"\" for 9"]),
        (Code::IllegalGeneration, &["lose", again]),
        (Code::FencedInstanceId, &["lose", "fail Conflict"]),
        (Code::GroupAuthorizationFailed, &["lose", "fail Unauthorized"]),
        (Code::NotCoordinator, &[]),
        (Code::CoordinatorNotAvailable, &[]),
        (Code::CoordinatorLoadInProgress, &[]),
    ];
    for (code, expected) in table {
        let mut scene = Scene::stable(false, false);
        scene.wait(SESSION / 3);
        assert_eq!(scene.beat(Err(no(*code))), *expected, "a heartbeat: {code:?}");
        let mut scene = Scene::stable(false, false);
        let seat = scene.member.seat.clone();
        scene.member.handle_trouble(scene.now, &seat, no(*code));
        assert_eq!(scene.asks(), *expected, "a commit: {code:?}");
    }
}

#[test]
fn a_coordinator_that_is_gone_is_asked_for_soon_and_nothing_is_lost() {
    let mut scene = Scene::stable(false, false);
    scene.wait(SESSION / 3);
    for trouble in [Trouble::Silence, no(Code::NotCoordinator)] {
        assert_eq!(scene.beat(Err(trouble)), [""; 0]);
        assert_eq!(scene.wait(BEAT_AGAIN), ["beat 3"]);
    }
}

#[test]
fn a_coordinator_that_goes_while_others_join_is_not_waited_for() {
    let mut scene = Scene::new(false);
    scene.asks();
    scene.refused(Code::MemberIdRequired, "m");
    assert_eq!(scene.wait(SESSION / 3), ["beat -1"]);
    assert_eq!(scene.beat(Err(no(Code::UnknownMemberId))), [""; 0], "it waits to be known");
    assert_eq!(scene.wait(SESSION / 3), ["beat -1"]);
    assert_eq!(scene.beat(Err(Trouble::Silence)), [""; 0]);
    assert_eq!(scene.wait(BACKOFF.0), ["join as \"m\" for 9"]);
}

#[test]
fn the_session_timeout_is_what_the_brokers_allow() {
    let second = Duration::from_secs;
    for (bounds, taken) in [
        (Some((second(12), second(60))), 12),
        (Some((second(1), second(4))), 4),
        (Some((second(60), second(1))), 60),
        (None, 9),
    ] {
        let mut scene = Scene::new(false);
        scene.asks();
        assert_eq!(scene.refused(Code::InvalidSessionTimeout, ""), ["bounds"]);
        scene.member.handle_bounds(scene.now, scene.member.round, bounds);
        assert_eq!(scene.asks(), [format!("join as \"\" for {taken}")], "{bounds:?}");
        assert_eq!(scene.refused(Code::InvalidSessionTimeout, ""), ["fail Config"], "once");
    }
}

#[test]
fn who_keeps_its_place_goes_without_a_word() {
    let mut scene = Scene::stable(true, false);
    scene.member.handle_leave();
    assert_eq!(scene.asks(), [""; 0]);
    let mut scene = Scene::stable(false, false);
    scene.member.handle_leave();
    assert_eq!(scene.asks(), ["leave m"]);
    assert_eq!(scene.wait(SESSION), [""; 0]);
}

#[test]
fn the_leader_has_it_shared_out_anew_where_there_is_more() {
    let mut leader = Scene::stable(false, true);
    leader.member.handle_grown(leader.now);
    assert_eq!(leader.asks(), ["give back"]);
    let mut other = Scene::stable(false, false);
    other.member.handle_grown(other.now);
    assert_eq!(other.asks(), [""; 0]);
}

#[test]
fn a_broker_that_always_refuses_is_not_asked_in_a_circle() {
    let mut scene = Scene::new(false);
    scene.asks();
    let mut prompt = 0;
    for _ in 0..20 {
        prompt += usize::from(!scene.refused(Code::UnknownMemberId, "").is_empty());
        scene.wait(BACKOFF.1);
    }
    assert_eq!(prompt, PROMPT_MAX as usize);
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Joined(bool),
    JoinFails(Option<Code>),
    Synced(u8),
    SyncFails(Option<Code>),
    Beat(Option<Code>),
    Trouble(Option<Code>),
    GivenBack,
    Grown,
    Leave,
}

fn step() -> impl Strategy<Value = Step> {
    let codes = [
        Code::UnknownMemberId,
        Code::IllegalGeneration,
        Code::RebalanceInProgress,
        Code::NotCoordinator,
        Code::CoordinatorLoadInProgress,
        Code::MemberIdRequired,
        Code::InvalidSessionTimeout,
    ];
    let code = proptest::option::of(proptest::sample::select(codes.to_vec()));
    prop_oneof![
        8 => (0..4000_u64).prop_map(Step::Wait),
        6 => any::<bool>().prop_map(Step::Joined),
        2 => code.clone().prop_map(Step::JoinFails),
        6 => (0..3_u8).prop_map(Step::Synced),
        2 => code.clone().prop_map(Step::SyncFails),
        4 => code.clone().prop_map(Step::Beat),
        2 => code.prop_map(Step::Trouble),
        4 => Just(Step::GivenBack),
        1 => Just(Step::Grown),
        1 => Just(Step::Leave),
    ]
}

proptest! {
    /// Whatever is answered, and when: lanes are given back or lost before there are others, nobody joins with lanes, and
    /// there is always something that it waits for.
    #[test]
    fn it_never_joins_with_lanes_and_never_gets_stuck(steps in proptest::collection::vec(step(), 0..80)) {
        let mut scene = Scene::new(false);
        let (mut has_lanes, mut is_over, mut is_returning) = (false, false, false);
        let trouble = |code: Option<Code>| code.map_or(Trouble::Silence, |code| {
            Trouble::Refused(refusal(code), Some("m".into()))
        });
        for step in steps {
            let (now, round, seat) = (scene.now, scene.member.round, scene.member.seat.clone());
            let member = &mut scene.member;
            match step {
                Step::Wait(millis) => scene.now += Duration::from_millis(millis),
                Step::Joined(leads) => {
                    let leads = leads.then(|| Leads { members: Vec::new(), is_settled: false });
                    let seat = Seat { member: "m".into(), generation: round as i32 };
                    member.handle_joined(now, round, Ok(Joined { seat, protocol: "range".into(), leads }));
                }
                Step::JoinFails(code) => {
                    member.handle_joined(now, round, Err(trouble(code)));
                    member.handle_bounds(now, member.round, None);
                }
                Step::Synced(lanes) => member.handle_synced(now, round, Ok((0..lanes.into()).collect())),
                Step::SyncFails(code) => member.handle_synced(now, round, Err(trouble(code))),
                Step::Beat(code) => member.handle_beat(now, &seat, code.map_or(Ok(()), |code| Err(no(code)))),
                Step::Trouble(code) => member.handle_trouble(now, &seat, trouble(code)),
                Step::GivenBack => {
                    if std::mem::take(&mut is_returning) {
                        has_lanes = false;
                    }
                    member.handle_given_back(now);
                }
                Step::Grown => member.handle_grown(now),
                Step::Leave => member.handle_leave(),
            }
            scene.member.handle_timeout(scene.now);
            while let Some(ask) = scene.member.poll() {
                prop_assert!(!is_over || matches!(ask, Ask::Leave { .. }), "{ask:?} after the end");
                match ask {
                    Ask::Join { .. } | Ask::Bounds { .. } | Ask::Sync { .. } => {
                        prop_assert!(!has_lanes, "{ask:?} with lanes");
                    }
                    Ask::Take { .. } => {
                        prop_assert!(!has_lanes);
                        has_lanes = true;
                    }
                    Ask::GiveBack => {
                        prop_assert!(has_lanes && !is_returning);
                        is_returning = true;
                    }
                    Ask::Lose => {
                        prop_assert!(has_lanes);
                        (has_lanes, is_returning) = (false, false);
                    }
                    Ask::Leave { .. } | Ask::Fail(_) => is_over = true,
                    Ask::Beat { ref seat } => prop_assert!(!seat.member.is_empty()),
                }
            }
            is_over |= scene.member.state == State::Over;
            let waits = matches!(scene.member.state, State::Joining | State::Bounded | State::Syncing);
            prop_assert!(is_over || waits || scene.member.is_beating || scene.member.poll_timeout().is_some());
            prop_assert!(scene.member.poll_timeout().is_none_or(|due| is_over || due > scene.now));
        }
    }
}
