//! Groups that give out lanes: how one moves from member to member.

use std::time::Duration;

use agora_core::memory::{GroupStyle, Space, SpaceConfig};
use agora_core::transport::TopicSettings;

use crate::support::*;

/// Lets the tasks hear what the backend has told them.
async fn heard() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A space where a lane belongs to one member at a time.
fn by_lane() -> Space {
    Space::new(SpaceConfig { groups: GroupStyle::Lanes, ..SpaceConfig::default() })
}

#[tokio::test(start_paused = true)]
async fn a_lane_moves_when_what_runs_has_ended_and_nothing_is_handled_twice() {
    let space = by_lane();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    let mut first = group(&a).await;
    publish(&a, (0..5).map(|n| Order(n, n))).await;
    let held = job(&mut first).await;
    let also = job(&mut first).await;
    assert_eq!((held.1, also.1), (0, 1));
    let mut second = group(&b).await;
    heard().await;
    // The lane is asked back: nothing more is begun here, and nothing there before what runs has ended.
    idle(&mut first, Duration::from_secs(5)).await;
    idle(&mut second, Duration::from_secs(5)).await;
    held.ack();
    also.ack();
    let mut rest = Vec::new();
    for _ in 0..3 {
        let job = job(&mut second).await;
        rest.push(job.1);
        job.ack();
    }
    assert_eq!(rest, [2, 3, 4]);
    idle(&mut first, Duration::from_secs(60)).await;
    second.leave(SOON).await.unwrap();
    // It comes back to whoever is left.
    publish(&a, [Order(9, 9)]).await;
    assert_eq!(job(&mut first).await.1, 9);
}

#[tokio::test(start_paused = true)]
async fn a_lane_moves_in_the_middle_of_a_frame_and_its_settled_events_are_handled_by_nobody_twice_here() {
    let space = by_lane();
    let batch = TopicSettings::LOG;
    let (a, b) = (join_with(&space, "a", batch).await, join_with(&space, "b", batch).await);
    let mut first = group(&a).await;
    // What is published before the lanes of the log are known goes out in a frame of its own.
    let _publisher = a.publisher(LOG).unwrap();
    heard().await;
    // Three events of one key in one frame: the second begins when the first is settled.
    publish(&a, (0..3).map(|n| Order(7, n))).await;
    let held = job(&mut first).await;
    let mut second = group(&b).await;
    idle(&mut second, Duration::from_secs(5)).await;
    held.ack();
    // The frame was not done: the next owner gets it whole.
    let mut there = Vec::new();
    for _ in 0..3 {
        let job = job(&mut second).await;
        there.push(job.1);
        job.ack();
    }
    assert_eq!(there, [0, 1, 2]);
    second.leave(SOON).await.unwrap();
    publish(&a, [Order(7, 3)]).await;
    assert_eq!(job(&mut first).await.1, 3);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_was_stopped_loses_its_lane_and_its_late_word_changes_nothing() {
    let space = by_lane();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    let mut first = group(&a).await;
    publish(&b, [Order(1, 10), Order(2, 20)]).await;
    let held = job(&mut first).await;
    space.faults().pause("a");
    let mut second = group(&b).await;
    let again = job(&mut second).await;
    assert_eq!(again.1, 10);
    space.faults().resume("a");
    heard().await;
    // The zombie says that it is done; the work is another's.
    held.ack();
    idle(&mut first, Duration::from_secs(5)).await;
    again.ack();
    let last = job(&mut second).await;
    assert_eq!(last.1, 20);
    heard().await;
    let admin = b.admin().unwrap();
    let name = second.name().clone();
    assert_eq!(admin.describe_group(&topic(), &name).await.unwrap().lag(), 1);
}
