//! Every rule of the detector as a script, named after the rule; each fails without it.
//!
//! Times of the default configuration: a heartbeat per second, suspected after 3 s, failed after 5 s, a hint's grace
//! 1.5 s. In the scripts, c and d are bystanders whose heartbeats prove that one's own link works.

mod bounds;
mod deadline;
mod hints;
mod isolation;
mod leaving;
mod link;
mod lives;
mod pauses;
mod sources;

use super::script::{Run, info, play, source};
use crate::id::{Incarnation, NodeName, StreamId};
use crate::limits::MEMBERS_MAX;
use crate::membership::{Frozen, MemberInfo, MemberState, MembershipConfig, Output, TopicState, Verdict};

/// Peers talk directly.
fn mesh(script: &str, expected: &str) {
    check(false, script, expected);
}

/// All travels through a server, and comes back.
fn server(script: &str, expected: &str) {
    check(true, script, expected);
}

fn check(echo: bool, script: &str, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let found = play(MembershipConfig::default(), echo, script);
    assert_eq!(found, expected.join("\n"), "\nfound:\n{found}\n\nscript:\n{script}");
}
