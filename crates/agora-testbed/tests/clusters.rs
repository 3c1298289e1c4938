//! Servers that come together, lose one of them, and go on.
#![allow(clippy::unwrap_used, reason = "a test")]

use agora_testbed::redis::{Value, ask, ask_all};
use agora_testbed::{NatsCluster, Program, RedisCluster, RedisSentinel};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

async fn said(port: u16, words: &[&str]) -> String {
    ask(port, words).await.unwrap().text().to_owned()
}

/// Asks JetStream in the plain protocol, and gives the JSON of the answer.
async fn jetstream(port: u16, subject: &str, body: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    let say = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB {subject} answer {}\r\n{body}\r\n",
        body.len()
    );
    stream.write_all(say.as_bytes()).await.unwrap();
    let mut line = String::new();
    while !line.starts_with("MSG") {
        line.clear();
        assert!(stream.read_line(&mut line).await.unwrap() > 0, "the server hung up");
    }
    line.clear();
    stream.read_line(&mut line).await.unwrap();
    line
}

#[tokio::test]
async fn three_of_nats_store_together_and_the_leader_of_a_stream_moves_or_dies() {
    let mut cluster = NatsCluster::start().await.unwrap();
    let port = cluster.nodes()[0].port();
    let config = r#"{"name":"S","subjects":["s"],"num_replicas":3}"#;
    let made = jetstream(port, "$JS.API.STREAM.CREATE.S", config).await;
    assert!(!made.contains("error"), "{made}");
    let first = cluster.leader_of("S").await.unwrap();
    let second = cluster.move_leader("S").await.unwrap();
    assert_ne!(first, second);
    cluster.node(second).kill().unwrap();
    let third = cluster.leader_of("S").await.unwrap();
    assert_ne!(third, second);
    let stored = jetstream(cluster.nodes()[third].port(), "s", "a").await;
    assert!(stored.contains("\"seq\":1"), "{stored}");
    cluster.node(second).begin().await.unwrap();
    cluster.ready().await.unwrap();
}

#[tokio::test]
async fn the_master_of_a_slot_dies_and_its_replica_takes_over() {
    for program in [Program::Redis, Program::Valkey] {
        let mut cluster = RedisCluster::start(program, 1).await.unwrap();
        let master = cluster.master_of("a").await.unwrap();
        let stored = [&["SET", "a", "1"][..], &["WAIT", "1", "0"]];
        assert_eq!(ask_all(cluster.nodes()[master].port(), &stored).await.unwrap().text(), "1");
        cluster.node(master).kill().unwrap();
        let next = cluster.master_of("a").await.unwrap();
        assert_ne!(next, master);
        cluster.ready().await.unwrap();
        assert_eq!(said(cluster.nodes()[next].port(), &["GET", "a"]).await, "1");
        cluster.node(master).begin().await.unwrap();
    }
}

#[tokio::test]
async fn masters_alone_come_back_with_what_they_had() {
    let mut cluster = RedisCluster::start(Program::Redis, 0).await.unwrap();
    let master = cluster.master_of("a").await.unwrap();
    assert_eq!(said(cluster.nodes()[master].port(), &["SET", "a", "1"]).await, "OK");
    cluster.node(master).restart().await.unwrap();
    cluster.ready().await.unwrap();
    assert_eq!(said(cluster.nodes()[master].port(), &["GET", "a"]).await, "1");
}

#[tokio::test]
async fn sentinels_fail_over_to_a_replica_that_was_left_behind() {
    for (program, sentinels) in [(Program::Redis, 1), (Program::Valkey, 3)] {
        let mut watched = RedisSentinel::start(program, sentinels).await.unwrap();
        let ports = [0, 1].map(|number: usize| watched.servers()[number].port());
        assert_eq!(said(ports[0], &["SET", "a", "before"]).await, "OK");
        watched.leave_replica_behind().await.unwrap();
        assert_eq!(said(ports[0], &["SET", "a", "after"]).await, "OK");
        watched.server(0).kill().unwrap();
        watched.server(1).resume().unwrap();
        watched.promoted(1).await.unwrap();
        assert_eq!(said(ports[1], &["GET", "a"]).await, "before", "it missed what came after");
        watched.server(0).begin().await.unwrap();
        watched.replicated(0).await.unwrap();
        assert_eq!(said(ports[0], &["GET", "a"]).await, "before", "and so does the old primary now");
    }
}

#[tokio::test]
async fn an_error_of_redis_is_told_as_one() {
    let server = agora_testbed::RedisServer::start().await.unwrap();
    let failure = ask(server.port(), &["INCR"]).await.unwrap_err().to_string();
    assert!(failure.contains("wrong number of arguments"), "{failure}");
    let list = ask(server.port(), &["EVAL", "return {1,{'a',{}},'b'}", "0"]).await.unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    let inner = Value::List(vec![text("a"), Value::List(Vec::new())]);
    assert_eq!(list, Value::List(vec![text("1"), inner, text("b")]));
}
