//! A connection that stands and passes nothing on is closed, and made anew.

#![allow(clippy::unwrap_used)] // A test.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use agora_core::id::ClusterName;
use agora_core::transport::Transport;
use agora_testbed::free_port;
use agora_zenoh::{ZenohConfig, ZenohTransport};
use serde_json::json;
use tokio::time::Instant;
use zenoh::sample::SampleKind;
use zenoh::session::ZenohId;
use zenoh::{Session, Wait};

/// However slow the machine is, it has happened by then.
const SOON: Duration = Duration::from_secs(60);

async fn node(cluster: &ClusterName, url: &str) -> ZenohTransport {
    ZenohTransport::connect(&ZenohConfig::from_url(url).unwrap(), cluster, SOON).await.unwrap()
}

/// A peer of zenoh's own, which listens on a port and connects to another.
fn peer(own: u16, to: u16) -> Session {
    let mut config = zenoh::Config::default();
    for (key, value) in [
        ("mode", json!("peer")),
        ("listen/endpoints", json!([format!("tcp/127.0.0.1:{own}")])),
        ("connect/endpoints", json!([format!("tcp/127.0.0.1:{to}")])),
        ("scouting/multicast/enabled", json!(false)),
    ] {
        config.insert_json5(key, &value.to_string()).unwrap();
    }
    zenoh::open(config).wait().unwrap()
}

/// What happens to the session's connection to this peer.
fn connection_to(session: &Session, peer: ZenohId) -> Receiver<SampleKind> {
    let (sender, events) = channel();
    session
        .info()
        .transport_events_listener()
        .history(true)
        .callback(move |event| {
            if *event.transport().zid() == peer {
                // The test may have ended.
                let _ = sender.send(event.kind());
            }
        })
        .background()
        .wait()
        .unwrap();
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_answers_nothing_over_a_connection_that_stands_is_connected_anew() {
    let cluster = ClusterName::new("deaf").unwrap();
    let (port, own) = (free_port().unwrap(), free_port().unwrap());
    let transport = node(&cluster, &format!("zenoh:?listen=127.0.0.1:{port}&multicast=off")).await;

    // A member, as far as the transport can tell: it answers whom it sees, and says where it listens.
    let session = peer(own, port);
    let key = format!("agora/{cluster}/node/{}", session.zid());
    let report = json!({"id": session.zid().to_string(), "at": [format!("tcp/127.0.0.1:{own}")], "sees": []});
    let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let said = key.clone();
    let queryable = session
        .declare_queryable(key)
        .callback(move |query| {
            let asker = query.payload().map(|asker| asker.to_bytes().into_owned()).unwrap_or_default();
            query.reply(said.clone(), report.to_string()).wait().unwrap();
            drop(answered.send(asker));
        })
        .wait()
        .unwrap();
    let question = tokio::time::timeout(SOON, answers.recv()).await.unwrap().unwrap();
    // The question tells who asks.
    let asker: serde_json::Value = serde_json::from_slice(&question).unwrap();
    let asker: ZenohId = asker["id"].as_str().unwrap().parse().unwrap();
    let connection = connection_to(&session, asker);
    assert_eq!(connection.recv_timeout(SOON), Ok(SampleKind::Put));

    // The connection stands, with its keep-alives, and no question is answered any more.
    queryable.undeclare().wait().unwrap();
    // Whenever somebody comes, the others are asked.
    let newcomer = node(&cluster, &format!("zenoh://127.0.0.1:{port}?listen=127.0.0.1:0")).await;
    assert_eq!(connection.recv_timeout(SOON), Ok(SampleKind::Delete), "it was not closed");
    assert_eq!(connection.recv_timeout(SOON), Ok(SampleKind::Put), "it was not made anew");

    for transport in [transport, newcomer] {
        transport.close(Instant::now() + SOON).await.unwrap();
    }
    session.close().wait().unwrap();
}
