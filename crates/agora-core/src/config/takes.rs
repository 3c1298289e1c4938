//! How the value of a setting is read, and what it may be.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::problem::Problem;
use super::secret::{Secret, SecretUrl};
use super::value::{Raw, Value, shown};
use super::{duration, host, list};
use crate::id::{ClusterName, NodeName};

/// The longest text, in bytes.
const TEXT_BYTES_MAX: usize = 4096;
/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 16 << 10;
/// The longest document, such as zenoh's own configuration, in bytes.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// The most entries of a list.
const LIST_MAX: usize = 256;

/// What a setting takes. A number, a time, `true` and `false` may also be written as text, and a list as one text with
/// commas: variables and URLs know nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Takes {
    /// Text, 1 to 4096 bytes.
    Text,
    /// The name of a cluster.
    Cluster,
    /// The name of a node.
    Node,
    /// The path of a file. It is opened when the backend is connected.
    Path,
    /// A text that is never shown. A number is refused: it would lose its leading zeros.
    Secret,
    /// A whole document, at most 1 MiB, never shown.
    Document,
    /// The URL of a backend.
    Url,
    /// A list of `host:port`.
    Hosts,
    /// A list of `host:port` where port 0 means a free one.
    Listens,
    /// A list of `redis://` or `rediss://`.
    RedisUrls,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Number {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A time within bounds.
    Time {
        /// The least.
        least: Duration,
        /// The most.
        most: Duration,
    },
    /// One of several words.
    OneOf(&'static [&'static str]),
    /// `on`, `off` or names of network interfaces.
    Multicast,
    /// A multicast address and port.
    Group,
}

impl Takes {
    /// A time from `least` to `most` milliseconds.
    pub(super) const fn time(least: u64, most: u64) -> Self {
        Self::Time { least: Duration::from_millis(least), most: Duration::from_millis(most) }
    }

    /// Is it never to be shown?
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Document | Self::Url | Self::RedisUrls)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// What is wrong with it, without keys.
    pub fn read(self, raw: &Raw) -> Result<Value, Problem> {
        match self {
            Self::Text | Self::Path => self.text(raw, TEXT_BYTES_MAX).map(Value::Text),
            Self::Cluster => self.name(raw, |name| ClusterName::new(name).is_ok()),
            Self::Node => self.name(raw, |name| NodeName::new(name).is_ok()),
            Self::Secret => self.text(raw, TEXT_BYTES_MAX).map(|text| Value::Secret(Secret::new(text))),
            Self::Document => self.text(raw, DOCUMENT_BYTES_MAX).map(|text| Value::Secret(Secret::new(text))),
            Self::Url => self.text(raw, URL_BYTES_MAX).map(|text| Value::Url(SecretUrl::new(text))),
            Self::Hosts => self.list(raw, |text| host::is_host(text, false)).map(Value::List),
            Self::Listens => self.list(raw, |text| host::is_host(text, true)).map(Value::List),
            Self::RedisUrls => self
                .list(raw, is_redis_url)
                .map(|urls| Value::Urls(urls.into_iter().map(SecretUrl::new).collect())),
            Self::Flag => match raw {
                Raw::Flag(flag) => Ok(Value::Flag(*flag)),
                Raw::Text(text) if text == "true" => Ok(Value::Flag(true)),
                Raw::Text(text) if text == "false" => Ok(Value::Flag(false)),
                _ => Err(self.refuse(raw)),
            },
            Self::Number { least, most } => {
                let number = match raw {
                    Raw::Number(number) => u64::try_from(*number).ok(),
                    Raw::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
                    _ => None,
                };
                let within = number.filter(|number| (least..=most).contains(number));
                within.map(Value::Number).ok_or_else(|| self.refuse(raw))
            }
            Self::Time { least, most } => {
                let time = match raw {
                    Raw::Text(text) => duration::parse(text),
                    _ => None,
                };
                let within = time.filter(|time| (least..=most).contains(time));
                within.map(Value::Time).ok_or_else(|| self.refuse(raw))
            }
            Self::OneOf(words) => match raw {
                Raw::Text(text) if words.contains(&text.as_str()) => Ok(Value::Text(text.clone())),
                _ => Err(self.refuse(raw)),
            },
            Self::Multicast => match raw {
                Raw::Text(text) if are_interfaces(text) => Ok(Value::Text(text.clone())),
                _ => Err(self.refuse(raw)),
            },
            Self::Group => {
                let address = match raw {
                    Raw::Text(text) => text.parse::<SocketAddr>().ok(),
                    _ => None,
                };
                let group = address.filter(|group| group.ip().is_multicast() && group.port() != 0);
                group.map(Value::Address).ok_or_else(|| self.refuse(raw))
            }
        }
    }

    fn text(self, raw: &Raw, bytes_max: usize) -> Result<String, Problem> {
        match raw {
            Raw::Text(text) if text.is_empty() => Err(Problem::value("an empty text", self.to_string())),
            Raw::Text(text) if text.len() > bytes_max => {
                Err(Problem::value(format!("{} bytes", text.len()), format!("at most {bytes_max} bytes")))
            }
            Raw::Text(text) => Ok(text.clone()),
            _ => {
                let problem = self.refuse(raw);
                Err(match (self, raw) {
                    (Self::Secret, Raw::Number(_) | Raw::Fraction) => {
                        problem.with_help("put it in quotes: a number would lose its leading zeros")
                    }
                    (_, Raw::Number(_) | Raw::Fraction | Raw::Flag(_)) => {
                        problem.with_help("put it in quotes")
                    }
                    _ => problem,
                })
            }
        }
    }

    fn name(self, raw: &Raw, is_good: impl Fn(&str) -> bool) -> Result<Value, Problem> {
        let what = if self == Self::Cluster { "cluster" } else { "node" };
        match raw {
            Raw::Text(text) if is_good(text) => Ok(Value::Text(text.clone())),
            Raw::Text(text) => Err(Problem {
                what: format!("is not a valid {what} name"),
                allowed: None,
                ..Problem::value(shown(text), "").with_help(format!("a {what} name is {self}"))
            }),
            _ => self.text(raw, TEXT_BYTES_MAX).map(Value::Text),
        }
    }

    fn list(self, raw: &Raw, is_good: impl Fn(&str) -> bool) -> Result<Vec<String>, Problem> {
        let list: Vec<String> = match raw {
            Raw::Text(text) => match self {
                Self::RedisUrls => {
                    list::split(text, |part| part.starts_with("redis://") || part.starts_with("rediss://"))
                }
                _ => list::split(text, |_| true),
            },
            Raw::List(list) => {
                let texts = list.iter().map(|part| match part {
                    Raw::Text(text) => Ok(text.clone()),
                    other => Err(Problem::value(format!("{} in the list", other.sort()), self.to_string())),
                });
                texts.collect::<Result<_, _>>()?
            }
            _ => return Err(self.refuse(raw)),
        };
        if list.is_empty() {
            return Err(Problem::value("an empty list", self.to_string()));
        }
        if list.len() > LIST_MAX {
            return Err(Problem::value(format!("{} entries", list.len()), format!("at most {LIST_MAX}")));
        }
        match list.iter().find(|part| !is_good(part)) {
            Some(_) if self.is_secret() => {
                Err(Problem::value("something else (not shown: it may hold a password)", self.to_string()))
            }
            // Somebody wrote a user and a password where only a host belongs.
            Some(part) if part.contains('@') => {
                Err(Problem::value("a text with `@` (not shown: it may hold a password)", self.to_string()))
            }
            Some(part) => Err(Problem::value(shown(part), self.to_string())),
            None => Ok(list),
        }
    }

    fn refuse(self, raw: &Raw) -> Problem {
        let found = if self.is_secret() { format!("{} (not shown)", raw.sort()) } else { raw.shown() };
        Problem::value(found, self.to_string())
    }
}

