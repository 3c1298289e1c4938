//! One member at a time.

use std::time::Duration;

use agora_core::transport::{FromGroup, GroupSpec, GroupStart, Settle};

use crate::support::{broker, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_member_gets_what_is_there_and_what_comes_and_the_next_one_goes_on() {
    let (_broker, node) = broker("work", 2).await;
    node.write(0, [1, 2]).await;
    let mut member = node.join().await;
    for number in [1, 2] {
        let job = member.job().await;
        assert_eq!((job.lane, job.number, job.attempt), (0, number, 1));
        member.ack(&job).await;
    }
    node.write(1, [3]).await;
    let job = member.job().await;
    assert_eq!((job.lane, job.number), (1, 3));
    member.leave().await;
    assert_eq!(node.committed(0).await, (2, String::new()));
    assert_eq!(node.committed(1).await, (0, String::new()), "released, which counts for nothing");

    let mut next = node.join().await;
    let job = next.job().await;
    assert_eq!((job.number, job.attempt), (3, 1));
    next.ack(&job).await;
    next.refuses(&job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_out_of_order_is_not_done_again_after_a_crash_and_the_rest_is_counted() {
    let (broker, node) = broker("work", 1).await;
    node.write(0, 1..=5).await;
    let mut member = node.join().await;
    let jobs = member.jobs(4).await;
    member.ack(&jobs[1]).await;
    member.ack(&jobs[2]).await;
    assert_eq!(node.committed(0).await, (0, "agora1 A2dA".to_owned()));
    let other = crate::support::Node::connect(&broker.address(), "work", "group").await;
    member.crash(&node);
    let mut next = other.join().await;
    let jobs = next.jobs(3).await;
    let found: Vec<_> = jobs.iter().map(|job| (job.number, job.attempt)).collect();
    assert_eq!(found, [(1, 2), (4, 2), (5, 1)]);
    for job in &jobs {
        next.ack(job).await;
    }
    assert_eq!(other.committed(0).await, (5, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_released_comes_again_and_its_attempts_do_not_grow() {
    let (_broker, node) = broker("work", 1).await;
    node.write(0, [1, 2]).await;
    let mut member = node.join().await;
    for _ in 0..20 {
        let job = member.job().await;
        assert_eq!((job.number, job.attempt), (1, 1));
        member.settle(&job, Settle::Release).await.unwrap();
    }
    let job = member.job().await;
    member.ack(&job).await;
    assert_eq!(member.job().await.number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_group_that_begins_with_what_comes_does_so_from_the_moment_of_joining() {
    let (_broker, node) = broker("work", 2).await;
    node.write(0, [1]).await;
    let mut entry = node.entry();
    entry.spec = GroupSpec { start: GroupStart::Latest, ..entry.spec };
    let member = node.enter(entry).await;
    assert_eq!(node.committed(0).await, (1, String::new()));
    node.write(0, [2]).await;
    // Whoever comes next goes by that, whatever it asks for.
    drop(member);
    let mut next = node.join().await;
    assert_eq!(next.job().await.number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_room_for_records_it_hears_of_lanes_all_the_same() {
    let (_broker, node) = broker("work", 1).await;
    node.write(0, [1]).await;
    let mut member = node.join().await;
    assert!(
        matches!(soon("a lane", member.next(0)).await, Ok(FromGroup::Assigned { lanes }) if lanes == [0])
    );
    let nothing = tokio::time::timeout(Duration::from_millis(500), member.next(0)).await;
    assert!(nothing.is_err(), "a record that nobody asked for: {nothing:?}");
    assert_eq!(member.job().await.number, 1);
}
