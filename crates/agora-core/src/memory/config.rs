//! What a space is like.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::limits::FRAME_BYTES_MAX;

/// How a [`Space`](super::Space) behaves. Start from the default and change what matters:
///
/// ```
/// # use agora_core::memory::SpaceConfig;
/// let config = SpaceConfig { seed: 7, echo_via_server: false, ..SpaceConfig::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceConfig {
    /// Decides every draw of loss, duplication and delay. The same seed and the same calls in the same order give
    /// the same deliveries. Default 0.
    pub seed: u64,
    /// The shape of the network. Default `true`.
    ///
    /// `true`: as if there were a server in the middle. One's own messages come back through it, a node that is
    /// cut off from it sees its link go down, and the server itself can be taken down. Every link is one between
    /// a node and the server.
    ///
    /// `false`: as if each node had a link to each other. One's own messages are delivered at once and never meet
    /// a fault, and nobody is told of a cut. There is nobody to keep anything: no logs, no groups, no
    /// cursors, nothing to administer.
    pub echo_via_server: bool,
    /// Does [`announce`](crate::transport::Transport::announce) give hints about others? Default `true`.
    pub failure_hints: bool,
    /// The largest message, in bytes; a larger one is refused with `TooLarge`. Default
    /// [`FRAME_BYTES_MAX`], as large as a frame can be.
    pub message_bytes_max: usize,
    /// The most messages that wait in one inbox for its reader, and again the most that are on their way to it
    /// (delayed, or held by a pause), and the most that a paused node holds back. Further ones to an inbox are
    /// dropped and reported where they would have stood; a publish beyond what a paused node holds fails.
    /// Default 65 536.
    pub inbox_messages_max: usize,
    /// The same bound in bytes; one message alone always fits. Default 64 MiB.
    pub inbox_bytes_max: usize,
    /// The most records that a lane of a log keeps; the oldest leave first. No more are with the members of a group at once.
    /// Default 65 536.
    pub log_records_max: usize,
    /// The same bound in bytes; one record alone always fits. Default 64 MiB.
    pub log_bytes_max: usize,
    /// How groups share. Default [`GroupStyle::Leases`].
    pub groups: GroupStyle,
    /// The time of day when the first node connected, to which the time that has passed on tokio's clock is added
    /// wherever a time of day is shown ([`Link`](crate::transport::Link)). Default: the first second of 2026 (UTC),
    /// not the system's clock, so that histories repeat to the byte.
    pub wall_clock_start: SystemTime,
}

/// How the members of a group share the records of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupStyle {
    /// Each record goes to one member for a time, in the order of keys
    /// ([`GroupOrder::Key`](crate::transport::GroupOrder::Key)). As NATS and Redis do it, with an order that they have not.
    #[default]
    Leases,
    /// A lane belongs to one member. One that joins gets its share of the lanes, at least one, which the owners are asked
    /// for; what one had that goes is for the oldest that is left
    /// ([`GroupOrder::Lane`](crate::transport::GroupOrder::Lane)). As Kafka does it.
    Lanes,
}

impl Default for SpaceConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            echo_via_server: true,
            failure_hints: true,
            message_bytes_max: FRAME_BYTES_MAX,
            inbox_messages_max: 65_536,
            inbox_bytes_max: 64 << 20,
            log_records_max: 65_536,
            log_bytes_max: 64 << 20,
            groups: GroupStyle::Leases,
            wall_clock_start: UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        }
    }
}
