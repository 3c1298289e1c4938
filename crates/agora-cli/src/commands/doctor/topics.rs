//! Do the nodes agree on what their topics are? Their heartbeats say what each of them was told.

use std::collections::BTreeMap;

use agora::core::id::StreamId;
use agora::{Bus, Member, TopicName, TopicSettings};

use super::check::Check;
use super::cluster::list;
use super::round_trip::TOPIC;
use crate::args::Global;

const NAME: &str = "topics";
/// The topic of services that were not told another.
const USUAL: &str = "stwt.agora";

/// Who says what of one stream: those of each word. The words are those of the settings that nodes must share.
type Words = BTreeMap<String, Vec<String>>;

pub(super) fn check(global: &Global, bus: &Bus) -> Check {
    let known = known(global, bus);
    let mut said = said(&bus.members().snapshot());
    let compared = said.len();
    for (stream, topic) in &known {
        // What nobody uses can be anything.
        if let Some(words) = said.get_mut(stream) {
            let here = bus.config().settings_of(topic).agreed();
            // A topic that this configuration does not name is live here by default, and that says nothing.
            if global.config.model().topics.contains_key(topic) {
                words.entry(here).or_default().push("this configuration".to_owned());
            }
        }
    }
    let name = |stream| match known.get(&stream) {
        Some(topic) => topic.to_string(),
        // Only the hash is sent.
        None => format!("a topic with the stream {stream}"),
    };
    let differing = differing(&said, name);
    if !differing.is_empty() {
        return Check::red(
            NAME,
            format!("nodes were told different things of {}", list(differing)),
            "give each of these topics the same kind, framing and wire on every node (`topics` of the configuration)",
        );
    }
    match compared {
        0 => Check::green(NAME, "no member uses a topic, so there is nothing to compare"),
        count => Check::green(NAME, format!("the members agree on the settings of all {count}")),
    }
}

/// The topics whose names are known here.
fn known(global: &Global, bus: &Bus) -> BTreeMap<StreamId, TopicName> {
    let usual = [TOPIC, USUAL].into_iter().filter_map(|name| TopicName::new(name).ok());
    let topics = global.config.model().topics.keys().cloned().chain(usual);
    topics.map(|topic| (StreamId::of(&bus.config().cluster, &topic, 0), topic)).collect()
}

fn said(members: &[Member]) -> BTreeMap<StreamId, Words> {
    let mut said: BTreeMap<StreamId, Words> = BTreeMap::new();
    for member in members.iter().filter(|member| member.state.is_live()) {
        for topic in &member.info.topics {
            let words = TopicSettings::of_heartbeat(topic.settings)
                .map_or_else(|| "something that this version does not know".to_owned(), |s| s.agreed());
            let names = said.entry(topic.stream).or_default().entry(words).or_default();
            names.push(member.info.name.to_string());
        }
    }
    said
}

/// The topics of which different members say different things, and who says what.
fn differing(said: &BTreeMap<StreamId, Words>, name: impl Fn(StreamId) -> String) -> Vec<String> {
    let sides = |words: &Words| {
        let side = |(word, names): (&String, &Vec<String>)| format!("{word} ({})", list(names.clone()));
        words.iter().map(side).collect::<Vec<_>>().join(" against ")
    };
    let differing = said.iter().filter(|(_, words)| words.len() > 1);
    differing.map(|(stream, words)| format!("{}: {}", name(*stream), sides(words))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agora::core::membership::TopicState;
    use agora::{Incarnation, MemberInfo, MemberState, NodeId, NodeName, SourceId};

    use super::*;

    fn member(name: &str, state: MemberState, topics: &[(u64, u64)]) -> Member {
        let name = NodeName::new(name).unwrap();
        let source = SourceId { node: NodeId::of(&name), incarnation: Incarnation(1) };
        let topic = |(stream, settings): &(u64, u64)| TopicState {
            stream: StreamId(*stream),
            settings: *settings,
            publishes: true,
        };
        let topics = topics.iter().map(topic).collect();
        let info = MemberInfo { source, name, software: String::new(), tags: Vec::new(), topics };
        let heard = tokio::time::Instant::now();
        Member { info: Arc::new(info), state, heard, clock_offset_us: None }
    }

    #[test]
    fn members_that_say_different_things_of_one_topic_are_named() {
        let alive = MemberState::Alive;
        let members = [
            member("a", alive, &[(1, 1), (2, 5)]),
            member("b", alive, &[(1, 3), (2, 5)]),
            member("c", alive, &[(1, 1)]),
            member("d", MemberState::Failed, &[(2, 9)]),
        ];
        let said = said(&members);
        assert_eq!(said.len(), 2);
        assert_eq!(
            differing(&said, |stream| stream.0.to_string()),
            ["1: live, framing batch, wire frame (a, c) against log, framing batch, wire frame (b)"]
        );
    }
}
