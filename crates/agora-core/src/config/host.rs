//! `host:port`, as every backend's list of servers has it.

use std::net::Ipv6Addr;

/// What a host looks like, as errors put it.
pub(super) const FORM: &str = "host:port or [v6 address]:port; the port may be left out";

/// Is it `host`, `host:port`, `[v6]` or `[v6]:port`? Port 0 is one only where `listens`.
pub(super) fn is_host(text: &str, listens: bool) -> bool {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else { return false };
        if address.parse::<Ipv6Addr>().is_err() {
            return false;
        }
        match rest.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None if rest.is_empty() => (address, None),
            None => return false,
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let good_port = |port: &str| {
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        digits && port.parse::<u16>().is_ok_and(|port| listens || port != 0)
    };
    !host.is_empty() && host.len() <= 253 && host.chars().all(allowed) && port.is_none_or(good_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["a", "a:1", "b-c.example:65535", "10.0.0.1", "under_score:2", "[::1]", "[fe80::1]:7447"]
        {
            assert!(is_host(good, false), "{good}");
        }
        for bad in [
            "", ":1", "a:", "a:x", "a:0", "a:65536", "a:+1", "a:1:2", "::1", "[::1", "[::1]7", "[zz]:7",
            "a b:1", "u@a",
        ] {
            assert!(!is_host(bad, false), "{bad}");
        }
        assert!(is_host("0.0.0.0:0", true));
    }
}
