//! The kinds whose fields the command line knows: the built-in events, and plain bytes.

use std::sync::Arc;

#[cfg(unix)]
use agora::builtin::Builtin;
use agora::{Error, ErrorKind, Event, Publish, Publisher, RawBytes, Record, Result, builtin};
use serde_json::Value;
use serde_json::value::RawValue;

macro_rules! names {
    ($($event:ident),+) => { [$(builtin::$event::KIND),+] };
}

/// Every built-in kind.
pub(crate) const BUILTIN: &[&str] = &agora::for_each_builtin!(names);

/// The fields of a record of a built-in kind; `None` for any other kind.
pub(crate) fn body(record: &Record) -> Option<Result<Box<RawValue>>> {
    fields_of(record.kind(), record.version(), record.body())
}

/// The fields of an encoded body of a built-in kind; `None` for any other kind.
pub(crate) fn fields_of(kind: &str, version: u16, body: &[u8]) -> Option<Result<Box<RawValue>>> {
    macro_rules! look {
        ($($event:ident),+) => {
            $(if kind == builtin::$event::KIND {
                let decoded = builtin::$event::decode_body(version, body).map_err(Error::from);
                return Some(decoded.and_then(|event| raw(&event)));
            })+
        };
    }
    agora::for_each_builtin!(look);
    None
}

/// Reads the fields of a built-in event.
///
/// # Errors
/// `Config` when the kind is not built in, or the fields are not its own.
pub(crate) fn parse(kind: &str, text: &str) -> Result<Message> {
    macro_rules! look {
        ($($event:ident),+) => {
            $(if kind == builtin::$event::KIND {
                let event: builtin::$event = fields(kind, text)?;
                return Ok(Message(Arc::new(move |publisher| publisher.publish(&event))));
            })+
        };
    }
    agora::for_each_builtin!(look);
    Err(unknown(kind))
}

/// The same as a value.
///
/// # Errors
/// As [`parse`].
#[cfg(unix)]
pub(crate) fn value(kind: &str, text: &str) -> Result<Builtin> {
    macro_rules! look {
        ($($event:ident),+) => {
            $(if kind == builtin::$event::KIND {
                return fields(kind, text).map(Builtin::$event);
            })+
        };
    }
    agora::for_each_builtin!(look);
    Err(unknown(kind))
}

/// An event that is ready to be published, as often as one likes.
#[derive(Clone)]
pub(crate) struct Message(Arc<dyn Fn(&Publisher) -> Publish + Send + Sync>);

/// An event as it is encoded, of whatever kind.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) kind: String,
    pub(crate) version: u16,
    /// Must those be told who do not know the kind?
    pub(crate) resync: bool,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) body: Vec<u8>,
    pub(crate) id: Option<[u8; 16]>,
    pub(crate) correlation: Option<[u8; 16]>,
}

impl Message {
    /// Plain bytes, with a key or without.
    pub(crate) fn bytes(body: Vec<u8>, key: Option<String>) -> Self {
        Self::encoded(Encoded {
            kind: RawBytes::KIND.to_owned(),
            version: RawBytes::VERSION,
            resync: false,
            key: key.map(String::into_bytes),
            body,
            id: None,
            correlation: None,
        })
    }

    /// An event that is encoded already.
    pub(crate) fn encoded(event: Encoded) -> Self {
        Self(Arc::new(move |publisher| {
            publisher.publish_record(&agora::core::codec::RecordParts {
                kind: &event.kind,
                version: event.version,
                resync: event.resync,
                key: event.key.as_deref(),
                body: &event.body,
                id: event.id,
                correlation: event.correlation,
            })
        }))
    }

    /// Publishes it once more.
    pub(crate) fn publish(&self, publisher: &Publisher) -> Publish {
        (self.0)(publisher)
    }
}

