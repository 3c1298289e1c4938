//! Do the nodes agree on what their topics are? Their heartbeats say what each of them was told.

use std::collections::BTreeMap;

use agora::core::id::StreamId;
use agora::{Bus, Member, TopicName};

use super::check::Check;
use super::cluster::list;
use super::round_trip::TOPIC;
use crate::args::Global;

const NAME: &str = "topics";
/// The topic of services that were not told another.
const USUAL: &str = "stwt.agora";

/// Who says what of one stream: the members of each word.
type Words = BTreeMap<u64, Vec<String>>;

pub(super) fn check(global: &Global, bus: &Bus) -> Check {
    let said = said(&bus.members().snapshot());
    let differing = differing(&said, |stream| name_of(global, bus, stream));
    if !differing.is_empty() {
        return Check::red(
            NAME,
            format!("nodes were told different things of {}", list(differing)),
            "give each of these topics the same kind, framing and wire on every node (`topics` of the configuration)",
        );
    }
    match said.len() {
        0 => Check::green(NAME, "no member publishes on a live topic, so there is nothing to compare"),
        count => Check::green(NAME, format!("the members agree on {count}")),
    }
}

fn said(members: &[Member]) -> BTreeMap<StreamId, Words> {
    let mut said: BTreeMap<StreamId, Words> = BTreeMap::new();
    for member in members.iter().filter(|member| member.state.is_live()) {
        for topic in &member.info.topics {
            let names = said.entry(topic.stream).or_default().entry(topic.settings).or_default();
            names.push(member.info.name.to_string());
        }
    }
    said
}

/// The topics of which different members say different things, and who says what.
fn differing(said: &BTreeMap<StreamId, Words>, name: impl Fn(StreamId) -> String) -> Vec<String> {
    let differing = said.iter().filter(|(_, words)| words.len() > 1);
    let sides = |words: &Words| words.values().map(|names| list(names.clone())).collect::<Vec<_>>();
    differing
        .map(|(stream, words)| format!("{}: {}", name(*stream), sides(words).join(" against ")))
        .collect()
}

/// The name of a stream that this configuration knows; else its hash, which is all that is sent.
fn name_of(global: &Global, bus: &Bus, stream: StreamId) -> String {
    let usual = [TOPIC, USUAL].into_iter().filter_map(|name| TopicName::new(name).ok());
    let known = global.config.model().topics.keys().cloned().chain(usual);
    let cluster = &bus.config().cluster;
    let named = known.into_iter().find(|topic| StreamId::of(cluster, topic, 0) == stream);
    named.map_or_else(|| format!("a topic with the stream {stream}"), |topic| topic.to_string())
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
            member("a", alive, &[(1, 5), (2, 5)]),
            member("b", alive, &[(1, 6), (2, 5)]),
            member("c", alive, &[(1, 5)]),
            member("d", MemberState::Failed, &[(2, 9)]),
        ];
        let said = said(&members);
        assert_eq!(said.len(), 2);
        assert_eq!(differing(&said, |stream| stream.0.to_string()), ["1: a, c against b"]);
    }
}
