//! What a reading of a log is owed, and what is kept under a name.

use agora_core::ErrorKind;
use agora_core::live::Reason;

use super::story::{A, B, C, Story, T, data_from, event, gap, send, sent, value};
use super::{Case, ms, run_on};
use crate::history::{Durable, Entry, From, Life, LogWhat, Pace, Place, Stands, Sub, What};
use crate::judge::logs::check;
use crate::sim::{Fault, Profile};

const D: Durable = Durable(1);

fn tell<const N: usize>(story: &mut Story, at: u64, whats: [What; N]) {
    story.history.entries.extend(whats.map(|what| Entry { at: ms(at), what }));
}

fn place(of: Life, start: u64, next: u64) -> Place {
    Place { whole: true, sources: vec![Stands { of, start, next }] }
}

fn read(sub: u32, life: Life, from: From, durable: Option<Durable>, pace: Pace) -> What {
    What::Log(LogWhat::Read { sub: Sub(sub), life, topic: T, from, durable, pace })
}

fn established(sub: u32) -> What {
    What::Established(Sub(sub), Ok(()))
}

fn done(sub: u32) -> What {
    What::Log(LogWhat::Done(Sub(sub)))
}

fn taken(sub: u32, fence: u64, place: Option<Place>) -> What {
    What::Log(LogWhat::Taken { sub: Sub(sub), durable: D, fence, place })
}

fn saved(fence: u64, place: Place, result: Result<(), ErrorKind>) -> What {
    What::Log(LogWhat::Saved { durable: D, fence, place, result })
}

fn stored(at: u64, since: u64, seq: u64, floor: u64) -> What {
    let (since, of, end) = (ms(since), Some(A), seq + 1);
    What::Log(LogWhat::Stored { topic: T, at, since, of, seq, end, floor })
}

fn missing(sub: u32, reason: Reason) -> What {
    What::Log(LogWhat::Missing(Sub(sub), reason))
}

/// A publishes one event, which is stored at once.
fn publish(story: &mut Story, at: u64, seq: u64) {
    let value = value(A, seq);
    let wires = [data_from(A, seq, seq)];
    tell(
        story,
        at,
        [
            What::Publish { value, waits: true },
            send(A, seq, &wires, &[(seq, Some(value))]),
            sent(A, seq, None),
            What::Published(value, Ok(Some(seq))),
        ],
    );
}

/// A slow durable reader is taken over in the middle and crashes; two other readings come and stay; the beginning of the
/// log is trimmed away, and its end is lost.
fn right() -> Story {
    let mut story = Story::right();
    story.history.entries.clear();
    let plan = &mut story.plan;
    (plan.topics, plan.logs, plan.profile) = (0, 1, Profile::Logs);
    let slow = Pace::Slow(ms(50));
    let s = &mut story;
    tell(s, 0, [What::Start(A), What::Start(B), What::Start(C)]);
    tell(s, 100, [read(0, B, From::Earliest, Some(D), slow), taken(0, 1, None), established(0)]);
    tell(s, 110, [read(1, C, From::Live, None, Pace::Prompt), established(1)]);
    for seq in 1..=4 {
        publish(s, 100 + 100 * seq, seq);
        let at = 101 + 100 * seq;
        tell(s, at, [event(0, A, seq), event(1, A, seq)]);
        if seq < 4 {
            tell(s, at + 50, [done(0)]);
        }
        if seq == 2 {
            tell(s, at + 60, [saved(1, place(A, 1, 3), Ok(()))]);
        }
    }
    // Taken over before it was done with 4, and saved it too late.
    tell(s, 1_000, [read(2, C, From::Earliest, Some(D), Pace::Prompt), taken(2, 2, Some(place(A, 1, 3)))]);
    tell(s, 1_000, [established(2), event(2, A, 3), event(2, A, 4)]);
    tell(s, 1_010, [saved(2, place(A, 1, 5), Ok(()))]);
    tell(s, 1_050, [done(0), saved(1, place(A, 1, 5), Err(ErrorKind::Conflict))]);
    tell(s, 1_051, [What::Ended(Sub(0), Some(ErrorKind::Conflict))]);
    // 5 was given up, and 6 says so.
    tell(s, 1_100, [What::Publish { value: value(A, 5), waits: true }]);
    tell(s, 1_100, [send(A, 5, &[data_from(A, 5, 5)], &[(5, Some(value(A, 5)))])]);
    tell(s, 1_100, [sent(A, 5, Some(ErrorKind::OutcomeUnknown))]);
    publish(s, 1_200, 6);
    tell(s, 1_201, [gap(1, A, Some(5), Some(6), Reason::GivenUp), event(1, A, 6)]);
    tell(s, 1_201, [gap(2, A, Some(5), Some(6), Reason::GivenUp), event(2, A, 6)]);
    // The last two are lost, and a new reading cannot see them.
    tell(s, 2_000, [stored(0, 200, 1, 1), stored(1, 300, 2, 2), stored(2, 400, 3, 3)]);
    tell(s, 2_000, [stored(3, 500, 4, 4), stored(4, 1_200, 6, 6), What::Fault(Fault::Rewind(T, 2))]);
    tell(s, 2_000, [missing(1, Reason::Rewritten), missing(2, Reason::Rewritten)]);
    // A reading that begins behind what is trimmed is owed what follows.
    tell(s, 2_100, [What::Fault(Fault::Trim(T, 2))]);
    tell(s, 2_200, [read(3, B, From::Earliest, None, Pace::Prompt), established(3)]);
    tell(s, 2_201, [event(3, A, 2), event(3, A, 3)]);
    tell(s, 20_000, [What::Fault(Fault::HealAll), What::Healed]);
    tell(s, 21_000, [What::Probing]);
    publish(s, 21_000, 7);
    tell(s, 21_001, [event(1, A, 7), event(2, A, 7)]);
    tell(s, 21_001, [gap(3, A, Some(4), Some(7), Reason::GivenUp), event(3, A, 7)]);
    tell(s, 22_000, [saved(2, place(A, 1, 8), Ok(()))]);
    tell(s, 23_000, [stored(3, 21_000, 7, 7)]);
    story
}

