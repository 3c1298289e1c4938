//! Every bound of the engine in one place, each with what happens when it is reached.
//!
//! Bounds that an application may want to move are fields of [`Limits`]; the others are constants, because a
//! cluster whose nodes disagree on them would misbehave.

use std::time::Duration;

/// The largest body of one event: 1 MiB. A larger one is refused at `publish` with `TooLarge`.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// The largest key of one event: 1 KiB. A larger one is refused at `publish` with `TooLarge`.
pub const KEY_BYTES_MAX: usize = 1 << 10;
/// The longest kind, in bytes. A longer one is refused at `publish`.
pub const KIND_BYTES_MAX: usize = 200;
/// The largest frame that is read: one of the largest events, with its key, kind and header, and room for more
/// extensions. A larger one is rejected and counted.
pub const FRAME_BYTES_MAX: usize = BODY_BYTES_MAX + (64 << 10);
/// A frame is closed to further events beyond this size; one event alone may exceed it.
pub const FRAME_BYTES_TARGET: usize = 64 << 10;
/// The most events in one frame; further ones begin the next.
pub const FRAME_RECORDS_MAX: usize = 1024;
/// The most different kinds in one frame; further ones begin the next.
pub const FRAME_KINDS_MAX: usize = 64;
/// The largest header with its extensions: 4 KiB. A larger one is rejected and counted.
pub const HEADER_BYTES_MAX: usize = 4 << 10;
/// The most hellos that one head answers; a source answers further ones with a second head.
pub const HEAD_NONCES_MAX: usize = 32;
/// The most ranges in one repair request; further holes are asked for later.
pub const ASK_RANGES_MAX: usize = 16;
/// The most topics that a heartbeat names; a node that publishes on more is refused the next one.
pub const HEARTBEAT_TOPICS_MAX: usize = 256;
/// The most tags of a node. More are refused when the bus opens.
pub const TAGS_MAX: usize = 32;
/// The longest tag name or value, in bytes.
pub const TAG_BYTES_MAX: usize = 200;
/// What a frame that is kept costs in memory beyond its bytes, roughly. It is counted with each, or frames of no
/// bytes at all could be kept without end.
pub const FRAME_OVERHEAD_BYTES: usize = 256;

/// The largest body of a control record: 32 KiB, which the largest heartbeat does not reach. A larger one is
/// refused before it is decoded, because every byte of a list can claim an element of many bytes.
pub const CONTROL_BODY_BYTES_MAX: usize = 32 << 10;

/// How long a source does not repeat a frame that it has just repaired: one answer serves all who ask.
pub const ANSWER_MUTE: Duration = Duration::from_millis(200);
/// How long a receiver waits for an answer before it asks again. Must exceed [`ANSWER_MUTE`] and a round trip, or
/// one lost answer would burn every try.
pub const ASK_RETRY: Duration = Duration::from_millis(500);
/// How often a receiver asks for one hole before the hole is a `Gap`.
pub const ASK_TRIES: u8 = 3;
/// How often another's answer may defer one's own request.
pub const ASK_DEFERRALS: u8 = 2;
/// The spread of the first request for a hole, per member: with many members few need to ask.
pub const ASK_SPREAD_PER_MEMBER: Duration = Duration::from_millis(1);
/// The least and the most spread of the first request.
pub const ASK_SPREAD: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// How many bytes of repair answers a source sends per second and stream in the long run, and at once. What is
/// beyond waits until it is asked for again.
pub const ANSWER_BYTES_PER_SECOND: usize = 16 << 20;
/// See [`ANSWER_BYTES_PER_SECOND`].
pub const ANSWER_BURST_BYTES: usize = 4 << 20;
/// How often a receiver says hello to a source that it holds dead and that shows signs of life, at most.
pub const HELLO_INTERVAL: Duration = Duration::from_millis(500);
/// How long a subscription waits for the sources that it knows of before it counts as established all the same.
pub const ESTABLISH_WAIT: Duration = Duration::from_secs(1);
/// How long a subscription waits at least, so that sources that it does not know of can answer its hello.
pub const ESTABLISH_SETTLE: Duration = Duration::from_millis(50);
/// The first interval between the hellos of a subscription that is not yet established; it doubles.
pub const ESTABLISH_RETRY: Duration = Duration::from_millis(100);
/// The first and the last interval between heads of a silent source; it doubles in between.
pub const HEAD_INTERVAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long an ended source is remembered: longer than a network can delay a frame.
pub const TOMBSTONE_AGE: Duration = Duration::from_secs(600);
/// The largest cursor of one lane: 3 KiB, which every backend can keep.
pub const CURSOR_BYTES_MAX: usize = 3 << 10;
/// The most sources that a cursor names: those that were read last. Of one that was read long before, a record that is
/// appended once more is a first sight.
pub const CURSOR_SOURCES_MAX: usize = 72;
/// How long a hole in a log waits, by the times in the log itself, for what its source may still be about to append:
/// as long as a publish may take.
pub const LOG_HOLE_AGE: Duration = Duration::from_secs(30);
/// How often a durable subscription saves its cursor, at most.
pub const CURSOR_SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// The most frames of which a member of a group remembers what it settled after it has given them away. An older one that
/// is given out to it anew is handled again.
pub const GROUP_SETTLED_MAX: usize = 65_536;
/// The longest reason of a dead letter, in bytes. A longer one is cut.
pub const REASON_BYTES_MAX: usize = 2 << 10;
/// The most records that a member of a group holds at once and has not done. Further ones stay with the backend.
pub const GROUP_RECORDS_MAX: usize = 1024;
/// The most records that a member of a group has done and not been answered for by the backend. Beyond it, none is taken.
pub const GROUP_ACKING_MAX: usize = 8192;
/// The most sources that a topic keeps track of, ended ones included. Frames of further ones are dropped and
/// counted, and the subscriptions are told by a `Gap`.
pub const SOURCES_MAX: usize = 4096;
/// The most members that a node keeps track of. Heartbeats of further ones are dropped and counted.
pub const MEMBERS_MAX: usize = 4096;

