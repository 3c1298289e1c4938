//! Each server is found or fetched, starts, answers, is killed and comes back with what it had.
#![allow(clippy::unwrap_used)]

use agora_testbed::endpoint;
use agora_testbed::{Endpoint, NatsServer, Process, Program, RedisServer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

async fn ask(server: &Process, line: &str) -> String {
    let stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).await.unwrap();
    answer.trim().to_owned()
}

#[tokio::test]
async fn redis_and_valkey_keep_what_they_acknowledged_across_a_kill() {
    for program in [Program::Redis, Program::Valkey] {
        let keep = ["--appendonly", "yes", "--appendfsync", "always"];
        let mut server = RedisServer::with(program, &keep).await.unwrap();
        assert_eq!(ask(&server, "SET a 1").await, "+OK");
        server.restart().await.unwrap();
        assert_eq!(ask(&server, "STRLEN a").await, ":1");
        server.stop().await.unwrap();
        assert_eq!(server.id(), None);
    }
}

#[tokio::test]
async fn nats_is_one_that_is_new_enough_and_has_jetstream() {
    let server = NatsServer::start().await.unwrap();
    let info = ask(&server, "").await;
    assert!(info.contains("\"jetstream\":true"), "{info}");
    assert!(Program::Nats.find().unwrap().version >= (2, 10));
}

#[tokio::test]
async fn a_server_that_cannot_start_shows_why() {
    let failure = NatsServer::with("nonsense: {").await.unwrap_err().to_string();
    assert!(failure.contains("ended at once") && failure.contains("Parse error"), "{failure}");
}

#[tokio::test]
async fn data_goes_with_the_server() {
    let server = RedisServer::start().await.unwrap();
    let data = server.data().to_owned();
    assert!(data.exists());
    drop(server);
    assert!(!data.exists());
}

#[tokio::test]
async fn an_endpoint_is_the_server_that_is_named_or_one_of_its_own_and_hides_its_url() {
    for (endpoint, variable) in [
        (Endpoint::nats().await.unwrap(), endpoint::NATS_URL),
        (Endpoint::redis().await.unwrap(), endpoint::REDIS_URL),
        (Endpoint::kafka().await.unwrap(), endpoint::KAFKA_URL),
    ] {
        match std::env::var(variable) {
            Ok(url) => assert_eq!(endpoint.url(), url),
            Err(_) => assert!(endpoint.url().contains("://127.0.0.1:")),
        }
        assert!(!format!("{endpoint:?}").contains("://"), "it may hold a password");
    }
}
