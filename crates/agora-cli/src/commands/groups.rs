//! `agora groups`: the groups of a log, and their dead letters.

use agora::core::transport::{GroupDescription, GroupMember, LaneReset, Position, ResetTo};
use agora::{Bus, Error, ErrorKind, GroupName, GroupStart, TopicName};
use serde::Serialize;

use super::admin::{Consent, DoneLine, lane_of, position, read_position, with_admin, with_admin_of};
use crate::args::{Global, GroupFrom, GroupPlace, Groups, GroupsCommand};
use crate::failure::{DONE, Failure};
use crate::io::{Input, Interrupt};
use crate::output::Output;
use crate::whence::Whence;
use crate::{json, text};

/// A group.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "group")]
struct GroupLine<'a> {
    topic: &'a str,
    group: &'a str,
    lag: u64,
    pending: u64,
    members: Vec<MemberLine<'a>>,
    lanes: Vec<LaneLine>,
    /// The records of its dead letters.
    dead: u64,
}

#[derive(Debug, Serialize)]
struct MemberLine<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    pending: u64,
    lanes: &'a [u32],
}

#[derive(Debug, Serialize)]
struct LaneLine {
    lane: u32,
    next: String,
    pending: u64,
    lag: u64,
}

/// What a reset does to a lane, or would do.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "reset")]
struct ResetLine<'a> {
    topic: &'a str,
    group: &'a str,
    lane: u32,
    from: String,
    to: String,
    /// How many come that would not have come; below zero, how many do not come that would have.
    records: i64,
    dry_run: bool,
}

/// A group as it stands, and how many dead letters it has.
struct Found {
    description: GroupDescription,
    dead: u64,
}

pub(crate) async fn run(
    global: &Global,
    args: Groups,
    input: Input,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    match args.command {
        GroupsCommand::List { topic } => list(global, &TopicName::new(&topic)?, output, interrupt).await?,
        GroupsCommand::Describe(place) => describe(global, &names(&place)?, output, interrupt).await?,
        GroupsCommand::Create { place, from } => {
            let (topic, group) = names(&place)?;
            let start = if from == GroupFrom::Latest { GroupStart::Latest } else { GroupStart::Earliest };
            with_admin(global, interrupt, output.broken(), async |bus: &Bus| {
                Ok(bus.admin()?.create_group(&topic, &group, start).await?)
            })
            .await?;
            done("created", &topic, &group, output).await?;
        }
        GroupsCommand::Delete { place, yes } => {
            let ((topic, group), consent) = (names(&place)?, Consent::new(yes, input)?);
            with_admin(global, interrupt, output.broken(), async |bus: &Bus| {
                let admin = bus.admin()?;
                let lag = admin.describe_group(&topic, &group).await?.lag();
                let what = format!("This deletes the group {group} of {topic}, with {lag} records not done");
                consent.ask(&what, group.as_str(), output).await?;
                Ok(admin.delete_group(&topic, &group).await?)
            })
            .await?;
            done("deleted", &topic, &group, output).await?;
        }
        GroupsCommand::Reset { place, to, lane, dry_run, yes } => {
            let (names, to) = (names(&place)?, Goal::of(&to, lane)?);
            let consent = Consent::new(yes || dry_run, input)?;
            reset(global, &names, to, dry_run, consent, output, interrupt).await?;
        }
        GroupsCommand::Redrive { place, count } => {
            let (topic, group) = names(&place)?;
            let logs = vec![topic.to_string()];
            let events = with_admin_of(global, logs, interrupt, output.broken(), async |bus: &Bus| {
                Ok(bus.redrive(topic.as_str(), group.as_str(), count).await?)
            })
            .await?;
            let line = DoneLine {
                did: "redriven",
                topic: topic.as_str(),
                group: Some(group.as_str()),
                events: Some(events),
            };
            output.say(&line, || format!("sent {events} dead letters of {group} back to {topic}")).await?;
        }
    }
    Ok(DONE)
}

