//! The names of the metrics, and what each one means. `docs/operations.md` says the same to the operator.
//!
//! Those that begin with `messaging.` are OpenTelemetry's conventions for messaging; those that begin with `agora_` are
//! agora's own. A label is never a key, an identity of a message, or a source: their number has no bound.

/// The backend.
pub(super) const SYSTEM: &str = "messaging.system";
/// The topic.
pub(super) const TOPIC: &str = "messaging.destination.name";
/// What was done: `publish`, `receive`, `process`.
pub(super) const OPERATION: &str = "messaging.operation.name";
/// The group.
pub(super) const GROUP: &str = "messaging.consumer.group.name";
/// The kind of the error; absent where there was none.
pub(super) const ERROR: &str = "error.type";
/// Why something is missing, or was dropped.
pub(super) const REASON: &str = "reason";
/// The state of a member.
pub(super) const STATE: &str = "state";

macro_rules! names {
    ($table:ident: $($(#[doc = $doc:literal])+ $constant:ident = $name:literal,)*) => {
        $($(#[doc = $doc])+ pub(super) const $constant: &str = $name;)*
        #[cfg(feature = "metrics")]
        pub(super) const $table: &[(&str, &str)] = &[$(($name, concat!($($doc),+).trim_ascii_start()),)*];
    };
}

names! { COUNTERS:
    /// Events handed to the backend: accepted ones, and with an error type those of unknown outcome.
    SENT = "messaging.client.sent.messages",
    /// Events handed to the application.
    CONSUMED = "messaging.client.consumed.messages",
    /// Events that were not accepted, or not provably so, by the type of the error.
    PUBLISH_FAILURES = "agora_publish_failures",
    /// Gaps handed to the application, by reason.
    GAPS = "agora_gaps",
    /// Repair requests sent.
    REPAIR_REQUESTS = "agora_repair_requests",
    /// Frames sent again as the answer to a repair request.
    REPAIR_FRAMES = "agora_repair_frames",
    /// Events that arrived late or through repair, and were still handed over in order.
    REPAIRED = "agora_repaired_messages",
    /// Frames that had arrived before, and were dropped.
    DUPLICATES = "agora_duplicate_frames",
    /// Frames dropped because they were damaged, of another topic or cluster, too new, or of one source too many.
    REJECTED = "agora_rejected_frames",
    /// Frames dropped because a subscription was too slow; each is part of a gap.
    OVERFLOWED = "agora_overflowed_frames",
    /// Messages of other software handed to the application.
    FOREIGN = "agora_foreign_messages",
    /// Events of a group that went to its dead letters.
    DEAD_LETTERS = "agora_dead_letters",
    /// Records that the backend gave out to a group for a second time or more often.
    REDELIVERIES = "agora_redeliveries",
}

names! { GAUGES:
    /// 1 while the connection to the backend is usable, else 0.
    LINK_UP = "agora_link_up",
    /// The other members as this node sees them, by state.
    MEMBERS = "agora_members",
    /// Memory taken by events that wait to be sent.
    QUEUE_BYTES = "agora_queue_bytes",
    /// The most memory that events may take that wait to be sent; beyond it a publish waits, or fails.
    QUEUE_BYTES_MAX = "agora_queue_max_bytes",
    /// Memory taken by frames that came early and wait for a hole to close.
    HELD_BYTES = "agora_held_bytes",
    /// Memory taken by what was received and not yet taken by the application.
    BACKLOG_BYTES = "agora_backlog_bytes",
    /// Records of a log that a group has not done, as the backend counts them.
    LAG = "agora_consumer_lag_messages",
}

names! { HISTOGRAMS:
    /// How long an operation at the backend took. A publish counts from the call to the acceptance, once per frame.
    OPERATION_DURATION = "messaging.client.operation.duration",
    /// How long a group's handler had an event, by what came of it: no error type where it was handled.
    PROCESS_DURATION = "messaging.process.duration",
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::live::Reason;

    #[test]
    fn every_metric_is_described_once_and_in_one_sentence() {
        let all: Vec<_> = [COUNTERS, GAUGES, HISTOGRAMS].concat();
        for (name, about) in &all {
            assert!(name.starts_with("messaging.") || name.starts_with("agora_"), "{name}");
            assert!(about.ends_with('.') && !about.starts_with(' '), "{about:?}");
            assert_eq!(all.iter().filter(|(other, _)| other == name).count(), 1, "{name}");
        }
    }

    /// The operator's page tells of all, under the names that Prometheus shows.
    #[test]
    fn every_name_stands_in_the_page_for_operators() {
        let page = include_str!("../../../../../docs/operations.md");
        let named = |name: &str| page.contains(&format!("`{name}`"));
        let shown = |name: &str| name.replace('.', "_");
        let counters = COUNTERS.iter().map(|(name, _)| shown(name) + "_total");
        let gauges = GAUGES.iter().map(|(name, _)| shown(name));
        let histograms = HISTOGRAMS.iter().map(|(name, _)| shown(name) + "_seconds");
        let labels = [SYSTEM, TOPIC, OPERATION, GROUP, ERROR, REASON, STATE].map(shown);
        for name in counters.chain(gauges).chain(histograms).chain(labels) {
            assert!(named(&name), "docs/operations.md does not tell of `{name}`");
        }
        for word in Reason::ALL.iter().map(|reason| reason.as_str()) {
            assert!(page.contains(&format!("\n| `{word}` | ")), "no row for the reason `{word}`");
        }
        for word in ErrorKind::ALL.iter().map(|kind| kind.as_str()) {
            assert!(named(word), "docs/operations.md does not tell of the failure `{word}`");
        }
    }
}
