//! A dead letter as JSON: why an event was given up, and what it was.

use std::time::{Duration, UNIX_EPOCH};

use agora::core::event::DeadLetter;
use agora::core::id::{Incarnation, NodeId};
use agora::{Error, Event, RawBytes, Record, Result};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::json::{self, Content};
use crate::kinds;

/// The fields of a letter. Those of the event are named as they are for an event that was not given up.
#[derive(Serialize)]
struct Letter<'a> {
    reason: &'a str,
    attempts: u32,
    group: &'a str,
    given_up_by: &'a str,
    given_up: String,
    topic: &'a str,
    lane: u32,
    position: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incarnation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(flatten)]
    content: Content,
}

/// The fields of a record that is a dead letter; `None` for any other.
pub(crate) fn body(record: &Record) -> Option<Result<Box<RawValue>>> {
    if !record.is::<DeadLetter>() {
        return None;
    }
    Some(record.decode::<DeadLetter>().map_err(Error::from).and_then(|letter| kinds::raw(&shown(&letter))))
}

fn shown(letter: &DeadLetter) -> Letter<'_> {
    let known = letter.origin.is_some();
    let given_up = UNIX_EPOCH.checked_add(Duration::from_millis(letter.given_up_ms)).unwrap_or(UNIX_EPOCH);
    Letter {
        reason: &letter.reason,
        attempts: letter.attempts,
        group: &letter.group,
        given_up_by: &letter.given_up_by,
        given_up: json::time(given_up),
        topic: &letter.topic,
        lane: letter.lane,
        position: &letter.position,
        node: letter.origin.map(|origin| NodeId(origin.node).to_string()),
        incarnation: letter.origin.map(|origin| Incarnation(origin.incarnation).to_string()),
        seq: letter.origin.map(|origin| origin.seq),
        kind: known.then_some(letter.kind.as_str()),
        version: known.then_some(letter.version),
        key: letter.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()),
        content: letter.body.as_deref().map_or_else(Content::default, |body| content(letter, body)),
    }
}

/// What the event held: its fields where its kind is known.
fn content(letter: &DeadLetter, body: &[u8]) -> Content {
    if letter.origin.is_none() || letter.kind == RawBytes::KIND {
        return Content::of_bytes(body);
    }
    match kinds::fields_of(&letter.kind, letter.version, body) {
        Some(Ok(fields)) => Content { body: Some(fields), ..Content::default() },
        _ => Content::of_base64(body),
    }
}