fn names(place: &GroupPlace) -> Result<(TopicName, GroupName), Failure> {
    Ok((TopicName::new(&place.topic)?, GroupName::new(&place.group)?))
}

/// Where a group is to go on. The lane of a position is found out later, from the log.
#[derive(Clone, Copy)]
enum Goal {
    Everywhere(ResetTo),
    At(Position, Option<u32>),
}

impl Goal {
    fn of(text: &str, lane: Option<u32>) -> Result<Self, Failure> {
        let everywhere = match Whence::parse(text) {
            Whence::Earliest => ResetTo::Earliest,
            Whence::Latest => ResetTo::Latest,
            Whence::Time(time) => ResetTo::Time(time),
            Whence::Place(place) => return Ok(Self::At(read_position("--to", &place)?, lane)),
        };
        match lane {
            None => Ok(Self::Everywhere(everywhere)),
            Some(lane) => Err(Failure::Error(
                Error::new(ErrorKind::Config, "a lane goes with a position, and with nothing else")
                    .context("--lane", lane)
                    .context("--to", text.to_owned())
                    .help("leave --lane out to move the group in every lane"),
            )),
        }
    }

    async fn in_log(self, bus: &Bus, topic: &TopicName) -> Result<ResetTo, Failure> {
        match self {
            Self::Everywhere(to) => Ok(to),
            Self::At(position, lane) => {
                let lane = lane_of(&bus.admin()?.describe_topic(topic).await?, lane)?;
                Ok(ResetTo::At { lane, position })
            }
        }
    }
}

async fn done(
    did: &'static str,
    topic: &TopicName,
    group: &GroupName,
    output: &mut Output,
) -> Result<(), Failure> {
    let line = DoneLine { did, topic: topic.as_str(), group: Some(group.as_str()), events: None };
    output.say(&line, || format!("{did} the group {group} of {topic}")).await
}

/// A group, with its dead letters.
async fn look(bus: &Bus, topic: &TopicName, group: &GroupName) -> Result<Found, Failure> {
    let admin = bus.admin()?;
    let description = admin.describe_group(topic, group).await?;
    let dead = match admin.describe_topic(&topic.dead_letters(group)?).await {
        Ok(letters) => letters.lanes.iter().map(|lane| lane.records).sum(),
        // Nothing was given up yet.
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error.into()),
    };
    Ok(Found { description, dead })
}

