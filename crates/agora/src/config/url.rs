//! What a URL says, in the keys of its backend's table. Read by hand: URL libraries know one host, and these have
//! several.

use agora_core::config::{Backend, Raw, Takes, find, percent_decode, section};

/// The longest URL that is read, in bytes.
const URL_BYTES_MAX: usize = 16 << 10;
/// Every scheme, as errors list them.
pub(super) const KNOWN: &str = "`memory:NAME`, `zenoh:` (or `zenoh://host:port,host:port`), `nats://`, `tls://`, \
                                `redis[s]://`, `redis[s]+cluster://`, `redis[s]+sentinel://` and `kafka[+tls]://`";

/// What a URL says.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) backend: Backend,
    /// The space, of the backend memory.
    pub(super) space: Option<String>,
    /// Section, name and value.
    pub(super) entries: Vec<(&'static str, String, Raw)>,
}

/// What is wrong with a URL. Never holds what may be a password.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) help: String,
}

fn wrong(what: impl Into<String>, help: impl Into<String>) -> Wrong {
    Wrong { what: what.into(), help: help.into() }
}

/// The variants of a backend's scheme.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Plain,
    Cluster,
    Sentinel,
}

/// The backend that a URL's scheme names.
pub(super) fn backend(url: &str) -> Result<Backend, Wrong> {
    scheme(url).map(|(backend, ..)| backend)
}

fn scheme(url: &str) -> Result<(Backend, bool, Variant, &str), Wrong> {
    let help = format!("the URLs that are known begin with {KNOWN}");
    if url.len() > URL_BYTES_MAX {
        return Err(wrong(
            format!("the URL has {} bytes", url.len()),
            format!("at most {URL_BYTES_MAX} are read"),
        ));
    }
    let Some((scheme, rest)) = url.split_once(':') else {
        // The URL itself is not shown: it may hold what is nobody's business.
        return Err(wrong("not a URL: it has no scheme", help));
    };
    let (backend, tls, variant) = match scheme {
        "memory" => (Backend::Memory, false, Variant::Plain),
        "zenoh" => (Backend::Zenoh, false, Variant::Plain),
        "nats" => (Backend::Nats, false, Variant::Plain),
        "tls" => (Backend::Nats, true, Variant::Plain),
        "redis" => (Backend::Redis, false, Variant::Plain),
        "rediss" => (Backend::Redis, true, Variant::Plain),
        "redis+cluster" => (Backend::Redis, false, Variant::Cluster),
        "rediss+cluster" => (Backend::Redis, true, Variant::Cluster),
        "redis+sentinel" => (Backend::Redis, false, Variant::Sentinel),
        "rediss+sentinel" => (Backend::Redis, true, Variant::Sentinel),
        "kafka" => (Backend::Kafka, false, Variant::Plain),
        "kafka+tls" => (Backend::Kafka, true, Variant::Plain),
        // `user:password@host` has no scheme either.
        _ if !scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '-')
            || rest.contains('@') =>
        {
            return Err(wrong("unknown backend", help));
        }
        _ => {
            let shown: String = scheme.chars().take(40).collect();
            return Err(wrong(format!("unknown backend {shown:?}"), help));
        }
    };
    Ok((backend, tls, variant, rest))
}

/// Reads a URL.
pub(super) fn parse(url: &str) -> Result<Parts, Wrong> {
    let (backend, tls, variant, rest) = scheme(url)?;
    let mut parts = Parts { backend, space: None, entries: Vec::new() };
    if backend == Backend::Memory {
        let (space, query) = rest.split_once('?').unwrap_or((rest, ""));
        parts.space = Some(self::space(space)?.to_owned());
        parameters(&mut parts, query)?;
        return Ok(parts);
    }
    if !(rest.is_empty() || rest.starts_with("//") || rest.starts_with('?')) {
        let help = "it looks like `scheme://host:port,host:port?name=value`";
        return Err(wrong("neither `//` nor `?` follows the scheme of the URL", help));
    }
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user.strip_prefix("//").unwrap_or(user)), rest),
        None => (None, rest.strip_prefix("//").unwrap_or(rest)),
    };
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (rest, None),
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
    // A closing slash means nothing.
    if hosts.is_empty() && (user.is_some() || !path.is_empty()) {
        return Err(wrong("the URL has no host", "it looks like `scheme://host:port,host:port?name=value`"));
    }
    match fragment {
        None => {}
        Some("insecure") if backend == Backend::Redis => {}
        Some(_) if backend == Backend::Redis => {
            return Err(wrong(
                "the URL has a fragment that is not known",
                "the one that is known is `#insecure`",
            ));
        }
        Some(_) => {
            return Err(wrong("the URL has a fragment (`#`)", "write %23 where the sign is meant"));
        }
    }
    match backend {
        Backend::Redis => redis(&mut parts, tls, variant, user, hosts, path, fragment)?,
        _ => servers(&mut parts, tls, user, hosts, path)?,
    }
    parameters(&mut parts, query)?;
    Ok(parts)
}

