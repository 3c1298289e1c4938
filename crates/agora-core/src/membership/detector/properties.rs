//! What must hold in every world, not only in those that somebody thought of. A failure prints the world as a script
//! that [`super::script`] can play.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::script::{Action, Run};
use crate::membership::{MembershipConfig, Output};

const PEERS: [&str; 8] = ["b", "c", "d", "e", "f", "g", "h", "i"];
/// Heartbeats are at most so far apart, and never less than 900 ms.
const INTERVAL: u64 = 1000;
const FAIL_AFTER: u64 = 5000;

type Script = Vec<(u64, Action)>;

fn hear(who: &str) -> Action {
    Action::Hear(who.to_owned())
}

fn transcript(echo: bool, script: Script) -> Vec<String> {
    let mut run = Run::new(MembershipConfig::default(), echo);
    run.play(script);
    run.transcript
}

/// When a line of a transcript was said.
fn time(line: &str) -> u64 {
    line.split(' ').next().unwrap().parse().unwrap()
}

/// The heartbeats of a node from `from` to `to`, with the jitter of a seed.
fn beats(seed: u64, from: u64, to: u64) -> Vec<u64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut at = from + rng.u64(0..INTERVAL);
    let mut beats = Vec::new();
    while at <= to {
        beats.push(at);
        at += rng.u64(INTERVAL * 9 / 10..=INTERVAL);
    }
    beats
}

/// What befalls the node under test, and it alone.
#[derive(Clone, Debug)]
enum Trouble {
    /// Nothing arrives, and nobody says so.
    Cut,
    /// Nothing arrives, and the backend reports each connection as gone within 300 ms, then as restored.
    Reset,
    /// Nothing arrives; the backend reports each peer as gone when its lease of 3 s runs out, then as restored.
    LeasesRunOut,
    /// Nothing arrives, and the link is known to be down.
    LinkDown,
    /// The process is stopped; what was sent to it waits.
    Pause,
    /// The process is stopped, and what was sent to it is lost.
    PauseAndLoss,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        Just(Trouble::Cut),
        Just(Trouble::Reset),
        Just(Trouble::LeasesRunOut),
        Just(Trouble::LinkDown),
        Just(Trouble::Pause),
        Just(Trouble::PauseAndLoss),
    ]
}

