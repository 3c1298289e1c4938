//! The books of one receiver: of every source, what was delivered and what was named missing.
//!
//! Kept from what the subscription handed over alone, and compared with what the sources say that they published. So
//! they would show an event that is missing silently, one that came twice, and one out of order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// At most so many things that should not be are kept in words.
const WRONGS_MAX: usize = 10;

/// What one receiver got of every source, by the source's incarnation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ledger {
    accounts: BTreeMap<String, Account>,
    /// Gaps that name no source: anything may be missing, so the books of this receiver prove nothing.
    pub(super) unnamed: u64,
}

/// What one receiver got of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    /// In order, half open.
    entries: Vec<Entry>,
    /// The first sequence that neither was delivered nor lies in a gap.
    next: u64,
    wrongs: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    from: u64,
    /// `None`: open-ended, until the next entry.
    to: Option<u64>,
    /// `None`: delivered; else why it is missing.
    missing: Option<String>,
}

/// What became of the events that a receiver was owed by a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) delivered: u64,
    /// Named in gaps.
    pub(super) named: u64,
    /// Neither delivered nor named: ranges, half open.
    pub(super) silent: Vec<(u64, u64)>,
    /// What should never be: twice, out of order.
    pub(super) wrongs: Vec<String>,
}

impl Verdict {
    /// Was every event delivered once and in order, or named?
    pub(super) fn balances(&self) -> bool {
        self.silent.is_empty() && self.wrongs.is_empty()
    }

    /// How many are missing silently.
    pub(super) fn silent_events(&self) -> u64 {
        self.silent.iter().map(|(from, to)| to - from).sum()
    }
}

impl Ledger {
    /// An event was delivered.
    pub(super) fn deliver(&mut self, source: &str, seq: u64) {
        self.account(source).deliver(seq);
    }

    /// Events were named missing: `from` up to and not including `to`.
    pub(super) fn gap(&mut self, source: &str, from: Option<u64>, to: Option<u64>, reason: &str) {
        self.account(source).gap(from, to, reason);
    }

    fn account(&mut self, source: &str) -> &mut Account {
        self.accounts.entry(source.to_owned()).or_default()
    }

    /// What became of the events of `source` from `from` up to and not including `to`.
    pub(super) fn judge(&self, source: &str, from: u64, to: u64) -> Verdict {
        match self.accounts.get(source) {
            Some(account) => account.judge(from, to),
            None if from < to => Verdict { silent: vec![(from, to)], ..Verdict::default() },
            None => Verdict::default(),
        }
    }
}

impl Account {
    fn deliver(&mut self, seq: u64) {
        if seq < self.next {
            return self.wrong(format!("event {seq} was delivered when {} was due", self.next));
        }
        self.end_open(seq);
        self.next = seq.saturating_add(1);
        match self.entries.last_mut() {
            Some(Entry { to: Some(to), missing: None, .. }) if *to == seq => *to = self.next,
            _ => self.entries.push(Entry { from: seq, to: Some(self.next), missing: None }),
        }
    }

    fn gap(&mut self, from: Option<u64>, to: Option<u64>, reason: &str) {
        // Nothing of it was seen before: from the first on.
        let from = from.unwrap_or(self.next.max(1));
        if from < self.next {
            return self.wrong(format!("events from {from} are in a gap when {} was due", self.next));
        }
        self.end_open(from);
        self.next = to.unwrap_or(from).max(from);
        self.entries.push(Entry { from, to, missing: Some(reason.to_owned()) });
    }

    /// An open-ended gap ends where the next thing begins.
    fn end_open(&mut self, at: u64) {
        if let Some(Entry { to: to @ None, .. }) = self.entries.last_mut() {
            *to = Some(at);
        }
    }

    fn wrong(&mut self, what: String) {
        if self.wrongs.len() < WRONGS_MAX {
            self.wrongs.push(what);
        }
    }

