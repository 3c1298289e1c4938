//! The JSON of the command line: one object a line, `type` first.

use std::collections::BTreeMap;
use std::time::SystemTime;

use agora::core::transport::Raw;
use agora::{
    Durability, Error, Gap, Member, MemberEvent, MemberInfo, Missing, Receipt, Record, SourceId, TopicName,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::exit_of;
use crate::{kinds, letters};

/// One object as one line.
pub(crate) fn line(object: &impl Serialize) -> String {
    // None of the objects here can fail: their keys are strings, and nothing in them refuses.
    serde_json::to_string(object).unwrap_or_default()
}

/// A time as RFC 3339 in UTC, to the microsecond.
pub(crate) fn time(at: SystemTime) -> String {
    match jiff::Timestamp::try_from(at) {
        Ok(time) => format!("{time:.6}"),
        // Before the year -9999 or after 9999: only a hostile frame says so.
        Err(_) => "invalid".to_owned(),
    }
}

/// What a body is shown as.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base64: Option<String>,
}

impl Content {
    /// Plain bytes: as text where they are text.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { text: Some(text.to_owned()), ..Self::default() },
            Err(_) => Self::of_base64(bytes),
        }
    }

    /// Bytes whose meaning is not known here.
    pub(crate) fn of_base64(bytes: &[u8]) -> Self {
        Self { base64: Some(BASE64.encode(bytes)), ..Self::default() }
    }

    /// The body of a record: its fields where the kind is known, text where it is plain text, else base64.
    pub(crate) fn of(record: &Record) -> Self {
        if record.is::<agora::RawBytes>() {
            return Self::of_bytes(record.body());
        }
        match kinds::body(record).or_else(|| letters::body(record)) {
            Some(Ok(body)) => Self { body: Some(body), ..Self::default() },
            // A newer version, or not what it says it is. Base64 always, so that the form does not depend on chance.
            Some(Err(_)) | None => Self::of_base64(record.body()),
        }
    }
}

/// What stands beside an event, depending on how it was read.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Beside {
    /// Its lane.
    pub(crate) lane: u32,
    /// The place behind it, for a subscription that is to go on there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
    /// Where its message stands in the lane, as the backend counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<String>,
    /// What settles it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// How often it was handed out, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
}

/// An event.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "event")]
pub(crate) struct EventLine<'a> {
    topic: &'a str,
    kind: &'a str,
    version: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    node: String,
    incarnation: String,
    seq: u64,
    time: String,
    #[serde(flatten)]
    beside: Beside,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    /// Of a kind that is not known here: must those be told who do not know it?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    resync: bool,
    #[serde(flatten)]
    content: Content,
}

impl<'a> EventLine<'a> {
    pub(crate) fn of(topic: &'a TopicName, record: &'a Record, node: String, beside: Beside) -> Self {
        let key = record.key().map(std::str::from_utf8);
        let hex = |id: [u8; 16]| format!("{:032x}", u128::from_be_bytes(id));
        let content = Content::of(record);
        Self {
            topic: topic.as_str(),
            kind: record.kind(),
            version: record.version(),
            key: key.and_then(Result::ok),
            key_base64: key.filter(Result::is_err).and(record.key()).map(|key| BASE64.encode(key)),
            node,
            incarnation: record.source().incarnation.to_string(),
            seq: record.seq(),
            time: time(record.sent()),
            beside,
            event_id: record.id().map(hex),
            correlation: record.correlation().map(hex),
            resync: record.resync() && content.body.is_none(),
            content,
        }
    }
}

/// Something is missing: sequences `from` up to and not including `to`; null: not known, or not ended yet.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "gap")]
pub(crate) struct GapLine<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incarnation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<u32>,
    from: Option<u64>,
    to: Option<u64>,
    events: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    reason: &'static str,
}

impl<'a> GapLine<'a> {
    pub(crate) fn of(gap: &'a Gap, name: impl FnOnce(SourceId) -> String) -> Self {
        let mut line = Self {
            topic: gap.topic.as_str(),
            node: None,
            incarnation: None,
            lane: None,
            from: None,
            to: None,
            events: gap.events(),
            since: None,
            reason: gap.reason.as_str(),
        };
        match gap.missing {
            Missing::Source { source, lane, from, to } => {
                line.node = Some(name(source));
                line.incarnation = Some(source.incarnation.to_string());
                (line.lane, line.from, line.to) = (Some(lane), from, to);
            }
            Missing::Unknown { since } => line.since = Some(time(since)),
            _ => {}
        }
        line
    }
}

/// A message of other software.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "foreign")]
pub(crate) struct ForeignLine<'a> {
    topic: &'a str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header<'a>>,
    #[serde(flatten)]
    beside: Beside,
    #[serde(flatten)]
    content: Content,
}

/// A header of a message; a name may come more than once.
#[derive(Debug, Serialize)]
struct Header<'a> {
    name: &'a str,
    #[serde(flatten)]
    value: Content,
}

impl<'a> ForeignLine<'a> {
    pub(crate) fn of(topic: &'a TopicName, raw: &'a Raw, arrived: SystemTime, beside: Beside) -> Self {
        let key = raw.key.as_deref().map(std::str::from_utf8);
        let headers =
            raw.headers.iter().map(|(name, value)| Header { name, value: Content::of_bytes(value) });
        Self {
            topic: topic.as_str(),
            time: time(raw.time.unwrap_or(arrived)),
            key: key.and_then(Result::ok),
            key_base64: key.filter(Result::is_err).and(raw.key.as_deref()).map(|key| BASE64.encode(key)),
            headers: headers.collect(),
            beside: Beside { lane: raw.lane, ..beside },
            content: Content::of_bytes(&raw.payload),
        }
    }
}