/// A world in which all peers live throughout, and the node under test goes through troubles. Between two of them
/// everybody is heard again.
fn own_troubles(echo: bool, peers: usize, seed: u64, troubles: &[(Trouble, u64, u64)]) -> Script {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut script = Script::new();
    // Per trouble: when nothing arrives, and until when, for each peer.
    let mut deaf: Vec<(u64, Vec<u64>)> = Vec::new();
    let mut at = 2 * INTERVAL;
    for (trouble, pause_before, length) in troubles {
        at += pause_before;
        let end = at + length;
        // Connections come back one after the other, unless the trouble was too short for anybody to notice: then
        // a peer that stays away longer than the others has a trouble of its own.
        let noticed = *length >= 3 * INTERVAL || matches!(trouble, Trouble::LinkDown);
        let slowest = if noticed && !matches!(trouble, Trouble::Pause) { 3 * INTERVAL } else { 0 };
        let back: Vec<u64> = (0..peers).map(|_| end + rng.u64(0..=slowest)).collect();
        for (who, back) in PEERS.iter().zip(&back) {
            let lost = match trouble {
                Trouble::Reset => at + rng.u64(0..=300),
                Trouble::LeasesRunOut => at + rng.u64(2250..=3000),
                _ => continue,
            };
            if lost < end {
                script.push((lost, Action::Gone((*who).to_owned())));
                script.push((*back, Action::Seen((*who).to_owned())));
            }
        }
        match trouble {
            Trouble::LinkDown => {
                script.push((at, Action::Link(false)));
                script.push((end, Action::Link(true)));
            }
            Trouble::Pause | Trouble::PauseAndLoss => script.push((at, Action::Stop(end))),
            Trouble::Cut | Trouble::Reset | Trouble::LeasesRunOut => {}
        }
        if !matches!(trouble, Trouble::Pause) {
            deaf.push((at, back.clone()));
        }
        at = back.iter().copied().max().unwrap_or(end) + 2 * INTERVAL;
    }
    let end = at + 2 * FAIL_AFTER;
    for (i, who) in PEERS.iter().enumerate().take(peers) {
        let arrives = |at: u64| !deaf.iter().any(|(from, back)| (*from..back[i]).contains(&at));
        let beats = beats(rng.u64(..), 0, end);
        script.extend(beats.into_iter().filter(|at| arrives(*at)).map(|at| (at, hear(who))));
    }
    if echo {
        // One's own connection is the first to be back.
        let first = |back: &[u64]| back.iter().copied().min().unwrap_or(0);
        let arrives = |at: u64| !deaf.iter().any(|(from, back)| (*from..first(back)).contains(&at));
        let beats = beats(rng.u64(..), 0, end);
        script.extend(beats.into_iter().filter(|at| arrives(*at)).map(|at| (at, hear("a"))));
    }
    script
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ones_own_troubles_declare_nobody_failed(
        echo: bool,
        peers in 1_usize..=8,
        seed: u64,
        troubles in prop::collection::vec((trouble(), 0_u64..10_000, 0_u64..20_000), 1..6),
    ) {
        let script = own_troubles(echo, peers, seed, &troubles);
        let said = transcript(echo, script.clone());
        let failed: Vec<_> = said.iter().filter(|line| line.contains("failed")).collect();
        prop_assert!(failed.is_empty(), "{failed:#?}\nof\n{said:#?}\n{script:?}");
    }

    #[test]
    fn nobody_fails_whose_heartbeats_come_within_the_deadline(
        echo: bool,
        gaps in prop::collection::vec((0_usize..8, 1_u64..FAIL_AFTER), 1..200),
    ) {
        let mut last = [0_u64; 8];
        let mut script: Script = PEERS.iter().map(|who| (0, hear(who))).collect();
        for (peer, gap) in gaps {
            last[peer] += gap;
            script.push((last[peer], hear(PEERS[peer])));
        }
        // Judged until the first of them stops.
        let end = last.iter().copied().min().unwrap_or(0) + FAIL_AFTER - 1;
        script.extend((0..=end).step_by(1000).map(|at| (at, hear("a"))));
        script.retain(|(at, _)| *at <= end);
        script.push((end, Action::End));
        let said = transcript(echo, script.clone());
        prop_assert!(!said.iter().any(|line| line.contains("failed")), "{said:#?}\n{script:?}");
    }

    #[test]
    fn a_crash_is_always_told_in_time(
        echo: bool,
        peers in 3_usize..=8,
        seed: u64,
        crash in 3000_u64..20_000,
        hint in prop::option::of(0_u64..3000),
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let end = crash + FAIL_AFTER + 1000;
        let mut script = Script::new();
        for who in ["a"].iter().chain(&PEERS[1..peers]) {
            script.extend(beats(rng.u64(..), 0, end).into_iter().map(|at| (at, hear(who))));
        }
        let victim = beats(rng.u64(..), 0, crash);
        let last = *victim.last().unwrap();
        script.extend(victim.into_iter().map(|at| (at, hear("b"))));
        script.extend(hint.map(|after| (crash + after, Action::Gone("b".into()))));
        let said = transcript(echo, script.clone());
        let failed: Vec<u64> =
            said.iter().filter(|line| line.ends_with(" failed b")).map(|line| time(line)).collect();
        let due = last + FAIL_AFTER;
        // With a hint sooner, provided the proof of one's own link falls into its grace; never later.
        let soonest = hint.map_or(due, |after| due.min(crash + after + 1500));
        prop_assert!(
            failed.len() == 1 && (soonest..=due).contains(&failed[0]),
            "due {due}, soonest {soonest}\n{said:#?}\n{script:?}"
        );
        prop_assert!(due >= crash + FAIL_AFTER - INTERVAL && due <= crash + FAIL_AFTER);
        prop_assert_eq!(said.iter().filter(|line| line.contains("failed")).count(), 2, "{:#?}", said);
    }

    #[test]
    fn whatever_comes_the_story_of_each_source_makes_sense(
        echo: bool,
        steps in prop::collection::vec((0_u64..2500, 0_u8..24, 0_usize..6), 1..150),
    ) {
        let who = ["b", "b2", "c", "d", "a2", "a"];
        let mut at = 0;
        let mut script = Script::new();
        for (wait, kind, i) in steps {
            at += wait;
            let name = who[i].to_owned();
            script.push((at, match kind {
                0 => Action::Leave(name),
                1 | 2 => Action::Gone(name),
                3 => Action::Seen(name),
                4 | 5 => Action::Frame(name),
                6 => Action::Resume(name),
                7 => Action::Link(i % 2 == 0),
                8 => Action::Stop(at + wait * 3),
                9 => Action::Retag(name),
                10..=14 => hear("a"),
                _ => hear(&name),
            }));
        }
        script.push((at + 12_000, Action::End));
        let mut run = Run::new(MembershipConfig::default(), echo);
        run.play(script.clone());
        if let Err(why) = makes_sense(&run.transcript) {
            prop_assert!(false, "{why}\n{:#?}\n{script:?}", run.transcript);
        }
        // The snapshot agrees with the story.
        let live = run.detector.members().iter().filter(|member| member.state.is_live()).count();
        prop_assert_eq!(live, run.detector.alive_count());
        prop_assert_eq!(run.detector.poll_event(), None::<Output>);
    }
}

