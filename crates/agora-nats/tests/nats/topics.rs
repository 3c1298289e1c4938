//! Logs that are there, that are not, and that are otherwise.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::config::Storage;
use agora_core::transport::{Framing, FromLog, LogStart, Position, TopicSettings, TopicSpec, Transport};
use agora_nats::stream_name;
use agora_testbed::NatsServer;
use async_nats::jetstream::stream;

use crate::support::{cluster, config, connect, numbered, open_log, publish, read, read_all, soon, topic};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_not_made_where_that_is_not_wanted() {
    let server = NatsServer::start().await.unwrap();
    let mut config = config(server.port());
    config.auto_create = Some(false);
    let transport = connect(&config).await;
    let spec = TopicSpec::log(topic("log"));
    let missing = transport.open(&spec).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let text = format!("{missing:#}");
    assert!(text.contains("agora topics create") && text.contains("nats stream add"), "{text}");
    let missing = transport.cursors().unwrap().take(&spec.name, "reader").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(format!("{missing:#}").contains("nats kv add"), "{missing:#}");
    // An operator asks for it.
    transport.admin().unwrap().create_topic(&spec).await.unwrap();
    transport.open(&spec).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_made_otherwise_is_a_conflict_that_names_both() {
    let server = NatsServer::start().await.unwrap();
    let plain = config(server.port());
    let transport = connect(&plain).await;
    let mut made = TopicSpec::log(topic("log"));
    made.settings.retention = Some(Duration::from_secs(3600));
    transport.open(&made).await.unwrap();
    // What is not said is not compared.
    transport.open(&TopicSpec::log(topic("log"))).await.unwrap();
    let mut longer = made.clone();
    longer.settings.retention = Some(Duration::from_secs(7200));
    let mut each = made.clone();
    each.settings = TopicSettings::LOG.framing(Framing::Each);
    for (asked, words) in [(&longer, ["7200s", "3600s"]), (&each, ["framing each", "framing batch"])] {
        let error = transport.open(asked).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    let mut in_memory = plain.clone();
    in_memory.storage = Some(Storage::Memory);
    let other = connect(&in_memory).await;
    let error = other.open(&made).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("memory"), "{error}");
    let mut window = plain.clone();
    window.duplicate_window = Some(Duration::from_secs(7));
    let other = connect(&window).await;
    let error = other.open(&made).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("7s"), "{error}");
    other.open(&TopicSpec::log(topic("other"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_for_streams_is_what_their_names_begin_with() {
    let server = NatsServer::start().await.unwrap();
    let mut config = config(server.port());
    config.jetstream = true;
    config.stream_name = Some("mail".into());
    let transport = connect(&config).await;
    let log = open_log(&transport, "log").await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    jetstream.get_stream(stream_name("mail", &cluster(), &log).unwrap()).await.unwrap();
    assert_eq!(transport.admin().unwrap().topics().await.unwrap(), [log]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_native_tool_stores_is_read_and_what_it_reads_is_ours() {
    let server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let log = open_log(&transport, "log").await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let subject = agora_nats::log_subject(&cluster(), &log);
    jetstream.publish(subject, "by a stranger".into()).await.unwrap().await.unwrap();
    let mut frame = numbered(2);
    frame.key = Some("account/7".into());
    publish(&transport, &log, vec![frame]).await.unwrap();
    assert_eq!(read_all(&transport, &log).await, ["by a stranger", "2"]);
    let stream = jetstream.get_stream(stream_name("agora", &cluster(), &log).unwrap()).await.unwrap();
    let ours = stream.get_raw_message(2).await.unwrap();
    assert_eq!(ours.headers.get("agora").unwrap().as_str(), "key=account/7");
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_that_overtakes_a_reader_is_told() {
    let server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let log = open_log(&transport, "log").await;
    publish(&transport, &log, (1..=10).map(numbered).collect()).await.unwrap();
    let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
    let mut first = Vec::new();
    while !first.iter().any(|one| matches!(one, FromLog::Record { .. })) {
        soon("the first", reader.recv(1, &mut first)).await.unwrap();
    }
    // From now on a record lives for a moment only; and when all have gone, as long as before.
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let mut stream = jetstream.get_stream(stream_name("agora", &cluster(), &log).unwrap()).await.unwrap();
    let kept = stream.info().await.unwrap().config.clone();
    let (max_age, duplicate_window) = (Duration::from_millis(100), Duration::from_millis(100));
    jetstream.update_stream(stream::Config { max_age, duplicate_window, ..kept.clone() }).await.unwrap();
    // Nothing tells when the server has dropped them.
    let admin = transport.admin().unwrap();
    let dropped = async {
        while admin.describe_topic(&log).await.unwrap().lanes[0].records > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the records are dropped", dropped).await;
    jetstream.update_stream(kept).await.unwrap();
    // Whoever has read one of them, and comes back, learns that the log goes on.
    let mut later = transport.open_log(&log, 0, LogStart::At(Position(5))).await.unwrap();
    assert!(matches!(read(&mut *later).await[..], [FromLog::Trimmed, FromLog::CaughtUp]));
    publish(&transport, &log, vec![numbered(11)]).await.unwrap();
    let mut told = false;
    loop {
        for one in read(&mut *reader).await {
            match one {
                FromLog::Trimmed => told = true,
                FromLog::Record { raw, .. } => {
                    assert!(told, "2 to 10 are gone, and nothing was said");
                    assert_eq!(raw.payload, "11");
                    return;
                }
                FromLog::CaughtUp | FromLog::Beginning => {}
                FromLog::Rewritten | FromLog::Interrupted => panic!("nothing was interrupted"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_jetstream_live_topics_work_and_the_rest_says_what_to_enable() {
    // The server has it, and this account has not.
    let server = NatsServer::with("accounts { A { users: [ { user: u, password: p } ] } }").await.unwrap();
    let mut config = config(server.port());
    config.user = Some("u".into());
    config.password = Some(agora_core::config::Secret::new("p"));
    let transport = connect(&config).await;
    let live = topic("live");
    let mut inbox = transport.subscribe(&live).await.unwrap();
    publish(&transport, &live, vec![numbered(1)]).await.unwrap();
    assert_eq!(crate::support::message(&mut *inbox).await.payload, "1");
    let spec = TopicSpec::log(topic("log"));
    let refused = [
        transport.open(&spec).await.unwrap_err(),
        transport.cursors().unwrap().take(&live, "reader").await.unwrap_err(),
        transport.admin().unwrap().topics().await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(format!("{error:#}").contains("jetstream {"), "{error:#}");
    }
}
