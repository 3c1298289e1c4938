//! Cursors are kept, shown and fenced.

use std::sync::Arc;
use std::time::Duration;

use agora_core::limits::CURSOR_BYTES_MAX;
use agora_core::transport::{CursorStore, Fence, Position};
use agora_core::{ErrorKind, Result};
use agora_kafka::brokers::Brokers;
use agora_kafka::cursors::Cursors;
use agora_kafka::names::CURSOR_PREFIX;
use agora_testbed::{KafkaBroker, KafkaCluster};

use crate::support::{cluster, connect, groups_tool, topic};

fn store(brokers: &Arc<Brokers>) -> Cursors {
    Cursors::new(brokers, cluster(), CURSOR_PREFIX.to_owned())
}

fn is_conflict(saved: &Result<()>) -> bool {
    saved.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_eight_lanes_comes_back_and_the_right_goes_to_the_next() {
    let broker = KafkaBroker::start().await.unwrap();
    broker.create_topic("t", 8).await.unwrap();
    let (one, other) = (connect(&broker.address()).await, connect(&broker.address()).await);
    let (a, b, t) = (store(&one), store(&other), topic("t"));

    let (of_a, saved) = a.take(&t, "reader").await.unwrap();
    assert_eq!(saved, None);
    let largest: Vec<u8> = (0..8 * CURSOR_BYTES_MAX).map(|at| (at * 7 % 251) as u8).collect();
    let places: Vec<_> = (0..8).map(|lane| (lane, Position(u128::from(lane) * 100))).collect();
    a.save(&t, "reader", of_a, b"an older one", &[]).await.unwrap();
    a.save(&t, "reader", of_a, &largest, &places).await.unwrap();
    let more = [&largest[..], b"x"].concat();
    let error = a.save(&t, "reader", of_a, &more, &places).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);

    // A tool that knows nothing of agora sees where each lane stands.
    let said = groups_tool(&broker.address(), &["--describe", "--group", "agora.reader"]).await;
    let stands = |lane: &str| {
        let line = said.iter().find(|line| line.get(1).is_some_and(|word| word == "t") && line[2] == lane);
        line.map(|line| line[3].clone())
    };
    assert_eq!(stands("3").as_deref(), Some("300"), "{said:?}");
    assert_eq!(stands("7").as_deref(), Some("700"), "{said:?}");

    let (of_b, saved) = b.take(&t, "reader").await.unwrap();
    assert!(saved == Some(largest), "what was saved last");
    let late = a.save(&t, "reader", of_a, b"late", &places).await;
    assert!(is_conflict(&late), "{late:?}");
    let made_up = b.save(&t, "reader", Fence(of_b.0 + 1), b"made up", &[]).await;
    assert!(is_conflict(&made_up), "{made_up:?}");
    b.save(&t, "reader", of_b, b"", &[]).await.unwrap();
    // Another name, and the same name of another topic, are other cursors.
    broker.create_topic("u", 1).await.unwrap();
    assert_eq!(a.take(&t, "reader.t").await.unwrap().1, None);
    assert_eq!(a.take(&topic("u"), "reader").await.unwrap().1, None);
    assert_eq!(a.take(&t, "reader").await.unwrap().1.as_deref(), Some(&b""[..]));
    let nowhere = a.take(&topic("nowhere"), "reader").await.unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::NotFound);
    one.end();
    let closed = a.save(&t, "reader", of_a, b"", &[]).await.unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
    other.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_save_and_a_takeover_at_once_either_is_first_and_nothing_is_between() {
    let broker = KafkaBroker::start().await.unwrap();
    broker.create_topic("t", 2).await.unwrap();
    let (one, other) = (connect(&broker.address()).await, connect(&broker.address()).await);
    let (a, b, t) = (Arc::new(store(&one)), Arc::new(store(&other)), topic("t"));
    let mut last = None;
    for round in 0..20_u8 {
        let (of_a, found) = a.take(&t, "race").await.unwrap();
        assert_eq!(found.as_deref(), last.as_ref().map(|last: &[u8; 1]| &last[..]));
        let mine = [round];
        let (saved, taken) = tokio::join!(a.save(&t, "race", of_a, &mine, &[]), b.take(&t, "race"));
        let (of_b, found) = taken.unwrap();
        match saved {
            Ok(()) => {
                // It counts only where the next holder has seen it.
                assert_eq!(found, Some(vec![round]), "round {round}");
                last = Some([round]);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}");
                assert_eq!(found.as_deref(), last.as_ref().map(|last| &last[..]), "round {round}");
            }
        }
        let late = a.save(&t, "race", of_a, b"late", &[]).await;
        assert!(is_conflict(&late), "{late:?}");
        if round % 2 == 0 {
            b.save(&t, "race", of_b, &[100 + round], &[]).await.unwrap();
            last = Some([100 + round]);
        }
    }
    one.end();
    other.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_by_other_software_makes_a_cursor_void_and_a_holder_saves_over_it() {
    let broker = KafkaBroker::start().await.unwrap();
    broker.create_topic("t", 2).await.unwrap();
    let brokers = connect(&broker.address()).await;
    let (cursors, t) = (store(&brokers), topic("t"));
    let (fence, _) = cursors.take(&t, "reader").await.unwrap();
    cursors.save(&t, "reader", fence, b"mine", &[]).await.unwrap();
    let reset = ["--reset-offsets", "--group", "agora.reader", "--topic", "t:1", "--to-latest", "--execute"];
    groups_tool(&broker.address(), &reset).await;
    let (fence, found) = cursors.take(&t, "reader").await.unwrap();
    assert_eq!(found, None, "one lane was moved by another");
    cursors.save(&t, "reader", fence, b"again", &[]).await.unwrap();

    groups_tool(&broker.address(), &reset).await;
    // What a node holds is saved anew once in a while, so that brokers do not forget it.
    cursors.renew(Duration::ZERO).await;
    cursors.save(&t, "never", cursors.take(&t, "never").await.unwrap().0, b"x", &[]).await.unwrap();
    let next = store(&brokers);
    assert_eq!(next.take(&t, "reader").await.unwrap().1.as_deref(), Some(&b"again"[..]));
    // The right was lost: what is renewed from now on is not this one.
    cursors.renew(Duration::ZERO).await;
    assert_eq!(next.take(&t, "reader").await.unwrap().1.as_deref(), Some(&b"again"[..]));
    brokers.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_outlive_their_coordinators() {
    let mut cluster = KafkaCluster::start(3).await.unwrap();
    cluster.create_topic("t", 2).await.unwrap();
    let brokers = connect(&cluster.addresses()).await;
    let (cursors, t) = (Arc::new(store(&brokers)), topic("t"));
    let (fence, _) = cursors.take(&t, "reader").await.unwrap();
    cursors.save(&t, "reader", fence, &[0], &[]).await.unwrap();
    let victim = cluster.coordinator_of("agora.reader").await.unwrap();
    cluster.node(victim).kill().unwrap();
    // It may be out of reach for as long as another coordinator takes; the right is not lost.
    let mut number = 1;
    let saved = loop {
        match cursors.save(&t, "reader", fence, &[number], &[]).await {
            Ok(()) => break number,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:#}"),
        }
        number += 1;
        assert!(number < 10, "the cursor is not saved any more");
    };
    let (_, found) = cursors.take(&t, "reader").await.unwrap();
    assert_eq!(found, Some(vec![saved]));
    brokers.end();
}
