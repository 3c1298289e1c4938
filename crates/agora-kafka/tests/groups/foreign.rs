//! A group with members of another client.

use std::collections::BTreeSet;

use agora_testbed::clients::{Client, kafka};

use crate::support::{SOON, broker};

#[tokio::test(flavor = "multi_thread")]
async fn the_java_client_and_agora_share_the_lanes_whoever_leads_and_nothing_is_lost() {
    let (broker, node) = broker("work", 4).await;
    let address = &broker.address();
    let args = ["--topic", "work", "--group", "group", "--from-beginning"];
    let command = || kafka::java_consumer(address, &args).unwrap();
    for agora_is_first in [true, false] {
        let (mut member, mut java);
        if agora_is_first {
            member = node.join().await;
            member.has_lanes(4).await;
            java = Client::start(command()).unwrap();
        } else {
            java = Client::start(command()).unwrap();
            node.write(0, [0]).await;
            assert_eq!(java.line(SOON).await.unwrap().as_deref(), Some("0"));
            member = node.join().await;
        }
        member.has_lanes(2).await;
        let base = if agora_is_first { 100 } else { 200 };
        for lane in 0..4 {
            node.write(lane, [base + lane as u64]).await;
        }
        let mut found = BTreeSet::new();
        for job in member.jobs(2).await {
            found.insert(job.number);
            member.ack(&job).await;
        }
        for _ in 0..2 {
            found.insert(java.line(SOON).await.unwrap().unwrap().parse().unwrap());
        }
        assert_eq!(found, (base..base + 4).collect());
        // It leaves, and all lanes are agora's.
        java.stop().unwrap();
        let (gone, ()) = tokio::join!(java.finish(SOON), member.has_lanes(4));
        drop(gone);
        member.leave().await;
    }
    let described = kafka::java_groups(address, &["--describe", "--group", "group"]).unwrap();
    let described = Client::run(described, "", SOON).await.unwrap();
    let lags =
        described.lines().filter(|line| line.contains("work")).map(|line| line.split_whitespace().nth(5));
    assert_eq!(lags.collect::<Vec<_>>(), [Some("0"); 4], "{described}");
}
