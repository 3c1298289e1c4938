//! When a hole is asked for, and when it is given up.
//!
//! One timer per source with a hole, and none without: a hole that has no timer would stay for ever.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use crate::id::SourceId;
use crate::limits::{ASK_DEFERRALS, ASK_RETRY, ASK_SPREAD, ASK_SPREAD_PER_MEMBER, ASK_TRIES};

/// What to do about the lowest hole of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask the source for it.
    Ask,
    /// It was asked for often enough: declare it missing.
    GiveUp {
        /// As far as it was known at the first request. What was lost since has not been asked for as often.
        below: u64,
    },
}

#[derive(Clone, Debug)]
struct Asking {
    hole: Range<u64>,
    /// The upper end of the hole at the first request.
    asked_below: u64,
    due: Instant,
    tries: u8,
    deferrals: u8,
}

/// The timers of all holes of one topic.
#[derive(Clone, Debug, Default)]
pub struct Repair {
    asking: BTreeMap<SourceId, Asking>,
}

impl Repair {
    /// Tells the lowest hole of a source, after anything that may have moved it; `None`: there is none. `answer`:
    /// what came may be the answer to another's request.
    ///
    /// A hole that moved begins a new count. An answer to another that did not fill this hole only defers the
    /// request, at most [`ASK_DEFERRALS`] times, and never cancels it.
    pub fn update(
        &mut self,
        now: Instant,
        source: SourceId,
        hole: Option<Range<u64>>,
        answer: bool,
        members: usize,
        rng: &mut fastrand::Rng,
    ) {
        let Some(hole) = hole else {
            self.asking.remove(&source);
            return;
        };
        match self.asking.get_mut(&source) {
            Some(asking) if asking.hole.start == hole.start => {
                asking.hole = hole;
                if answer && asking.deferrals < ASK_DEFERRALS {
                    asking.deferrals += 1;
                    asking.due = asking.due.max(now + first_delay(members, rng));
                }
            }
            _ => {
                let due = now + first_delay(members, rng);
                let asked_below = hole.end;
                self.asking.insert(source, Asking { hole, asked_below, due, tries: 0, deferrals: 0 });
            }
        }
    }

    /// Drops the timers of all sources that have no hole any more.
    pub fn retain(&mut self, mut has_hole: impl FnMut(SourceId) -> bool) {
        self.asking.retain(|source, _| has_hole(*source));
    }

    /// The source ended: its holes are settled elsewhere.
    pub fn forget(&mut self, source: SourceId) {
        self.asking.remove(&source);
    }

    /// When to call [`Repair::handle_timeout`]; ask again after every other call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.asking.values().map(|asking| asking.due).min()
    }

    /// What is due at `now`. An early or repeated call returns nothing. After [`Due::GiveUp`] the caller declares
    /// the hole and calls [`Repair::update`].
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(SourceId, Due)> {
        let mut due = Vec::new();
        for (source, asking) in self.asking.iter_mut().filter(|(_, asking)| asking.due <= now) {
            // The interval exceeds the source's mute, or one lost answer would cost every try.
            asking.due = now + ASK_RETRY;
            if asking.tries == ASK_TRIES {
                due.push((*source, Due::GiveUp { below: asking.asked_below }));
            } else {
                if asking.tries == 0 {
                    asking.asked_below = asking.hole.end;
                }
                asking.tries += 1;
                due.push((*source, Due::Ask));
            }
        }
        due
    }

    /// Hashes the state as it stands at `now`: the same whenever it was reached.
    pub fn hash_at<H: Hasher>(&self, now: Instant, state: &mut H) {
        for (source, asking) in &self.asking {
            (source, &asking.hole, asking.asked_below, asking.tries, asking.deferrals).hash(state);
            asking.due.saturating_duration_since(now).hash(state);
        }
    }

    /// Has this source a timer?
    pub fn is_armed(&self, source: SourceId) -> bool {
        self.asking.contains_key(&source)
    }

    /// How often this source was asked for its lowest hole, and how often another's answer deferred that.
    pub fn counts(&self, source: SourceId) -> (u8, u8) {
        self.asking.get(&source).map_or((0, 0), |asking| (asking.tries, asking.deferrals))
    }
}

/// A random delay whose spread grows with the members, so that few of many ask, and the others hear the answer.
fn first_delay(members: usize, rng: &mut fastrand::Rng) -> Duration {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    let spread = ASK_SPREAD_PER_MEMBER.saturating_mul(members).clamp(ASK_SPREAD.0, ASK_SPREAD.1);
    let micros = u64::try_from(spread.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(1_000 + rng.u64(0..=micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Incarnation, NodeId};

    const SOURCE: SourceId = SourceId { node: NodeId(1), incarnation: Incarnation(1) };

    fn armed() -> (Repair, Instant, fastrand::Rng) {
        let (mut repair, now, mut rng) = (Repair::default(), Instant::now(), fastrand::Rng::with_seed(1));
        repair.update(now, SOURCE, Some(5..8), false, 3, &mut rng);
        (repair, now, rng)
    }

    fn fire(repair: &mut Repair) -> Due {
        let at = repair.poll_timeout().unwrap();
        let due = repair.handle_timeout(at);
        assert_eq!(due.len(), 1);
        due[0].1
    }

    #[test]
    fn three_tries_and_then_it_is_given_up() {
        let (mut repair, ..) = armed();
        let fired: Vec<_> = (0..4).map(|_| fire(&mut repair)).collect();
        assert_eq!(fired, [Due::Ask, Due::Ask, Due::Ask, Due::GiveUp { below: 8 }]);
    }

    #[test]
    fn retries_come_after_the_mute_of_the_source() {
        let (mut repair, ..) = armed();
        let first = repair.poll_timeout().unwrap();
        fire(&mut repair);
        let again = repair.poll_timeout().unwrap();
        assert!(again - first > crate::limits::ANSWER_MUTE * 2, "a lost answer must not burn every try");
        assert!(repair.handle_timeout(again - Duration::from_millis(1)).is_empty());
    }

    #[test]
    fn an_answer_to_another_defers_and_never_cancels() {
        let (mut repair, _, mut rng) = armed();
        for _ in 0..10 {
            let due = repair.poll_timeout().unwrap();
            repair.update(due, SOURCE, Some(5..8), true, 3, &mut rng);
            assert!(repair.is_armed(SOURCE));
        }
        assert_eq!(repair.counts(SOURCE), (0, ASK_DEFERRALS), "deferrals are bounded and are not tries");
        assert_eq!(fire(&mut repair), Due::Ask);
    }

    #[test]
    fn a_hole_that_moved_begins_a_new_count() {
        let (mut repair, _, mut rng) = armed();
        for _ in 0..3 {
            fire(&mut repair);
        }
        let now = repair.poll_timeout().unwrap();
        repair.update(now, SOURCE, Some(7..8), true, 3, &mut rng);
        assert_eq!(repair.counts(SOURCE), (0, 0));
        assert_eq!(fire(&mut repair), Due::Ask);
    }

    #[test]
    fn no_hole_no_timer() {
        let (mut repair, now, mut rng) = armed();
        repair.update(now, SOURCE, None, true, 3, &mut rng);
        assert!(!repair.is_armed(SOURCE) && repair.poll_timeout().is_none());
    }
}