    fn judge(&self, from: u64, to: u64) -> Verdict {
        let mut verdict = Verdict { wrongs: self.wrongs.clone(), ..Verdict::default() };
        let mut at = from;
        for entry in &self.entries {
            let (begin, end) = (entry.from.max(from), entry.to.unwrap_or(u64::MAX).min(to));
            if begin >= end {
                continue;
            }
            if begin > at {
                verdict.silent.push((at, begin));
            }
            match entry.missing {
                None => verdict.delivered += end - begin,
                Some(_) => verdict.named += end - begin,
            }
            at = end;
        }
        if at < to {
            verdict.silent.push((at, to));
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `d` delivered, `g` gap, by sequence.
    fn ledger(entries: &[(&str, u64, Option<u64>)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (what, from, to) in entries {
            match *what {
                "d" => (*from..to.unwrap()).for_each(|seq| ledger.deliver("s", seq)),
                _ => ledger.gap("s", Some(*from), *to, "lost"),
            }
        }
        ledger
    }

    #[test]
    fn books_balance_when_each_event_is_delivered_or_named() {
        for (entries, delivered, named) in [
            (&[("d", 1, Some(11))][..], 10, 0),
            (&[("d", 1, Some(4)), ("g", 4, Some(8)), ("d", 8, Some(11))], 6, 4),
            (&[("d", 1, Some(4)), ("g", 4, None), ("d", 8, Some(11))], 6, 4),
            (&[("d", 1, Some(4)), ("g", 4, None)], 3, 7),
            (&[("d", 1, Some(4)), ("g", 4, None), ("d", 4, Some(11))], 10, 0),
            (&[("d", 1, Some(4)), ("g", 4, None), ("g", 4, Some(6)), ("d", 6, Some(11))], 8, 2),
            (&[("g", 1, Some(11))], 0, 10),
        ] {
            let verdict = ledger(entries).judge("s", 1, 11);
            assert!(verdict.balances(), "{entries:?}: {verdict:?}");
            assert_eq!((verdict.delivered, verdict.named), (delivered, named), "{entries:?}");
        }
    }

    #[test]
    fn what_is_missing_silently_shows() {
        for (entries, silent) in [
            (&[][..], vec![(1, 11)]),
            (&[("d", 1, Some(4))], vec![(4, 11)]),
            (&[("d", 2, Some(11))], vec![(1, 2)]),
            (&[("d", 1, Some(4)), ("d", 5, Some(11))], vec![(4, 5)]),
            (&[("d", 1, Some(4)), ("g", 5, Some(6)), ("d", 7, Some(10))], vec![(4, 5), (6, 7), (10, 11)]),
        ] {
            let verdict = ledger(entries).judge("s", 1, 11);
            assert_eq!(verdict.silent, silent, "{entries:?}");
            assert!(!verdict.balances());
        }
    }

    #[test]
    fn what_comes_twice_or_out_of_order_shows() {
        for entries in [
            &[("d", 1, Some(11)), ("d", 3, Some(4))][..],
            &[("d", 1, Some(5)), ("d", 6, Some(11)), ("d", 5, Some(6))],
            &[("d", 1, Some(4)), ("g", 4, Some(8)), ("d", 5, Some(6)), ("d", 8, Some(11))],
            &[("d", 1, Some(11)), ("g", 4, Some(6))],
        ] {
            let verdict = ledger(entries).judge("s", 1, 11);
            assert!(!verdict.balances() && !verdict.wrongs.is_empty(), "{entries:?}: {verdict:?}");
        }
    }

    #[test]
    fn only_what_is_owed_counts() {
        let ledger = ledger(&[("d", 5, Some(11))]);
        let verdict = ledger.judge("s", 5, 9);
        assert!(verdict.balances());
        assert_eq!(verdict.delivered, 4);
        assert!(ledger.judge("nobody", 3, 3).balances());
        assert_eq!(ledger.judge("nobody", 1, 3).silent_events(), 2);
    }
}
