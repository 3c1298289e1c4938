//! Asks a node for its signs of life by HTTP, and reads what it says.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Running, SOON, start};

/// How long between two scrapes.
const SCRAPE_PAUSE: Duration = Duration::from_millis(20);

/// What was answered, its head in small letters.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends a request as it is.
pub(crate) async fn ask(address: &str, request: &str) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // The server closes each connection behind its answer.
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(SOON, exchange).await.expect("no answer came");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// The page of this path.
pub(crate) async fn get(address: &str, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
}

/// A node with signs of life, and their address.
pub(crate) async fn node(args: &[&str]) -> (Running, String) {
    let mut node = start(&[&["node", "--http", "127.0.0.1:0", "--json"], args].concat());
    let note: Value = serde_json::from_str(&node.error_with("\"http\"").await).unwrap();
    assert_eq!(note["type"], "http");
    let address = note["address"].as_str().unwrap().to_owned();
    (node, address)
}

/// The series of a scrape: the name with its labels, and the value.
pub(crate) fn series(body: &str) -> impl Iterator<Item = (&str, &str, f64)> {
    body.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
        (name, labels, value.parse().expect(line))
    })
}

/// The sum of the series of this name whose labels hold all of these.
pub(crate) fn sum(body: &str, name: &str, labels: &[&str]) -> Option<f64> {
    series(body)
        .filter(|(found, with, _)| *found == name && labels.iter().all(|label| with.contains(label)))
        .map(|(_, _, value)| value)
        .reduce(|a, b| a + b)
}

/// Scrapes until the sum is so.
pub(crate) async fn becomes(address: &str, name: &str, labels: &[&str], expected: f64) {
    until(address, name, labels, |sum| sum == Some(expected)).await;
}

/// Scrapes until there is something of it.
pub(crate) async fn grows(address: &str, name: &str, labels: &[&str]) {
    until(address, name, labels, |sum| sum > Some(0.0)).await;
}

async fn until(address: &str, name: &str, labels: &[&str], is_so: impl Fn(Option<f64>) -> bool) {
    let mut last = String::new();
    let so = timeout(SOON, async {
        loop {
            last = get(address, "/metrics").await.body;
            if is_so(sum(&last, name, labels)) {
                return;
            }
            // Nothing tells when it changes, and others want the processor too.
            sleep(SCRAPE_PAUSE).await;
        }
    });
    assert!(so.await.is_ok(), "{name} {labels:?} does not become so:\n{last}");
}

/// Interrupts a node, which leaves.
pub(crate) async fn leave(node: Running) {
    node.interrupt();
    node.end().await.assert_code(130);
}