fn space(name: &str) -> Result<&str, Wrong> {
    let help = "it looks like `memory:NAME` or `memory:NAME?cluster=NAME`";
    if name.is_empty() {
        return Err(wrong("the space has no name", help));
    }
    if name.starts_with('/') {
        return Err(wrong("the URL names a host; there is none, only a space in this process", help));
    }
    Ok(name)
}

/// The hosts of Zenoh, NATS and Kafka.
fn servers(parts: &mut Parts, tls: bool, user: Option<&str>, hosts: &str, path: &str) -> Result<(), Wrong> {
    if !path.is_empty() {
        return Err(wrong(
            "the URL has a path",
            "a cluster is named by `?cluster=`, a topic where it is used",
        ));
    }
    let (section, name) = match parts.backend {
        Backend::Zenoh => ("zenoh", "connect"),
        Backend::Nats => ("nats", "addresses"),
        _ => ("kafka", "brokers"),
    };
    if !hosts.is_empty() {
        let list = hosts.split(',').map(|host| decode(host).map(Raw::Text)).collect::<Result<_, _>>()?;
        parts.entries.push((section, name.to_owned(), Raw::List(list)));
    }
    if tls {
        parts.entries.push((section, "tls".to_owned(), Raw::Flag(true)));
    }
    match user {
        None => Ok(()),
        Some(user) if parts.backend == Backend::Nats => {
            let Some((user, password)) = user.split_once(':') else {
                return Err(wrong(
                    "the URL has a token before `@`",
                    "use a user and a password, or credentials; within a parameter write %40",
                ));
            };
            parts.entries.push((section, "user".to_owned(), Raw::Text(decode(user)?)));
            parts.entries.push((section, "password".to_owned(), Raw::Text(decode(password)?)));
            Ok(())
        }
        Some(_) => Err(wrong(
            "the URL has a user before `@`",
            "use `?user=` and `password_file=`; within a parameter write %40",
        )),
    }
}

/// The hosts of Redis: each becomes a URL of its own, with what stands before `@`.
fn redis(
    parts: &mut Parts,
    tls: bool,
    variant: Variant,
    user: Option<&str>,
    hosts: &str,
    path: &str,
    fragment: Option<&str>,
) -> Result<(), Wrong> {
    let scheme = if tls { "rediss" } else { "redis" };
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    let mut push = |name: &str, raw: Raw| parts.entries.push(("redis", name.to_owned(), raw));
    let database = match variant {
        Variant::Plain if path.is_empty() => String::new(),
        Variant::Plain => format!("/{path}"),
        Variant::Cluster if path.is_empty() => String::new(),
        Variant::Cluster => {
            return Err(wrong("the URL has a path", "a cluster has one database: leave it out"));
        }
        Variant::Sentinel if path.is_empty() => {
            return Err(wrong("the URL names no primary", "it looks like `redis+sentinel://host,host/NAME`"));
        }
        Variant::Sentinel => {
            push("master", Raw::Text(decode(path)?));
            String::new()
        }
    };
    match variant {
        Variant::Plain => {}
        Variant::Cluster => push("mode", Raw::from("cluster")),
        Variant::Sentinel => push("mode", Raw::from("sentinel")),
    }
    if !hosts.is_empty() {
        let url = |host: &str| Raw::Text(format!("{scheme}://{user}{host}{database}{fragment}"));
        push("urls", Raw::List(hosts.split(',').map(url).collect()));
    }
    Ok(())
}

/// What follows `?`: keys of the backend's table, and `cluster`.
fn parameters(parts: &mut Parts, query: &str) -> Result<(), Wrong> {
    let table = parts.backend.as_str();
    let keys = section(table).map_or(&[][..], |section| section.keys);
    let taken = |name: &str| matches!(name, "connect" | "addresses" | "brokers" | "urls");
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        let shown: String = name.chars().take(40).collect();
        if value.is_empty() {
            return Err(wrong(
                format!("`{shown}` has no value in the URL"),
                format!("write `{shown}=VALUE`"),
            ));
        }
        let (section, known) = match name.as_str() {
            "cluster" => ("", find("", "cluster")),
            _ => (table, find(table, &name).filter(|_| !taken(&name))),
        };
        let secret = known.is_some_and(|key| matches!(key.takes, Takes::Secret | Takes::Document));
        if secret || name == "password" {
            let help = format!("write it to a file and name it with `{name}_file=`");
            return Err(wrong(format!("`{shown}` does not belong into a URL: URLs are logged"), help));
        }
        if known.is_none() {
            let names = keys.iter().filter(|key| !key.takes.is_secret() && !taken(key.name));
            let names: Vec<&str> = names.map(|key| key.name).chain(["cluster"]).collect();
            let help = format!("the parameters are {}", names.join(", "));
            return Err(wrong(format!("unknown parameter {shown:?} in the URL"), help));
        }
        if parts.entries.iter().any(|(s, n, _)| *s == section && *n == name) {
            let help = "leave one of the two out";
            return Err(wrong(format!("`{shown}` is given twice in the URL"), help));
        }
        parts.entries.push((section, name, Raw::Text(value)));
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, Wrong> {
    percent_decode(text)
        .ok_or_else(|| wrong("the URL is badly percent-encoded", "write %25 for a percent sign"))
}
