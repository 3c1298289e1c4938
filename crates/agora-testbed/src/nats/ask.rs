//! Just enough of the protocol of NATS, and of its monitoring, to ask a server and to read what it answers.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::{Doing, Failure, Result};

/// How long one answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// The most that is read of an answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Sends one request to a subject, and gives the JSON of the answer.
pub(super) async fn request(port: u16, subject: &str) -> Result<Value> {
    let asked = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.doing("connect")?;
        let mut stream = BufReader::new(stream).take(ANSWER_BYTES_MAX);
        let inbox = format!("_INBOX.{:016x}", fastrand::u64(..));
        let say =
            format!("CONNECT {{\"verbose\":false}}\r\nSUB {inbox} 1\r\nPUB {subject} {inbox} 0\r\n\r\n");
        stream.get_mut().write_all(say.as_bytes()).await.doing("ask")?;
        let mut line = String::new();
        while stream.read_line(&mut line).await.doing("read an answer")? > 0 {
            if line.starts_with("MSG ") {
                let length = line.trim_end().rsplit(' ').next().and_then(|word| word.parse::<u64>().ok());
                let mut text = String::new();
                let mut body = (&mut stream).take(length.unwrap_or(0));
                body.read_to_string(&mut text).await.doing("read an answer")?;
                return json(&text);
            }
            if line.starts_with("-ERR") {
                return Err(Failure::new(line.trim_end()));
            }
            line.clear();
        }
        Err(Failure::new("the server hung up"))
    };
    within(asked, &format!("{subject} on port {port}")).await
}

/// Publishes a message with this header block, whatever it is, and waits until the server has taken it.
pub(super) async fn publish(port: u16, subject: &str, header: &[u8], payload: &[u8]) -> Result<Value> {
    let published = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.doing("connect")?;
        let mut stream = BufReader::new(stream).take(ANSWER_BYTES_MAX);
        let (of_header, of_all) = (header.len(), header.len() + payload.len());
        let begin = format!(
            "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nHPUB {subject} {of_header} {of_all}\r\n"
        );
        let say = [begin.as_bytes(), header, payload, b"\r\nPING\r\n"].concat();
        stream.get_mut().write_all(&say).await.doing("publish")?;
        let mut line = String::new();
        while stream.read_line(&mut line).await.doing("read an answer")? > 0 {
            match line.trim_end() {
                "PONG" => return Ok(Value::Null),
                said if said.starts_with("-ERR") => return Err(Failure::new(said)),
                _ => line.clear(),
            }
        }
        Err(Failure::new("the server hung up"))
    };
    within(published, &format!("a message to {subject} on port {port}")).await
}

/// What the monitoring says at this path.
pub(super) async fn monitor(port: u16, path: &str) -> Result<Value> {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.doing("connect")?;
        let say = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(say.as_bytes()).await.doing("ask")?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await.doing("read an answer")?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| Failure::new("no answer of HTTP"))?;
        json(body)
    };
    within(asked, &format!("{path} of the monitoring on port {port}")).await
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Failure::new(format!("no JSON: {error}")))
}

async fn within(asked: impl Future<Output = Result<Value>>, what: &str) -> Result<Value> {
    let answer = timeout(ANSWER_WAIT, asked).await;
    let answer = answer.unwrap_or_else(|_| Err(Failure::new(format!("no answer within {ANSWER_WAIT:?}"))));
    answer.map_err(|failure| Failure::new(format!("{what}: {failure}")))
}
