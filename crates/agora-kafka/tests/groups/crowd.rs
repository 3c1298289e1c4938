//! Several members.

use crate::crew::Crew;
use crate::support::{Node, broker, soon};

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_the_lanes_and_one_that_leaves_gives_its_own_to_the_other() {
    let (_broker, node) = broker("work", 4).await;
    let mut first = node.join().await;
    first.has_lanes(4).await;
    let mut second = node.join().await;
    tokio::join!(first.has_lanes(2), second.has_lanes(2));
    assert!(first.lanes.is_disjoint(&second.lanes));
    first.leave().await;
    second.has_lanes(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_dropped_leaves() {
    let (_broker, node) = broker("work", 2).await;
    node.write(0, [1]).await;
    let mut first = node.join().await;
    let job = first.job().await;
    assert_eq!(job.attempt, 1);
    let mut second = node.join().await;
    drop(first);
    second.has_lanes(2).await;
    let job = second.job().await;
    assert_eq!((job.number, job.attempt), (1, 1), "handed on in good order");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_given_out_of_a_lane_that_is_asked_back_and_what_is_held_is_settled_first() {
    let (_broker, node) = broker("work", 1).await;
    node.write(0, 1..=3).await;
    let mut first = node.join().await;
    let jobs = first.jobs(2).await;
    let second = node.join().await;
    let asked = soon("a question", async {
        loop {
            if let agora_core::transport::FromGroup::Revoking { lanes, done } = first.next(0).await.unwrap() {
                return (lanes, done);
            }
        }
    });
    let (lanes, done) = asked.await;
    assert_eq!(lanes, [0]);
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(500), first.next(1)).await;
    assert!(nothing.is_err(), "{nothing:?}");
    first.ack(&jobs[1]).await;
    let _ = done.send(());
    let mut members = [first, second];
    let [first, second] = &mut members;
    // Whoever gets the lane goes on with what was not settled.
    let job = soon("a record", async {
        tokio::select! {
            job = first.next_job() => job,
            job = second.next_job() => job,
        }
    });
    let job = job.await;
    assert_eq!((job.number, job.attempt), (1, 1));
    let late = [first.settle(&jobs[0], agora_core::transport::Settle::Ack).await];
    assert_eq!(late[0].as_ref().unwrap_err().kind(), agora_core::ErrorKind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_join_leave_and_crash_in_the_midst_of_work_and_each_record_is_done_once() {
    const LANES: u64 = 4;
    let (broker, node) = broker("work", LANES as u32).await;
    let mut crew = Crew::new();
    let other = Node::connect(&broker.address(), "work", "group").await;
    let write = async |from: u64| {
        for lane in 0..LANES {
            node.write(lane as i32, (from..from + 100).filter(|number| number % LANES == lane)).await;
        }
    };
    write(1).await;
    let first = crew.employ(node.join().await);
    crew.does(20).await;
    let second = crew.employ(other.join().await);
    write(101).await;
    crew.does(120).await;
    let third = crew.employ(node.join().await);
    write(201).await;
    crew.does(220).await;
    // A crash: its session is over in a while, and the others have its lanes.
    other.brokers.end();
    let _crashed = second.stop().await;
    write(301).await;
    first.stop().await.leave().await;
    write(401).await;
    crew.does(500).await;
    crew.has_done(1..=500);
    third.stop().await.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_for_two_topics_are_one_group_and_each_topic_is_shared_out_by_itself() {
    let (broker, node) = broker("work", 2).await;
    broker.create_topic("other", 3).await.unwrap();
    let other = Node::connect(&broker.address(), "other", "group").await;
    let (mut first, mut second) = (node.join().await, other.join().await);
    tokio::join!(first.has_lanes(2), second.has_lanes(3));
    node.write(0, [1]).await;
    other.write(2, [2]).await;
    let (one, two) = tokio::join!(first.job(), second.job());
    assert_eq!((one.number, two.number), (1, 2));
}
