//! How far a lane is done, where a backend keeps one number for it.

use std::collections::VecDeque;

/// The records of one lane that were given to its owner, and how far they are done without a hole: where the next owner
/// begins. For backends that commit one offset for a lane.
///
/// Offsets may have holes, as where a backend counts what is no record: only what was given counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offsets {
    committed: u64,
    /// What was given at `committed` or behind it, in order, and whether it is done. The first is not.
    given: VecDeque<(u64, bool)>,
    given_max: usize,
}

impl Offsets {
    /// A lane that is done up to 0, which keeps at most `given_max` records, but at least one: all that were given since the
    /// first that is not done.
    pub fn new(given_max: usize) -> Self {
        Self { committed: 0, given: VecDeque::new(), given_max: given_max.max(1) }
    }

    /// Begins anew at this offset. What was given is forgotten.
    pub fn begin(&mut self, committed: u64) {
        self.committed = committed;
        self.given.clear();
    }

    /// May one more record be given?
    pub fn has_room(&self) -> bool {
        self.given.len() < self.given_max
    }

    /// A record was given. Answers `false`, and nothing has changed, where there is no room, or where it is not behind all
    /// that was given and all that is done.
    pub fn give(&mut self, offset: u64) -> bool {
        let is_new = self.given.back().map_or(offset >= self.committed, |(last, _)| offset > *last);
        let takes = is_new && self.has_room();
        if takes {
            self.given.push_back((offset, false));
        }
        takes
    }

    /// A record is done. Answers the offset to commit, where it has moved. One that is done already, or was never given,
    /// changes nothing.
    pub fn ack(&mut self, offset: u64) -> Option<u64> {
        let ix = self.given.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        self.given.get_mut(ix)?.1 = true;
        let before = self.committed;
        while let Some((offset, true)) = self.given.front().copied() {
            self.given.pop_front();
            self.committed = offset.saturating_add(1);
        }
        (self.committed != before).then_some(self.committed)
    }

    /// The end of what is done without a hole: where the next owner begins.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// The records that were given at the commit or behind it, in order, and whether they are done.
    pub fn given(&self) -> impl Iterator<Item = (u64, bool)> + Clone {
        self.given.iter().copied()
    }

    /// The records that were given and are not done, in order.
    pub fn open(&self) -> impl Iterator<Item = u64> {
        self.given.iter().filter(|(_, done)| !done).map(|(offset, _)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_commit_is_the_end_of_what_is_done_without_a_hole() {
        let mut offsets = Offsets::new(9);
        offsets.begin(5);
        assert!([5, 6, 9, 10].into_iter().all(|offset| offsets.give(offset)));
        assert_eq!(offsets.ack(9), None);
        assert_eq!(offsets.ack(6), None);
        assert_eq!(offsets.open().collect::<Vec<_>>(), [5, 10]);
        assert_eq!(offsets.ack(5), Some(10), "7 and 8 are no records");
        assert_eq!(offsets.ack(10), Some(11));
    }

    #[test]
    fn what_is_repeated_old_or_unknown_changes_nothing() {
        let mut offsets = Offsets::new(2);
        offsets.begin(5);
        assert!(!offsets.give(4), "done already");
        assert!(offsets.give(5) && !offsets.give(5) && offsets.give(6));
        assert!(!offsets.give(7), "full");
        assert_eq!((offsets.ack(7), offsets.ack(6), offsets.ack(6)), (None, None, None));
        assert!(!offsets.has_room(), "what is done behind a hole takes room");
        assert_eq!((offsets.ack(5), offsets.ack(5), offsets.committed()), (Some(7), None, 7));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Begin(u64),
        Give(u64),
        Ack(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => (0..20_u64).prop_map(Step::Begin),
            8 => (0..20_u64).prop_map(Step::Give),
            8 => (0..20_u64).prop_map(Step::Ack),
        ]
    }

    proptest! {
        /// Against sets that keep everything since the beginning.
        #[test]
        fn it_is_what_a_naive_model_says(steps in proptest::collection::vec(step(), 0..60), given_max in 1..8_usize) {
            let mut offsets = Offsets::new(given_max);
            let (mut begun, mut given, mut done) = (0, BTreeSet::new(), BTreeSet::new());
            // The naive commit: behind the last one of which all before it are done.
            let commit = |begun: u64, given: &BTreeSet<u64>, done: &BTreeSet<u64>| {
                let prefix = given.iter().take_while(|offset| done.contains(*offset));
                prefix.last().map_or(begun, |last| last + 1)
            };
            for step in steps {
                let before = commit(begun, &given, &done);
                match step {
                    Step::Begin(at) => {
                        (begun, given, done) = (at, BTreeSet::new(), BTreeSet::new());
                        offsets.begin(at);
                    }
                    Step::Give(offset) => {
                        let kept = given.iter().filter(|given| **given >= before).count();
                        let behind_all = offset >= begun && given.iter().all(|given| *given < offset);
                        let takes = kept < given_max && behind_all;
                        prop_assert_eq!(offsets.give(offset), takes);
                        if takes {
                            given.insert(offset);
                        }
                    }
                    Step::Ack(offset) => {
                        if given.contains(&offset) {
                            done.insert(offset);
                        }
                        let after = commit(begun, &given, &done);
                        prop_assert_eq!(offsets.ack(offset), (after != before).then_some(after));
                    }
                }
                prop_assert_eq!(offsets.committed(), commit(begun, &given, &done));
                let open: Vec<u64> = given.difference(&done).copied().collect();
                prop_assert_eq!(offsets.open().collect::<Vec<_>>(), open);
                let kept = offsets.given().map(|(offset, is_done)| (offset, is_done, done.contains(&offset)));
                prop_assert!(kept.clone().all(|(_, is_done, expected)| is_done == expected));
                prop_assert!(kept.map(|(offset, ..)| offset).eq(given.range(commit(begun, &given, &done)..).copied()));
            }
        }
    }
}
