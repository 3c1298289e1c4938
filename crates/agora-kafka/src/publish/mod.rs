//! Publishing: in the order of the calls, with a deadline that holds also while a broker is stuck.
//!
//! A lane is a queue; what is stuck in one holds up no other. The control topic has connections of its own, so that
//! heartbeats pass a long queue.

mod again;
mod lane;
mod ledger;
mod producer;
mod request;

use agora_core::id::TopicName;
use agora_core::transport::{Address, BoxFuture, OutFrame, Outcome, PublishFailed};
use agora_core::{Error, ErrorKind};
use tokio::time::Instant;

use crate::error::{closed, error};
use crate::shared::Shared;

pub(crate) use producer::Producer;

/// The most calls of `publish` that wait in one lane. A further one fails at once with `QueueFull`, and nothing of it is
/// sent.
pub const QUEUE_CALLS_MAX: usize = 1024;
/// What the largest key and all headers of a record may take, and the frame of its batch, in bytes.
pub const HEADERS_BYTES: usize = 8 << 10;
/// What a record takes beside its key, its value and its headers, at most, in bytes: lengths, a time and an offset.
const RECORD_BYTES: usize = 32;

/// Puts the frames into their queue now, so that the order of the calls is the order in the lane, and returns a future
/// that waits for the answer.
pub(crate) fn publish(
    shared: &Shared,
    to: &Address,
    frames: Vec<OutFrame>,
    by: Instant,
) -> BoxFuture<Result<(), PublishFailed>> {
    let (name, partition) = match check(shared, to, &frames, by) {
        Ok(checked) => checked,
        Err(error) => {
            let failed = not_stored(0, error.context("topic", &to.topic));
            return Box::pin(async move { Err(failed) });
        }
    };
    if frames.is_empty() {
        return Box::pin(async { Ok(()) });
    }
    let is_control = to.topic == TopicName::control();
    shared.producer.publish((&name, partition), is_control, frames, by)
}

/// Where it goes: the topic by its name on the servers, and the partition.
///
/// # Errors
/// Why nothing can be sent.
fn check(shared: &Shared, to: &Address, frames: &[OutFrame], by: Instant) -> Result<(String, i32), Error> {
    if shared.brokers.is_closed() {
        return Err(closed());
    }
    let name = shared.name_of(&to.topic)?;
    let lanes = shared.brokers.view().topics.get(&name).and_then(crate::brokers::Topic::count);
    let partition = i32::try_from(to.lane).ok().filter(|_| lanes.is_none_or(|lanes| to.lane < lanes));
    let Some(partition) = partition else {
        return Err(error(ErrorKind::Config, "no such lane")
            .context("lane", to.lane)
            .context("lanes", lanes.map_or("unknown".to_owned(), |lanes| lanes.to_string())));
    };
    if by <= Instant::now() {
        return Err(late(None));
    }
    let topic_max = shared.opened(&to.topic).and_then(|opened| opened.bytes_max).unwrap_or(usize::MAX);
    for frame in frames {
        let (bytes, all) = (frame.payload.len(), bytes_of(frame));
        if bytes > shared.capabilities.message_bytes_max || all > topic_max {
            return Err(error(ErrorKind::TooLarge, "a message is larger than the brokers take")
                .context("bytes", bytes)
                .context("allowed", shared.capabilities.message_bytes_max.min(topic_max))
                .help(
                    "raise `message.max.bytes` of the brokers or `max.message.bytes` of the topic, or publish smaller \
                     events",
                ));
        }
    }
    Ok((name, partition))
}

/// What a record takes in a batch, at most.
fn bytes_of(frame: &OutFrame) -> usize {
    let headers = frame.headers.iter().map(|(name, value)| name.len() + value.len() + 10);
    frame.payload.len()
        + frame.key.as_ref().map_or(0, |key| key.len())
        + headers.sum::<usize>()
        + RECORD_BYTES
}

/// The deadline passed before anything was sent; why that was not possible, where there is a reason.
fn late(trouble: Option<&Error>) -> Error {
    with_trouble(error(ErrorKind::Timeout, "the deadline passed before the message was sent"), trouble)
}

/// The deadline passed before the answer came.
fn unanswered(trouble: Option<&Error>) -> Error {
    with_trouble(
        error(ErrorKind::OutcomeUnknown, "the deadline passed before the brokers had answered"),
        trouble,
    )
}

fn with_trouble(error: Error, trouble: Option<&Error>) -> Error {
    let Some(trouble) = trouble else { return error };
    let error = match trouble.help_text() {
        Some(help) => error.help(help),
        None => error,
    };
    error.source(trouble.clone())
}

fn not_stored(accepted: usize, error: Error) -> PublishFailed {
    PublishFailed { accepted, outcome: Outcome::NotStored, error: error.operation("publish") }
}

fn unknown(accepted: usize, error: Error) -> PublishFailed {
    PublishFailed { accepted, outcome: Outcome::Unknown, error: error.operation("publish") }
}
