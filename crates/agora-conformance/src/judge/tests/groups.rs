//! What the members of a group owe.

use agora_core::ErrorKind;
use agora_core::transport::Settle;

use super::story::{A, B, C, Story, T, data_from, send, value};
use super::{Case, ms, run_on};
use crate::history::{Entry, GroupWhat, How, Life, LogWhat, Sub, What};
use crate::judge::groups::check;
use crate::sim::{Profile, Sharing};

fn tell<const N: usize>(story: &mut Story, at: u64, whats: [What; N]) {
    story.history.entries.extend(whats.map(|what| Entry { at: ms(at), what }));
}

fn given(by: Life, token: u64, seq: u64) -> What {
    let (of, end, attempt) = (Some(A), seq + 1, 1);
    What::Group(GroupWhat::Given { by, token, attempt, of, seq, end })
}

fn begin(member: u32, seq: u64, attempt: u32) -> What {
    let (member, of, value) = (Sub(member), Some(A), Some(value(A, seq)));
    What::Group(GroupWhat::Begin { member, of, seq, value, attempt })
}

fn end(member: u32, seq: u64, attempt: u32, how: How) -> What {
    What::Group(GroupWhat::End { member: Sub(member), of: Some(A), seq, attempt, how })
}

fn ack(by: Life, token: u64) -> What {
    What::Group(GroupWhat::Settle(by, token, Settle::Ack))
}

fn joined(member: u32, life: Life) -> [What; 2] {
    let member = Sub(member);
    [What::Group(GroupWhat::Join(member, life, T)), What::Group(GroupWhat::Joined(member, Ok(())))]
}

/// The first event is done, the second fails thrice and is buried, the third is done by a member that crashes before it
/// says so, and again by the other.
fn right() -> Story {
    let mut story = Story::right();
    story.history.entries.clear();
    let plan = &mut story.plan;
    (plan.topics, plan.logs, plan.profile) = (0, 1, Profile::Groups);
    plan.group = Some(Sharing { lanes: false, each: true });
    let s = &mut story;
    tell(s, 0, [What::Start(A), What::Start(B), What::Start(C)]);
    for seq in 1..=3 {
        let (wires, formed) = ([data_from(A, seq, seq)], [(seq, Some(value(A, seq)))]);
        tell(s, 50, [send(A, seq, &wires, &formed)]);
    }
    tell(s, 100, joined(0, B));
    tell(s, 100, joined(1, C));
    tell(s, 200, [given(B, 1, 1), begin(0, 1, 1)]);
    tell(s, 210, [end(0, 1, 1, How::Done), ack(B, 1)]);
    tell(s, 300, [given(B, 2, 2)]);
    for attempt in 1..=3 {
        let at = 300 + 100 * u64::from(attempt);
        tell(s, at, [begin(0, 2, attempt)]);
        tell(s, at + 10, [end(0, 2, attempt, How::Failed)]);
    }
    tell(s, 620, [What::Group(GroupWhat::Buried(B, Some(A), 2, true))]);
    tell(s, 630, [ack(B, 2)]);
    tell(s, 700, [given(B, 3, 3), begin(0, 3, 1)]);
    tell(s, 710, [end(0, 3, 1, How::Done), What::Crash(B)]);
    tell(s, 3_000, [given(C, 4, 3), begin(1, 3, 1)]);
    tell(s, 3_010, [end(1, 3, 1, How::Done), ack(C, 4)]);
    tell(s, 20_000, [What::Healed]);
    tell(s, 21_000, [What::Probing]);
    for seq in 1..=3 {
        let (at, since, of, end, floor) = (seq - 1, ms(50), Some(A), seq + 1, seq);
        tell(s, 23_000, [What::Log(LogWhat::Stored { topic: T, at, since, of, seq, end, floor })]);
    }
    story
}

#[test]
fn what_a_group_owes_is_judged() {
    let cases: &[Case] = &[
        ("nothing is changed", |_| {}, None),
        (
            "an event that nobody handles",
            |s| {
                ["s1 begins n0.1 3", "s1 ends n0.1 3", "s0 begins n0.1 3", "s0 ends n0.1 3"]
                    .iter()
                    .for_each(|part| s.remove(part));
            },
            Some("n0.1 3 was neither done nor buried by anyone"),
        ),
        (
            "acknowledged before it is done",
            |s| s.shift("n1.1 settles #1", 205),
            Some("n1.1 acknowledges n0.1 1, which is neither done nor buried"),
        ),
        (
            "acknowledged before it is buried",
            |s| s.shift("n1.1 settles #2", 615),
            Some("n1.1 acknowledges n0.1 2, which is neither done nor buried"),
        ),
        (
            "acknowledged, and the dead letter was not stored",
            |s| s.replace("n1.1 buried", What::Group(GroupWhat::Buried(B, Some(A), 2, false))),
            Some("n1.1 acknowledges n0.1 2, which is neither done nor buried"),
        ),
        (
            "acknowledged by another than did it",
            |s| s.replace("s1 ends n0.1 3", end(1, 3, 1, How::Failed)),
            Some("n2.1 acknowledges n0.1 3, which is neither done nor buried"),
        ),
        (
            "acknowledged by whom it was not given",
            |s| s.add(4_000, ack(C, 9)),
            Some("n2.1 acknowledges #9, which it was not given"),
        ),
        (
            "done, and begun again by the same member",
            |s| s.add(650, begin(0, 1, 1)),
            Some("s0 begins n0.1 1 again, which it has settled"),
        ),
        (
            "done, and begun by another although it was given out once",
            |s| s.add(4_000, begin(1, 1, 1)),
            Some("s1 begins n0.1 1, which was finished and given out once only"),
        ),
        (
            "begun before it was given out",
            |s| s.shift("n1.1 is given #1", 205),
            Some("s0 begins n0.1 1, which was never given out"),
        ),
        (
            "tried too often",
            |s| {
                s.add(612, begin(0, 2, 4));
                s.add(613, end(0, 2, 4, How::Failed));
            },
            Some("s0 begins n0.1 2 for the 4th time"),
        ),
        (
            "two of one key at the same time",
            |s| {
                let formed = (4..=6).map(|seq| (seq, Some(value(A, seq))));
                let wires: Vec<_> = (4..=6).map(|seq| data_from(A, seq, seq)).collect();
                s.add(60, send(A, 9, &wires, &formed.collect::<Vec<_>>()));
                s.add(201, given(B, 6, 6));
                s.add(202, begin(0, 6, 1));
            },
            Some("s0 begins n0.1/t0/6 while it works on n0.1 1 of the same key"),
        ),
        (
            "a member that ends although its node goes on",
            |s| s.add(5_000, What::Group(GroupWhat::Left(Sub(1), Err(ErrorKind::Backend)))),
            Some("s1 is no longer a member (backend), although its node goes on"),
        ),
        (
            "another content",
            |s| {
                let (member, of, value) = (Sub(1), Some(A), Some(value(A, 2)));
                let what = GroupWhat::Begin { member, of, seq: 3, value, attempt: 1 };
                s.replace("s1 begins n0.1 3", What::Group(what));
            },
            Some("s1 got n0.1/t0/2 as n0.1 3"),
        ),
    ];
    run_on(right, check, cases);
}
