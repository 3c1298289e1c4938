//! Bounds and views.

use super::*;
use crate::membership::detector::script::Action;

fn one_of_many(n: u64) -> MemberInfo {
    let mut info = info("b");
    info.source.incarnation = Incarnation(n);
    info
}

#[test]
fn a_heartbeat_under_a_name_that_is_not_its_nodes_is_dropped_and_counted() {
    let mut run = Run::new(MembershipConfig::default(), false);
    let now = run.instant(0);
    run.detector.handle_heartbeat(now, MemberInfo { name: NodeName::new("c").unwrap(), ..info("b") });
    assert_eq!(run.detector.poll_event(), None);
    assert_eq!((run.detector.misnamed(), run.detector.members().len()), (1, 0));
}

#[test]
fn beyond_the_bound_tombstones_go_first_and_the_living_never() {
    let mut run = Run::new(MembershipConfig::default(), true);
    let now = run.instant(0);
    let most = u64::try_from(MEMBERS_MAX).unwrap();
    let detector = &mut run.detector;
    for n in 1..=most {
        detector.handle_heartbeat(now, one_of_many(n));
    }
    assert_eq!((detector.rejected(), detector.alive_count()), (0, MEMBERS_MAX));
    // Full of the living: whoever comes is dropped, and the engine still hears of a leave.
    detector.handle_heartbeat(now, one_of_many(most + 1));
    detector.observe(now, one_of_many(most + 2).source);
    while detector.poll_event().is_some() {}
    let stranger = one_of_many(most + 3).source;
    detector.handle_leave(now, stranger);
    assert_eq!(detector.poll_event(), Some(Output::Verdict(Verdict::Left(stranger))));
    assert_eq!((detector.rejected(), detector.alive_count()), (3, MEMBERS_MAX));
    // Two leave; the one that left first makes room.
    detector.handle_leave(now, one_of_many(7).source);
    detector.handle_leave(now + std::time::Duration::from_secs(1), one_of_many(5).source);
    detector.handle_heartbeat(now, one_of_many(most + 1));
    assert_eq!((detector.rejected(), detector.alive_count()), (3, MEMBERS_MAX - 1));
    assert_eq!(detector.member(one_of_many(7).source), None);
    assert_eq!(detector.member(one_of_many(5).source).unwrap().state, MemberState::Left);
}

#[test]
fn views_tell_the_living_from_the_others() {
    let stream = StreamId(7);
    let topic = |stream, publishes| TopicState { stream, settings: 1, publishes };
    let mut run = Run::new(MembershipConfig::default(), true);
    let now = run.instant(0);
    let detector = &mut run.detector;
    for (who, topics) in [
        ("b", vec![topic(StreamId(6), true), topic(stream, true)]),
        ("c", vec![topic(stream, false)]),
        ("d", vec![topic(stream, true)]),
        ("e", vec![]),
    ] {
        detector.handle_heartbeat(now, MemberInfo { topics, ..info(who) });
    }
    detector.observe(now, source("f"));
    detector.handle_leave(now, source("d"));
    assert_eq!(detector.publishers_of(stream).collect::<Vec<_>>(), [source("b")]);
    assert_eq!(detector.alive_count(), 3);
    assert_eq!(detector.members().len(), 4, "the source without a name is no member");
    // What a member that left had said stays known: its silence on a topic must still be told there.
    assert!(detector.member(source("d")).unwrap().info.topics[0].publishes);
    assert_eq!(detector.member(source("f")), None);
}

#[test]
fn why_verdicts_are_frozen_is_shown() {
    let mut run = Run::new(MembershipConfig::default(), true);
    let now = run.instant(0);
    let detector = &mut run.detector;
    assert_eq!(detector.frozen(), Some(Frozen::NoEcho));
    detector.handle_heartbeat(now, info("a"));
    assert_eq!(detector.frozen(), None);
    detector.handle_link(now, false);
    assert_eq!(detector.frozen(), Some(Frozen::LinkDown));

    let mut run = Run::new(MembershipConfig::default(), false);
    run.play(vec![(0, Action::Hear("b".into())), (9000, Action::End)]);
    assert_eq!(run.detector.frozen(), Some(Frozen::Isolated));
}
