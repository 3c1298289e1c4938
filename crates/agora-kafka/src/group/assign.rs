//! Who gets which partitions: the two assignors that clients of the classic protocol know, with the results that the Java
//! client's have (`RangeAssignor`, `RoundRobinAssignor`), for the leader of a group may be any client.
//!
//! A pure function of who wants what. Racks are not looked at.

use std::collections::{BTreeMap, BTreeSet};

/// The name of a way to share out, as members offer it to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Assignor {
    /// Of each topic, a run of neighbouring partitions to each member.
    Range,
    /// One partition after another to one member after another.
    RoundRobin,
    /// The same under the name that KafkaJS gives it, which knows no other unless it is taught: so that its members can
    /// be in a group with those of agora.
    RoundRobinOfKafkaJs,
}

impl Assignor {
    /// All of them, the preferred one first.
    pub(crate) const ALL: [Self; 3] = [Self::Range, Self::RoundRobin, Self::RoundRobinOfKafkaJs];

    /// The name in the protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::RoundRobinOfKafkaJs => "RoundRobinAssigner",
        }
    }

    /// The assignor of this name, where it is one of ours.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Shares the partitions out. `partitions` says how many each topic has; a topic that is not in it has none.
    pub(crate) fn assign(self, members: &[Wish], partitions: &BTreeMap<String, u32>) -> Assignment {
        let mut members: Vec<&Wish> = members.iter().collect();
        members.sort_by_key(|member| member.rank());
        let mut assignment: Assignment =
            members.iter().map(|member| (member.id.clone(), BTreeMap::new())).collect();
        match self {
            Self::Range => range(&members, partitions, &mut assignment),
            Self::RoundRobin | Self::RoundRobinOfKafkaJs => {
                round_robin(&members, partitions, &mut assignment);
            }
        }
        assignment
    }
}

/// What a member of a group wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// What the coordinator calls it.
    pub(crate) id: String,
    /// What its operator calls it, where it keeps its place through a restart.
    pub(crate) instance: Option<String>,
    /// What it subscribes to.
    pub(crate) topics: BTreeSet<String>,
}

impl Wish {
    /// Members whose operator named them come first, by that name; then the others, by the coordinator's.
    fn rank(&self) -> (bool, &str) {
        match &self.instance {
            Some(instance) => (false, instance),
            None => (true, &self.id),
        }
    }
}

/// By member, then by topic: the partitions, in order. Every member is in it.
pub(crate) type Assignment = BTreeMap<String, BTreeMap<String, Vec<i32>>>;

fn range(members: &[&Wish], partitions: &BTreeMap<String, u32>, assignment: &mut Assignment) {
    for (topic, &count) in partitions {
        let takers: Vec<&&Wish> = members.iter().filter(|member| member.topics.contains(topic)).collect();
        let Some(each) = count.checked_div(takers.len() as u32) else { continue };
        let longer = count % takers.len() as u32;
        let mut next = 0;
        for (index, member) in takers.iter().enumerate() {
            let end = next + each + u32::from((index as u32) < longer);
            for partition in next..end {
                give(assignment, member, topic, partition);
            }
            next = end;
        }
    }
}

fn round_robin(members: &[&Wish], partitions: &BTreeMap<String, u32>, assignment: &mut Assignment) {
    let mut turn = 0;
    for (topic, &count) in partitions {
        if !members.iter().any(|member| member.topics.contains(topic)) {
            continue;
        }
        for partition in 0..count {
            while !members[turn % members.len()].topics.contains(topic) {
                turn += 1;
            }
            give(assignment, members[turn % members.len()], topic, partition);
            turn += 1;
        }
    }
}