/// An event was accepted.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "receipt")]
pub(crate) struct ReceiptLine<'a> {
    topic: &'a str,
    kind: &'a str,
    node: &'a str,
    incarnation: String,
    seq: u64,
    lane: u32,
    durability: &'static str,
}

impl<'a> ReceiptLine<'a> {
    pub(crate) fn of(receipt: &Receipt, topic: &'a TopicName, kind: &'a str, node: &'a str) -> Self {
        Self {
            topic: topic.as_str(),
            kind,
            node,
            incarnation: receipt.source.incarnation.to_string(),
            seq: receipt.seq,
            lane: receipt.lane,
            durability: durability(receipt.durability),
        }
    }
}

pub(crate) fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Sent => "sent",
        Durability::Stored => "stored",
    }
}

/// A member, or what happened to one.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "member")]
pub(crate) struct MemberLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incarnation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    software: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incarnations: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<u64>,
    time: String,
}

impl MemberLine {
    fn empty() -> Self {
        Self {
            event: None,
            state: None,
            node: None,
            incarnation: None,
            software: None,
            tags: None,
            silent: None,
            of: None,
            incarnations: None,
            missed: None,
            time: time(SystemTime::now()),
        }
    }

    fn about(info: &MemberInfo) -> Self {
        Self {
            node: Some(info.name.to_string()),
            incarnation: Some(info.source.incarnation.to_string()),
            software: Some(info.software.clone()),
            tags: Some(info.tags.iter().cloned().collect()),
            ..Self::empty()
        }
    }

    /// A member as it stands.
    pub(crate) fn of(member: &Member) -> Self {
        Self { state: Some(member.state.as_str()), ..Self::about(&member.info) }
    }

    /// What happened; `None` for what this version has no word for.
    pub(crate) fn event(event: &MemberEvent) -> Option<Self> {
        let word = event_word(event)?;
        let line = match event {
            MemberEvent::Joined(info)
            | MemberEvent::Suspected(info)
            | MemberEvent::Recovered(info)
            | MemberEvent::Failed(info)
            | MemberEvent::Left(info)
            | MemberEvent::Returned(info)
            | MemberEvent::Changed(info) => Self::about(info),
            MemberEvent::Isolated { silent, of } => Self {
                silent: Some(silent.iter().map(|info| info.name.to_string()).collect()),
                of: Some(*of),
                ..Self::empty()
            },
            MemberEvent::Conflict { name, incarnations } => Self {
                node: Some(name.to_string()),
                incarnations: Some(incarnations.iter().map(ToString::to_string).collect()),
                ..Self::empty()
            },
            _ => Self::empty(),
        };
        Some(Self { event: Some(word), ..line })
    }

    /// So many changes were dropped, because this program was too slow to take them.
    pub(crate) fn missed(count: u64) -> Self {
        Self { event: Some("missed"), missed: Some(count), ..Self::empty() }
    }
}

/// The word for what happened to a member.
pub(crate) fn event_word(event: &MemberEvent) -> Option<&'static str> {
    Some(match event {
        MemberEvent::Joined(_) => "joined",
        MemberEvent::Suspected(_) => "suspected",
        MemberEvent::Recovered(_) => "recovered",
        MemberEvent::Failed(_) => "failed",
        MemberEvent::Left(_) => "left",
        MemberEvent::Returned(_) => "returned",
        MemberEvent::Changed(_) => "changed",
        MemberEvent::Isolated { .. } => "isolated",
        MemberEvent::Reunited => "reunited",
        MemberEvent::Conflict { .. } => "conflict",
        _ => return None,
    })
}

/// What goes on, on the standard error.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
#[serde(rename_all = "snake_case")]
pub(crate) enum Note<'a> {
    /// The subscription is established: what is published from now on is shown.
    Established {
        topics: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<&'a str>,
        node: &'a str,
        cluster: &'a str,
        backend: &'a str,
    },
    /// There is more to see, from this position on.
    More { topic: &'a str, from: String },
    /// This node is a member.
    Ready { node: &'a str, incarnation: String, cluster: &'a str, backend: &'a str },
    /// Something that the user should know and that is no error.
    Warning { message: &'a str },
}

/// What went wrong.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "error")]
pub(crate) struct ErrorLine<'a> {
    kind: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    retryable: bool,
    outcome_known: bool,
    exit: u8,
}

impl<'a> ErrorLine<'a> {
    pub(crate) fn of(error: &'a Error) -> Self {
        Self {
            kind: error.kind().as_str(),
            message: error.to_string(),
            help: error.help_text(),
            retryable: error.is_retryable(),
            outcome_known: error.outcome_known(),
            exit: exit_of(error.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use agora::ErrorKind;

    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let at = UNIX_EPOCH + Duration::from_micros(1_767_225_600_000_007);
        assert_eq!(time(at), "2026-01-01T00:00:00.000007Z");
        assert_eq!(time(UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn bytes_are_text_where_they_can_be() {
        let text = line(&Content::of_bytes("grüße\n".as_bytes()));
        assert_eq!(text, r#"{"text":"grüße\n"}"#);
        assert_eq!(line(&Content::of_bytes(&[0xff, 0, 1])), r#"{"base64":"/wAB"}"#);
    }

    #[test]
    fn an_error_says_what_to_do_and_how_the_run_ends() {
        let error = Error::new(ErrorKind::Unreachable, "nobody answered").backend("zenoh").help("look there");
        assert_eq!(
            line(&ErrorLine::of(&error)),
            r#"{"type":"error","kind":"unreachable","message":"zenoh: nobody answered","help":"look there","retryable":true,"outcome_known":true,"exit":3}"#
        );
    }
}
