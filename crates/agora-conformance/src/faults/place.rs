//! Where an event stands at its source: its lane, and its sequence on that lane. In these histories both are one number
//! that people can read: event 7 of lane 3 is 3000000000007, and on a topic of one lane the number is the sequence.

/// More than anybody publishes on one lane.
const LANE: u64 = 1_000_000_000_000;

/// A place.
pub(super) fn place(lane: u32, seq: u64) -> u64 {
    u64::from(lane) * LANE + seq
}

/// The lane of a place.
pub(super) fn lane_of(place: u64) -> u64 {
    place / LANE
}

/// The sequence of a place on its lane.
pub(super) fn seq_of(place: u64) -> u64 {
    place % LANE
}
