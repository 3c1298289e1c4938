//! Values that are never printed.

use std::fmt;

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

/// A URL that may hold a password. `Debug` and `Display` hide everything before its last `@`, and the values of
/// parameters after `?`.
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

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once(':') else { return f.write_str(HIDDEN) };
        if !scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') {
            return f.write_str(HIDDEN);
        }
        write!(f, "{scheme}:")?;
        // A password may hold any sign, `/`, `?` and `#` too: only what follows the last `@` is surely none of it.
        let (hidden, rest) = match rest.rsplit_once('@') {
            Some((_, rest)) => (true, rest),
            None => (false, rest.strip_prefix("//").unwrap_or(rest)),
        };
        if self.0[scheme.len() + 1..].starts_with("//") {
            f.write_str("//")?;
        }
        if hidden {
            write!(f, "{HIDDEN}@")?;
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        f.write_str(place)?;
        for (i, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let name = pair.split('=').next().unwrap_or(pair);
            let hidden = ["pass", "secret", "token", "credential", "key", "auth"];
            let secret = hidden.iter().any(|word| name.contains(word)) && !name.ends_with("_file");
            f.write_str(if i == 0 { "?" } else { "&" })?;
            if secret { write!(f, "{name}={HIDDEN}")? } else { f.write_str(pair)? }
        }
        Ok(())
    }
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
            ("memory:one", "memory:one"),
            ("zenoh:", "zenoh:"),
            ("hunter2", "***"),
            ("hun ter2:x", "***"),
        ] {
            assert_eq!(SecretUrl::new(url).to_string(), shown, "{url}");
            assert_eq!(format!("{:?}", SecretUrl::new(url)), shown, "{url}");
        }
    }
}