fn run(cases: &[Case]) {
    run_on(right, check, cases);
}

#[test]
fn what_is_missing_in_a_log_is_found() {
    run(&[
        ("nothing is changed", |_| {}, None),
        (
            "the first event of a log that is read from its beginning",
            |s| s.remove("s0 gets n0.1 t0 1:"),
            Some("s0, n0.1 t0: 1..2 was passed over in silence"),
        ),
        (
            "an event between two",
            |s| s.remove("s1 gets n0.1 t0 3:"),
            Some("s1, n0.1 t0: 3..4 was passed over"),
        ),
        (
            "the last event",
            |s| s.remove("s1 gets n0.1 t0 7:"),
            Some("s1 was never told of n0.1 t0 7..8, which stood in the log"),
        ),
        (
            "the first event after a live reading was established",
            |s| {
                s.remove("s1 gets n0.1 t0 1:");
                s.remove("FAULT trim");
            },
            Some("s1 was never told of n0.1 t0 1..2, which stood in the log"),
        ),
        (
            "what follows a place that was saved",
            |s| s.remove("s2 gets n0.1 t0 3:"),
            Some("s2, n0.1 t0: 3..4 was passed over in silence"),
        ),
        ("a gap", |s| s.remove("s1 GAP n0.1 t0 5..6"), Some("s1, n0.1 t0: 5..6 was passed over in silence")),
        (
            "the answer",
            |s| s.remove("s3 is established"),
            Some("s3 was asked for at 2.2s and never established"),
        ),
    ]);
}

#[test]
fn what_comes_again_or_from_nowhere_is_found() {
    run(&[
        (
            "an event comes twice",
            |s| s.repeat("s1 gets n0.1 t0 2:"),
            Some("s1, n0.1 t0: 2 comes although all below 3"),
        ),
        (
            "what was saved comes again",
            |s| s.add(1_000, event(2, A, 2)),
            Some("s2, n0.1 t0: 2 comes although all below"),
        ),
        (
            "two change places",
            |s| s.swap("s1 gets n0.1 t0 2:", "s1 gets n0.1 t0 3:"),
            Some("s1, n0.1 t0: 2..3 was passed over in silence"),
        ),
        (
            "an event that never stood in the log",
            |s| s.remove("in t0 stands 2: n0.1 3..4"),
            Some("s0 got n0.1 t0 3, which never stood in the log"),
        ),
        (
            "an accepted event that never stood in the log",
            |s| s.remove("in t0 stands 2: n0.1 3..4"),
            Some("n0.1/t0/3 was accepted as 3, and never stood in the log"),
        ),
        (
            "another event under this sequence",
            |s| {
                let (sub, of, topic) = (Sub(1), Some(A), T);
                let what = What::Event { sub, of, topic, seq: 2, value: Some(value(A, 3)) };
                s.replace("s1 gets n0.1 t0 2:", what);
            },
            Some("s1 got n0.1/t0/3 as n0.1 t0 2"),
        ),
        (
            "what a live reader published itself",
            |s| s.add(22_500, event(1, C, 1)),
            Some("s1 got what it did not ask for: t0 1"),
        ),
    ]);
}

