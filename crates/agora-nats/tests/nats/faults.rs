//! Servers that are down, die and come back, and connections that break.

use agora_core::ErrorKind;
use agora_core::codec::{FrameBuilder, FrameType, Parsed, RecordParts, Stamp, parse};
use agora_core::id::{Incarnation, NodeId, SourceId, StreamId, TopicName};
use agora_core::transport::{
    Address, FromLog, Inbound, Link, LogInbox, LogStart, OutFrame, Outcome, Position, TopicSpec, Transport,
};
use agora_nats::NatsTransport;
use agora_testbed::{Flow, NatsServer, Proxy, Way};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::support::{
    PATIENCE, cluster, config, connect, down, down_because, hear, message, number_of, numbered, open_log,
    publish, read, read_all, soon, topic, try_connect, up,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_the_start_is_found_later() {
    let mut server = NatsServer::start().await.unwrap();
    server.kill().unwrap();
    let transport = try_connect(&config(server.port())).await.unwrap();
    down_because(&transport, |why| why.contains(&server.port().to_string())).await;
    let live = topic("live");
    let refused = publish(&transport, &live, vec![numbered(1)]).await.unwrap_err();
    assert_eq!((refused.accepted, refused.outcome), (0, Outcome::NotStored));
    assert_eq!(refused.error.kind(), ErrorKind::Unreachable);
    assert_eq!(
        transport.open(&TopicSpec::live(live.clone())).await.unwrap_err().kind(),
        ErrorKind::Unreachable
    );
    server.begin().await.unwrap();
    up(&transport).await;
    let mut inbox = transport.subscribe(&live).await.unwrap();
    publish(&transport, &live, vec![numbered(2)]).await.unwrap();
    assert_eq!(message(&mut *inbox).await.payload, "2");
}

/// One event in a frame, as the engine forms it.
fn frame(seq: u64) -> OutFrame {
    let mut builder = FrameBuilder::new();
    let body = seq.to_string();
    let parts = RecordParts {
        kind: "a.kind",
        version: 1,
        resync: false,
        key: None,
        body: body.as_bytes(),
        id: None,
        correlation: None,
    };
    builder.push(&parts).unwrap();
    let source = SourceId { node: NodeId(7), incarnation: Incarnation(9) };
    let stamp = Stamp { source, stream: StreamId(3), seq, floor: 1, sent_us: 0 };
    OutFrame::new(builder.finish(&stamp, FrameType::Data))
}

/// Publishes until everything is accepted, as the engine does: after a failure from the oldest that was not.
async fn write_all(
    transport: NatsTransport,
    topic: TopicName,
    frames: Vec<OutFrame>,
    accepted: watch::Sender<usize>,
) {
    let mut done = 0;
    while done < frames.len() {
        let call = frames[done..].iter().take(50).cloned().collect::<Vec<_>>();
        done += match publish(&transport, &topic, call.clone()).await {
            Ok(()) => call.len(),
            Err(failed) => {
                assert!(failed.error.is_retryable(), "{:?}", failed.error);
                up(&transport).await;
                failed.accepted
            }
        };
        accepted.send_replace(done);
    }
}

async fn written_through_kills(frames: Vec<OutFrame>) -> Vec<bytes::Bytes> {
    let mut server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let topic = open_log(&transport, "log").await;
    let (accepted, mut seen) = watch::channel(0);
    let total = frames.len();
    let writer = tokio::spawn(write_all(transport, topic.clone(), frames, accepted));
    for part in 1..=4 {
        soon("records are accepted", seen.wait_for(|seen| *seen >= total * part / 5)).await.unwrap();
        server.restart().await.unwrap();
    }
    soon("everything is accepted", writer).await.unwrap();
    let reader = connect(&config(server.port())).await;
    read_all(&reader, &topic).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_lose_reorder_and_repeat_no_frame() {
    let stored = written_through_kills((1..=10_000).map(frame).collect()).await;
    let seqs: Vec<u64> = stored
        .into_iter()
        .map(|payload| match parse(payload) {
            Parsed::Frame(frame) => frame.seq(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(seqs.iter().copied().eq(1..=10_000), "{} records, and not each once in order", seqs.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_lose_reorder_and_repeat_no_plain_value() {
    let stored = written_through_kills((1..=10_000).map(numbered).collect()).await;
    let numbers: Vec<u64> = stored.iter().map(|payload| number_of(payload)).collect();
    assert!(numbers.iter().copied().eq(1..=10_000), "{} records, and not each once in order", numbers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_no_second_record() {
    let server = NatsServer::start().await.unwrap();
    let proxy = Proxy::to(server.port()).await.unwrap();
    let transport = connect(&config(proxy.port())).await;
    let log = open_log(&transport, "log").await;
    publish(&transport, &log, vec![frame(1)]).await.unwrap();
    proxy.set(Way::ToClient, Flow::Held);
    let two = vec![frame(2), numbered(3)];
    let to = Address { topic: log.clone(), lane: 0 };
    let by = Instant::now() + std::time::Duration::from_millis(300);
    let failed = transport.publish(&to, two.clone(), by).await.unwrap_err();
    assert_eq!((failed.accepted, failed.outcome), (0, Outcome::Unknown));
    assert_eq!(failed.error.kind(), ErrorKind::OutcomeUnknown);
    proxy.reset().await;
    proxy.heal();
    // Both were stored, and are not stored again, however often they are sent.
    while publish(&transport, &log, two.clone()).await.is_err() {
        up(&transport).await;
    }
    assert_eq!(read_all(&transport, &log).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_told_where_it_broke() {
    let server = NatsServer::start().await.unwrap();
    let mut proxy = Proxy::to(server.port()).await.unwrap();
    let (transport, other) = (connect(&config(proxy.port())).await, connect(&config(server.port())).await);
    let live = topic("live");
    let mut inbox = transport.subscribe(&live).await.unwrap();
    publish(&other, &live, vec![numbered(1)]).await.unwrap();
    assert_eq!(message(&mut *inbox).await.payload, "1");
    proxy.refuse().await;
    proxy.reset().await;
    down(&transport).await;
    publish(&other, &live, vec![numbered(2)]).await.unwrap();
    proxy.accept().await.unwrap();
    up(&transport).await;
    assert!(matches!(hear(&mut *inbox).await, Inbound::Resubscribed));
    publish(&other, &live, vec![numbered(3)]).await.unwrap();
    assert_eq!(message(&mut *inbox).await.payload, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_interrupts_the_readers_of_logs() {
    let mut server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let log = open_log(&transport, "log").await;
    publish(&transport, &log, (1..=3).map(numbered).collect()).await.unwrap();
    let mut reader = transport.open_log(&log, 0, LogStart::Last).await.unwrap();
    assert!(matches!(read(&mut *reader).await[..], [FromLog::Record { .. }, FromLog::CaughtUp]));
    server.restart().await.unwrap();
    assert!(matches!(read(&mut *reader).await[..], [FromLog::Interrupted]));
    up(&transport).await;
    assert_eq!(read_all(&transport, &log).await.len(), 3);
}

/// Where the next record stands, and its stamp.
async fn first_record(reader: &mut dyn LogInbox) -> (Position, u64) {
    loop {
        for one in read(reader).await {
            match one {
                FromLog::Record { at, stamp, .. } => return (at, stamp),
                FromLog::Beginning => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_deleted_and_made_anew_interrupts_its_readers() {
    let server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let log = open_log(&transport, "log").await;
    publish(&transport, &log, vec![numbered(1)]).await.unwrap();
    let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
    let old = first_record(&mut *reader).await;
    transport.admin().unwrap().delete_topic(&log).await.unwrap();
    let missing = publish(&transport, &log, vec![numbered(2)]).await.unwrap_err();
    assert_eq!((missing.error.kind(), missing.outcome), (ErrorKind::NotFound, Outcome::NotStored));
    open_log(&transport, "log").await;
    publish(&transport, &log, vec![numbered(2)]).await.unwrap();
    let mut last = Vec::new();
    while !matches!(last.last(), Some(FromLog::Interrupted)) {
        last = read(&mut *reader).await;
    }
    let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
    let new = first_record(&mut *reader).await;
    assert_eq!(old.0, new.0, "the same place");
    assert_ne!(old.1, new.1, "and another record");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_tried_again_where_that_is_forbidden() {
    let mut server = NatsServer::start().await.unwrap();
    let mut config = config(server.port());
    config.max_reconnects = Some(0);
    let transport = connect(&config).await;
    server.restart().await.unwrap();
    down(&transport).await;
    // Another one finds the server at once; this one has not come back by then.
    config.max_reconnects = None;
    let other = connect(&config).await;
    publish(&other, &topic("live"), vec![numbered(1)]).await.unwrap();
    assert!(!transport.link().borrow().is_usable());
}

#[tokio::test]
async fn a_transport_that_is_dropped_leaves_no_task_behind() {
    let server = NatsServer::start().await.unwrap();
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let transport = connect(&config(server.port())).await;
    let log = open_log(&transport, "log").await;
    let live = topic("live");
    let inbox = transport.subscribe(&live).await.unwrap();
    publish(&transport, &live, vec![numbered(1)]).await.unwrap();
    publish(&transport, &log, vec![numbered(1)]).await.unwrap();
    let reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
    assert!(metrics.num_alive_tasks() > before);
    drop((transport, inbox, reader));
    let all_gone = async {
        while metrics.num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    };
    soon("every task has ended", all_gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_by_its_deadline_also_where_nobody_answers() {
    let server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    server.pause().unwrap();
    let closed = soon("closing", transport.close(Instant::now() + PATIENCE / 60)).await;
    assert!(closed.is_ok() || closed.unwrap_err().kind() == ErrorKind::Timeout);
    assert!(matches!(&*transport.link().borrow(), Link::Down { why, .. } if why.contains("closed")));
    server.resume().unwrap();
}

/// What is no header block to the client, and of which it makes the end of the connection.
const ODD_HEADERS: [&[u8]; 5] = [
    b"nonsense",
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.0 x\r\n\r\n",
    b"\xff\xfe",
    b"NATS/1.0\r\n\x01 : a\r\n\r\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_headers_are_none_is_passed_in_a_log() {
    let server = NatsServer::start().await.unwrap();
    let (reading, other) = (connect(&config(server.port())).await, connect(&config(server.port())).await);
    let log = open_log(&other, "log").await;
    let subject = agora_nats::log_subject(&cluster(), &log);
    let mut due = Vec::new();
    for (number, header) in (1..).zip(ODD_HEADERS) {
        publish(&other, &log, vec![numbered(number * 2)]).await.unwrap();
        server.publish_raw(&subject, header, format!("odd {number}").as_bytes()).await.unwrap();
        due.extend([(number * 2).to_string(), format!("odd {number}")]);
    }
    // Two, one behind the other.
    server.publish_raw(&subject, b"odd", b"odd 6").await.unwrap();
    publish(&other, &log, vec![numbered(12)]).await.unwrap();
    due.extend(["odd 6".to_owned(), "12".to_owned()]);
    let before = due.len();
    due.push("14".to_owned());
    let (mut found, mut from, mut interruptions) = (Vec::new(), LogStart::Earliest, 0);
    while found.len() < due.len() {
        up(&reading).await;
        let Ok(mut reader) = reading.open_log(&log, 0, from.clone()).await else { continue };
        let mut is_mark = from != LogStart::Earliest;
        'opened: while found.len() < due.len() {
            for one in read(&mut *reader).await {
                match one {
                    FromLog::Record { .. } if std::mem::take(&mut is_mark) => {}
                    FromLog::Record { raw, at, .. } => {
                        found.push(String::from_utf8_lossy(&raw.payload).into_owned());
                        if found.len() == before {
                            // What comes after all of them comes too.
                            publish(&other, &log, vec![numbered(14)]).await.unwrap();
                        }
                        from = LogStart::At(at);
                    }
                    FromLog::Interrupted => {
                        interruptions += 1;
                        assert!(interruptions < 50, "it comes again and again");
                        break 'opened;
                    }
                    FromLog::Beginning | FromLog::CaughtUp => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert_eq!(found, due);
    assert!(interruptions > 0, "the client takes them now: fetching by hand is of no use any more");
}
