//! What is asked for, and what must not be.

use super::story::{A, B, C, Story, T, ask, data, head, send};
use super::{Case, run};
use crate::history::What;
use crate::judge::asks::check;

/// B gets something.
fn got(story: &mut Story, at: u64, wire: crate::history::Wire) {
    story.add(at, What::Got(B, wire));
}

/// B asks A for one event.
fn asks(story: &mut Story, at: u64, seq: u64) {
    story.add(at, send(B, 90, &[ask(B, A, seq)], &[]));
}

#[test]
fn what_is_asked_for_too_soon_or_in_vain_is_found() {
    let cases: &[Case] = &[
        ("nothing is changed", |_| {}, None),
        (
            "again, before the source may answer again",
            |s| asks(s, 860, 4),
            Some("n1.1 asks n0.1 on t0 for 4 again after only 50ms"),
        ),
        ("again, for another hole", |s| asks(s, 580, 3), None),
        (
            "what its source no longer holds, as a head says",
            |s| got(s, 1_000, head(A, 5, 5, &[])),
            Some("n1.1 asks n0.1 on t0 for 4, which is below its floor 5"),
        ),
        (
            "what its source ceased to hold after it was last asked",
            |s| got(s, 1_900, head(A, 5, 5, &[])),
            None,
        ),
        ("what another one was told of", |s| s.add(1_000, What::Got(C, head(A, 5, 5, &[]))), None),
    ];
    run(check, cases);
}

#[test]
fn what_a_node_dropped_itself_must_not_be_asked_for() {
    let cases: &[Case] = &[
        (
            "a head shows what was dropped",
            |s| s.add(750, What::Overrun(B, Some(T))),
            Some("n1.1 asks n0.1 on t0 for what it dropped itself: 4..5"),
        ),
        (
            "a frame shows what was dropped",
            |s| {
                s.add(2_710, What::Overrun(B, Some(T)));
                got(s, 2_750, data(A, 8));
                asks(s, 2_800, 7);
            },
            Some("n1.1 asks n0.1 on t0 for what it dropped itself: 6..8"),
        ),
        (
            "the next one shows that nothing of this source was dropped",
            |s| {
                s.add(430, What::Overrun(B, Some(T)));
                got(s, 690, head(A, 4, 1, &[]));
            },
            None,
        ),
        ("another node dropped it", |s| s.add(750, What::Overrun(C, Some(T))), None),
        ("what was dropped was about the members", |s| s.add(750, What::Overrun(B, None)), None),
        ("what was known to be missing before", |s| s.add(330, What::Overrun(B, Some(T))), None),
    ];
    run(check, cases);
}
