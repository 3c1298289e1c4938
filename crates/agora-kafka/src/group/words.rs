//! What a [member](super::member) asks for, and what it is answered.

use std::collections::BTreeSet;
use std::time::Duration;

use agora_core::Error;
use bytes::Bytes;

use crate::error::Refusal;

/// Whose place in a group: what the coordinator calls the member, and how often the group was shared out before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// Empty: the coordinator has not named it yet.
    pub(super) member: String,
    /// -1: it has no part in any.
    pub(super) generation: i32,
}

/// What is to be done. What has a round is answered with the same round, and the next such thing makes the answer worthless.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// Join, and wait until all others have.
    Join { round: u64, member: String, session: Duration, rebalance: Duration },
    /// Find out which session timeouts the brokers allow.
    Bounds { round: u64 },
    /// Wait for what one gets; share everything out before, where one leads.
    Sync { round: u64, joined: Joined },
    /// Say that one is there.
    Beat { seat: Seat },
    /// These lanes are this member's.
    Take { seat: Seat, lanes: BTreeSet<i32> },
    /// All lanes are to be given back. To be answered when they are.
    GiveBack,
    /// All lanes are another's.
    Lose,
    /// Say that one goes.
    Leave { member: String },
    /// It is over.
    Fail(Error),
}

/// What the leader of a group goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leads {
    /// Each member with its instance and what it said that it wants.
    pub(super) members: Vec<(String, Option<String>, Bytes)>,
    /// What was shared out before stands; the leader only has to know for what.
    pub(super) is_settled: bool,
}

/// The group has come together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) seat: Seat,
    /// How it shares out, by its name.
    pub(super) protocol: String,
    /// Where this member leads it.
    pub(super) leads: Option<Leads>,
}

/// Why something did not come about.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Nobody has answered.
    Silence,
    /// The coordinator has said no. With the name that it has given to the member, where it has.
    Refused(Refusal, Option<String>),
    /// The brokers cannot be used like this.
    Final(Error),
}
