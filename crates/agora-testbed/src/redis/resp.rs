//! Just enough of the protocol of Redis to give orders to a server, and to read what it answers.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::{Doing, Failure, Result};

/// How long one answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// The longest text that is read, and the most values of an answer: a server under test may say anything.
const LENGTH_MAX: usize = 1 << 20;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text, a number or a state, as text.
    Text(String),
    /// Several.
    List(Vec<Value>),
    /// Nothing.
    Nil,
}

impl Value {
    /// The text; empty where it is none.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::List(_) | Self::Nil => "",
        }
    }

    /// The values of a list; none where it is none.
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            Self::Text(_) | Self::Nil => &[],
        }
    }

    /// The value after this name in a list of names and values.
    pub fn field(&self, name: &str) -> Option<&str> {
        let pairs = self.list().chunks_exact(2).find(|pair| pair[0].text() == name);
        pairs.map(|pair| pair[1].text())
    }
}

/// Gives one command to the server on this port, on a connection of its own.
///
/// # Errors
/// Where nobody answers, or the answer is an error.
pub async fn ask(port: u16, words: &[&str]) -> Result<Value> {
    ask_all(port, &[words]).await
}

/// The same, where a password is asked for.
///
/// # Errors
/// As [`ask`]; and where the password is wrong.
pub async fn ask_as(port: u16, password: &str, words: &[&str]) -> Result<Value> {
    ask_all(port, &[&["AUTH", password], words]).await
}

/// The answer to the last of several commands on one connection, none of which may fail. `WAIT` needs that: it waits for what
/// its own connection has written.
///
/// # Errors
/// As [`ask`].
pub async fn ask_all(port: u16, commands: &[&[&str]]) -> Result<Value> {
    let asked = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.doing("connect")?;
        let mut stream = BufReader::new(stream);
        let mut answer = Value::Nil;
        for words in commands {
            let mut command = format!("*{}\r\n", words.len());
            for word in *words {
                command += &format!("${}\r\n{word}\r\n", word.len());
            }
            stream.write_all(command.as_bytes()).await.doing("ask")?;
            answer = read(&mut stream).await?;
        }
        Ok(answer)
    };
    let answer = timeout(ANSWER_WAIT, asked).await;
    let answer = answer.unwrap_or_else(|_| Err(Failure::new(format!("no answer within {ANSWER_WAIT:?}"))));
    // The last one alone: the one before it has a password in it.
    let words = commands.last().map(|words| words.join(" ")).unwrap_or_default();
    answer.map_err(|failure| Failure::new(format!("{words} on port {port}: {failure}")))
}

async fn read(stream: &mut BufReader<TcpStream>) -> Result<Value> {
    // The lists that are being read, each with how many values it still lacks.
    let mut open: Vec<(Vec<Value>, usize)> = Vec::new();
    loop {
        let mut value = match read_one(stream).await? {
            Item::Value(value) => value,
            Item::List(0) => Value::List(Vec::new()),
            Item::List(length) => {
                open.push((Vec::new(), length));
                continue;
            }
        };
        loop {
            let Some((list, missing)) = open.last_mut() else { return Ok(value) };
            list.push(value);
            *missing -= 1;
            if *missing > 0 {
                break;
            }
            value = Value::List(open.pop().map(|(list, _)| list).unwrap_or_default());
        }
    }
}

enum Item {
    Value(Value),
    List(usize),
}

async fn read_one(stream: &mut BufReader<TcpStream>) -> Result<Item> {
    let mut line = String::new();
    stream.take(LENGTH_MAX as u64).read_line(&mut line).await.doing("read an answer")?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| Failure::new("the server hung up"))?;
    let length = || rest.parse::<i64>().map_err(|_| Failure::new(format!("an odd answer: {line}")));
    let value = match kind {
        "+" | ":" => Value::Text(rest.to_owned()),
        "-" => return Err(Failure::new(rest)),
        "$" | "*" => match usize::try_from(length()?) {
            Err(_) => Value::Nil,
            Ok(length) if length > LENGTH_MAX => return Err(Failure::new("an answer too long")),
            Ok(length) if kind == "*" => return Ok(Item::List(length)),
            Ok(length) => {
                let mut text = vec![0; length + 2];
                stream.read_exact(&mut text).await.doing("read an answer")?;
                text.truncate(length);
                Value::Text(String::from_utf8_lossy(&text).into_owned())
            }
        },
        _ => return Err(Failure::new(format!("an odd answer: {line}"))),
    };
    Ok(Item::Value(value))
}
