//! What is too large, too slow or too old.

use agora_core::ErrorKind;
use agora_core::transport::{Inbound, OutFrame, Outcome, Transport};
use agora_nats::HEADERS_BYTES;
use agora_testbed::NatsServer;
use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::support::{
    config, connect, hear, message, number_of, numbered, open_log, publish, topic, try_connect,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_does_not_take_is_refused_before_it_is_sent() {
    let server = NatsServer::with("max_payload: 128KB").await.unwrap();
    let transport = connect(&config(server.port())).await;
    let max = transport.capabilities().message_bytes_max;
    assert_eq!(max, 128 * 1024 - HEADERS_BYTES);
    let (live, log) = (topic("live"), open_log(&transport, "log").await);
    let mut inbox = transport.subscribe(&live).await.unwrap();
    for topic in [&live, &log] {
        // With the largest key, whose every byte takes three.
        let largest = OutFrame {
            key: Some(vec![0; 1024].into()),
            headers: vec![("agora-kind", vec![b'k'; 200].into())],
            ..OutFrame::new(vec![1; max])
        };
        publish(&transport, topic, vec![largest]).await.unwrap();
        let refused = publish(&transport, topic, vec![OutFrame::new(vec![1; max + 1])]).await.unwrap_err();
        assert_eq!((refused.accepted, refused.outcome), (0, Outcome::NotStored));
        assert_eq!(refused.error.kind(), ErrorKind::TooLarge);
        let text = refused.error.to_string();
        assert!(text.contains(&max.to_string()) && text.contains(&(max + 1).to_string()), "{text}");
    }
    assert_eq!(message(&mut *inbox).await.payload.len(), max);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_less_than_the_first_one_is_heeded() {
    let mut server = NatsServer::with("max_payload: 128KB").await.unwrap();
    let transport = connect(&config(server.port())).await;
    let file = server.data().join("nats.conf");
    let text = std::fs::read_to_string(&file).unwrap().replace("128KB", "64KB");
    std::fs::write(&file, text).unwrap();
    server.kill().unwrap();
    crate::support::down(&transport).await;
    server.begin().await.unwrap();
    crate::support::up(&transport).await;
    let large = vec![numbered(1), OutFrame::new(vec![1; 100 * 1024])];
    let refused = publish(&transport, &topic("live"), large).await.unwrap_err();
    assert_eq!((refused.accepted, refused.outcome), (1, Outcome::NotStored));
    assert_eq!(refused.error.kind(), ErrorKind::TooLarge);
    publish(&transport, &topic("live"), vec![numbered(2)]).await.unwrap();
}

/// On one thread, where tasks run in the order in which they were woken: when the second subscription has its message,
/// the first one has long been handed its own.
#[tokio::test]
async fn what_a_slow_reader_loses_is_counted_in_its_place() {
    let server = NatsServer::start().await.unwrap();
    let mut config = config(server.port());
    config.subscription_capacity = 10;
    let (slow, other) = (connect(&config).await, connect(&config).await);
    let (live, told) = (topic("live"), topic("told"));
    let mut inbox = slow.subscribe(&live).await.unwrap();
    let mut at_end = slow.subscribe(&told).await.unwrap();
    publish(&other, &live, (1..=1000).map(numbered).collect()).await.unwrap();
    publish(&other, &told, vec![numbered(0)]).await.unwrap();
    assert_eq!(message(&mut *at_end).await.payload, "0");
    let (mut last, mut dropped, mut lost) = (0, 0, 0);
    while last < 1001 {
        match hear(&mut *inbox).await {
            Inbound::Message(raw) => {
                let number = number_of(&raw.payload);
                assert_eq!(number, last + dropped + 1, "what is missing is what was told");
                (last, dropped) = (number, 0);
            }
            Inbound::Dropped(count) => {
                dropped += count.unwrap();
                lost += dropped;
            }
            Inbound::Resubscribed => panic!("nothing was interrupted"),
        }
        if last == 10 && dropped == 0 {
            // There is room again.
            publish(&other, &live, vec![numbered(1001)]).await.unwrap();
        }
    }
    assert!(lost > 900, "only {lost} were lost: nobody was slow");
}

/// A server that says only who it is.
async fn server_of_version(version: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let hello =
                format!("INFO {{\"version\":\"{version}\",\"max_payload\":1048576,\"headers\":true}}\r\n");
            stream.write_all(hello.as_bytes()).await.unwrap();
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
                if line.starts_with("PING") {
                    stream.write_all(b"PONG\r\n").await.unwrap();
                }
                line.clear();
            }
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_refused() {
    let port = server_of_version("2.9.25").await;
    let refused = try_connect(&config(port)).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    let text = format!("{refused:#}");
    assert!(text.contains("2.9.25") && text.contains("2.10") && text.contains("update"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_a_stranger_arrive_as_they_are() {
    let server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let live = topic("live.of.strangers");
    let mut inbox = transport.subscribe(&live).await.unwrap();
    let stranger = async_nats::connect(server.url()).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Content-Type", "text/plain; a=%41");
    let subject = agora_nats::live_subject(&crate::support::cluster(), &live);
    stranger.publish_with_headers(subject, headers, Bytes::from_static(b"hello")).await.unwrap();
    let raw = message(&mut *inbox).await;
    assert_eq!(raw.payload, "hello");
    assert_eq!(raw.headers, [("Content-Type".to_owned(), Bytes::from_static(b"text/plain; a=%41"))]);
    assert_eq!(raw.key, None);
}
