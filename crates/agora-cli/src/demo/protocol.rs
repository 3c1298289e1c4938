//! What the demo and its nodes say to each other through their pipes: one JSON object a line.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ledger::Ledger;

/// What the demo tells a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Command {
    /// A mail client of this account waits on this node.
    Idle { account: u64 },
    /// This node holds the connection to the push service.
    ServePush,
    /// Publish a built-in event.
    Publish { kind: String, body: Value },
    /// A client connects from this address.
    Connect { address: IpAddr },
    /// Publish events at a rate, for a time.
    Flow { per_second: u64, milliseconds: u64 },
    /// Report the books.
    Books,
    /// Leave the cluster in an orderly way.
    Leave,
}

/// What a node tells the demo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(super) enum Report {
    /// It is a member, and its subscription is established.
    Ready { incarnation: String },
    /// Something happened to another member.
    Member { event: String, node: String, incarnation: String, at_us: u64 },
    /// An event made it do something.
    Did { kind: String, from: String, did: String, sent_us: u64, at_us: u64 },
    /// A client was let in, or not.
    Connection { address: IpAddr, accepted: bool },
    /// The flow has ended.
    FlowEnded { published: u64 },
    /// Events of a source are missing, `from` up to and not including `to`; no source: nobody knows what.
    Gap { source: Option<String>, from: Option<u64>, to: Option<u64>, reason: String, at_us: u64 },
    /// Its books.
    Books(Books),
    /// It has done what it was told.
    Done,
    /// It could not do what it was told.
    Failed { message: String },
    /// It has left.
    Left,
}

/// What a node has published and received, in this life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Books {
    /// The sequence of the last event that it published.
    pub(super) published: u64,
    /// The counters of its bus.
    pub(super) stats: BTreeMap<String, u64>,
    /// What it received.
    pub(super) ledger: Ledger,
}

/// Microseconds since 1970: all nodes are on one host, so their clocks are one.
pub(super) fn micros(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_can_be_read_again() {
        let commands = [
            Command::Idle { account: 7 },
            Command::ServePush,
            Command::Publish { kind: "k".into(), body: serde_json::json!({"a": 1}) },
            Command::Connect { address: IpAddr::from([203, 0, 113, 9]) },
            Command::Flow { per_second: 100, milliseconds: 5000 },
            Command::Books,
            Command::Leave,
        ];
        for command in commands {
            let line = serde_json::to_string(&command).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Command>(&line).unwrap(), command);
        }
        let mut ledger = Ledger::default();
        ledger.deliver("a", 1);
        ledger.gap("a", Some(2), None, "lost");
        let books = Books { published: 3, stats: [("delivered".into(), 1)].into(), ledger };
        for report in [Report::Ready { incarnation: "0a".into() }, Report::Books(books), Report::Left] {
            let line = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<Report>(&line).unwrap(), report);
        }
    }
}
