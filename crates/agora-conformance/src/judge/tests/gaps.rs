//! A gap says the truth.

use agora_core::live::Reason;

use super::story::{A, B, C, Story, T, data, data_from, gap, head};
use super::{Case, run};
use crate::history::{What, Wire};
use crate::judge::gaps::check;
use crate::sim::Profile;

/// Gives the gap in the right history another reason.
fn because(story: &mut Story, reason: Reason) {
    story.replace("s0 GAP n0.1 t0 4..5 lost", gap(0, A, Some(4), Some(5), reason));
}

fn newer(seq: u64) -> What {
    What::Spoiled { by: B, wire: data(A, seq), newer: true }
}

#[test]
fn a_gap_that_says_what_is_not_true_is_found() {
    let cases: &[Case] = &[
        (
            "lost, and asked for twice",
            |s| s.remove("n1.1 sends #13:"),
            Some("s0, n0.1 t0: the gap 4..5 (lost): it was asked for only 2 times"),
        ),
        (
            "lost, and never asked for",
            |s| {
                ["n1.1 sends #12:", "n1.1 sends #13:", "n1.1 sends #14:"]
                    .iter()
                    .for_each(|part| s.remove(part))
            },
            Some("the gap 4..5 (lost): it was asked for only 0 times"),
        ),
        (
            "lost, and it had arrived",
            |s| s.add(1_000, What::Got(B, data(A, 4))),
            Some("the gap 4..5 (lost): 4 had arrived at 1s"),
        ),
        (
            "not held, and its source said nothing of the kind",
            |s| because(s, Reason::NotHeld),
            Some("the gap 4..5 (not_held): its source told no floor above 1"),
        ),
        (
            "not held, and it had arrived",
            |s| {
                s.add(1_000, What::Got(B, data(A, 4)));
                s.add(2_000, What::Got(B, head(A, 5, 5, &[])));
                because(s, Reason::NotHeld);
            },
            Some("the gap 4..5 (not_held): 4 had arrived at 1s"),
        ),
        (
            "unseen, and its source still has it",
            |s| because(s, Reason::Unseen),
            Some("the gap 4..5 (unseen): its source told no floor above 1"),
        ),
        (
            "its source failed, and there was no verdict",
            |s| s.remove("n1.1 sees Failed n0.1"),
            Some("s0, n0.1 t0: the gap 7..0 (source_failed): it was not declared failed"),
        ),
        (
            "its source failed, and the verdict came later",
            |s| because(s, Reason::SourceFailed),
            Some("the gap 4..5 (source_failed): it was not declared failed"),
        ),
        (
            "its source left, and did not",
            |s| because(s, Reason::SourceLeft),
            Some("the gap 4..5 (source_left): it has not left"),
        ),
        (
            "its source left, but it was another node that did",
            |s| {
                s.add(2_000, What::Got(B, Wire::Leave { of: C, ends: Vec::new() }));
                because(s, Reason::SourceLeft);
            },
            Some("the gap 4..5 (source_left): it has not left"),
        ),
        (
            "unreadable, and nothing was",
            |s| because(s, Reason::Unreadable),
            Some("the gap 4..5 (unreadable): nothing unreadable arrived"),
        ),
        (
            "unreadable, and something else was",
            |s| {
                s.add(1_000, newer(3));
                because(s, Reason::Unreadable);
            },
            Some("the gap 4..5 (unreadable): nothing unreadable arrived"),
        ),
        (
            "overflow, and nothing was dropped",
            |s| because(s, Reason::Overflow),
            Some("the gap 4..5 (overflow): there was no reason for it"),
        ),
        (
            "overflow, and another node had one",
            |s| {
                s.add(1_000, What::Overrun(C, Some(T)));
                because(s, Reason::Overflow);
            },
            Some("the gap 4..5 (overflow): there was no reason for it"),
        ),
        (
            "too far ahead, with room for everything",
            |s| because(s, Reason::TooFarAhead),
            Some("the gap 4..5 (too_far_ahead): there was no reason for it"),
        ),
        (
            "an event that the reader's types do not fit",
            |s| because(s, Reason::Undecodable),
            Some("the gap 4..5 (undecodable): there was no reason for it"),
        ),
        (
            "any gap where nothing goes wrong",
            |s| s.plan.profile = Profile::Calm,
            Some("the gap 4..5 (lost): nothing went wrong"),
        ),
    ];
    run(check, cases);
}

#[test]
fn a_gap_that_is_true_is_not_blamed() {
    let cases: &[Case] = &[
        (
            "what arrives in the instant of the gap may have stood behind it",
            |s| s.add(2_310, What::Got(B, data(A, 4))),
            None,
        ),
        (
            "not held, as a head says",
            |s| {
                s.add(2_000, What::Got(B, head(A, 5, 5, &[])));
                because(s, Reason::NotHeld);
            },
            None,
        ),
        (
            "unseen, as a frame says",
            |s| {
                s.add(2_000, What::Got(B, data_from(A, 5, 5)));
                because(s, Reason::Unseen);
            },
            None,
        ),
        (
            "its source left",
            |s| {
                s.add(2_000, What::Got(B, Wire::Leave { of: A, ends: vec![(T, 5, 1)] }));
                because(s, Reason::SourceLeft);
            },
            None,
        ),
        (
            "unreadable",
            |s| {
                s.add(1_000, newer(4));
                because(s, Reason::Unreadable);
            },
            None,
        ),
        (
            "overflow",
            |s| {
                s.add(1_000, What::Overrun(B, Some(T)));
                because(s, Reason::Overflow);
            },
            None,
        ),
        (
            "nobody was told of its source, so no verdict was due",
            |s| {
                s.remove("n1.1 sees Joined n0.1");
                s.remove("n1.1 sees Failed n0.1");
            },
            None,
        ),
    ];
    run(check, cases);
}
