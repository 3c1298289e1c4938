//! One JSON object as an event: what `subscribe --json` prints, and what scripts write.

use agora::{Error, ErrorKind, Event, RawBytes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::input::Item;
use crate::kinds::{self, Encoded, Message};

/// The fields that are read. Those that only tell where an event came from are let be.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(rename = "type")]
    what: Option<String>,
    kind: Option<String>,
    version: Option<u16>,
    #[serde(default)]
    resync: bool,
    key: Option<String>,
    key_base64: Option<String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    text: Option<String>,
    base64: Option<String>,
    event_id: Option<String>,
    correlation: Option<String>,
}

/// Reads one object. `None`: it is none of an event, such as a gap.
///
/// # Errors
/// `Config`, with what is wrong with it.
pub(super) fn read(line: &str, kind: &str, key: Option<&str>) -> Result<Option<Item>, Error> {
    let object: Object<'_> = serde_json::from_str(line).map_err(|cause| {
        wrong(format!("not a JSON object of an event: {cause}"))
            .help("it looks like {\"text\":\"hello\",\"key\":\"k\"} or {\"kind\":\"agora.queue.resumed\",\"body\":{..}}")
    })?;
    if !matches!(object.what.as_deref(), None | Some("event" | "foreign")) {
        return Ok(None);
    }
    let kind = object.kind.as_deref().unwrap_or(kind);
    let built_in = kinds::BUILTIN.contains(&kind);
    let own_key = match (&object.key, &object.key_base64) {
        (Some(_), Some(_)) => return Err(wrong("both `key` and `key_base64`")),
        (Some(key), None) => Some(key.clone().into_bytes()),
        (None, Some(key)) => Some(decode("key_base64", key)?),
        (None, None) => key.map(|key| key.as_bytes().to_vec()),
    };
    let body = match (object.body, &object.text, &object.base64) {
        (Some(fields), None, None) if built_in => {
            // Its key is in its fields.
            let message = kinds::parse(kind, fields.get())?;
            return Ok(Some(Item { message, kind: kind.to_owned() }));
        }
        (Some(_), None, None) => {
            return Err(wrong(format!("`body` holds the fields of a built-in kind, and {kind:?} is none"))
                .help(
                    "give plain bytes as `text` or `base64`, and another kind its encoded body as `base64`",
                ));
        }
        (None, Some(text), None) if kind == RawBytes::KIND => text.clone().into_bytes(),
        (None, Some(_), None) => {
            return Err(wrong(format!("`text` is for plain bytes, and the kind is {kind:?}")).help(
                "give the fields of a built-in kind as `body`, and another kind its encoded body as `base64`",
            ));
        }
        (None, None, Some(base64)) => decode("base64", base64)?,
        (None, None, None) => {
            return Err(wrong("none of `body`, `text` and `base64`")
                .help("give one of them; an empty event is {\"text\":\"\"}"));
        }
        _ => return Err(wrong("more than one of `body`, `text` and `base64`").help("leave all but one out")),
    };
    let identity =
        |name: &str, text: &Option<String>| text.as_deref().map(|hex| bytes16(name, hex)).transpose();
    let message = Message::encoded(Encoded {
        kind: kind.to_owned(),
        version: object.version.unwrap_or(RawBytes::VERSION),
        resync: object.resync,
        key: own_key,
        body,
        id: identity("event_id", &object.event_id)?,
        correlation: identity("correlation", &object.correlation)?,
    });
    Ok(Some(Item { message, kind: kind.to_owned() }))
}

fn decode(name: &str, text: &str) -> Result<Vec<u8>, Error> {
    BASE64.decode(text).map_err(|cause| wrong(format!("`{name}` is no base64: {cause}")))
}

fn bytes16(name: &str, hex: &str) -> Result<[u8; 16], Error> {
    let number = if hex.len() == 32 { u128::from_str_radix(hex, 16).ok() } else { None };
    number.map(u128::to_be_bytes).ok_or_else(|| wrong(format!("`{name}` is not 32 digits of hex")))
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_event_is_passed_over_and_what_is_wrong_is_named() {
        for line in [r#"{"type":"gap","topic":"t"}"#, r#"{"type":"member","node":"a"}"#] {
            assert!(read(line, RawBytes::KIND, None).unwrap().is_none(), "{line}");
        }
        for line in [
            r#"{"text":"hello"}"#,
            r#"{"type":"event","kind":"agora.bytes","text":"","key":"k","seq":7,"node":"a"}"#,
            r#"{"type":"foreign","base64":"/wAB","lane":0}"#,
            r#"{"kind":"shop.placed","version":3,"base64":"AA==","key_base64":"/w==","resync":true}"#,
            r#"{"kind":"agora.queue.resumed","body":{"queue":"a"}}"#,
            r#"{"text":"x","event_id":"000102030405060708090a0b0c0d0e0f"}"#,
        ] {
            assert!(read(line, RawBytes::KIND, None).unwrap().is_some(), "{line}");
        }
        for (line, says) in [
            ("hello", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{}", "none of `body`, `text` and `base64`"),
            (r#"{"text":"a","base64":"AA=="}"#, "more than one of"),
            (r#"{"base64":"?"}"#, "`base64` is no base64"),
            (r#"{"key":"a","key_base64":"AA==","text":""}"#, "both `key`"),
            (r#"{"kind":"shop.placed","body":{}}"#, "built-in kind"),
            (r#"{"kind":"shop.placed","text":"a"}"#, "`text` is for plain bytes"),
            (r#"{"kind":"agora.queue.resumed","body":{}}"#, "missing field `queue`"),
            (r#"{"text":"x","event_id":"0"}"#, "`event_id` is not 32 digits"),
        ] {
            let error = read(line, RawBytes::KIND, None).err().unwrap_or_else(|| panic!("{line}"));
            assert!(error.to_string().contains(says), "{line}: {error}");
        }
    }
}
