//! The part of the contract that is about groups: members that share the records of a log.
//!
//! A backend shares out in one of two ways, and both fit here. By **lease**: each record goes to one member for a time,
//! and to another one when that has passed (NATS, Redis, a space in memory). By **lane**: each lane belongs to one
//! member, which the backend takes back in an orderly way (Kafka; a space in memory where it is asked to).

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{BoxFuture, Position, Raw};
use crate::error::Result;
use crate::id::GroupName;

/// In which order a group gets what was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupOrder {
    /// In none that could be relied on: two members may work on events of one key at the same time.
    None,
    /// Records of one key of the backend ([`OutFrame::key`](super::OutFrame::key)) are with one member at a time, the
    /// earlier one first.
    Key,
    /// A lane belongs to one member, and so does every key.
    Lane,
}

/// What the engine wants of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// Its name.
    pub name: GroupName,
    /// Where it begins when it is new. One that is known goes on where it stands.
    pub start: GroupStart,
    /// How long a record is this member's, unless that is extended; or how long a member may be silent before its
    /// lanes are given to others.
    pub lease: Duration,
}

/// Where a group that is new begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupStart {
    /// With the oldest record of the log.
    #[default]
    Earliest,
    /// With what is published from now on.
    Latest,
}

/// The right to settle one record. It is void when its lease has ended, its lane has gone, or the record was given out
/// anew, also to the same member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What to do with a record that a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settle {
    /// It is done: it is given to nobody any more.
    Ack,
    /// It is still worked on: its lease begins anew.
    Extend,
    /// It goes to whoever is free, as soon as may be. This does not count as a failed attempt where the backend can
    /// tell.
    Release,
}

/// What a group has to tell one of its members.
#[derive(Debug)]
pub enum FromGroup {
    /// A record to work on.
    Message {
        /// The message.
        raw: Raw,
        /// Where it stands in its lane.
        at: Position,
        /// The right to settle it.
        token: Token,
        /// How often it was given out and not settled, this time included: from 1.
        attempt: u32,
    },
    /// Records that this group had not finished are gone: retention was faster.
    Trimmed {
        /// Of this lane.
        lane: u32,
        /// How many, where it is known.
        records: Option<u64>,
    },
    /// These lanes are this member's from here on. Only where the order is [`GroupOrder::Lane`].
    Assigned {
        /// The lanes that are new.
        lanes: Vec<u32>,
    },
    /// These lanes are to be given back: nothing of them is to be begun any more, what is settled is to be settled,
    /// and then `done` is to be told. A member that takes longer than the backend allows loses them.
    Revoking {
        /// The lanes.
        lanes: Vec<u32>,
        /// To be told, or dropped, when nothing of them is worked on any more.
        done: oneshot::Sender<()>,
    },
    /// These lanes are gone without a question: whatever is held of them is another's now, and its tokens are void.
    Lost {
        /// The lanes.
        lanes: Vec<u32>,
    },
    /// The connection was interrupted: every token is void, and the group is to be joined anew.
    Interrupted,
}

/// One member's place in a group. Dropping it leaves the group; what it holds goes to others, at once where the backend
/// can be told, else when the lease has ended.
#[async_trait]
pub trait GroupInbox: Send {
    /// Waits until there is something, then appends what is there to `into`, at most `records_max` records. A record is
    /// given out as soon as it is in `into`. With 0 it waits for what is no record: a member that has enough to do must
    /// hear all the same that its lanes are asked back.
    ///
    /// # Errors
    /// `Closed` when the transport was closed; any other error is final too.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromGroup>) -> Result<()>;

    /// Settles a record that was received here. In call order where that matters: an `Ack` after an `Extend` wins.
    ///
    /// # Errors
    /// `Conflict`: the token is void; the record is another's work. `Unreachable`, `Timeout`, `OutcomeUnknown`: it may
    /// be tried again as long as the lease lasts. `Closed`.
    ///
    /// # Cancel safety
    /// Dropped before it ends, it may have been settled.
    fn settle(&self, token: Token, how: Settle) -> BoxFuture<Result<()>>;

    /// Settles several records, in this order, and answers for each as [`settle`](GroupInbox::settle) does. A backend that
    /// can say many things at once, or needs one answer for all of them, does so here.
    ///
    /// # Cancel safety
    /// Dropped before it ends, each may have been settled.
    fn settle_all(&self, words: Vec<(Token, Settle)>) -> BoxFuture<Vec<Result<()>>> {
        // Begun in their order; a slow one keeps no other from its answer.
        let mut settling: Vec<_> =
            words.into_iter().map(|(token, how)| (self.settle(token, how), None)).collect();
        Box::pin(async move {
            poll_fn(|cx| {
                let mut is_done = true;
                for (settling, answer) in settling.iter_mut().filter(|(_, answer)| answer.is_none()) {
                    match settling.as_mut().poll(cx) {
                        Poll::Ready(result) => *answer = Some(result),
                        Poll::Pending => is_done = false,
                    }
                }
                if is_done { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            settling.into_iter().filter_map(|(_, answer)| answer).collect()
        })
    }

    /// Leaves the group in an orderly way: what is held is released.
    ///
    /// # Errors
    /// As [`settle`](GroupInbox::settle); the place in the group is gone all the same.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the group was left as by dropping.
    async fn leave(self: Box<Self>) -> Result<()>;
}
