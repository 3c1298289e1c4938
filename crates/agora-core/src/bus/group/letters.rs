//! Writes dead letters.

use std::sync::{Arc, Weak};

use super::content::{Content, Piece};
use super::hub::Hub;
use crate::bus::{Bus, Inner};
use crate::codec::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{DeadLetter, LetterOrigin, Redriven};
use crate::group::Burial;
use crate::limits::KEY_BYTES_MAX;

/// Stores one dead letter. `Ok`: it is stored.
///
/// # Errors
/// It may or may not be stored.
pub(super) async fn bury(bus: Weak<Inner>, hub: Arc<Hub>, burial: Burial<Piece>) -> Result<()> {
    let mut letter = letter(&hub, &burial);
    let publish = |letter: &DeadLetter| {
        let bus = Bus(bus.upgrade().ok_or_else(crate::bus::queue::closed)?);
        let topic = hub.topic.dead_letters(&hub.name)?;
        // A publisher keeps its bus: it must not live as long as the wait.
        Ok::<_, Error>(bus.publisher(topic.as_str())?.publish(letter))
    };
    let stored = match publish(&letter)?.await {
        Err(error) if error.kind() == ErrorKind::TooLarge => {
            tracing::warn!(topic = %hub.topic, group = %hub.name, position = letter.position,
                "a dead letter is stored without its body: it is too large to be wrapped");
            letter.body = None;
            publish(&letter)?.await
        }
        stored => stored,
    };
    stored.map(drop)
}

fn letter(hub: &Hub, burial: &Burial<Piece>) -> DeadLetter {
    let config = &hub.shared.config;
    let mut letter = DeadLetter {
        topic: hub.topic.to_string(),
        group: hub.name.to_string(),
        reason: burial.reason.clone(),
        attempts: burial.attempts,
        given_up_by: config.node.to_string(),
        given_up_ms: config.clock.now_us() / 1000,
        lane: burial.item.lane,
        position: burial.item.at.0.to_string(),
        origin: None,
        kind: String::new(),
        version: 0,
        key: None,
        body: None,
    };
    match &burial.item.content {
        Content::Events(records) => {
            if let Some(record) = records.get(burial.index) {
                // What was sent back is still what it was when it came first.
                if let Some(first) = sent_back(hub, record) {
                    let DeadLetter { reason, attempts, given_up_by, given_up_ms, .. } = letter;
                    return DeadLetter { reason, attempts, given_up_by, given_up_ms, ..first };
                }
                let (header, source) = (record.as_ref().header(), record.source());
                letter.origin = Some(LetterOrigin {
                    node: source.node.0,
                    incarnation: source.incarnation.0,
                    seq: record.seq(),
                    sent_us: header.sent_us,
                });
                letter.kind = record.kind().to_owned();
                letter.version = record.version();
                letter.key = record.key().map(<[u8]>::to_vec);
                letter.body = Some(record.body().to_vec());
            }
        }
        Content::Foreign(raw) | Content::Unreadable(raw, _) => {
            // Other software may use a longer key than an event can have.
            let key = raw.key.as_ref().filter(|key| key.len() <= KEY_BYTES_MAX);
            letter.key = key.map(|key| key.to_vec());
            letter.body = Some(raw.payload.to_vec());
        }
    }
    letter
}

/// The letter that this record sent back to this group, if it did.
fn sent_back(hub: &Hub, record: &Record) -> Option<DeadLetter> {
    if !record.is::<Redriven>() {
        return None;
    }
    let Redriven { letter } = record.decode().ok()?;
    (letter.topic == hub.topic.as_str() && letter.group == hub.name.as_str()).then_some(letter)
}