fn give(assignment: &mut Assignment, member: &Wish, topic: &str, partition: u32) {
    // More partitions than fit into the protocol's number, a topic cannot have.
    let Ok(partition) = i32::try_from(partition) else { return };
    if let Some(topics) = assignment.get_mut(&member.id) {
        topics.entry(topic.to_owned()).or_default().push(partition);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(id: &str, topics: &[&str]) -> Wish {
        Wish {
            id: id.into(),
            instance: None,
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        }
    }

    fn partitions(counts: &[(&str, u32)]) -> BTreeMap<String, u32> {
        counts.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect()
    }

    /// `a: t0 t1; b: t2`.
    fn shown(assignment: &Assignment) -> String {
        let member = |(id, topics): (&String, &BTreeMap<String, Vec<i32>>)| {
            let all = topics.iter().flat_map(|(topic, partitions)| {
                partitions.iter().map(move |partition| format!(" {topic}{partition}"))
            });
            format!("{id}:{}", all.collect::<String>())
        };
        assignment.iter().map(member).collect::<Vec<_>>().join("; ")
    }

    type Case<'a> = (Assignor, &'a [Wish], &'a [(&'a str, u32)], &'a str);

    /// The expectations are those of `RangeAssignorTest` and `RoundRobinAssignorTest` of the Java client.
    #[test]
    fn the_results_are_those_of_the_java_client() {
        let (range, robin) = (Assignor::Range, Assignor::RoundRobin);
        let two = [wish("a", &["t", "u"]), wish("b", &["t", "u"])];
        let cases: &[Case<'_>] = &[
            (range, &[wish("a", &["t"])], &[], "a:"),
            (range, &[wish("a", &["t"])], &[("t", 3)], "a: t0 t1 t2"),
            (range, &[wish("a", &["t"])], &[("t", 3), ("u", 3)], "a: t0 t1 t2"),
            (range, &[wish("a", &["t"]), wish("b", &["t"])], &[("t", 1)], "a: t0; b:"),
            (range, &two, &[("t", 3), ("u", 3)], "a: t0 t1 u0 u1; b: t2 u2"),
            (
                range,
                &[wish("a", &["t"]), wish("b", &["t", "u"]), wish("c", &["t"])],
                &[("t", 3), ("u", 2)],
                "a: t0; b: t1 u0 u1; c: t2",
            ),
            (robin, &[wish("a", &["t"]), wish("b", &["t"])], &[("t", 2)], "a: t0; b: t1"),
            (robin, &two, &[("t", 3), ("u", 3)], "a: t0 t2 u1; b: t1 u0 u2"),
            (
                robin,
                &[wish("a", &["t"]), wish("b", &["t", "u"]), wish("c", &["t"])],
                &[("t", 3), ("u", 2)],
                "a: t0; b: t1 u0 u1; c: t2",
            ),
        ];
        for (assignor, members, counts, expected) in cases {
            let assigned = assignor.assign(members, &partitions(counts));
            assert_eq!(shown(&assigned), *expected, "{assignor:?} of {counts:?} to {members:?}");
        }
    }

    #[test]
    fn members_that_were_named_come_first() {
        let mut named = wish("z", &["t"]);
        named.instance = Some("first".into());
        let members = [wish("a", &["t"]), named];
        let assigned = Assignor::Range.assign(&members, &partitions(&[("t", 1)]));
        assert_eq!(shown(&assigned), "a:; z: t0");
    }

    #[test]
    fn a_name_leads_back_to_its_assignor() {
        for assignor in Assignor::ALL {
            assert_eq!(Assignor::of(assignor.name()), Some(assignor));
        }
        assert_eq!(Assignor::of("cooperative-sticky"), None);
    }

    fn groups() -> impl Strategy<Value = (Vec<Wish>, BTreeMap<String, u32>)> {
        let topics = ["t", "u", "v"];
        let wished = proptest::sample::subsequence(topics.to_vec(), 0..=3);
        let members = proptest::collection::vec((wished, any::<bool>()), 1..6).prop_map(|wishes| {
            let wish = |(index, (topics, named)): (usize, (Vec<&str>, bool))| {
                let instance = named.then(|| format!("instance-{}", 9 - index));
                Wish { instance, ..wish(&format!("m{index}"), &topics) }
            };
            wishes.into_iter().enumerate().map(wish).collect()
        });
        let counts = proptest::collection::vec(0..9_u32, 3)
            .prop_map(move |counts| topics.iter().map(|topic| (*topic).to_owned()).zip(counts).collect());
        (members, counts)
    }

    proptest! {
        #[test]
        fn each_wanted_partition_goes_to_one_member_that_wants_it((members, counts) in groups(), robin: bool) {
            let assignor = if robin { Assignor::RoundRobin } else { Assignor::Range };
            let assigned = assignor.assign(&members, &counts);
            let mut given = BTreeMap::new();
            for member in &members {
                for (topic, partitions) in &assigned[&member.id] {
                    prop_assert!(member.topics.contains(topic));
                    for partition in partitions {
                        prop_assert!(given.insert((topic.clone(), *partition), &member.id).is_none());
                    }
                }
            }
            for (topic, count) in &counts {
                let wanted = members.iter().any(|member| member.topics.contains(topic));
                for partition in 0..*count as i32 {
                    prop_assert_eq!(given.contains_key(&(topic.clone(), partition)), wanted);
                }
            }
        }

        /// Whoever leads the group comes to the same result, in whichever order it hears of the members.
        #[test]
        fn the_order_in_which_members_are_heard_does_not_matter((mut members, counts) in groups(), robin: bool) {
            let assignor = if robin { Assignor::RoundRobin } else { Assignor::Range };
            let assigned = assignor.assign(&members, &counts);
            members.reverse();
            prop_assert_eq!(assignor.assign(&members, &counts), assigned);
        }
    }
}
