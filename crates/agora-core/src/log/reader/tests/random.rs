//! Logs drawn at random, read by readers that are interrupted and restarted at random, judged by a naive ledger.

use std::collections::BTreeSet;

use super::*;

/// What a source did: frames of one to three events in a window of three, each of which may be appended twice, behind
/// its successors, long after it was given up, or never.
fn draw_log(rng: &mut fastrand::Rng) -> Vec<Rec> {
    let mut log = Vec::new();
    for node in 1..=rng.u64(1..=2) {
        let mut at = 0;
        let (mut next, mut unsettled, mut ghosts) = (1, Vec::<Rec>::new(), Vec::new());
        let mut put = |log: &mut Vec<Rec>, rng: &mut fastrand::Rng, rec: Rec| {
            at = rng.usize(at..=log.len());
            log.insert(at, rec);
            at += 1;
        };
        for _ in 0..rng.u64(1..15) {
            let floor = unsettled.iter().map(|rec: &Rec| rec.seq).min().unwrap_or(next);
            let end = next + rng.u64(1..=3);
            unsettled.push(Rec {
                source: source(node, 1),
                seq: next,
                end,
                floor,
                seconds: 0,
                stamp: rng.u64(..),
            });
            next = end;
            while unsettled.len() > 2 || !unsettled.is_empty() && rng.bool() {
                let rec = unsettled.swap_remove(rng.usize(..unsettled.len()));
                match rng.u8(0..10) {
                    // Its answer was lost: it is sent again.
                    0 => {
                        put(&mut log, rng, rec);
                        let again = Rec { stamp: rng.u64(..), ..rec };
                        put(&mut log, rng, again);
                    }
                    1 => ghosts.push(rec),
                    _ => put(&mut log, rng, rec),
                }
            }
            if !ghosts.is_empty() && rng.u8(0..4) == 0 {
                let ghost = ghosts.swap_remove(rng.usize(..ghosts.len()));
                if rng.bool() {
                    put(&mut log, rng, ghost);
                }
            }
        }
        for rec in unsettled {
            put(&mut log, rng, rec);
        }
    }
    log
}

/// Takes what is handed over one event at a time, and checks it.
#[derive(Default)]
struct Ledger {
    /// Of each source: what comes next.
    next: BTreeMap<SourceId, u64>,
    told: BTreeSet<(SourceId, u64)>,
    delivered: Vec<(SourceId, u64)>,
}

impl Ledger {
    fn take(&mut self, out: &Out<Piece>, limit: Option<u64>) {
        let (source, from, to, delivered) = match out {
            Out::Item { source, item, from, .. } => (*source, *from, limit.unwrap_or(item.end()), true),
            Out::Gap { source, from, to, reason: Reason::Late, .. } => {
                self.told.extend((*from..*to).map(|seq| (*source, seq)));
                return;
            }
            Out::Gap { source, from, to, .. } => (*source, *from, *to, false),
            Out::Missing { .. } => panic!("nothing changed this log"),
        };
        if let Some(next) = self.next.insert(source, to) {
            assert_eq!(next, from, "silent, twice, or out of order");
        }
        for seq in from..to {
            assert!(self.told.insert((source, seq)), "{seq} is told twice");
            if delivered {
                self.delivered.push((source, seq));
            }
        }
    }
}

fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let log = draw_log(&mut rng);
    let mut q = Fixture::new(&log);
    let mut ledger = Ledger::default();
    let mut quiet = 0;
    while quiet < 3 {
        match rng.u8(0..20) {
            0 => q.interrupt(),
            1 => q.restart(),
            _ => {
                quiet = if q.read() { 0 } else { quiet + 1 };
                if quiet > 0 {
                    q.pass(40);
                }
            }
        }
        while rng.u8(0..4) > 0 || quiet > 0 {
            let Some(out) = q.reader.poll() else { break };
            // Sometimes the reader ends in the middle of a frame: what comes again begins where it was left.
            if let Out::Item { item, from, progress, .. } = &out
                && item.end() - from > 1
                && rng.u8(0..8) == 0
            {
                let taken = rng.u64(from + 1..item.end());
                ledger.take(&out, Some(taken));
                q.cursor.advance(progress, Some(taken));
                q.restart();
                quiet = 0;
                break;
            }
            let (Out::Item { progress, .. } | Out::Gap { progress, .. } | Out::Missing { progress, .. }) =
                &out;
            q.cursor.advance(progress, None);
            ledger.take(&out, None);
        }
    }
    for rec in &log {
        for seq in rec.seq..rec.end {
            assert!(ledger.told.contains(&(rec.source, seq)), "{seq} of {} is silent", rec.source);
        }
    }
    assert!(ledger.delivered.len() * 2 > ledger.told.len() || log.len() < 8, "most of it is delivered");
}

#[test]
fn every_event_of_a_log_is_told_once_and_in_order() {
    for seed in 0..20_000 {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
