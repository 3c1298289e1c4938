//! `agora lag`: how far groups are behind.

use agora::core::transport::GroupDescription;
use agora::{Bus, ErrorKind, GroupName, TopicName};
use serde::Serialize;

use super::admin::{position, with_admin};
use crate::args::{Global, Lag};
use crate::failure::{DONE, Failure, NEGATIVE};
use crate::io::Interrupt;
use crate::output::Output;
use crate::{json, text};

/// How far a group is behind on one lane.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "lag")]
struct LagLine<'a> {
    topic: &'a str,
    group: &'a str,
    lane: u32,
    lag: u64,
    pending: u64,
    next: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    members: usize,
    /// The backend's own word for how the group is.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
}

pub(crate) async fn run(
    global: &Global,
    args: Lag,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    let topic = args.topic.as_deref().map(TopicName::new).transpose()?;
    let group = args.group.as_deref().map(GroupName::new).transpose()?;
    let found = with_admin(global, interrupt, output.reader_gone(), async |bus: &Bus| {
        find(bus, topic.as_ref(), group.as_ref()).await
    })
    .await?;
    let mut rows = vec![["TOPIC", "GROUP", "LANE", "LAG", "PENDING", "MEMBERS", "STATE"].map(str::to_owned)];
    for (topic, group) in &found {
        for lane in &group.lanes {
            let members = group.members.len();
            if output.json() {
                let line = LagLine {
                    topic: topic.as_str(),
                    group: group.name.as_str(),
                    lane: lane.lane,
                    lag: lane.lag,
                    pending: lane.pending,
                    next: position(lane.next),
                    end: lane.end.map(position),
                    members,
                    state: group.state.as_deref(),
                };
                output.line(json::line(&line)).await?;
            }
            let names = [topic.to_string(), group.name.to_string()];
            let state = group.state.as_deref().map_or_else(|| "-".to_owned(), text::harmless);
            let numbers = [u64::from(lane.lane), lane.lag, lane.pending, members as u64];
            let [topic, group] = names;
            let [lane, lag, pending, members] = numbers.map(|number| number.to_string());
            rows.push([topic, group, lane, lag, pending, members, state]);
        }
    }
    if !output.json() {
        if rows.len() == 1 {
            output.line("there are no groups".to_owned()).await?;
        } else {
            for line in text::table(&rows) {
                output.line(line).await?;
            }
        }
    }
    let behind = args.max.is_some_and(|max| found.iter().any(|(_, group)| group.lag() > max));
    Ok(if behind { NEGATIVE } else { DONE })
}

/// The groups that are asked for. What was named must be there; what was listed may be gone a moment later.
async fn find(
    bus: &Bus,
    topic: Option<&TopicName>,
    group: Option<&GroupName>,
) -> Result<Vec<(TopicName, GroupDescription)>, Failure> {
    let admin = bus.admin()?;
    if let (Some(topic), Some(group)) = (topic, group) {
        return Ok(vec![(topic.clone(), admin.describe_group(topic, group).await?)]);
    }
    let topics = match topic {
        Some(topic) => vec![topic.clone()],
        None => admin.topics().await?,
    };
    let mut found = Vec::new();
    for name in topics {
        let groups = match admin.groups(&name).await {
            Ok(groups) => groups,
            Err(error) if error.kind() == ErrorKind::NotFound && topic.is_none() => continue,
            Err(error) => return Err(error.into()),
        };
        for group in groups {
            match admin.describe_group(&name, &group).await {
                Ok(group) => found.push((name.clone(), group)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(found)
}
