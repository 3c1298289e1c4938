//! `agora topics`: the logs of the cluster.

use std::collections::BTreeMap;
use std::time::SystemTime;

use agora::core::transport::{
    Framing, LaneDescription, LaneServers, Position, TopicChange, TopicDescription, TopicSpec,
};
use agora::{Bus, ErrorKind, TopicKind, TopicName, TopicSettings, Wire};
use serde::Serialize;

use super::admin::{Consent, DoneLine, position, with_admin};
use crate::args::{FramingWord, Global, TopicAlter, TopicCreate, Topics, TopicsCommand};
use crate::failure::{DONE, Failure};
use crate::io::{Input, Interrupt};
use crate::output::Output;
use crate::{json, text};

/// A log.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "topic")]
struct TopicLine<'a> {
    topic: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    framing: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wire: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<u32>,
    /// The backend's own settings that were made for it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    settings: &'a BTreeMap<String, String>,
    records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    lanes: Vec<LaneLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
}

/// What one lane of it holds.
#[derive(Debug, Serialize)]
struct LaneLine<'a> {
    lane: u32,
    records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<End>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<End>,
    #[serde(flatten)]
    servers: Option<ServersLine<'a>>,
}

/// The servers that keep it.
#[derive(Debug, Serialize)]
struct ServersLine<'a> {
    /// Null where nobody leads it now.
    leader: Option<&'a str>,
    replicas: &'a [String],
    in_sync: &'a [String],
}

