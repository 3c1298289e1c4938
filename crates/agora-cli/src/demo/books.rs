//! The closing: what was published against what was delivered or named missing.

use super::ledger::Verdict;
use super::life::Life;

/// One line of the closing table: one life of a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) node: String,
    pub(super) incarnation: String,
    /// How it ended; `None` for one that lives.
    pub(super) end: Option<&'static str>,
    pub(super) published: u64,
    /// What the others published while it was subscribed.
    pub(super) owed: u64,
    pub(super) delivered: u64,
    pub(super) repaired: u64,
    pub(super) duplicates: u64,
    /// How many gaps it was handed.
    pub(super) gaps: u64,
    /// Of what it was owed: how many events lie in gaps.
    pub(super) named: u64,
    /// Of what it was owed: how many events are missing, and no gap says so.
    pub(super) silent: u64,
    /// What should never be, in words.
    pub(super) wrongs: Vec<String>,
}

impl Row {
    pub(super) fn of(lives: &[Life], receiver: usize) -> Self {
        let life = &lives[receiver];
        let stat = |name: &str| life.books.stats.get(name).copied().unwrap_or(0);
        let mut row = Self {
            node: life.name.clone(),
            incarnation: life.incarnation.clone().unwrap_or_default(),
            end: life.end,
            published: life.books.published,
            delivered: stat("delivered"),
            repaired: stat("repaired"),
            duplicates: stat("duplicates"),
            gaps: stat("gaps"),
            ..Self::default()
        };
        if stat("publish_failed") == 0 && stat("published") != life.books.published {
            row.wrongs.push(format!("its bus counts {} published events", stat("published")));
        }
        let mut delivered = 0;
        for (index, from) in &life.owed_from {
            let source = &lives[*index];
            let to = life.owed_to.get(index).copied().unwrap_or(source.books.published + 1);
            let incarnation = source.incarnation.as_deref().unwrap_or_default();
            let verdict = life.books.ledger.judge(incarnation, *from, to);
            delivered += verdict.delivered;
            row.owed += to.saturating_sub(*from);
            row.take(&source.name, &verdict);
        }
        if life.books.ledger.unnamed > 0 {
            row.wrongs.push(format!("{} gaps name no source", life.books.ledger.unnamed));
        }
        if row.delivered < delivered {
            row.wrongs
                .push(format!("its bus counts {} delivered events, and {delivered} came", row.delivered));
        }
        row
    }

    fn take(&mut self, source: &str, verdict: &Verdict) {
        self.named += verdict.named;
        if verdict.balances() {
            return;
        }
        self.silent += verdict.silent_events();
        for (from, to) in &verdict.silent {
            self.wrongs.push(format!("{source}#{from} to #{} are missing silently", to - 1));
        }
        self.wrongs.extend(verdict.wrongs.iter().map(|wrong| format!("{source}: {wrong}")));
    }
}

/// The books of all lives.
#[derive(Clone, Debug)]
pub(super) struct Closing {
    pub(super) rows: Vec<Row>,
}

impl Closing {
    /// Was every event that somebody was owed delivered once and in order, or named missing?
    pub(super) fn balances(&self) -> bool {
        self.rows.iter().all(|row| row.wrongs.is_empty())
    }
}
