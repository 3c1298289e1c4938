//! Records that the client cannot take, fetched another way.
//!
//! The client ends the connection of a node that is sent a message whose header block is none. Any program that may
//! publish can store one, and the server would send it again and again. So where a connection was lost, what was to
//! come next is looked at through the API, whose answer carries headers and payload as text: such a record is handed over
//! from there, without its headers, and what delivers goes on behind it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use agora_core::{ErrorKind, Result};
use async_nats::Message;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::RawMessage;
use serde::Deserialize;
use serde_json::json;

use crate::api;
use crate::error::error;
use crate::pull::Meta;
use crate::session::Session;

/// The most places that are remembered of which a connection may have died. Beyond it the oldest names go first: a place that
/// is forgotten costs one more connection.
const DOUBTS_MAX: usize = 256;
/// How far behind the beginning of a reader such a place may be. What stands between is fetched in this way too.
const REACH: u64 = 8192;

/// Where something was to come when a connection was lost: by stream or group, and place.
#[derive(Default)]
pub(crate) struct Doubts(Mutex<BTreeSet<(String, u64)>>);

impl Doubts {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeSet<(String, u64)>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn add(&self, of: &str, place: u64) {
        self.with(|places| {
            places.insert((of.to_owned(), place));
            while places.len() > DOUBTS_MAX {
                places.pop_first();
            }
        });
    }

    pub(crate) fn remove(&self, of: &str, place: u64) {
        self.with(|places| places.remove(&(of.to_owned(), place)));
    }

    /// Those within reach of this place.
    pub(crate) fn from(&self, of: &str, place: u64) -> Vec<u64> {
        let range = (of.to_owned(), place)..(of.to_owned(), place.saturating_add(REACH));
        self.with(|places| places.range(range).map(|(_, place)| *place).collect())
    }
}

/// A record that was fetched.
pub(crate) struct Fetched {
    pub(crate) at: u64,
    pub(crate) stored_ns: u64,
    /// The client would end the connection over it.
    pub(crate) is_poison: bool,
    pub(crate) message: Message,
}

impl Fetched {
    /// As if a consumer had delivered it.
    pub(crate) fn meta(&self) -> Meta {
        // How many wait behind it is not known here: more than none, so that nobody takes it for the end. As one that was
        // delivered before, it says nothing of what was passed over.
        Meta { delivered: 2, at: self.at, delivery: 0, stored_ns: self.stored_ns, pending: 1 }
    }
}

/// Fetches the record at this place, or the next one behind it.
///
/// # Errors
/// As [`api::ask`].
pub(crate) async fn fetch(
    session: &Session,
    stream: &str,
    subject: &str,
    place: u64,
) -> Result<Option<Fetched>> {
    #[derive(Deserialize)]
    struct Answer {
        message: RawMessage,
    }
    let request = json!({ "seq": place, "next_by_subj": subject });
    let answer: Result<Answer> = api::ask(session, &format!("STREAM.MSG.GET.{stream}"), Some(&request)).await;
    let raw = match answer {
        Ok(answer) => answer.message,
        Err(missing) if missing.to_string().contains("no message found") => return Ok(None),
        Err(cause) => return Err(api::of_a_read(cause)),
    };
    // The same rules as on a connection: what is none here is none there.
    let bare = RawMessage { headers: None, ..raw.clone() };
    let (is_poison, read) = match StreamMessage::try_from(raw) {
        Ok(read) => (false, read),
        Err(_) => {
            let odd = |_| error(ErrorKind::Backend, "a record cannot be read").context("place", place);
            (true, StreamMessage::try_from(bare).map_err(odd)?)
        }
    };
    let message = Message {
        subject: read.subject,
        reply: None,
        length: read.payload.len(),
        payload: read.payload,
        headers: (!read.headers.is_empty()).then_some(read.headers),
        status: None,
        description: None,
    };
    let stored_ns = u64::try_from(read.time.unix_timestamp_nanos()).unwrap_or(0);
    Ok(Some(Fetched { at: read.sequence, stored_ns, is_poison, message }))
}

/// The first record from this place on, as far as connections were lost there, that the client cannot take. Doubts that
/// were wrong are forgotten.
pub(crate) async fn poison(
    session: &Session,
    doubts: &Doubts,
    stream: &str,
    subject: &str,
    from: u64,
) -> Result<Option<u64>> {
    for place in doubts.from(stream, from) {
        match fetch(session, stream, subject, place).await? {
            Some(fetched) if fetched.is_poison => return Ok(Some(fetched.at)),
            _ => doubts.remove(stream, place),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_are_those_of_a_stream_within_reach_and_bounded() {
        let doubts = Doubts::default();
        for (of, place) in [("a", 5), ("a", 9), ("a", 9), ("b", 7), ("a", REACH * 2)] {
            doubts.add(of, place);
        }
        assert_eq!(doubts.from("a", 1), [5, 9]);
        assert_eq!(doubts.from("a", 6), [9]);
        doubts.remove("a", 9);
        assert_eq!(doubts.from("a", 6), [] as [u64; 0]);
        assert_eq!(doubts.from("b", 0), [7]);
        for place in 0..1000 {
            doubts.add("c", place);
        }
        assert_eq!(doubts.with(|places| places.len()), DOUBTS_MAX);
    }
}
