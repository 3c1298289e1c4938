//! What a topic is on the server: made, found, compared.

use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{Framing, ONE_LANE, TopicInfo, TopicKind, TopicSettings, TopicSpec, Wire};
use agora_core::{Error, ErrorKind, Result};
use redis::{Value, cmd};

use crate::call::{list, number, text};
use crate::error::{Failure, error};
use crate::shared::Shared;

/// Makes a log where there is none, and answers whether it did, and what is there: framing, wire, retention.
///
/// Keys: the settings, the stream. Arguments: framing, wire, retention in milliseconds or nothing, the life of a log
/// that is made now, and whether it must be made. A stream that was there before, filled by other software, becomes a
/// log with its entries.
const MAKE: &str = "\
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('XLEN', KEYS[2]) end
local made = 0
if redis.call('HEXISTS', KEYS[1], 'life') == 0 then
  if ARGV[5] == '1' and redis.call('EXISTS', KEYS[2]) == 1 then return {2} end
  redis.call('HSET', KEYS[1], 'framing', ARGV[1], 'wire', ARGV[2], 'retention_ms', ARGV[3], 'life', ARGV[4])
  made = 1
elseif ARGV[5] == '1' then return {2} end
local found = redis.call('HMGET', KEYS[1], 'framing', 'wire', 'retention_ms')
return {made, found[1], found[2], found[3]}";

/// What the settings of a log are called.
pub(crate) fn framing_word(framing: Framing) -> &'static str {
    match framing {
        Framing::Each => "each",
        _ => "batch",
    }
}

/// See [`framing_word`].
pub(crate) fn wire_word(wire: Wire) -> &'static str {
    match wire {
        Wire::Plain => "plain",
        _ => "frame",
    }
}

/// The settings that a server holds.
pub(crate) fn read_settings(framing: &str, wire: &str, retention_ms: &str) -> TopicSettings {
    let framing = if framing == "each" { Framing::Each } else { Framing::Batch };
    let wire = if wire == "plain" { Wire::Plain } else { Wire::Frame };
    let mut settings = TopicSettings::LOG;
    (settings.framing, settings.wire) = (framing, wire);
    settings.retention = retention_ms.parse().ok().map(Duration::from_millis);
    settings
}

/// Opens a topic.
pub(crate) async fn open(shared: &Shared, topic: &TopicSpec) -> Result<TopicInfo> {
    let name = &topic.name;
    let settings = match topic.kind() {
        TopicKind::Live => {
            let mut command = cmd("EXISTS");
            command.arg(shared.names.settings(name));
            let found = number(shared.call(Some(name), &command).await.map_err(Failure::of_idempotent)?);
            if found.map_err(Failure::of_idempotent)? == Some(1) {
                return Err(error(ErrorKind::Config, "the topic is asked for as live, and is a log here")
                    .help("every node must be told the same of a topic: is it live, or a log?"));
            }
            topic.settings
        }
        TopicKind::Log => {
            check(&topic.settings)?;
            let made = make(shared, topic, false).await?;
            made.ok_or_else(|| error(ErrorKind::Backend, "a log was refused that may be there"))?
        }
    };
    shared.opened(name, settings);
    Ok(TopicInfo::one_lane())
}

/// Makes a log, or finds one that is as it is asked for. `None`: it had to be new, and is not.
pub(crate) async fn make(
    shared: &Shared,
    topic: &TopicSpec,
    must_be_new: bool,
) -> Result<Option<TopicSettings>> {
    let (name, asked) = (&topic.name, &topic.settings);
    let made = async {
        let mut command = cmd("EVAL");
        command.arg(MAKE).arg(2).arg(shared.names.settings(name)).arg(shared.names.stream(name));
        command.arg(framing_word(asked.framing)).arg(wire_word(asked.wire));
        match asked.retention {
            Some(retention) => command.arg(u64::try_from(retention.as_millis()).unwrap_or(u64::MAX)),
            None => command.arg(""),
        };
        command.arg(format!("{:016x}", fastrand::u64(..))).arg(u8::from(must_be_new));
        let mut answer = list(shared.call(Some(name), &command).await?)?.into_iter();
        if number(answer.next().unwrap_or_default())? == Some(2) {
            return Ok(None);
        }
        let mut word = || text(answer.next().unwrap_or(Value::BulkString(Vec::new())));
        let settings = read_settings(&word()?, &word()?, &word()?);
        // In a set, so that nobody has to look through all keys of the server. Said again whenever a log is opened.
        let mut command = cmd("SADD");
        command.arg(shared.names.topics()).arg(name.as_str());
        shared.call(None, &command).await?;
        Ok(Some(settings))
    };
    let Some(found) = made.await.map_err(|failure: Failure| failure.of_idempotent())? else {
        return Ok(None);
    };
    if found.framing != asked.framing {
        return Err(differs("framing", framing_word(asked.framing), framing_word(found.framing)));
    }
    if found.wire != asked.wire {
        return Err(differs("wire", wire_word(asked.wire), wire_word(found.wire)));
    }
    if asked.retention.is_some() && asked.retention != found.retention {
        let (asked, made) = (format!("{:?}", asked.retention), format!("{:?}", found.retention));
        return Err(differs("retention", &asked, &made));
    }
    Ok(Some(found))
}

/// Refuses what a stream has not.
pub(crate) fn check(settings: &TopicSettings) -> Result<()> {
    if settings.lanes.is_some_and(|lanes| lanes > 1) {
        return Err(unsupported("a stream has one lane", ONE_LANE));
    }
    if settings.replicas.is_some_and(|replicas| replicas > 1) {
        let instead = "leave `replicas` out: Redis replicates whole servers, as its own configuration says";
        return Err(unsupported("a stream has no replicas of its own", instead));
    }
    Ok(())
}

fn unsupported(what: &str, instead: &str) -> Error {
    Error::unsupported(what, instead).backend(crate::error::BACKEND)
}

fn differs(setting: &str, asked: &str, made: &str) -> Error {
    let what = format!("the log is asked for with the {setting} {asked}, and was made with {made}");
    error(ErrorKind::Conflict, what)
        .help("every node must be told the same of a topic: correct its settings, or delete the log")
}

/// The error of a topic that is not there.
pub(crate) fn not_found(topic: &TopicName) -> Error {
    error(ErrorKind::NotFound, "there is no log of this name").context("topic", topic)
}
