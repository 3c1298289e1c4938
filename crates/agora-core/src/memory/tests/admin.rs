//! What an operator may ask and do.

use std::time::SystemTime;

use super::groups::{LEASE, given, join, publish_keyed, spec};
use super::*;
use crate::id::GroupName;
use crate::memory::GroupStyle;
use crate::transport::{
    Admin, FromLog, GroupStart, LaneReset, LogStart, Position, ResetTo, Settle, Support, TopicSettings,
    TopicSpec,
};

fn group() -> GroupName {
    spec(GroupStart::Earliest).name
}

fn kind<T>(result: crate::Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

async fn log(records: &[&str]) -> (Space, MemoryTransport) {
    let space = Space::default();
    let a = connect(&space, "a");
    a.admin().unwrap().create_topic(&TopicSpec::log(topic())).await.unwrap();
    publish_keyed(&a, records).await;
    (space, a)
}

/// Logs are made once, listed by name for their cluster, and live topics are none.
#[tokio::test(start_paused = true)]
async fn logs_are_made_and_listed() {
    let (space, a) = log(&[]).await;
    let admin = a.admin().unwrap();
    let other = TopicName::new("a.first").unwrap();
    admin.create_topic(&TopicSpec::log(other.clone())).await.unwrap();
    a.open(&TopicSpec::live(TopicName::new("live").unwrap())).await.unwrap();
    assert_eq!(admin.topics().await.unwrap(), [other, topic()]);
    let elsewhere = space.connect(&cluster("d"), &NodeName::new("a").unwrap());
    assert!(elsewhere.admin().unwrap().topics().await.unwrap().is_empty());
    assert_eq!(kind(admin.create_topic(&TopicSpec::log(topic())).await), ErrorKind::Conflict);
    let new = TopicName::new("new").unwrap();
    let replicas = TopicSettings { replicas: Some(2), ..TopicSettings::LOG };
    for refused in [TopicSpec { name: new.clone(), settings: replicas }, TopicSpec::live(new)] {
        assert_eq!(kind(admin.create_topic(&refused).await), ErrorKind::Unsupported);
    }
}

/// A log is described with what it holds.
#[tokio::test(start_paused = true)]
async fn a_log_is_described() {
    let (space, a) = log(&[]).await;
    let admin = a.admin().unwrap();
    let empty = admin.describe_topic(&topic()).await.unwrap();
    assert_eq!((empty.lanes[0].records, empty.lanes[0].first, empty.lanes[0].last), (0, None, None));
    publish_keyed(&a, &["1", "22"]).await;
    tokio::time::advance(LEASE).await;
    publish_keyed(&a, &["333"]).await;
    space.faults().trim_log(TOPIC, 2);
    let described = admin.describe_topic(&topic()).await.unwrap();
    assert_eq!(described.settings, TopicSettings::LOG);
    let start = SpaceConfig::default().wall_clock_start;
    let lane = &described.lanes[0];
    assert_eq!((described.lanes.len(), lane.records, lane.bytes), (1, 2, Some(5)));
    assert_eq!(lane.first, Some((Position(1), Some(start))));
    assert_eq!(lane.last, Some((Position(2), Some(start + LEASE))));
    assert_eq!(kind(admin.describe_topic(&TopicName::new("no").unwrap()).await), ErrorKind::NotFound);
}

/// A deleted log takes its groups and cursors along, interrupts who reads it, and one that is made anew is another one.
#[tokio::test(start_paused = true)]
async fn a_deleted_log_is_gone_with_all_that_is_its_own() {
    let (_space, a) = log(&["1"]).await;
    let admin = a.admin().unwrap();
    let mut reader = a.open_log(&topic(), 0, LogStart::Earliest).await.unwrap();
    let mut member = join(&a).await;
    let (_, tokens) = given(&mut member, 9).await;
    let cursors = a.cursors().unwrap();
    let (fence, _) = cursors.take(&topic(), "d").await.unwrap();
    cursors.save(&topic(), "d", fence, b"x", &[]).await.unwrap();
    let stamp = |into: &[FromLog]| {
        into.iter().find_map(|from| match from {
            FromLog::Record { stamp, .. } => Some(*stamp),
            _ => None,
        })
    };
    let mut into = Vec::new();
    while stamp(&into).is_none() {
        reader.recv(9, &mut into).await.unwrap();
    }
    admin.delete_topic(&topic()).await.unwrap();
    assert_eq!(kind(admin.delete_topic(&topic()).await), ErrorKind::NotFound);
    a.open(&TopicSpec::log(topic())).await.unwrap();
    publish_keyed(&a, &["1"]).await;
    let mut told = Vec::new();
    reader.recv(9, &mut told).await.unwrap();
    assert!(matches!(told[..], [FromLog::Interrupted]), "{told:?}");
    assert_eq!(given(&mut member, 9).await.0, ["interrupted"]);
    assert_eq!(kind(member.settle(tokens[0], Settle::Ack).await), ErrorKind::Conflict);
    assert!(admin.groups(&topic()).await.unwrap().is_empty());
    assert_eq!(cursors.take(&topic(), "d").await.unwrap().1, None);
    let mut anew = a.open_log(&topic(), 0, LogStart::Earliest).await.unwrap();
    let mut again = Vec::new();
    anew.recv(9, &mut again).await.unwrap();
    assert!(stamp(&again).is_some() && stamp(&again) != stamp(&into), "the same record of another log");
}

/// Groups are made before anybody joins, listed, described, and deleted when nobody is there.
#[tokio::test(start_paused = true)]
async fn groups_are_made_described_and_deleted() {
    let (_space, a) = log(&["1", "2", "3", "4"]).await;
    let admin = a.admin().unwrap();
    admin.create_group(&topic(), &group(), GroupStart::Earliest).await.unwrap();
    assert_eq!(kind(admin.create_group(&topic(), &group(), GroupStart::Latest).await), ErrorKind::Conflict);
    assert_eq!(admin.groups(&topic()).await.unwrap(), [group()]);
    let mut member = a.join_group(&topic(), &spec(GroupStart::Latest)).await.unwrap();
    let (_, tokens) = given(&mut member, 3).await;
    member.settle(tokens[0], Settle::Ack).await.unwrap();
    let described = admin.describe_group(&topic(), &group()).await.unwrap();
    assert_eq!((described.pending(), described.lag(), described.lanes[0].next), (2, 3, Position(3)));
    let one = &described.members[0];
    assert_eq!((described.members.len(), one.pending, one.node.as_ref().unwrap().as_str()), (1, 2, "a"));
    assert_eq!(kind(admin.delete_group(&topic(), &group()).await), ErrorKind::Conflict);
    member.leave().await.unwrap();
    let described = admin.describe_group(&topic(), &group()).await.unwrap();
    assert_eq!((described.pending(), described.lag(), described.members.len()), (0, 3, 0));
    admin.delete_group(&topic(), &group()).await.unwrap();
    assert_eq!(kind(admin.delete_group(&topic(), &group()).await), ErrorKind::NotFound);
    assert_eq!(kind(admin.describe_group(&topic(), &group()).await), ErrorKind::NotFound);
    assert!(admin.groups(&topic()).await.unwrap().is_empty());
}

/// The owner of a lane is shown with it.
#[tokio::test(start_paused = true)]
async fn the_owner_of_a_lane_is_shown() {
    let space = Space::new(SpaceConfig { groups: GroupStyle::Lanes, ..SpaceConfig::default() });
    let a = connect(&space, "a");
    let mut member = join(&a).await;
    let _idle = join(&a).await;
    publish_keyed(&a, &["1", "2", "3"]).await;
    drop(_idle);
    let (_, tokens) = given(&mut member, 2).await;
    member.settle(tokens[1], Settle::Ack).await.unwrap();
    let _newer = join(&a).await;
    let described = a.admin().unwrap().describe_group(&topic(), &group()).await.unwrap();
    let lanes: Vec<_> = described.members.iter().map(|member| member.lanes.clone()).collect();
    assert_eq!(lanes, [vec![0], vec![]], "the lane is asked back, and not yet given up");
    assert_eq!((described.pending(), described.lag(), described.lanes[0].next), (1, 2, Position(2)));
}

/// A reset says what it changes, does nothing as a dry run, and is refused while the group has members.
#[tokio::test(start_paused = true)]
async fn a_group_is_reset() {
    for groups in [GroupStyle::Leases, GroupStyle::Lanes] {
        let space = Space::new(SpaceConfig { groups, ..SpaceConfig::default() });
        let a = connect(&space, "a");
        a.open(&TopicSpec::log(topic())).await.unwrap();
        publish_keyed(&a, &["1", "2"]).await;
        tokio::time::advance(LEASE).await;
        publish_keyed(&a, &["3", "4"]).await;
        let mut member = join(&a).await;
        let (_, tokens) = given(&mut member, 2).await;
        for token in tokens {
            member.settle(token, Settle::Ack).await.unwrap();
        }
        let admin: &dyn Admin = a.admin().unwrap();
        let reset = async |to, dry_run| admin.reset_group(&topic(), &group(), to, dry_run).await;
        let says = |to, records| vec![LaneReset { lane: 0, from: Position(2), to: Position(to), records }];
        let later: SystemTime = SpaceConfig::default().wall_clock_start + LEASE / 2;
        for (to, expected) in [
            (ResetTo::Earliest, says(0, 2)),
            (ResetTo::Latest, says(4, -2)),
            (ResetTo::Time(later), says(2, 0)),
            (ResetTo::At { lane: 0, position: Position(1) }, says(1, 1)),
            (ResetTo::At { lane: 0, position: Position(u128::MAX) }, says(4, -2)),
        ] {
            assert_eq!(reset(to, true).await.unwrap(), expected, "{groups:?}");
        }
        assert_eq!(kind(reset(ResetTo::Earliest, false).await), ErrorKind::Conflict);
        member.leave().await.unwrap();
        assert_eq!(reset(ResetTo::At { lane: 0, position: Position(1) }, false).await.unwrap(), says(1, 1));
        let mut again = join(&a).await;
        let texts = given(&mut again, 9).await.0;
        assert_eq!(texts.iter().rev().take(3).rev().collect::<Vec<_>>(), ["2", "3", "4"], "{groups:?}");
    }
}

/// A downed link is respected, and peers without a server have nothing to look into.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_refused() {
    let (space, a) = log(&[]).await;
    space.faults().isolate("a");
    let admin = a.admin().unwrap();
    assert_eq!(kind(admin.topics().await), ErrorKind::Unreachable);
    assert_eq!(kind(admin.groups(&topic()).await), ErrorKind::Unreachable);
    assert_eq!(kind(admin.delete_topic(&topic()).await), ErrorKind::Unreachable);
    let peer = connect(&with_server(false), "a");
    assert!(peer.admin().is_none());
    assert!(matches!(peer.capabilities().admin, Support::No { .. }));
    assert_eq!(kind(Admin::topics(&peer).await), ErrorKind::Unsupported);
}
