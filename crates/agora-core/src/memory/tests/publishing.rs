//! What becomes of publishes: scripted failures, slow results, deadlines, and what is refused.

use super::*;
use crate::memory::{PublishFault, SpaceConfig};
use crate::transport::{LogStart, Support, TopicSpec};

#[tokio::test(start_paused = true)]
async fn publishes_fail_as_scripted_and_then_no_more() {
    let cases = [
        (PublishFault::NotStored, Outcome::NotStored, ErrorKind::Backend, "1"),
        (PublishFault::UnknownLost, Outcome::Unknown, ErrorKind::OutcomeUnknown, "1"),
        (PublishFault::UnknownStored, Outcome::Unknown, ErrorKind::OutcomeUnknown, "123"),
    ];
    for (fault, outcome, kind, sent) in cases {
        let space = with_server(true);
        let (a, b) = (connect(&space, "a"), connect(&space, "b"));
        let mut inbox = b.subscribe(&topic()).await.unwrap();
        space.faults().fail_publishes("a", 2, 1, fault);
        for _ in 0..2 {
            let failed = publish_all(&a, &["1", "2", "3"]).await.unwrap_err();
            assert_eq!((failed.accepted, failed.outcome, failed.error.kind()), (1, outcome, kind));
            assert!(failed.error.is_retryable());
            assert_eq!(arrived(&mut inbox).await.concat(), sent);
        }
        publish(&b, "another's").await;
        publish_all(&a, &["1", "2"]).await.unwrap();
        assert_eq!(arrived(&mut inbox).await, ["another's", "1", "2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn scripts_follow_each_other_and_never_accept_everything() {
    let space = with_server(true);
    let a = connect(&space, "a");
    space.faults().fail_publishes("a", 0, 0, PublishFault::UnknownLost);
    space.faults().fail_publishes("a", 1, 5, PublishFault::NotStored);
    space.faults().fail_publishes("a", 1, 0, PublishFault::UnknownLost);
    let first = publish_all(&a, &["1", "2"]).await.unwrap_err();
    assert_eq!((first.accepted, first.outcome), (1, Outcome::NotStored));
    let second = publish_all(&a, &["1", "2"]).await.unwrap_err();
    assert_eq!((second.accepted, second.outcome), (0, Outcome::Unknown));
    space.faults().fail_publishes("a", 1, 0, PublishFault::UnknownLost);
    space.faults().clear();
    publish(&a, "3").await;
}

#[tokio::test(start_paused = true)]
async fn slow_results_come_late_and_some_after_the_deadline() {
    let ms = Duration::from_millis;
    let space = with_server(true);
    let a = connect(&space, "a");
    let mut inbox = a.subscribe(&topic()).await.unwrap();
    space.faults().slow_results("a", ms(30)..=ms(30));
    let start = Instant::now();
    let address = Address { topic: topic(), lane: 0 };
    let frame = || vec![OutFrame::new(Bytes::from_static(b"1"))];
    let in_time = a.publish(&address, frame(), start + ms(30));
    let too_late = a.publish(&address, frame(), start + ms(29));
    assert_eq!(arrived(&mut inbox).await, ["1", "1"], "the frames leave at once");
    let failed = too_late.await.unwrap_err();
    assert_eq!((failed.accepted, failed.outcome), (0, Outcome::Unknown));
    assert_eq!(failed.error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(start.elapsed(), ms(29));
    in_time.await.unwrap();
    assert_eq!(start.elapsed(), ms(30));
    let late = a.publish(&address, frame(), start).await.unwrap_err();
    assert_eq!((late.outcome, late.error.kind()), (Outcome::NotStored, ErrorKind::Timeout));
    assert_eq!(arrived(&mut inbox).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_it_cannot_do_it_says() {
    let peers = Space::new(SpaceConfig { echo_via_server: false, ..SpaceConfig::default() });
    let a = connect(&peers, "a");
    let log = TopicSpec::log(topic());
    let opened = a.open_log(&topic(), 0, LogStart::Earliest).await.err();
    for error in [a.open(&log).await.unwrap_err(), opened.unwrap()] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.help_text().is_some());
    }
    assert!(a.cursors().is_none());
    let live = TopicSpec::live(topic());
    assert_eq!(a.open(&live).await.unwrap().lanes(), 1);
    let capabilities = a.capabilities();
    assert_eq!(capabilities.live, Support::Yes);
    for absent in [capabilities.log, capabilities.group, capabilities.cursors] {
        assert!(matches!(absent, Support::No { .. }));
    }
    let other_lane = Address { topic: topic(), lane: 1 };
    let frame = vec![OutFrame::new(Bytes::from_static(b"1"))];
    let failed = a.publish(&other_lane, frame, Instant::now()).await.unwrap_err();
    assert_eq!((failed.outcome, failed.error.kind()), (Outcome::NotStored, ErrorKind::Config));
}