fn is_redis_url(url: &str) -> bool {
    let rest = url.strip_prefix("redis://").or_else(|| url.strip_prefix("rediss://"));
    let Some(rest) = rest else { return false };
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let place = place.split_once('#').map_or(Some(place), |(place, fragment)| {
        // The one fragment that has a meaning: no check of the server's certificate.
        (fragment == "insecure").then_some(place)
    });
    let Some(place) = place else { return false };
    let (server, database) = place.split_once('/').unwrap_or((place, ""));
    host::is_host(server, false) && database.bytes().all(|b| b.is_ascii_digit())
}

fn are_interfaces(names: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-' | '@');
    names.split(',').map(str::trim).all(|name| !name.is_empty() && name.chars().all(allowed))
}

/// What is allowed, as the end of "allowed: ..".
impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::Cluster | Self::Node => {
                f.write_str("words of A-Z a-z 0-9 _ - joined by dots, at most 200 bytes")
            }
            Self::Path => f.write_str("the path of a file"),
            Self::Secret => f.write_str("a text in quotes"),
            Self::Document => f.write_str("a text of at most 1 MiB"),
            Self::Url => f.write_str("a URL"),
            Self::Hosts => write!(f, "a list of {}", host::FORM),
            Self::Listens => write!(f, "a list of {}; port 0 is a free one", host::FORM),
            Self::RedisUrls => {
                f.write_str("a list of redis[s]://[user][:password@]host[:port][/database][#insecure]")
            }
            Self::Flag => f.write_str("true or false"),
            Self::Number { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Time { least, most } => {
                write!(f, "{}, from {} to {}", duration::FORM, duration::text(*least), duration::text(*most))
            }
            Self::OneOf(words) => {
                for (i, word) in words.iter().enumerate() {
                    let before = if i == 0 {
                        ""
                    } else if i + 1 == words.len() {
                        " or "
                    } else {
                        ", "
                    };
                    write!(f, "{before}\"{word}\"")?;
                }
                Ok(())
            }
            Self::Multicast => f.write_str("\"on\", \"off\", or interfaces separated by commas"),
            Self::Group => f.write_str("a multicast address and port, such as \"224.0.0.224:7446\""),
        }
    }
}
