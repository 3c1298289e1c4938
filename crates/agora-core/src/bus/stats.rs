//! Counters of a bus, for those without an exporter and for the books of a test.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A snapshot of a bus's counters since it opened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.load(Relaxed),)* }
            }
        }

        impl Stats {
            /// Name and value of each counter, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Events accepted for publishing.
    published,
    /// Events whose publish failed, or whose outcome is unknown.
    publish_failed,
    /// Events refused because the queue was full.
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
    /// Events handed to subscriptions.
    delivered,
    /// Gaps handed to subscriptions.
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

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}
