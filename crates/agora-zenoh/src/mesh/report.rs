//! What a node says of itself and of those whom it sees, as JSON: read by nodes of the same network, so hostile.

use serde_json::{Value, json};
use zenoh::session::ZenohId;

/// The largest report that is read, in bytes.
const REPORT_BYTES_MAX: usize = 256 << 10;
/// The most nodes in a report that are read.
const SEES_MAX: usize = 1024;
/// The most addresses of a node that are kept, and the longest that is.
const ADDRESSES_MAX: usize = 8;
const ADDRESS_BYTES_MAX: usize = 100;

/// Who a node is, where it listens, and whom it is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) id: ZenohId,
    pub(crate) at: Vec<String>,
    pub(crate) sees: Vec<(ZenohId, Vec<String>)>,
}

impl Report {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let node = |id: &ZenohId, at: &[String]| json!({"id": id.to_string(), "at": kept(at)});
        let mut report = node(&self.id, &self.at);
        report["sees"] = self.sees.iter().take(SEES_MAX).map(|(id, at)| node(id, at)).collect();
        report.to_string().into_bytes()
    }

    /// `None` for what is not a report. Unknown fields are passed over: a later version may add some.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > REPORT_BYTES_MAX {
            return None;
        }
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let (id, at) = node(&value)?;
        let sees = value.get("sees")?.as_array()?.iter().take(SEES_MAX).map(node).collect::<Option<_>>()?;
        Some(Self { id, at, sees })
    }
}

fn node(value: &Value) -> Option<(ZenohId, Vec<String>)> {
    let id = value.get("id")?.as_str()?.parse().ok()?;
    let at = value.get("at")?.as_array()?.iter().map(|at| at.as_str().map(str::to_owned));
    Some((id, kept(&at.collect::<Option<Vec<_>>>()?)))
}

/// The addresses that are worth keeping: another process may connect to one's own loopback address only where both
/// are on one host, so it is told only where there is no other.
fn kept(at: &[String]) -> Vec<String> {
    let usable = |at: &&String| at.len() <= ADDRESS_BYTES_MAX && at.starts_with("tcp/");
    let local = |at: &str| at.starts_with("tcp/127.") || at.starts_with("tcp/[::1]");
    let (near, far): (Vec<_>, Vec<_>) = at.iter().filter(usable).cloned().partition(|at| local(at));
    let mut kept = if far.is_empty() { near } else { far };
    // IPv4 first: the other addresses of a host are often those of its bridges and tunnels.
    kept.sort_by_key(|at| at.starts_with("tcp/["));
    kept.truncate(ADDRESSES_MAX);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> ZenohId {
        ZenohId::try_from([byte; 16].as_slice()).unwrap()
    }

    fn addresses(list: &[&str]) -> Vec<String> {
        list.iter().map(|at| (*at).to_owned()).collect()
    }

    #[test]
    fn what_is_said_is_read() {
        let report = Report {
            id: id(1),
            at: addresses(&["tcp/10.0.0.1:5", "tcp/[2001:db8::1]:5"]),
            sees: vec![(id(2), addresses(&["tcp/10.0.0.2:5"])), (id(3), Vec::new())],
        };
        assert_eq!(Report::decode(&report.encode()), Some(report));
    }

    #[test]
    fn loopback_is_told_only_where_there_is_no_other() {
        for (given, expected) in [
            (&["tcp/127.0.0.1:5"][..], &["tcp/127.0.0.1:5"][..]),
            (&["tcp/127.0.0.1:5", "tcp/[::1]:5", "tcp/10.0.0.1:5"], &["tcp/10.0.0.1:5"]),
            (&["tcp/[2001:db8::1]:5", "tcp/10.0.0.1:5"], &["tcp/10.0.0.1:5", "tcp/[2001:db8::1]:5"]),
            (&["udp/10.0.0.1:5", "unixpipe/x"], &[]),
        ] {
            assert_eq!(kept(&addresses(given)), addresses(expected), "{given:?}");
        }
    }

    #[test]
    fn what_is_no_report_is_refused_and_what_is_long_is_cut() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"id":"1","at":[]}"#,
            r#"{"id":1,"at":[],"sees":[]}"#,
            r#"{"id":"","at":[],"sees":[]}"#,
            r#"{"id":"x","at":[],"sees":[]}"#,
            r#"{"id":"1","at":"tcp/a:1","sees":[]}"#,
            r#"{"id":"1","at":[7],"sees":[]}"#,
            r#"{"id":"1","at":[],"sees":[{}]}"#,
            r#"{"id":"111111111111111111111111111111111111111111111111111111111","at":[],"sees":[]}"#,
        ] {
            assert_eq!(Report::decode(text.as_bytes()), None, "{text}");
        }
        let nested = "[".repeat(100_000);
        assert_eq!(Report::decode(nested.as_bytes()), None);
        let large = format!(r#"{{"id":"1","at":[],"sees":[],"x":"{}"}}"#, "x".repeat(REPORT_BYTES_MAX));
        assert_eq!(Report::decode(large.as_bytes()), None);
        let at = (0..100).map(|i| format!("tcp/10.0.0.1:{i}")).chain([format!("tcp/{}", "a".repeat(200))]);
        let long = Report { id: id(1), at: at.collect(), sees: vec![(id(2), Vec::new()); SEES_MAX + 1] };
        let read = Report::decode(&long.encode()).unwrap();
        assert_eq!((read.at.len(), read.sees.len()), (ADDRESSES_MAX, SEES_MAX));
    }
}
