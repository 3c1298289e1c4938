//! The same as the JSON, for people: one line each, with nothing in it that could steer a terminal.

use std::time::SystemTime;

use agora::core::transport::Raw;
use agora::{Gap, Member, MemberEvent, MemberInfo, Missing, Record, SourceId, TopicName};

use crate::json::{self, Content};

/// The time of day in UTC, to the millisecond.
pub(crate) fn clock(at: SystemTime) -> String {
    match jiff::Timestamp::try_from(at) {
        Ok(time) => {
            let time = format!("{time:.3}");
            time.split_once('T').map_or_else(|| time.clone(), |(_, clock)| clock.to_owned())
        }
        Err(_) => "??:??:??".to_owned(),
    }
}

/// Text from the network with its control characters escaped: it must not steer the terminal that shows it.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// An event.
pub(crate) fn event(topic: &TopicName, record: &Record, node: &str) -> String {
    let key = key(record.key());
    let (time, seq, kind) = (clock(record.sent()), record.seq(), record.kind());
    format!("{time} {topic} {node}#{seq} {kind}{key} {}", content(&Content::of(record)))
}

fn key(key: Option<&[u8]>) -> String {
    key.map_or_else(String::new, |key| format!(" key={}", harmless(&String::from_utf8_lossy(key))))
}

pub(crate) fn content(content: &Content) -> String {
    match content {
        Content { body: Some(body), .. } => harmless(body.get()),
        Content { text: Some(text), .. } => harmless(text),
        Content { base64: Some(base64), .. } => format!("base64:{base64}"),
        Content { .. } => String::new(),
    }
}

/// Something is missing.
pub(crate) fn gap(gap: &Gap, name: impl FnOnce(SourceId) -> String) -> String {
    let (now, topic, reason) = (clock(SystemTime::now()), &gap.topic, gap.reason.as_str());
    let what = match gap.missing {
        Missing::Source { source, from, to, .. } => {
            let node = name(source);
            match (from, to) {
                (Some(from), Some(to)) if to == from.saturating_add(1) => format!("event {node}#{from}"),
                (Some(from), Some(to)) => format!("events {node}#{from} to #{}", to.saturating_sub(1)),
                (Some(from), None) => format!("events {node}#{from} and on"),
                (None, Some(to)) => format!("events of {node} before #{to}"),
                (None, None) => format!("events of {node}"),
            }
        }
        _ => "unknown events".to_owned(),
    };
    format!("{now} {topic} GAP: {what} missing ({reason})")
}

/// A message of other software.
pub(crate) fn foreign(topic: &TopicName, raw: &Raw, arrived: SystemTime) -> String {
    let time = clock(raw.time.unwrap_or(arrived));
    let (key, content) = (key(raw.key.as_deref()), content(&Content::of_bytes(&raw.payload)));
    let headers = raw.headers.iter();
    let headers: String = headers
        .map(|(name, value)| format!(" {}={}", harmless(name), self::content(&Content::of_bytes(value))))
        .collect();
    format!("{time} {topic} foreign{key}{headers} {content}")
}

/// What happened to a member.
pub(crate) fn member_event(event: &MemberEvent) -> Option<String> {
    let now = clock(SystemTime::now());
    let word = json::event_word(event)?;
    Some(match event {
        MemberEvent::Joined(info)
        | MemberEvent::Suspected(info)
        | MemberEvent::Recovered(info)
        | MemberEvent::Failed(info)
        | MemberEvent::Left(info)
        | MemberEvent::Returned(info)
        | MemberEvent::Changed(info) => format!("{now} {word} {}", about(info)),
        MemberEvent::Isolated { silent, of } => {
            let names: Vec<&str> = silent.iter().map(|info| info.name.as_str()).collect();
            format!("{now} isolated: {} of {of} others are silent ({})", silent.len(), names.join(", "))
        }
        MemberEvent::Conflict { name, incarnations: [a, b] } => {
            format!("{now} conflict: two live nodes are called {name} ({a} and {b}); rename one")
        }
        _ => format!("{now} {word}"),
    })
}

fn about(info: &MemberInfo) -> String {
    let tags = tags(info);
    format!(
        "{} ({}){}",
        info.name,
        info.source.incarnation,
        if tags.is_empty() { tags } else { format!(" {tags}") }
    )
}

fn tags(info: &MemberInfo) -> String {
    let tags: Vec<String> =
        info.tags.iter().map(|(name, value)| format!("{}={}", harmless(name), harmless(value))).collect();
    tags.join(" ")
}

/// A table of the members.
pub(crate) fn members(members: &[Member]) -> Vec<String> {
    let mut rows = vec![["NODE", "STATE", "INCARNATION", "SOFTWARE", "TAGS"].map(str::to_owned)];
    for member in members {
        let info = &member.info;
        rows.push([
            info.name.to_string(),
            member.state.as_str().to_owned(),
            info.source.incarnation.to_string(),
            harmless(&info.software),
            tags(info),
        ]);
    }
    table(&rows)
}

/// Columns, each as wide as it needs to be.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn nothing_from_the_network_steers_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\n\u{9b}"), "a\\u{1b}[2Jb\\r\\n\\u{9b}");
        assert_eq!(harmless("grüße 👋"), "grüße 👋");
    }

    #[test]
    fn the_time_of_day() {
        assert_eq!(clock(UNIX_EPOCH + Duration::from_millis(1_767_225_661_234)), "00:01:01.234Z");
    }

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let rows = [["a", "bb"], ["cccc", "d"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), ["a     bb", "cccc  d"]);
    }
}
