//! What logs were made with: retention by time, and settings that must agree.

use super::groups::{given, join, publish_keyed};
use super::*;
use crate::transport::{Framing, FromLog, LogInbox, LogStart, Position, TopicSettings, TopicSpec, Wire};

const HOUR: Duration = Duration::from_secs(3600);

fn kept_for(retention: Option<Duration>) -> TopicSpec {
    TopicSpec { name: topic(), settings: TopicSettings { retention, ..TopicSettings::LOG } }
}

async fn read(inbox: &mut Box<dyn LogInbox>) -> Vec<String> {
    let mut into = Vec::new();
    while let Ok(result) = timeout(Duration::ZERO, inbox.recv(9, &mut into)).await {
        result.unwrap();
    }
    let told = |from: &FromLog| match from {
        FromLog::Record { raw, .. } => String::from_utf8(raw.payload.to_vec()).unwrap(),
        FromLog::Trimmed => "trimmed".to_owned(),
        FromLog::Rewritten => "rewritten".to_owned(),
        FromLog::Beginning => "beginning".to_owned(),
        FromLog::CaughtUp => "caught up".to_owned(),
        FromLog::Interrupted => "interrupted".to_owned(),
    };
    into.iter().map(told).collect()
}

/// Records leave when they are as old as the retention says, for readers and for groups.
#[tokio::test(start_paused = true)]
async fn records_leave_by_their_age() {
    let space = Space::default();
    let a = connect(&space, "a");
    a.open(&kept_for(Some(HOUR))).await.unwrap();
    let mut group = join(&a).await;
    let mut early = a.open_log(&topic(), 0, LogStart::Earliest).await.unwrap();
    publish_keyed(&a, &["1"]).await;
    tokio::time::advance(HOUR / 2).await;
    publish_keyed(&a, &["2"]).await;
    tokio::time::advance(HOUR / 2 - Duration::from_secs(1)).await;
    let mut late = a.open_log(&topic(), 0, LogStart::Earliest).await.unwrap();
    assert_eq!(read(&mut late).await, ["beginning", "1", "2", "caught up"]);
    tokio::time::advance(Duration::from_secs(1)).await;
    // The beginning was not told while it was there.
    assert_eq!(read(&mut early).await, ["trimmed", "2", "caught up"]);
    assert_eq!(given(&mut group, 9).await.0, ["trimmed 1", "2"]);
}

/// Who has read a record that retention has taken, and opens the log there, is told so: also where nothing is left.
#[tokio::test(start_paused = true)]
async fn a_place_that_retention_has_taken_is_told() {
    let a = connect(&Space::default(), "a");
    a.open(&kept_for(Some(HOUR))).await.unwrap();
    publish_keyed(&a, &["1"]).await;
    tokio::time::advance(HOUR).await;
    let place = Position(0);
    assert_eq!(
        read(&mut a.open_log(&topic(), 0, LogStart::At(place)).await.unwrap()).await,
        ["trimmed", "caught up"]
    );
    publish_keyed(&a, &["2"]).await;
    let mut later = a.open_log(&topic(), 0, LogStart::At(place)).await.unwrap();
    assert_eq!(read(&mut later).await, ["trimmed", "2", "caught up"]);
}

/// A log is what it was made as: who asks for something else is refused, with both values. Who says nothing of the
/// retention agrees with any.
#[tokio::test(start_paused = true)]
async fn who_asks_for_another_log_is_refused() {
    let a = connect(&Space::default(), "a");
    a.open(&kept_for(Some(HOUR))).await.unwrap();
    a.open(&kept_for(None)).await.unwrap();
    for (settings, says) in [
        (TopicSettings::LOG.framing(Framing::Each), "the framing Each, and was made with Batch"),
        (TopicSettings::LOG.framing(Framing::Each).wire(Wire::Plain), "the framing Each"),
        (kept_for(Some(HOUR * 2)).settings, "the retention 7200s, and was made with Some(3600s)"),
    ] {
        let error = a.open(&TopicSpec { name: topic(), settings }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// Wires must agree even where framings do, and a retention is refused by a log that was made without.
#[tokio::test(start_paused = true)]
async fn wire_and_retention_must_agree() {
    let a = connect(&Space::default(), "a");
    let each = TopicSettings::LOG.framing(Framing::Each);
    a.open(&TopicSpec { name: topic(), settings: each }).await.unwrap();
    for (settings, says) in [
        (each.wire(Wire::Plain), "the wire Plain, and was made with Frame"),
        (TopicSettings { retention: Some(HOUR), ..each }, "the retention 3600s, and was made with None"),
    ] {
        let error = a.open(&TopicSpec { name: topic(), settings }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// A space has one server; a log has the lanes that it was made with, and what is asked for later changes nothing.
#[tokio::test(start_paused = true)]
async fn several_servers_are_refused_and_lanes_are_kept() {
    let a = connect(&Space::default(), "a");
    let log = TopicSettings::LOG;
    let open = async |settings| a.open(&TopicSpec { name: topic(), settings }).await;
    let error = open(TopicSettings { replicas: Some(3), ..log }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    for lanes in [Some(3), Some(1), None, Some(7)] {
        let settings = TopicSettings { lanes, replicas: Some(1), ..log };
        assert_eq!(open(settings).await.unwrap().lanes(), 3);
    }
}