/// The oldest or the newest record.
#[derive(Debug, Serialize)]
struct End {
    position: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

pub(crate) async fn run(
    global: &Global,
    args: Topics,
    input: Input,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    match args.command.unwrap_or(TopicsCommand::List) {
        TopicsCommand::List => list(global, output, interrupt).await?,
        TopicsCommand::Describe { topic } => {
            describe(global, &TopicName::new(&topic)?, output, interrupt).await?;
        }
        TopicsCommand::Create(create) => {
            let spec = spec(global, &create)?;
            with_admin(global, interrupt, output.broken(), async |bus: &Bus| {
                let own = create.set.iter().cloned().collect();
                Ok(bus.admin()?.create_topic_with(&spec, &own).await?)
            })
            .await?;
            done("created", &spec.name, output).await?;
        }
        TopicsCommand::Alter(alter) => {
            let topic = TopicName::new(&alter.topic)?;
            let change = change(alter);
            if change.retention.is_none() && change.lanes.is_none() && change.own.is_empty() {
                let nothing = agora::Error::new(ErrorKind::Config, "nothing is to be changed");
                return Err(nothing.help("say what: --retention, --lanes, --set or --unset").into());
            }
            with_admin(global, interrupt, output.broken(), async |bus: &Bus| {
                Ok(bus.admin()?.alter_topic(&topic, &change).await?)
            })
            .await?;
            done("altered", &topic, output).await?;
        }
        TopicsCommand::Delete { topic, yes } => {
            let (topic, consent) = (TopicName::new(&topic)?, Consent::new(yes, input)?);
            with_admin(global, interrupt, output.broken(), async |bus: &Bus| {
                let admin = bus.admin()?;
                // One that is not there is not asked about.
                let records = total(&admin.describe_topic(&topic).await?);
                let groups = admin.groups(&topic).await?.len();
                let what = format!("This deletes {topic} with its {records} records and {groups} groups");
                consent.ask(&what, topic.as_str(), output).await?;
                Ok(admin.delete_topic(&topic).await?)
            })
            .await?;
            done("deleted", &topic, output).await?;
        }
    }
    Ok(DONE)
}

async fn done(did: &'static str, topic: &TopicName, output: &mut Output) -> Result<(), Failure> {
    let line = DoneLine { did, topic: topic.as_str(), group: None, events: None };
    output.say(&line, || format!("{did} {topic}")).await
}

/// What is to be made: what the command line says, over the configuration.
fn spec(global: &Global, create: &TopicCreate) -> Result<TopicSpec, Failure> {
    let name = TopicName::new(&create.topic)?;
    let mut settings = global.config.topic(&name, Some(TopicKind::Log));
    settings.retention = create.retention.or(settings.retention);
    settings.lanes = create.lanes.or(settings.lanes);
    settings.replicas = create.replicas.or(settings.replicas);
    if let Some(framing) = create.framing {
        let framing = if framing == FramingWord::Each { Framing::Each } else { Framing::Batch };
        settings = settings.framing(framing);
    }
    Ok(TopicSpec { name, settings })
}

fn change(alter: TopicAlter) -> TopicChange {
    let set = alter.set.into_iter().map(|(name, value)| (name, Some(value)));
    let own = set.chain(alter.unset.into_iter().map(|name| (name, None))).collect();
    TopicChange { retention: alter.retention, lanes: alter.lanes, own }
}

fn total(topic: &TopicDescription) -> u64 {
    topic.lanes.iter().map(|lane| lane.records).sum()
}

fn bytes(topic: &TopicDescription) -> Option<u64> {
    topic.lanes.iter().map(|lane| lane.bytes).sum()
}

async fn list(global: &Global, output: &mut Output, interrupt: &mut Interrupt) -> Result<(), Failure> {
    let (cluster, found) = with_admin(global, interrupt, output.reader_gone(), async |bus: &Bus| {
        let admin = bus.admin()?;
        let mut found = Vec::new();
        for topic in admin.topics().await? {
            match admin.describe_topic(&topic).await {
                Ok(description) => found.push(description),
                // It was deleted a moment ago.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((bus.config().cluster.clone(), found))
    })
    .await?;
    if output.json() {
        for topic in &found {
            output.line(json::line(&line(topic, None))).await?;
        }
        return Ok(());
    }
    if found.is_empty() {
        return output.line(format!("there is no log in cluster {cluster}")).await;
    }
    let mut rows = vec![["TOPIC", "RECORDS", "BYTES", "LANES", "NEWEST"].map(str::to_owned)];
    for topic in &found {
        let newest = topic.lanes.iter().filter_map(|lane| lane.last.and_then(|(_, time)| time)).max();
        rows.push([
            topic.name.to_string(),
            total(topic).to_string(),
            bytes(topic).map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
            topic.lanes.len().to_string(),
            newest.map_or_else(|| "-".to_owned(), json::time),
        ]);
    }
    for line in text::table(&rows) {
        output.line(line).await?;
    }
    Ok(())
}

async fn describe(
    global: &Global,
    topic: &TopicName,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<(), Failure> {
    let (found, groups) = with_admin(global, interrupt, output.reader_gone(), async |bus: &Bus| {
        let admin = bus.admin()?;
        let found = admin.describe_topic(topic).await?;
        let groups = admin.groups(topic).await?;
        Ok((found, groups.iter().map(ToString::to_string).collect::<Vec<_>>()))
    })
    .await?;
    if output.json() {
        return output.line(json::line(&line(&found, Some(groups)))).await;
    }
    let unsaid = || "the backend's".to_owned();
    // Where the backend does not know, the nodes do: they compare it by their heartbeats.
    let known = |word: &str| if found.knows_framing { word } else { "as the nodes say" }.to_owned();
    let settings = &found.settings;
    let words = [
        ("topic", found.name.to_string()),
        ("kind", kind(settings).to_owned()),
        ("framing", known(framing(settings))),
        ("wire", known(wire(settings))),
        ("retention", settings.retention.map_or_else(unsaid, agora::core::config::duration::text)),
        ("replicas", settings.replicas.map_or_else(unsaid, |replicas| replicas.to_string())),
        ("groups", if groups.is_empty() { "none".to_owned() } else { groups.join(", ") }),
    ];
    for (word, value) in words {
        output.line(format!("{word:<10} {value}")).await?;
    }
    for (name, value) in &found.own {
        output.line(format!("{:<10} {}", "setting", text::harmless(&format!("{name}={value}")))).await?;
    }
    output.line(String::new()).await?;
    let head = ["LANE", "RECORDS", "BYTES", "OLDEST", "", "NEWEST", ""];
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(found.lanes.iter().map(row)).collect();
    let lines = if found.lanes.iter().any(|lane| lane.servers.is_some()) {
        let head = ["LEADER", "REPLICAS", "IN SYNC"].map(str::to_owned);
        let servers =
            std::iter::once(head).chain(found.lanes.iter().map(|lane| servers(lane.servers.as_ref())));
        let join = |(row, servers): ([String; 7], [String; 3])| -> [String; 10] {
            let mut all = row.into_iter().chain(servers);
            std::array::from_fn(|_| all.next().unwrap_or_default())
        };
        text::table(&rows.into_iter().zip(servers).map(join).collect::<Vec<_>>())
    } else {
        text::table(&rows)
    };
    for line in lines {
        output.line(line).await?;
    }
    Ok(())
}

/// Who keeps a lane, in words. What is short stands out.
fn servers(servers: Option<&LaneServers>) -> [String; 3] {
    let Some(servers) = servers else { return ["-", "-", "-"].map(str::to_owned) };
    let short = if servers.is_short() { "  (short)" } else { "" };
    [
        servers.leader.clone().unwrap_or_else(|| "none".to_owned()),
        servers.replicas.join(","),
        format!("{}{short}", servers.in_sync.join(",")),
    ]
}

fn row(lane: &LaneDescription) -> [String; 7] {
    let end = |end: Option<(Position, Option<SystemTime>)>| match end {
        Some((at, time)) => (position(at), time.map_or_else(String::new, json::time)),
        None => ("-".to_owned(), String::new()),
    };
    let ((first, first_time), (last, last_time)) = (end(lane.first), end(lane.last));
    let bytes = lane.bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
    [lane.lane.to_string(), lane.records.to_string(), bytes, first, first_time, last, last_time]
}

fn line(topic: &TopicDescription, groups: Option<Vec<String>>) -> TopicLine<'_> {
    let settings = &topic.settings;
    TopicLine {
        topic: topic.name.as_str(),
        kind: kind(settings),
        framing: topic.knows_framing.then(|| framing(settings)),
        wire: topic.knows_framing.then(|| wire(settings)),
        retention_ms: settings.retention.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        replicas: settings.replicas,
        settings: &topic.own,
        records: total(topic),
        bytes: bytes(topic),
        lanes: topic.lanes.iter().map(lane_line).collect(),
        groups,
    }
}

fn lane_line(lane: &LaneDescription) -> LaneLine<'_> {
    let end = |end: Option<(Position, Option<SystemTime>)>| {
        end.map(|(at, time)| End { position: position(at), time: time.map(json::time) })
    };
    let servers = lane.servers.as_ref();
    LaneLine {
        lane: lane.lane,
        records: lane.records,
        bytes: lane.bytes,
        first: end(lane.first),
        last: end(lane.last),
        servers: servers.map(|servers| ServersLine {
            leader: servers.leader.as_deref(),
            replicas: &servers.replicas,
            in_sync: &servers.in_sync,
        }),
    }
}

fn kind(settings: &TopicSettings) -> &'static str {
    match settings.kind {
        TopicKind::Live => "live",
        TopicKind::Log => "log",
    }
}

fn framing(settings: &TopicSettings) -> &'static str {
    if settings.framing == Framing::Each { "each" } else { "batch" }
}

fn wire(settings: &TopicSettings) -> &'static str {
    if settings.wire == Wire::Plain { "plain" } else { "frame" }
}
