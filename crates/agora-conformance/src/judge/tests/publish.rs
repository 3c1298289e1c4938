//! Outcomes are true, sequences are without a break, and what failed is sent again in order.

use agora_core::ErrorKind;

use super::story::{A, A2, B, C, Story, T, data, data_from, head, send, sent, value};
use super::{Case, ms, run, said};
use crate::history::{What, Wire};
use crate::judge::publish::check;
use crate::sim::Profile;

#[test]
fn an_outcome_that_is_not_true_is_found() {
    let cases: &[Case] = &[
        ("nothing is changed", |_| {}, None),
        (
            "a receipt with another sequence",
            |s| s.replace("published n0.1/t0/2 as 2", What::Published(value(A, 2), Ok(Some(3)))),
            Some("n0.1/t0/2 was published as 3, but formed as Some(2)"),
        ),
        (
            "a receipt for what the transport refused",
            |s| s.replace("n0.1 sent #16:", sent(A, 16, Some(ErrorKind::Unreachable))),
            Some("n0.1/t0/5 was published as 5, but the transport never said so"),
        ),
        (
            "a certain failure of what was sent",
            |s| s.replace("published n0.1/t0/5 as 5", What::Published(value(A, 5), Err(ErrorKind::Timeout))),
            Some("n0.1/t0/5 is said to have failed for certain (timeout), but was sent"),
        ),
        (
            "an uncertain failure of what was sent is true",
            |s| {
                let outcome = What::Published(value(A, 5), Err(ErrorKind::OutcomeUnknown));
                s.replace("published n0.1/t0/5 as 5", outcome);
            },
            None,
        ),
        (
            "a failure where nothing goes wrong",
            |s| s.plan.profile = Profile::Calm,
            Some("n0.1/t0/7 failed (queue_full), and nothing went wrong"),
        ),
        (
            "no outcome",
            |s| s.remove("published n0.2/t0/1 as 1"),
            Some("the publish of n0.2/t0/1 has no outcome"),
        ),
        (
            "a late outcome",
            |s| s.shift("published n0.2/t0/1 as 1", 19_100),
            Some("the publish of n0.2/t0/1 took 7s"),
        ),
        (
            "a flush that leaves something",
            |s| s.replace("n0.1 flushed: ok", What::Flushed(A, Ok(()), 2)),
            Some("n0.1 was flushed, and 2 publishes have no outcome"),
        ),
        (
            "what was queued when its node left is not sent",
            |s| {
                s.add(6_900, What::Publish { value: value(C, 1), waits: false });
                s.add(6_900, What::Published(value(C, 1), Ok(None)));
            },
            Some("n2.1/t0/1 was queued and not sent, although its node left well"),
        ),
    ];
    run(check, cases);
}

/// A frame of the next event of A with what it is said to hold.
fn form(story: &mut Story, n: Option<u64>) {
    story.add(5_995, send(A, 90, &[data(A, 8)], &[(8, n.map(|n| value(A, n)))]));
}

