//! Who is in the cluster: heartbeats and the failure detector.
//!
//! Pure values: what was heard and the time go in, events and verdicts come out. There is no task, no I/O and no
//! clock in here; the bus drives it, and a test can play a week of faults in a millisecond.
//!
//! # How a member is judged
//! Every node sends a heartbeat on the control topic at least once per
//! [`heartbeat_interval`](MembershipConfig::heartbeat_interval). Every other node keeps one deadline per *source*,
//! that is per life of a node: silent for [`suspect_after`](MembershipConfig::suspect_after) it is suspected,
//! silent for [`fail_after`](MembershipConfig::fail_after) it has failed. A leave is believed at once. Lives are
//! told apart by equality only, never by order, and a new life never ends an older one: a node that restarts
//! quickly is first joined by its new life, and its old life fails by its own deadline.
//!
//! # When nobody is judged
//! Silence has two explanations, and one of them is oneself. Verdicts are frozen while
//!
//! - the link is down;
//! - one's own heartbeat does not come back, where it travels through a server ([`Frozen::NoEcho`]);
//! - more than half of the peers are silent at once, where peers talk directly and an echo would prove nothing
//!   ([`Frozen::Isolated`]);
//!
//! and a timer that fires more than one heartbeat interval late (the process was stopped, or starved) gives no
//! verdicts. At the end of each of these every deadline begins anew. The price is stated, not hidden: two nodes
//! without a server cannot tell "it crashed" from "I am cut off", so the survivor is told
//! [`MemberEvent::Isolated`], never [`MemberEvent::Failed`]; and the same holds for a minority that survives.
//!
//! # Figures
//! With interval `i`, `fail_after` `f`, a hint's grace `g`, a one-way delay `d` and `n` nodes:
//!
//! | what | formula | by default |
//! |---|---|---|
//! | crash to `Failed` | between `f - i` and `f + d` | 4 to 5 s |
//! | crash to `Failed`, where the backend gives a hint | the hint, then `g` | 1.5 s after the hint |
//! | leave to `Left` | `d` | |
//! | two lives under one name to `Conflict` | at most `3i + d` | 3 s |
//! | end of one's own outage to the first possible verdict | `f` | 5 s |
//! | chance that a live member fails, per heartbeat, when each is lost with chance `p` | about `p^(f/i)` | 0.03% at 20% loss |
//! | heartbeats that each node takes in | `n / i` | 100 a second for 100 nodes |
//!
//! Through a server, two echoes lost in a row restart every deadline. On a link that loses messages with chance `p`
//! without breaking that happens every `i / p^2`, so from about a quarter of all messages lost a crash may be
//! reported late. The servers that agora speaks to are reached by TCP, where loss is delay or an outage.

mod clock;
mod config;
mod detector;
mod event;
mod heartbeat;
mod member;
mod peers;

pub use config::MembershipConfig;
pub use detector::Detector;
pub use event::{Frozen, MemberEvent, Output, Verdict};
pub use heartbeat::{Heartbeat, HeartbeatSchedule};
pub use member::{Member, MemberInfo, MemberState, TopicState};

#[cfg(test)]
mod cluster;
