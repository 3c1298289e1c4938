//! What happens to nodes: pauses, crashes, their end, and the hints that others get.

use tokio::sync::mpsc;

use super::*;
use crate::id::{Incarnation, NodeId, SourceId};
use crate::memory::{LinkFaults, SERVER};
use crate::transport::Hint;

fn source(number: u64) -> SourceId {
    SourceId { node: NodeId(number), incarnation: Incarnation(number) }
}

async fn announce(node: &MemoryTransport, number: u64) -> mpsc::Receiver<Hint> {
    node.announce(source(number)).await.unwrap().unwrap()
}

fn hints(from: &mut mpsc::Receiver<Hint>) -> Vec<Hint> {
    std::iter::from_fn(|| from.try_recv().ok()).collect()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_both_directions_and_keeps_the_order() {
    for echo_via_server in [true, false] {
        let space = with_server(echo_via_server);
        let faults = space.faults();
        let (a, b) = (connect(&space, "a"), connect(&space, "b"));
        let mut at_a = a.subscribe(&topic()).await.unwrap();
        let mut at_b = b.subscribe(&topic()).await.unwrap();
        publish(&b, "b before").await;
        faults.pause("a");
        faults.pause("a");
        publish_all(&a, &["a1", "a2"]).await.unwrap();
        publish(&b, "b1").await;
        publish_all(&b, &["b2", "b3"]).await.unwrap();
        publish(&a, "a3").await;
        tokio::time::advance(Duration::from_secs(5)).await;
        let local: &[&str] = if echo_via_server { &["b before"] } else { &["b before", "a1", "a2", "a3"] };
        assert_eq!(arrived(&mut at_a).await, local, "one's own needs no network between peers");
        assert_eq!(arrived(&mut at_b).await, ["b before", "b1", "b2", "b3"]);
        faults.resume("a");
        publish(&a, "a after").await;
        let echo: &[&str] = if echo_via_server { &["a1", "a2", "a3"] } else { &[] };
        assert_eq!(arrived(&mut at_a).await, [&["b1", "b2", "b3"], echo, &["a after"]].concat());
        assert_eq!(arrived(&mut at_b).await, ["a1", "a2", "a3", "a after"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_pause_holds_is_bounded_on_both_sides() {
    let space = Space::new(SpaceConfig { inbox_messages_max: 2, ..SpaceConfig::default() });
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut at_a = a.subscribe(&topic()).await.unwrap();
    space.faults().pause("a");
    let failed = publish_all(&a, &["a1", "a2", "a3"]).await.unwrap_err();
    assert_eq!((failed.accepted, failed.outcome), (2, Outcome::NotStored));
    assert_eq!(failed.error.kind(), ErrorKind::Unreachable);
    publish_all(&b, &["b1", "b2"]).await.unwrap();
    publish_all(&b, &["b3", "b4"]).await.unwrap();
    space.faults().resume("a");
    // The two that fit filled the inbox, so that what was held on the other side found no room either.
    assert_eq!(arrived(&mut at_a).await, ["b1", "b2", "dropped 4"]);
    publish(&a, "a4").await;
    assert_eq!(arrived(&mut at_a).await, ["a4"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_subscribes_while_it_is_paused_hears_after_it() {
    let space = with_server(true);
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    space.faults().pause("a");
    let mut inbox = a.subscribe(&topic()).await.unwrap();
    publish(&b, "1").await;
    assert_eq!(arrived(&mut inbox).await, [""; 0]);
    let reader = tokio::spawn(async move {
        let mut into = Vec::new();
        inbox.recv(1, &mut into).await.map(|()| text(&into[0]))
    });
    tokio::task::yield_now().await;
    space.faults().resume("a");
    assert_eq!(reader.await.unwrap().unwrap(), "1");
}

#[tokio::test(start_paused = true)]
async fn an_interruption_during_a_pause_is_told_after_it() {
    let space = with_server(true);
    let faults = space.faults();
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut inbox = a.subscribe(&topic()).await.unwrap();
    faults.pause("a");
    publish(&b, "lost").await;
    for _ in 0..3 {
        faults.server_down();
        faults.server_up();
    }
    publish(&b, "1").await;
    assert_eq!(arrived(&mut inbox).await, [""; 0]);
    faults.resume("a");
    assert_eq!(arrived(&mut inbox).await, ["resubscribed", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_the_node_and_what_it_had_on_its_way() {
    let space = with_server(true);
    let faults = space.faults();
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut at_a = a.subscribe(&topic()).await.unwrap();
    let mut at_b = b.subscribe(&topic()).await.unwrap();
    publish(&a, "arrived").await;
    let ms = Duration::from_millis;
    faults.everywhere(LinkFaults::none().delay(ms(5)..=ms(5)));
    publish(&a, "lost").await;
    publish(&b, "others go on").await;
    assert_eq!(arrived(&mut at_a).await, ["arrived"]);
    let waiting = tokio::spawn(async move { at_a.recv(10, &mut Vec::new()).await });
    tokio::task::yield_now().await;
    assert!(faults.crash("a"));
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(publish_all(&a, &["x"]).await.unwrap_err().error.kind(), ErrorKind::Closed);
    assert!(!a.link().borrow().is_usable());
    assert!(!faults.crash("a"), "it is dead already");
    tokio::time::advance(ms(10)).await;
    assert_eq!(arrived(&mut at_b).await, ["arrived", "others go on"]);
    faults.calm();
    let again = connect(&space, "a");
    publish(&again, "a new life").await;
    drop(a);
    publish(&again, "goes on").await;
    assert_eq!(arrived(&mut at_b).await, ["a new life", "goes on"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_takes_what_its_inboxes_had_and_what_a_pause_held() {
    let space = with_server(true);
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut at_a = a.subscribe(&topic()).await.unwrap();
    let mut at_b = b.subscribe(&topic()).await.unwrap();
    publish(&b, "1").await;
    space.faults().pause("a");
    publish(&a, "held").await;
    assert!(space.faults().crash("a"));
    space.faults().resume("a");
    assert_eq!(at_a.recv(1, &mut Vec::new()).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(arrived(&mut at_b).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_close_or_a_drop_what_was_sent_still_arrives() {
    let ms = Duration::from_millis;
    let space = with_server(true);
    space.faults().everywhere(LinkFaults::none().delay(ms(5)..=ms(5)));
    let nodes = ["a", "b", "c"].map(|name| connect(&space, name));
    let mut inbox = nodes[2].subscribe(&topic()).await.unwrap();
    publish(&nodes[0], "1").await;
    nodes[0].close(soon()).await.unwrap();
    publish(&nodes[1], "2").await;
    let [_a, b, _c] = nodes;
    drop(b);
    tokio::time::advance(ms(10)).await;
    assert_eq!(arrived(&mut inbox).await, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn closing_a_paused_node_waits_for_what_it_holds_back() {
    let space = std::sync::Arc::new(with_server(true));
    let (a, b) = (std::sync::Arc::new(connect(&space, "a")), connect(&space, "b"));
    let mut at_b = b.subscribe(&topic()).await.unwrap();
    space.faults().pause("a");
    publish(&a, "held").await;
    let closing = tokio::spawn({
        let a = std::sync::Arc::clone(&a);
        async move { a.close(soon()).await }
    });
    tokio::task::yield_now().await;
    assert!(!closing.is_finished());
    assert_eq!(publish_all(&a, &["x"]).await.unwrap_err().error.kind(), ErrorKind::Closed);
    space.faults().resume("a");
    closing.await.unwrap().unwrap();
    assert_eq!(arrived(&mut at_b).await, ["held"]);

    let c = connect(&space, "c");
    space.faults().pause("c");
    publish(&c, "lost").await;
    let (start, by) = (Instant::now(), soon());
    assert_eq!(c.close(by).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    space.faults().resume("c");
    assert_eq!(arrived(&mut at_b).await, [""; 0]);
    assert_eq!(space.shared.lock().endpoints.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn hints_tell_who_comes_and_who_goes() {
    let space = with_server(false);
    let [a, b, c] = ["a", "b", "c"].map(|name| connect(&space, name));
    let elsewhere = space.connect(&cluster("other"), &NodeName::new("a").unwrap());
    let mut at_a = announce(&a, 1).await;
    let _others = announce(&elsewhere, 9).await;
    let mut at_b = announce(&b, 2).await;
    let _at_c = announce(&c, 3).await;
    assert_eq!(hints(&mut at_a), [Hint::Seen(source(2)), Hint::Seen(source(3))]);
    assert_eq!(hints(&mut at_b), [Hint::Seen(source(1)), Hint::Seen(source(3))]);
    c.close(soon()).await.unwrap();
    assert_eq!(hints(&mut at_a), [Hint::Gone(source(3))]);
    space.faults().crash("b");
    assert_eq!(hints(&mut at_a), [Hint::Gone(source(2))]);
    let b = connect(&space, "b");
    let _at_b = announce(&b, 4).await;
    let _at_b = announce(&b, 5).await;
    drop(b);
    let expected =
        [Hint::Seen(source(4)), Hint::Gone(source(4)), Hint::Seen(source(5)), Hint::Gone(source(5))];
    assert_eq!(hints(&mut at_a), expected);
}

#[tokio::test(start_paused = true)]
async fn between_peers_hints_follow_cuts() {
    let space = with_server(false);
    let [a, b, c] = ["a", "b", "c"].map(|name| connect(&space, name));
    let (mut at_a, mut at_b, mut at_c) =
        (announce(&a, 1).await, announce(&b, 2).await, announce(&c, 3).await);
    for hints_of in [&mut at_a, &mut at_b, &mut at_c] {
        assert_eq!(hints(hints_of).len(), 2);
    }
    space.faults().cut_one_way("b", "a");
    assert_eq!(hints(&mut at_a), [Hint::Gone(source(2))]);
    b.close(soon()).await.unwrap();
    space.faults().heal("a", "b");
    assert_eq!(hints(&mut at_a), [], "it ended while it was out of sight");
    assert_eq!(hints(&mut at_c), [Hint::Gone(source(2))]);
    space.faults().isolate("a");
    assert_eq!(hints(&mut at_a), [Hint::Gone(source(3))]);
    space.faults().rejoin("a");
    assert_eq!(hints(&mut at_a), [Hint::Seen(source(3))]);
}

#[tokio::test(start_paused = true)]
async fn without_the_server_there_are_no_hints_and_later_only_what_changed() {
    let space = with_server(true);
    let faults = space.faults();
    let [a, b, c] = ["a", "b", "c"].map(|name| connect(&space, name));
    let (mut at_a, mut at_b) = (announce(&a, 1).await, announce(&b, 2).await);
    let _at_c = announce(&c, 3).await;
    assert_eq!((hints(&mut at_a).len(), hints(&mut at_b).len()), (2, 2));
    faults.server_down();
    drop(c);
    assert_eq!((hints(&mut at_a), hints(&mut at_b)), (vec![], vec![]));
    assert_eq!(a.announce(source(1)).await.unwrap_err().kind(), ErrorKind::Unreachable);
    faults.server_up();
    assert_eq!(hints(&mut at_a), [Hint::Gone(source(3))]);
    assert_eq!(hints(&mut at_b), [Hint::Gone(source(3))]);
    faults.cut_one_way(SERVER, "a");
    assert_eq!(hints(&mut at_a), [], "it cannot hear");
    assert_eq!(hints(&mut at_b), [], "the server hears it still");
    faults.isolate("a");
    assert_eq!(hints(&mut at_b), [Hint::Gone(source(1))]);
}

#[tokio::test(start_paused = true)]
async fn hints_can_be_switched_off() {
    let space = Space::new(SpaceConfig { failure_hints: false, ..SpaceConfig::default() });
    let a = connect(&space, "a");
    assert!(!a.capabilities().failure_hints);
    assert!(a.announce(source(1)).await.unwrap().is_none());
}