const _: () = assert!(ASK_RETRY.as_millis() > ANSWER_MUTE.as_millis() * 2);
const _: () = assert!(ANSWER_BURST_BYTES > FRAME_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_TARGET < FRAME_BYTES_MAX);
const _: () = assert!(FRAME_RECORDS_MAX <= u16::MAX as usize);
const _: () = assert!(FRAME_KINDS_MAX <= u8::MAX as usize);

/// The bounds that an application may move. All memory for events comes out of one budget; beside it stand the table
/// of members (at most [`MEMBERS_MAX`], a heartbeat each) and what the backend itself keeps, as its page says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// All that a bus may hold of events, in bytes. Default 64 MiB, at least 8 MiB. Half of it is for events waiting to be
    /// sent (when that is full, `publish` waits and `try_publish` returns `QueueFull`), a quarter for frames kept
    /// for repair (the oldest leave first), a quarter for what was received and not yet taken (on a live topic
    /// the excess becomes a `Gap`).
    pub memory_bytes: usize,
    /// How long a sent frame is kept for repair. Default 30 s, at most [`Limits::TIME_MAX`].
    pub repair_age: Duration,
    /// How long a publish may take. Default 30 s: it must outlast a failover of the backend's leader. At least
    /// [`Limits::PUBLISH_TIMEOUT_MIN`], at most [`Limits::TIME_MAX`].
    pub publish_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            repair_age: Duration::from_secs(30),
            publish_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// The least that [`Limits::memory_bytes`] may be: below it, the largest event would not fit its share.
    pub const MEMORY_BYTES_MIN: usize = 8 << 20;
    /// The least that [`Limits::publish_timeout`] may be: 100 ms.
    pub const PUBLISH_TIMEOUT_MIN: Duration = Duration::from_millis(100);
    /// The most that a time may be: an hour.
    pub const TIME_MAX: Duration = Duration::from_secs(3600);
    /// The most that [`Limits::memory_bytes`] may be: 4 GiB.
    pub const MEMORY_BYTES_MAX: usize = 4 << 30;

    /// The share of the memory for events waiting to be sent.
    pub fn queue_bytes(&self) -> usize {
        self.memory_bytes / 2
    }

    /// The share of the memory for frames kept for repair.
    pub fn repair_bytes(&self) -> usize {
        self.memory_bytes / 4
    }

    /// The share of the memory for what was received and not yet taken.
    pub fn receive_bytes(&self) -> usize {
        self.memory_bytes / 4
    }
}