#[test]
fn what_is_formed_wrongly_is_found() {
    let cases: &[Case] = &[
        ("an event is formed twice", |s| form(s, Some(6)), Some("n0.1 formed n0.1/t0/6 as 6 and again as 8")),
        (
            "events of one publisher change places",
            |s| form(s, Some(6)),
            Some("n0.1 formed n0.1/t0/6 as 8 after 8 of the same publisher"),
        ),
        (
            "what nobody published, by its content",
            |s| form(s, None),
            Some("n0.1 formed 8 of something that nobody published"),
        ),
        (
            "what nobody published",
            |s| form(s, Some(9)),
            Some("n0.1 formed n0.1/t0/9 as 8, which was never published"),
        ),
        (
            "what had failed",
            |s| {
                s.remove("published n0.1/t0/5 as 5");
                s.replace("publish n0.1/t0/5", What::Publish { value: value(A, 5), waits: false });
                // Behind the call and before its frame is formed.
                s.remove("n0.1 sends #15:");
                s.add(2_600, What::Published(value(A, 5), Err(ErrorKind::Timeout)));
                s.add(2_601, send(A, 15, &[data(A, 5)], &[(5, Some(value(A, 5)))]));
            },
            Some("n0.1 formed n0.1/t0/5 after it failed: timeout"),
        ),
        (
            "a sequence is left out",
            |s| s.add(5_995, send(A, 90, &[data(A, 9)], &[])),
            Some("n0.1 forms 9 on t0 where 8 is due"),
        ),
        (
            "a sequence is used again with another end",
            |s| {
                let frame = Wire::Data { of: A, topic: T, seq: 7, end: 9, floor: 1, crc: 7 };
                s.add(5_995, send(A, 90, &[frame], &[]));
            },
            Some("n0.1 sends 7 on t0 again, and it is another frame"),
        ),
        (
            "a frame changes before it is sent again",
            |s| {
                let frame = Wire::Data { of: A, topic: T, seq: 2, end: 3, floor: 1, crc: 7 };
                s.replace("n0.1 sends #7:", send(A, 7, &[frame], &[]));
            },
            Some("n0.1 sends 2 on t0 again, and it is another frame"),
        ),
        (
            "a frame of another source",
            |s| s.add(5_000, send(B, 90, &[data(A, 1)], &[])),
            Some("n1.1 sends a frame of n0.1"),
        ),
        (
            "a frame after the last",
            |s| {
                let end = Wire::Head { of: A, topic: T, next: 7, floor: 1, fin: true, nonces: Vec::new() };
                s.add(5_000, send(A, 90, &[end], &[]));
            },
            Some("n0.1 forms 7 on t0 after its final head"),
        ),
    ];
    run(check, cases);
}

#[test]
fn what_overtakes_what_failed_is_found() {
    let mut story = Story::right();
    // The frame that failed is never sent again, and nobody has given it up.
    story.remove("n0.1 sends #16:");
    story.remove("published n0.1/t0/5 as 5");
    let said = said(check, &story);
    assert!(said.contains(&"n0.1 sends 6 on t0 while 5 waits to be sent again".to_owned()), "{said:#?}");
    // With its deadline it may be passed over.
    story.plan.publish_timeout = ms(400);
    let said = self::said(check, &story);
    assert!(!said.iter().any(|text| text.contains("waits to be sent again")), "{said:#?}");
}

#[test]
fn a_head_or_floor_that_is_not_true_is_found() {
    let cases: &[Case] = &[
        (
            "a head says too much",
            |s| s.replace("n0.1 sends #5:", send(A, 5, &[head(A, 9, 1, &[])], &[])),
            Some("n0.1 says that it stands at 9 on t0, not 4"),
        ),
        (
            "a head says too little",
            |s| s.replace("n0.1 sends #5:", send(A, 5, &[head(A, 3, 1, &[])], &[])),
            Some("n0.1 says that it stands at 3 on t0, not 4"),
        ),
        (
            "a floor above everything",
            |s| s.replace("n0.1 sends #5:", send(A, 5, &[head(A, 4, 9, &[])], &[])),
            Some("n0.1 gives 9 as the floor of 4 on t0"),
        ),
        (
            "a floor goes back",
            |s| s.replace("n0.1 sends #5:", send(A, 5, &[head(A, 4, 2, &[])], &[])),
            Some("the floor of n0.1 on t0 goes back from 2 to 1"),
        ),
        (
            "a young frame is not held",
            |s| {
                let seven = [(7, Some(value(A, 8)))];
                s.replace("n0.1 sends #20:", send(A, 20, &[data_from(A, 7, 2)], &seven));
            },
            Some("n0.1 no longer holds 1 on t0, which is young: floor 2"),
        ),
        (
            "an old frame is held",
            |s| s.add(50_000, send(A2, 90, &[head(A2, 3, 1, &[])], &[])),
            Some("n0.2 says that it holds 1 on t0, which is too old"),
        ),
        (
            "an old frame is not held, and a young one is",
            |s| s.add(50_000, send(A2, 90, &[head(A2, 3, 2, &[])], &[])),
            None,
        ),
    ];
    run(check, cases);
}
