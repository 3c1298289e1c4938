//! Without faults: who hears what, in which order, and how things end.

use super::*;

#[tokio::test(start_paused = true)]
async fn everyone_hears_everything_in_order_the_sender_included() {
    for echo_via_server in [true, false] {
        let space = Space::new(SpaceConfig { echo_via_server, ..SpaceConfig::default() });
        let (a, b) = (connect(&space, "a"), connect(&space, "b"));
        let mut at_a = a.subscribe(&topic()).await.unwrap();
        let mut at_b = b.subscribe(&topic()).await.unwrap();
        publish_all(&a, &["1", "2"]).await.unwrap();
        publish(&b, "3").await;
        publish(&a, "4").await;
        assert_eq!(arrived(&mut at_a).await, ["1", "2", "3", "4"]);
        assert_eq!(arrived(&mut at_b).await, ["1", "2", "3", "4"]);
    }
}

#[tokio::test(start_paused = true)]
async fn frames_leave_in_the_order_of_the_calls_not_of_the_polls() {
    let a = connect(&Space::default(), "a");
    let mut inbox = a.subscribe(&topic()).await.unwrap();
    let address = Address { topic: topic(), lane: 0 };
    let frame = |text: &'static str| vec![OutFrame::new(Bytes::from_static(text.as_bytes()))];
    let by = Instant::now() + Duration::from_secs(1);
    let first = a.publish(&address, frame("1"), by);
    let second = a.publish(&address, frame("2"), by);
    second.await.unwrap();
    first.await.unwrap();
    assert_eq!(arrived(&mut inbox).await, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn clusters_topics_and_spaces_do_not_mix() {
    let space = Space::default();
    let node = NodeName::new("a").unwrap();
    let one = space.connect(&cluster("one"), &node);
    let two = space.connect(&cluster("two"), &node);
    let elsewhere = Space::default().connect(&cluster("one"), &node);
    let mut same = one.subscribe(&topic()).await.unwrap();
    let mut others = vec![
        one.subscribe(&TopicName::new("t.other").unwrap()).await.unwrap(),
        two.subscribe(&topic()).await.unwrap(),
        elsewhere.subscribe(&topic()).await.unwrap(),
    ];
    publish(&one, "1").await;
    assert_eq!(arrived(&mut same).await, ["1"]);
    for other in &mut others {
        assert_eq!(arrived(other).await, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_is_refused_and_those_before_it_are_sent() {
    let space = Space::new(SpaceConfig { message_bytes_max: 3, ..SpaceConfig::default() });
    let a = connect(&space, "a");
    assert_eq!(a.capabilities().message_bytes_max, 3);
    let mut inbox = a.subscribe(&topic()).await.unwrap();
    let failed = publish_all(&a, &["1", "123", "1234", "5"]).await.unwrap_err();
    assert_eq!((failed.accepted, failed.outcome), (2, Outcome::NotStored));
    assert_eq!(failed.error.kind(), ErrorKind::TooLarge);
    assert_eq!(arrived(&mut inbox).await, ["1", "123"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_an_inbox_is_named_where_it_would_have_stood() {
    let config = SpaceConfig { inbox_messages_max: 2, ..SpaceConfig::default() };
    let a = connect(&Space::new(config), "a");
    let mut inbox = a.subscribe(&topic()).await.unwrap();
    publish_all(&a, &["1", "2", "3", "4"]).await.unwrap();
    let mut into = Vec::new();
    inbox.recv(1, &mut into).await.unwrap();
    publish_all(&a, &["5", "6"]).await.unwrap();
    inbox.recv(100, &mut into).await.unwrap();
    let texts: Vec<_> = into.iter().map(text).collect();
    assert_eq!(texts, ["1", "2", "dropped 2", "5", "dropped 1"]);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_bounded_too_but_one_message_always_fits() {
    let config = SpaceConfig { inbox_bytes_max: 4, ..SpaceConfig::default() };
    let a = connect(&Space::new(config), "a");
    let mut inbox = a.subscribe(&topic()).await.unwrap();
    publish_all(&a, &["123456", "1", "2"]).await.unwrap();
    assert_eq!(arrived(&mut inbox).await, ["123456", "dropped 2"]);
    publish_all(&a, &["123", "4", "5"]).await.unwrap();
    assert_eq!(arrived(&mut inbox).await, ["123", "4", "dropped 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_recv_loses_nothing() {
    let a = connect(&Space::default(), "a");
    let mut inbox = a.subscribe(&topic()).await.unwrap();
    for round in 0..10 {
        let mut into = Vec::new();
        {
            // The future has been polled, and a message has come, when it is dropped.
            let mut recv = std::pin::pin!(inbox.recv(1, &mut into));
            assert!(timeout(Duration::ZERO, &mut recv).await.is_err());
            publish(&a, &format!("{round}")).await;
        }
        assert!(into.is_empty());
        assert_eq!(arrived(&mut inbox).await, [format!("{round}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_reader_is_woken_by_a_message_and_by_the_end() {
    let a = connect(&Space::default(), "a");
    let mut inbox = a.subscribe(&topic()).await.unwrap();
    let reader = tokio::spawn(async move {
        let mut into = Vec::new();
        inbox.recv(1, &mut into).await.unwrap();
        let end = inbox.recv(1, &mut into).await.unwrap_err();
        let again = inbox.recv(1, &mut into).await.unwrap_err();
        (into.len(), end.kind(), again.kind())
    });
    tokio::task::yield_now().await;
    publish(&a, "1").await;
    tokio::task::yield_now().await;
    a.close(Instant::now()).await.unwrap();
    assert_eq!(reader.await.unwrap(), (1, ErrorKind::Closed, ErrorKind::Closed));
}

#[tokio::test(start_paused = true)]
async fn after_the_end_everything_says_closed() {
    let space = Space::default();
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    let mut at_a = a.subscribe(&topic()).await.unwrap();
    let mut at_b = b.subscribe(&topic()).await.unwrap();
    publish(&a, "1").await;
    a.close(Instant::now()).await.unwrap();
    a.close(Instant::now()).await.unwrap();
    let failed = publish_all(&a, &["2"]).await.unwrap_err();
    assert_eq!((failed.accepted, failed.outcome), (0, Outcome::NotStored));
    assert_eq!(failed.error.kind(), ErrorKind::Closed);
    assert_eq!(a.subscribe(&topic()).await.err().unwrap().kind(), ErrorKind::Closed);
    assert!(!a.link().borrow().is_usable());
    let mut into = Vec::new();
    at_a.recv(10, &mut into).await.unwrap();
    assert_eq!(text(&into[0]), "1", "what had arrived can still be read");
    assert_eq!(at_a.recv(10, &mut into).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(arrived(&mut at_b).await, ["1"], "others go on");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_inbox_or_transport_leaves_nothing_behind() {
    let space = Space::default();
    let a = connect(&space, "a");
    let inbox = a.subscribe(&topic()).await.unwrap();
    let orphan = a.subscribe(&topic()).await.unwrap();
    drop(inbox);
    assert_eq!(space.shared.lock().inboxes.len(), 1);
    drop(a);
    assert!(space.shared.lock().listeners.is_empty());
    drop(orphan);
    let state = space.shared.lock();
    assert!(state.endpoints.is_empty() && state.inboxes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_named_space_is_one_until_its_last_user_is_gone() {
    let first = connect(&Space::named("tests.named").unwrap(), "a");
    let second = connect(&Space::named("tests.named").unwrap(), "b");
    let mut inbox = second.subscribe(&topic()).await.unwrap();
    publish(&first, "1").await;
    assert_eq!(arrived(&mut inbox).await, ["1"]);
    let weak = std::sync::Arc::downgrade(&Space::named("tests.named").unwrap().shared);
    drop((first, second, inbox));
    assert!(weak.upgrade().is_none());
    assert_eq!(Space::named("no spaces").unwrap_err().kind(), ErrorKind::Config);
}
