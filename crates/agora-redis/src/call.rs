//! Commands and their answers.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};

use crate::error::{Failure, odd};

/// A connection. Clones share it, and it ends with the last of them.
#[derive(Clone)]
pub(crate) struct Connection {
    of: MultiplexedConnection,
    /// Each command is said to be one that another server has sent here: `ASKING`. The server would refuse it else, as
    /// long as it is only about to get the slot.
    asking: bool,
}

impl Connection {
    /// For what another server has sent here.
    pub(crate) fn asking(self) -> Self {
        Self { asking: true, ..self }
    }
}

impl From<MultiplexedConnection> for Connection {
    fn from(of: MultiplexedConnection) -> Self {
        Self { of, asking: false }
    }
}

impl Deref for Connection {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &MultiplexedConnection {
        &self.of
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut MultiplexedConnection {
        &mut self.of
    }
}

/// The commands with `ASKING` before each, and which answers are those to it. It holds for one command, or for a whole
/// transaction.
fn asked(commands: &Pipeline) -> (Pipeline, Vec<bool>) {
    let (mut all, mut is_own, mut is_within) = (Pipeline::new(), Vec::new(), false);
    for command in commands.cmd_iter() {
        let is = |word: &[u8]| command.args_iter().next() == Some(redis::Arg::Simple(word));
        if !is_within {
            all.cmd("ASKING");
            is_own.push(true);
        }
        is_within = is(b"MULTI") || is_within && !is(b"EXEC");
        all.add_command(command.clone());
        is_own.push(false);
    }
    (all, is_own)
}

/// One command and its answer.
///
/// Cancel safe in that nothing breaks; the command may have been executed.
pub(crate) async fn ask(
    connection: &mut Connection,
    command: &Cmd,
    wait: Duration,
) -> Result<Value, Failure> {
    if connection.asking {
        let mut commands = Pipeline::new();
        commands.add_command(command.clone());
        let answer = ask_all(connection, &commands, wait).await?.pop();
        return answer.map_or_else(|| Err(odd("an answer is missing")), checked);
    }
    match tokio::time::timeout(wait, connection.send_packed_command(command)).await {
        Ok(answer) => checked(answer?),
        Err(_) => Err(Failure::unanswered("no answer came in time")),
    }
}

/// Several commands and their answers, sent at once. What the server refused stands among the answers.
pub(crate) async fn ask_all(
    connection: &mut Connection,
    commands: &Pipeline,
    wait: Duration,
) -> Result<Vec<Value>, Failure> {
    let (all, is_own) = if connection.asking { asked(commands) } else { (Pipeline::new(), Vec::new()) };
    let commands = if connection.asking { &all } else { commands };
    let asked = connection.send_packed_commands(commands, 0, commands.len());
    match tokio::time::timeout(wait, asked).await {
        Ok(answers) => {
            let mut is_own = is_own.into_iter();
            Ok(answers?.into_iter().filter(|_| !is_own.next().unwrap_or(false)).collect())
        }
        Err(_) => Err(Failure::unanswered("no answer came in time")),
    }
}

/// The answers to commands between a `MULTI` and an `EXEC`, which stand in the pipeline as well.
///
/// A server that refuses the `MULTI` has executed each command by itself: then those are the answers. The client's own
/// transactions would take that for a refusal of all.
pub(crate) fn of_transaction(mut answers: Vec<Value>) -> Result<Vec<Value>, Failure> {
    let (begun, ended) = (answers.first().map(is_refusal), answers.pop());
    if begun == Some(true) {
        answers.remove(0);
        return Ok(answers);
    }
    match ended {
        Some(Value::Array(answers)) => Ok(answers),
        Some(Value::ServerError(cause)) => {
            // Why the whole was given up stands with the command that was refused.
            let refused = answers.into_iter().find_map(|answer| checked(answer).err());
            Err(refused.unwrap_or_else(|| cause.into()))
        }
        other => Err(odd(&format!("a transaction answered {}", kind(other.as_ref())))),
    }
}

pub(crate) fn is_refusal(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(_))
}