async fn list(
    global: &Global,
    topic: &TopicName,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<(), Failure> {
    let found = with_admin(global, interrupt, output.reader_gone(), async |bus: &Bus| {
        let mut found = Vec::new();
        for group in bus.admin()?.groups(topic).await? {
            match look(bus, topic, &group).await {
                Ok(group) => found.push(group),
                // It was deleted a moment ago.
                Err(Failure::Error(error)) if error.kind() == ErrorKind::NotFound => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(found)
    })
    .await?;
    if output.json() {
        for group in &found {
            output.line(json::line(&line(topic, group))).await?;
        }
        return Ok(());
    }
    if found.is_empty() {
        return output.line(format!("{topic} has no groups")).await;
    }
    let mut rows = vec![["GROUP", "LAG", "PENDING", "MEMBERS", "DEAD"].map(str::to_owned)];
    for Found { description, dead } in &found {
        let (lag, pending) = (description.lag().to_string(), description.pending().to_string());
        let members = description.members.len().to_string();
        rows.push([description.name.to_string(), lag, pending, members, dead.to_string()]);
    }
    print(&rows, output).await
}

async fn print<const N: usize>(rows: &[[String; N]], output: &mut Output) -> Result<(), Failure> {
    for line in text::table(rows) {
        output.line(line).await?;
    }
    Ok(())
}

async fn describe(
    global: &Global,
    (topic, group): &(TopicName, GroupName),
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<(), Failure> {
    let found =
        with_admin(global, interrupt, output.reader_gone(), async |bus: &Bus| look(bus, topic, group).await)
            .await?;
    if output.json() {
        return output.line(json::line(&line(topic, &found))).await;
    }
    let Found { description, dead } = &found;
    let letters = match dead {
        0 => "0".to_owned(),
        dead => format!("{dead}; see `agora peek {}`", topic.dead_letters(group)?),
    };
    for (word, value) in [
        ("group", group.to_string()),
        ("topic", topic.to_string()),
        ("lag", description.lag().to_string()),
        ("pending", description.pending().to_string()),
        ("dead", letters),
    ] {
        output.line(format!("{word:<8} {value}")).await?;
    }
    output.line(String::new()).await?;
    let mut rows = vec![["LANE", "NEXT", "PENDING", "LAG"].map(str::to_owned)];
    rows.extend(description.lanes.iter().map(|lane| {
        [lane.lane.to_string(), position(lane.next), lane.pending.to_string(), lane.lag.to_string()]
    }));
    print(&rows, output).await?;
    output.line(String::new()).await?;
    if description.members.is_empty() {
        return output.line("no members".to_owned()).await;
    }
    let mut rows = vec![["MEMBER", "NODE", "PENDING", "LANES"].map(str::to_owned)];
    rows.extend(description.members.iter().map(row));
    print(&rows, output).await
}

fn row(member: &GroupMember) -> [String; 4] {
    let lanes: Vec<String> = member.lanes.iter().map(ToString::to_string).collect();
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let node = member.node.as_ref().map(ToString::to_string).unwrap_or_default();
    [text::harmless(&member.id), or_dash(node), member.pending.to_string(), or_dash(lanes.join(","))]
}

fn line<'a>(topic: &'a TopicName, found: &'a Found) -> GroupLine<'a> {
    let description = &found.description;
    let member = |member: &'a GroupMember| MemberLine {
        id: &member.id,
        node: member.node.as_ref().map(|node| node.as_str()),
        pending: member.pending,
        lanes: &member.lanes,
    };
    let lanes = description.lanes.iter().map(|lane| LaneLine {
        lane: lane.lane,
        next: position(lane.next),
        pending: lane.pending,
        lag: lane.lag,
    });
    GroupLine {
        topic: topic.as_str(),
        group: description.name.as_str(),
        lag: description.lag(),
        pending: description.pending(),
        members: description.members.iter().map(member).collect(),
        lanes: lanes.collect(),
        dead: found.dead,
    }
}

async fn reset(
    global: &Global,
    (topic, group): &(TopicName, GroupName),
    goal: Goal,
    dry_run: bool,
    consent: Consent,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<(), Failure> {
    let lanes = with_admin(global, interrupt, output.broken(), async |bus: &Bus| {
        let admin = bus.admin()?;
        let to = goal.in_log(bus, topic).await?;
        let would = admin.reset_group(topic, group, to, true).await?;
        if dry_run {
            return Ok(would);
        }
        let what: Vec<String> = would.iter().map(effect).collect();
        let what = format!("This moves the group {group} of {topic} ({})", what.join("; "));
        consent.ask(&what, group.as_str(), output).await?;
        Ok(admin.reset_group(topic, group, to, false).await?)
    })
    .await?;
    for lane in &lanes {
        let line = ResetLine {
            topic: topic.as_str(),
            group: group.as_str(),
            lane: lane.lane,
            from: position(lane.from),
            to: position(lane.to),
            records: lane.records,
            dry_run,
        };
        let before = if dry_run { "would move" } else { "moved" };
        output.say(&line, || format!("{before} {group} of {topic}, {}", effect(lane))).await?;
    }
    Ok(())
}

/// What a reset does to one lane, in words.
fn effect(lane: &LaneReset) -> String {
    let change = match lane.records {
        0 => "nothing comes again and nothing is passed over".to_owned(),
        more if more > 0 => format!("{more} records come again"),
        less => format!("{} records are passed over", less.unsigned_abs()),
    };
    format!("lane {} from {} to {}: {change}", lane.lane, position(lane.from), position(lane.to))
}
