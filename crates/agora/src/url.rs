//! Which backend a URL names, and what it says that is not the backend's own.

use agora_core::id::ClusterName;
use agora_core::{Error, ErrorKind, Result};

/// A backend that this version knows, compiled in or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Memory,
    Zenoh,
}

/// Every scheme, as errors list them.
const KNOWN: &str = "`memory:NAME` and `zenoh:` (or `zenoh://host:port,host:port`)";

/// The scheme of a URL.
pub(crate) fn scheme(url: &str) -> Result<Scheme> {
    let found = url.split_once(':').map(|(scheme, _)| scheme);
    match found {
        Some("memory") => Ok(Scheme::Memory),
        Some("zenoh") => Ok(Scheme::Zenoh),
        Some(found) => {
            let shown: String = found.chars().take(40).collect();
            Err(Error::new(ErrorKind::Config, format!("unknown backend {shown:?}"))
                .operation("connect")
                .help(format!("the URLs that are known begin with {KNOWN}")))
        }
        // The URL itself is not shown: it may hold what is nobody's business.
        None => Err(Error::new(ErrorKind::Config, "not a URL: it has no scheme")
            .operation("connect")
            .help(format!("the URLs that are known begin with {KNOWN}"))),
    }
}

/// What a `memory:` URL says: the name of the space, and the cluster where it names one.
pub(crate) fn memory(url: &str) -> Result<(&str, Option<ClusterName>)> {
    let rest = url.strip_prefix("memory:").unwrap_or(url);
    let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut cluster = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("cluster", value)) if cluster.is_none() => cluster = Some(ClusterName::new(value)?),
            Some(("cluster", _)) => return Err(wrong("`cluster` is given twice")),
            _ => {
                let name: String = pair.split('=').next().unwrap_or(pair).chars().take(40).collect();
                return Err(wrong(format!("unknown parameter {name:?}")));
            }
        }
    }
    if name.is_empty() {
        return Err(wrong("the space has no name"));
    }
    if name.starts_with('/') {
        return Err(wrong("it names a host; there is none, only a space in this process"));
    }
    Ok((name, cluster))
}

fn wrong(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("not a URL of this backend: {why}"))
        .backend("memory")
        .operation("connect")
        .help("it looks like `memory:NAME` or `memory:NAME?cluster=NAME`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        for (url, expected) in [
            ("memory:a", Scheme::Memory),
            ("zenoh:", Scheme::Zenoh),
            ("zenoh://a:1,b:2?mode=client", Scheme::Zenoh),
        ] {
            assert_eq!(scheme(url).unwrap(), expected, "{url}");
        }
        for url in ["", "memory", "Memory:a", "http://example.org", ":x", "//host"] {
            let error = scheme(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            let help = error.help_text().unwrap();
            assert!(help.contains("memory:") && help.contains("zenoh:"), "{help}");
        }
    }

    #[test]
    fn memory_urls() {
        assert_eq!(memory("memory:a").unwrap(), ("a", None));
        let prod = ClusterName::new("prod").unwrap();
        assert_eq!(memory("memory:a?cluster=prod").unwrap(), ("a", Some(prod)));
        for (url, says) in [
            ("memory:", "no name"),
            ("memory:?cluster=a", "no name"),
            ("memory://a", "host"),
            ("memory:a?cluster=", "cluster"),
            ("memory:a?cluster=a&cluster=b", "twice"),
            ("memory:a?speed=9", "\"speed\""),
        ] {
            let error = memory(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(says), "{url}: {error}");
        }
    }
}
