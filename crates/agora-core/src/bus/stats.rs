//! Counters of a bus, for those without an exporter and for the books of a test.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::ErrorKind;
use crate::live::Reason;

macro_rules! numbers {
    (
        counters { $($(#[$doc:meta])* $name:ident,)* }
        levels { $($(#[$level_doc:meta])* $level:ident,)* }
    ) => {
        /// A snapshot of a bus's numbers: the counters since it opened, and levels as they are now.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            $($(#[$level_doc])* pub $level: u64,)*
            gaps_by_reason: [u64; Reason::ALL.len()],
            failed_by_kind: [u64; ErrorKind::ALL.len()],
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
            gaps_by_reason: [AtomicU64; Reason::ALL.len()],
            failed_by_kind: [AtomicU64; ErrorKind::ALL.len()],
        }

        impl Counters {
            /// The counters; the levels are for whoever knows them.
            pub(crate) fn snapshot(&self) -> Stats {
                Stats {
                    $($name: self.$name.load(Relaxed),)*
                    gaps_by_reason: from_fn(|reason| self.gaps_by_reason[reason].load(Relaxed)),
                    failed_by_kind: from_fn(|kind| self.failed_by_kind[kind].load(Relaxed)),
                    ..Stats::default()
                }
            }
        }

        impl Stats {
            /// Name and value of each field, in a fixed order: what [`gaps_of`](Self::gaps_of) and
            /// [`failures_of`](Self::failures_of) tell apart is in it as one sum each.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [
                    $((stringify!($name), self.$name),)*
                    $((stringify!($level), self.$level),)*
                ].into_iter()
            }
        }
    };
}

impl Counters {
    /// A gap was handed to a subscription.
    pub(crate) fn gap(&self, reason: Reason) {
        add(&self.gaps, 1);
        add(&self.gaps_by_reason[reason as usize], 1);
    }

    /// So many events were not accepted, or not provably so.
    pub(crate) fn failed(&self, events: u64, kind: ErrorKind) {
        add(&self.publish_failed, events);
        add(&self.failed_by_kind[kind as usize], events);
    }
}

impl Stats {
    /// Of [`gaps`](Self::gaps), those with this reason.
    pub fn gaps_of(&self, reason: Reason) -> u64 {
        self.gaps_by_reason[reason as usize]
    }

    /// Of [`publish_failed`](Self::publish_failed), those with an error of this kind.
    pub fn failures_of(&self, kind: ErrorKind) -> u64 {
        self.failed_by_kind[kind as usize]
    }
}

numbers! {
    counters {
        /// Events taken for publishing: they were queued, and are sent or fail later.
        published,
        /// Events that the backend accepted.
        accepted,
        /// Events that were refused, failed, or are of unknown outcome: see [`failures_of`](Self::failures_of).
        publish_failed,
        /// Events refused because the queue was full; they are among those that failed.
        queue_full,
        /// Data frames handed to the transport, each counted once.
        frames_sent,
        /// Frames sent again as the answer to a repair request.
        repeats_sent,
        /// Data frames that arrived, duplicates included.
        frames_received,
        /// Events that arrived late or through repair, and were still handed over in order.
        repaired,
        /// Frames that had arrived before, and were dropped.
        duplicates,
        /// Events handed to subscriptions. Those of groups are counted by what came of them.
        delivered,
        /// Gaps handed to subscriptions and groups: see [`gaps_of`](Self::gaps_of).
        gaps,
        /// Messages of other software handed to subscriptions.
        foreign,
        /// Messages dropped because they were damaged or not well formed.
        rejected_corrupt,
        /// Frames dropped because they belong to another topic or cluster.
        rejected_stream,
        /// Frames that need a newer version to be read; each is a gap.
        rejected_unreadable,
        /// Frames dropped because a subscription was too slow; each is part of a gap.
        overflowed,
        /// Records of unknown kinds that could be skipped.
        skipped_unknown,
        /// Frames of sources beyond those that a topic keeps track of; their events are an open gap.
        sources_refused,
        /// Heartbeats of nodes beyond those that are kept track of.
        members_refused,
        /// Events of groups that were handled.
        handled,
        /// Tries of events of groups that failed and were to be made again.
        retried,
        /// Events of groups that went to the dead letters.
        dead_lettered,
        /// Records that a backend gave out to a group for a second time or more often.
        redelivered,
        /// Repair requests sent.
        asks_sent,
        /// Heartbeats sent.
        heartbeats_sent,
    }
    levels {
        /// 1 while the connection to the backend is usable, else 0.
        link_up,
        /// Other members that were heard of recently.
        members_alive,
        /// Other members that have been silent for too long, and are not given up yet.
        members_suspected,
        /// Other members that were given up, as long as they are remembered.
        members_failed,
        /// Other members that said goodbye, as long as they are remembered.
        members_left,
        /// Memory taken by events that wait to be sent, in bytes.
        queue_bytes,
        /// Memory taken by frames that came early and wait for a hole to close, in bytes.
        held_bytes,
        /// Memory taken by what was received and not yet taken by the application, in bytes.
        backlog_bytes,
    }
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}