/// A value of each kind, as help and errors show it.
pub(crate) fn example(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "agora.mailbox.changed" => r#"{"account":7,"mailbox":1,"change":"Added","state":12,"messages":[40]}"#,
        "agora.push.subscription.changed" => {
            r#"{"account":7,"subscription":"phone","change":"Created","expires_ms":null}"#
        }
        "agora.push.due" => r#"{"account":7,"subscriptions":["phone"],"topics":["Email"],"state":12}"#,
        "agora.address.blocked" => {
            r#"{"address":"203.0.113.9","prefix_bits":null,"reason":"guessing passwords","expires_ms":null}"#
        }
        "agora.address.unblocked" => r#"{"address":"203.0.113.9","prefix_bits":null,"reason":"asked to"}"#,
        "agora.certificate.renewed" => {
            r#"{"names":["mail.example.org"],"serial":"04a1","fingerprint":"9f86d081","not_after_ms":1790000000000}"#
        }
        "agora.configuration.reloaded" => r#"{"sections":["smtp"],"revision":3}"#,
        "agora.cache.invalidated" => r#"{"cache":"accounts","entries":["7"]}"#,
        "agora.queue.paused" => r#"{"queue":"outbound","reason":"maintenance","until_ms":null}"#,
        "agora.queue.resumed" => r#"{"queue":"outbound"}"#,
        _ => return None,
    })
}

/// The kinds and an example of each, for the long help.
pub(crate) fn help() -> String {
    let mut text = String::from("Built-in kinds, and what they take:\n");
    for kind in BUILTIN {
        text.push_str(&format!("  {kind}\n      {}\n", example(kind).unwrap_or_default()));
    }
    text
}

/// A value as JSON.
pub(crate) fn raw(event: &impl serde::Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(event)
        .map_err(|cause| Error::new(ErrorKind::Codec, "an event cannot be shown as JSON").source(cause))
}

fn unknown(kind: &str) -> Error {
    let shown: String = kind.chars().take(80).collect();
    Error::new(ErrorKind::Config, "not a built-in kind: its fields are not known here")
        .context("kind", format!("{shown:?}"))
        .help(format!("the built-in kinds are {}; plain bytes go without --kind", BUILTIN.join(", ")))
}

/// Reads the fields of a kind, and refuses those that it does not have: one that is misspelt would be ignored.
fn fields<E: Event>(kind: &str, text: &str) -> Result<E> {
    let wrong = |why: String| {
        Error::new(ErrorKind::Config, format!("the data is not what {kind} takes: {why}"))
            .help(format!("it takes such as {}", example(kind).unwrap_or("a JSON object")))
    };
    let event: E = serde_json::from_str(text).map_err(|cause| wrong(cause.to_string()))?;
    let given: Value = serde_json::from_str(text).map_err(|cause| wrong(cause.to_string()))?;
    let known = serde_json::to_value(&event).map_err(|cause| wrong(cause.to_string()))?;
    if let (Some(given), Some(known)) = (given.as_object(), known.as_object())
        && let Some(extra) = given.keys().find(|name| !known.contains_key(*name))
    {
        let extra: String = extra.chars().take(80).collect();
        return Err(wrong(format!("unknown field {extra:?}")));
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_example_that_is_one() {
        for kind in BUILTIN {
            let example = example(kind).unwrap_or_else(|| panic!("{kind} has no example"));
            parse(kind, example).unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert!(help().contains(example));
        }
    }

    #[test]
    fn wrong_fields_are_named() {
        for (kind, text, says) in [
            ("agora.queue.resumed", "{}", "missing field `queue`"),
            ("agora.queue.resumed", "", "EOF"),
            ("agora.queue.resumed", r#"{"queue":"a","colour":1}"#, "unknown field \"colour\""),
            ("agora.queue.paused", r#"{"queue":"a","reason":"b","until":5}"#, "unknown field \"until\""),
            ("agora.queue.resumed", r#"{"queue":7}"#, "invalid type"),
            ("shop.order.placed", "{}", "not a built-in kind"),
        ] {
            let error = parse(kind, text).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Config, "{kind} {text}");
            assert!(error.to_string().contains(says), "{kind} {text}: {error}");
            assert!(error.help_text().is_some(), "{kind} {text}");
        }
    }
}