/// What was said last of a source, to the application and to the engine.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Said {
    Nothing,
    Alive,
    Suspected,
    Failed,
    Left,
}

fn makes_sense(transcript: &[String]) -> Result<(), String> {
    let mut told: BTreeMap<String, Said> = BTreeMap::new();
    let mut verdicts: BTreeMap<String, Said> = BTreeMap::new();
    let mut isolated = false;
    let mut pairs = Vec::new();
    for line in transcript {
        let (_, what) = line.split_once(' ').unwrap();
        let (what, verdict) = match what.strip_prefix('(') {
            Some(inner) => (inner.trim_end_matches(')'), true),
            None => (what, false),
        };
        let (word, who) = what.split_once(' ').unwrap_or((what, ""));
        let book = if verdict { &mut verdicts } else { &mut told };
        let was = book.get(who).copied().unwrap_or(Said::Nothing);
        let live = matches!(was, Said::Alive | Said::Suspected);
        let (fits, now) = match (verdict, word) {
            (false, "joined") => (was == Said::Nothing, Said::Alive),
            (false, "returned") => (matches!(was, Said::Nothing | Said::Failed), Said::Alive),
            (false, "suspected") => (was == Said::Alive, Said::Suspected),
            (false, "recovered") => (was == Said::Suspected, Said::Alive),
            (false, "changed") => (was == Said::Alive, was),
            (false, "failed") => (live && !isolated, Said::Failed),
            (false, "left") => (live || was == Said::Failed, Said::Left),
            // A frame that was under way arms a further verdict.
            (true, "failed") if was == Said::Left => (true, Said::Left),
            (true, "failed") => (true, Said::Failed),
            (true, "returned") => (was == Said::Failed, Said::Alive),
            (true, "left") => (true, Said::Left),
            (false, "isolated") => {
                let fits = !std::mem::replace(&mut isolated, true);
                (fits, Said::Nothing)
            }
            (false, "reunited") => {
                let fits = std::mem::replace(&mut isolated, false);
                (fits, Said::Nothing)
            }
            (false, "conflict") => {
                let fits = !pairs.contains(&who);
                pairs.push(who);
                (fits, Said::Nothing)
            }
            _ => (false, was),
        };
        if !fits {
            return Err(format!("{line}: after {was:?}"));
        }
        book.insert(who.to_owned(), now);
    }
    Ok(())
}
