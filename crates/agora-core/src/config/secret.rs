//! Values that are never printed.

use std::fmt;

use super::host;
use super::keys::SECTIONS;

/// What stands in the place of a secret, wherever one would be printed.
const HIDDEN: &str = "***";

/// A password, a token, a key. Neither `Debug` nor `Display` shows it; only [`expose`](Secret::expose) does.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself: for the call that needs it, and for nothing that prints.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A URL that may hold a password. `Debug` and `Display` hide everything before its last `@`, and whatever else is not
/// known to be harmless.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Takes a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its password: for the call that needs it, and for nothing that prints.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Shows only what is surely no secret: hosts that are some, a plain path, parameters that are known to be harmless. A
/// password may hold any sign, and a user may forget any other.
impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once(':') else { return f.write_str(HIDDEN) };
        if !scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') {
            return f.write_str(HIDDEN);
        }
        write!(f, "{scheme}:")?;
        let (slashes, rest) = match rest.strip_prefix("//") {
            Some(rest) => ("//", rest),
            None => ("", rest),
        };
        f.write_str(slashes)?;
        // Only what follows the last `@` is surely no password.
        let rest = match rest.rsplit_once('@') {
            Some((_, rest)) => {
                write!(f, "{HIDDEN}@")?;
                rest
            }
            None => rest,
        };
        let (rest, fragment) = rest.split_once('#').map_or((rest, None), |(rest, f)| (rest, Some(f)));
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        f.write_str(if is_place(place) { place } else { HIDDEN })?;
        for (i, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let name = pair.split('=').next().unwrap_or(pair);
            f.write_str(if i == 0 { "?" } else { "&" })?;
            // Only of a setting that is known to be no secret is it certain that its value is none.
            let known = SECTIONS.iter().flat_map(|section| section.keys).find(|key| key.name == name);
            if known.is_some_and(|key| !key.takes.is_secret()) {
                f.write_str(pair)?;
            } else if known.is_some() || is_word(name) {
                write!(f, "{name}={HIDDEN}")?;
            } else {
                f.write_str(HIDDEN)?;
            }
        }
        match fragment {
            Some("insecure") => f.write_str("#insecure"),
            Some(_) => write!(f, "#{HIDDEN}"),
            None => Ok(()),
        }
    }
}

/// Hosts with a plain path, or the name of a space.
fn is_place(place: &str) -> bool {
    let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
    hosts.split(',').all(|host| host.is_empty() || host::is_host(host, true)) && is_word(path)
}

fn is_word(text: &str) -> bool {
    text.len() <= 40 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_url_is_shown_without_what_it_hides() {
        for (url, shown) in [
            ("redis://host:6379/2", "redis://host:6379/2"),
            ("redis://:hunter2@host", "redis://***@host"),
            ("rediss://user:hunter2@host:1/0#insecure", "rediss://***@host:1/0#insecure"),
            ("redis://user:hun/ter2?x#y@host", "redis://***@host"),
            ("redis://user:hun@ter2@host", "redis://***@host"),
            ("redis+cluster://a,user:hunter2@b", "redis+cluster://***@b"),
            ("nats://a?password=hunter2&user=me", "nats://a?password=***&user=me"),
            ("kafka://a?password_file=/etc/pw", "kafka://a?password_file=/etc/pw"),
            ("kafka://a?pwd=hunter2&cluster=c", "kafka://a?pwd=***&cluster=c"),
            ("memory:one", "memory:one"),
            ("zenoh:", "zenoh:"),
            ("redis://:hunter2@host#hunter2", "redis://***@host#***"),
            ("redis://user:hunter2", "redis://***"),
            ("nats://host?hun ter2", "nats://host?***"),
            ("redis+sentinel://a,[::1]:2/one", "redis+sentinel://a,[::1]:2/one"),
            ("hunter2", "***"),
            ("hun ter2:x", "***"),
        ] {
            assert_eq!(SecretUrl::new(url).to_string(), shown, "{url}");
            assert_eq!(format!("{:?}", SecretUrl::new(url)), shown, "{url}");
        }
    }
}