/// An answer that is not the server's refusal.
pub(crate) fn checked(answer: Value) -> Result<Value, Failure> {
    match answer {
        Value::ServerError(cause) => Err(cause.into()),
        answer => Ok(answer),
    }
}

/// Of what kind an answer is: never what it holds, which may be anything.
pub(crate) fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "nothing",
        Some(Value::Nil) => "nil",
        Some(Value::Int(_)) => "a number",
        Some(Value::BulkString(_) | Value::SimpleString(_) | Value::Okay | Value::VerbatimString { .. }) => {
            "a text"
        }
        Some(Value::Array(_) | Value::Set(_)) => "a list",
        Some(Value::Map(_)) => "a map",
        Some(Value::ServerError(_)) => "an error",
        Some(_) => "something odd",
    }
}

/// A list of answers.
pub(crate) fn list(value: Value) -> Result<Vec<Value>, Failure> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        Value::Nil => Ok(Vec::new()),
        Value::ServerError(cause) => Err(cause.into()),
        other => Err(odd(&format!("{} where a list was due", kind(Some(&other))))),
    }
}

/// Pairs: a map of RESP3, or a flat list of RESP2.
pub(crate) fn pairs(value: Value) -> Result<Vec<(Value, Value)>, Failure> {
    match value {
        Value::Map(pairs) => Ok(pairs),
        Value::Array(items) if items.len().is_multiple_of(2) => {
            let mut pairs = Vec::with_capacity(items.len() / 2);
            let mut items = items.into_iter();
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                pairs.push((name, value));
            }
            Ok(pairs)
        }
        Value::Nil => Ok(Vec::new()),
        other => Err(odd(&format!("{} where pairs were due", kind(Some(&other))))),
    }
}

/// The bytes of a text; `None` for nil.
pub(crate) fn bytes(value: Value) -> Result<Option<Vec<u8>>, Failure> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::VerbatimString { text, .. } => Ok(Some(text.into_bytes())),
        Value::Okay => Ok(Some(b"OK".to_vec())),
        Value::Int(number) => Ok(Some(number.to_string().into_bytes())),
        Value::Nil => Ok(None),
        Value::ServerError(cause) => Err(cause.into()),
        other => Err(odd(&format!("{} where a text was due", kind(Some(&other))))),
    }
}

/// A text.
pub(crate) fn text(value: Value) -> Result<String, Failure> {
    let bytes = bytes(value)?.ok_or_else(|| odd("nil where a text was due"))?;
    String::from_utf8(bytes).map_err(|_| odd("a text that is not UTF-8"))
}

/// A count; `None` for nil.
pub(crate) fn number(value: Value) -> Result<Option<u64>, Failure> {
    match value {
        Value::Int(number) => u64::try_from(number).map(Some).map_err(|_| odd("a count below zero")),
        Value::Nil => Ok(None),
        Value::ServerError(cause) => Err(cause.into()),
        other => {
            let digits = text(other)?;
            digits.parse().map(Some).map_err(|_| odd("a text where a count was due"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_stands_before_each_command_and_once_before_a_transaction() {
        let mut commands = Pipeline::new();
        for word in ["XREAD", "MULTI", "XADD", "EXEC", "EVAL"] {
            commands.cmd(word);
        }
        let (all, is_own) = asked(&commands);
        let words: Vec<String> = all
            .cmd_iter()
            .map(|command| match command.args_iter().next() {
                Some(redis::Arg::Simple(word)) => String::from_utf8_lossy(word).into_owned(),
                _ => String::new(),
            })
            .collect();
        let due = ["ASKING", "XREAD", "ASKING", "MULTI", "XADD", "EXEC", "ASKING", "EVAL"];
        assert_eq!(words, due);
        assert_eq!(is_own, due.map(|word| word == "ASKING"));
    }
}
