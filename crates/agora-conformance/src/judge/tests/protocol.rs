//! Questions are answered, heads repeat, and subscriptions wait for their baseline.

use super::story::{A, A2, C, T, data, failed, head, hello, send};
use super::{Case, Story, ms, run};
use crate::history::{Pace, Sub, What};
use crate::judge::protocol::check;
use crate::sim::Fault;

/// Lets A be unable to send for a while, which excuses much.
fn mute(story: &mut Story, from: u64, until: u64) {
    story.add(from, What::Fault(Fault::Isolate(A.node)));
    story.add(until, What::Fault(Fault::Rejoin(A.node)));
}

#[test]
fn a_subscription_that_does_not_wait_is_found() {
    let cases: &[Case] = &[
        ("nothing is changed", |_| {}, None),
        ("it says no hello", |s| s.remove("n1.1 sends #1:"), Some("s0 is established on t0 without a hello")),
        (
            "it says hello before it was asked for",
            |s| s.shift("n1.1 sends #1:", 90),
            Some("s0 is established on t0 without a hello"),
        ),
        (
            "it waits for long and asks only once",
            |s| s.shift("s0 is established", 460),
            Some("s0 said hello on t0 only once in 360ms"),
        ),
        (
            "it has not heard a source that it knows",
            |s| s.remove("n2.1 receives head(n0.1 t0 4 floor 1 2)"),
            Some("s1 is established on t0 and has not heard n0.1"),
        ),
        (
            "it heard the source before it asked, which is no answer",
            |s| s.shift("n2.1 receives head(n0.1 t0 4 floor 1 2)", 540),
            Some("s1 is established on t0 and has not heard n0.1"),
        ),
        (
            "it has not heard a source that is held dead",
            |s| {
                s.remove("n2.1 receives head(n0.1 t0 4 floor 1 2)");
                s.add(540, failed(C, A, 5_000));
            },
            None,
        ),
        (
            "it has not heard a source within a second",
            |s| {
                s.remove("n2.1 receives head(n0.1 t0 4 floor 1 2)");
                s.remove("n2.1 subscribes s1");
                s.add(
                    0,
                    What::Subscribe { sub: Sub(1), life: C, topics: vec![T], own: false, pace: Pace::Prompt },
                );
                s.add(300, send(C, 90, &[hello(C, 9)], &[]));
                s.shift("s1 is established", 1_100);
            },
            None,
        ),
    ];
    run(check, cases);
}

#[test]
fn a_question_without_an_answer_is_found() {
    let cases: &[Case] = &[
        (
            "a request for a frame",
            |s| s.remove("n0.1 sends #7:"),
            Some("n0.1 was asked for 2 on t0 and did not answer"),
        ),
        (
            "the answer takes more than a second",
            |s| s.shift("n0.1 sends #7:", 1_600),
            Some("n0.1 was asked for 2 on t0 and did not answer"),
        ),
        (
            "the answer is another frame",
            |s| s.replace("n0.1 sends #7:", send(A, 7, &[data(A, 1)], &[])),
            Some("n0.1 was asked for 2 on t0 and did not answer"),
        ),
        (
            "the answer is that it is no longer held",
            |s| s.replace("n0.1 sends #7:", send(A, 7, &[head(A, 4, 3, &[])], &[])),
            None,
        ),
        (
            "who was asked could not send",
            |s| {
                s.remove("n0.1 sends #7:");
                mute(s, 530, 2_000);
            },
            None,
        ),
        (
            "a hello",
            |s| s.replace("n0.1 sends #9:", send(A, 9, &[head(A, 4, 1, &[])], &[])),
            Some("n0.1 did not answer hello 2 on t0"),
        ),
        (
            "a hello is answered with the number of another",
            |s| s.replace("n0.1 sends #9:", send(A, 9, &[head(A, 4, 1, &[1])], &[])),
            Some("n0.1 did not answer hello 2 on t0"),
        ),
        (
            "a source that returns to an open gap is not greeted",
            |s| s.remove("n1.1 sends #22:"),
            Some("n1.1 heard n0.1 on t0 in its open gap and did not say hello"),
        ),
        (
            "a source that returns to an open gap is greeted too late",
            |s| s.shift("n1.1 sends #22:", 11_600),
            Some("n1.1 heard n0.1 on t0 in its open gap and did not say hello"),
        ),
    ];
    run(check, cases);
}

#[test]
fn a_source_that_is_silent_is_found() {
    let cases: &[Case] = &[
        (
            "no head soon after data",
            |s| s.remove("n0.1 sends #19:"),
            Some("n0.1 has nothing to say on t0 since 3s"),
        ),
        (
            "no head for longer than the longest interval",
            |s| s.remove("n0.2 sends #25:"),
            Some("n0.2 has nothing to say on t0 since 12.2s"),
        ),
        (
            "what is sent again is no news, and does not put off the head",
            |s| {
                s.remove("n0.2 sends #25:");
                s.add(15_000, send(A2, 90, &[data(A2, 1)], &[]));
            },
            Some("n0.2 has nothing to say on t0 since 12.2s"),
        ),
        (
            "it could not send",
            |s| {
                s.remove("n0.1 sends #19:");
                mute(s, 3_010, 5_000);
            },
            None,
        ),
    ];
    run(check, cases);
    assert_eq!(
        Story::right().time_of("n0.2 sends #24:"),
        ms(12_200),
        "the head from which silence is counted"
    );
}