#[test]
fn a_gap_in_a_log_that_is_not_true_is_found() {
    run(&[
        (
            "given up, and it stands there",
            |s| s.replace("s2 gets n0.1 t0 3:", gap(2, A, Some(3), Some(4), Reason::GivenUp)),
            Some("s2, n0.1 t0: the gap 3..4 (given_up): 3 stands in the log, in front"),
        ),
        (
            "given up, and its source never said so",
            |s| s.replace("s1 gets n0.1 t0 7:", gap(1, A, Some(7), Some(8), Reason::GivenUp)),
            Some("s1, n0.1 t0: the gap 7..8 (given_up): its source never said so"),
        ),
        (
            "lost, and it stands there",
            |s| s.add(1_150, gap(1, A, Some(4), Some(5), Reason::Lost)),
            Some("s1, n0.1 t0: the gap 4..5 (lost): 4 stands in the log"),
        ),
        (
            "late, and nothing of the kind stands there",
            |s| s.add(1_150, gap(1, A, Some(9), Some(10), Reason::Late)),
            Some("s1, n0.1 t0: the gap 9..10 (late): it does not stand in the log"),
        ),
        (
            "overflow, where nothing is dropped",
            |s| s.add(1_150, gap(1, A, Some(5), Some(6), Reason::Overflow)),
            Some("s1, n0.1 t0: the gap 5..6 (overflow): there was no reason for it"),
        ),
        (
            "no end",
            |s| s.add(1_150, gap(1, A, Some(5), None, Reason::GivenUp)),
            Some("s1 got a gap in a log that does not say from where to where"),
        ),
        (
            "an empty one",
            |s| s.add(1_150, gap(1, A, Some(5), Some(5), Reason::GivenUp)),
            Some("s1, n0.1 t0: 5..5 is no range"),
        ),
        (
            "late, and it does not join",
            |s| s.add(1_150, gap(1, A, Some(2), Some(3), Reason::Late)),
            Some("s1, n0.1 t0: what is late ends at 3, and 1 was the first"),
        ),
        (
            "rewritten, and nothing was",
            |s| s.add(1_500, missing(1, Reason::Rewritten)),
            Some("s1 misses records of t0 (rewritten), and nothing of the kind happened"),
        ),
        (
            "rewritten once more",
            |s| s.add(20_500, missing(1, Reason::Rewritten)),
            Some("s1 misses records of t0 (rewritten), and nothing of the kind happened"),
        ),
        (
            "retention, and it was a failover",
            |s| s.replace("s1 MISSES", missing(1, Reason::Retention)),
            Some("s1 misses records of t0 (retention), and nothing of the kind happened"),
        ),
        (
            "any gap where nothing goes wrong",
            |s| s.plan.profile = Profile::Calm,
            Some("s1, n0.1 t0: the gap 5..6 (given_up): nothing went wrong"),
        ),
        (
            "records that were trimmed unread, without a word",
            |s| {
                s.add(2_050, What::Fault(Fault::Trim(T, 0)));
                s.history.entries.retain(|e| !matches!(e.what, What::Event { sub: Sub(3), .. }));
                s.shift("n1.1 reads t0 as s3", 1_990);
                s.shift("s3 is established", 1_990);
            },
            Some("s3 was never told of n0.1 t0 1..2, which stood in the log"),
        ),
    ]);
}

#[test]
fn what_is_done_under_a_name_is_judged() {
    const SAVED: &str = "saved d1 #1: (whole n0.1:1..3)";
    run(&[
        (
            "saved before its reader was done with it",
            |s| s.replace(SAVED, saved(1, place(A, 1, 4), Ok(()))),
            Some("s0 saved d1 as (whole n0.1:1..4): of n0.1 it was told 1..3"),
        ),
        (
            "saved while its reader works on it",
            |s| s.shift(SAVED, 320),
            Some("s0 saved d1 as (whole n0.1:1..3): it is not done with n0.1 2"),
        ),
        (
            "saved of a source that it was told nothing of",
            |s| s.replace(SAVED, saved(1, place(C, 1, 3), Ok(()))),
            Some("s0 saved d1 as (whole n2.1:1..3): it was told nothing of n2.1"),
        ),
        (
            "saved by whom it was taken from",
            |s| s.replace("not saved d1 #1", saved(1, place(A, 1, 4), Ok(()))),
            Some("d1 was saved by #1, although #2 had taken it over"),
        ),
        (
            "saved, and it goes back",
            |s| s.replace("saved d1 #2: (whole n0.1:1..8)", saved(2, place(A, 1, 4), Ok(()))),
            Some("s2 saved d1 as (whole n0.1:1..4), which goes back behind n0.1:1..5"),
        ),
        (
            "refused to whom it belongs",
            |s| s.replace(SAVED, saved(1, place(A, 1, 3), Err(ErrorKind::Conflict))),
            Some("d1 was refused to #1, which holds it"),
        ),
        (
            "another place than was saved",
            |s| s.replace("s2 takes d1", taken(2, 2, Some(place(A, 1, 2)))),
            Some("s2 took d1 and got another place than was saved last"),
        ),
        (
            "no place, although one was saved",
            |s| s.replace("s2 takes d1", taken(2, 2, None)),
            Some("s2 took d1 and got another place than was saved last"),
        ),
        (
            "it reads on although its name was taken over",
            |s| s.remove("s0 ends: conflict"),
            Some("s0 reads on, although its name was taken over"),
        ),
        (
            "it ends as if its name had been taken over",
            |s| s.add(1_500, What::Ended(Sub(2), Some(ErrorKind::Conflict))),
            Some("s2 ended (conflict), although its node goes on"),
        ),
        (
            "it is refused as if nobody could be reached",
            |s| s.replace("s3 is established", What::Established(Sub(3), Err(ErrorKind::Unreachable))),
            Some("s3 ended (unreachable), although its node goes on"),
        ),
        ("a prompt reader is done at once", |s| s.add(1_002, saved(2, place(A, 1, 5), Ok(()))), None),
    ]);
}
