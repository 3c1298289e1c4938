//! Sends dead letters back to the group that gave them up.

use crate::bus::Bus;
use crate::bus::scan::{Peeked, PeekedWhat, Scan};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{DeadLetter, Redriven};
use crate::id::{GroupName, TopicName};
use crate::transport::{CursorStore, Fence, LogStart, Position, Support, Wire};

/// The name under which it is kept how far the letters of a topic were sent back.
const REDRIVE: &str = "agora-redrive";

/// How far the letters of one lane of a topic were sent back.
struct Done<'a> {
    store: &'a dyn CursorStore,
    letters: &'a TopicName,
    lane: u32,
    /// The name under which it is kept.
    name: String,
    fence: Fence,
    next: Option<Position>,
}

impl<'a> Done<'a> {
    async fn take(store: &'a dyn CursorStore, letters: &'a TopicName, lane: u32) -> Result<Self> {
        let name = if lane == 0 { REDRIVE.to_owned() } else { format!("{REDRIVE}.{lane}") };
        let (fence, saved) = store.take(letters, &name).await?;
        let next = saved.and_then(|bytes| Some(Position(u128::from_le_bytes(bytes.try_into().ok()?))));
        Ok(Self { store, letters, lane, name, fence, next })
    }

    async fn save(&self, next: Position) -> Result<()> {
        let places = [(self.lane, next)];
        self.store.save(self.letters, &self.name, self.fence, &next.0.to_le_bytes(), &places).await
    }
}

impl Bus {
    /// Sends the dead letters of a group back to their topic: of each lane the oldest first that were not sent back yet, about
    /// `events_max` at most, of those that lie there now. They are tried anew by that group alone; other groups and
    /// subscriptions pass over them. Returns how many were sent back. Of two that do this at the same time, the later
    /// one goes on, and the other ends with `Conflict`.
    ///
    /// A letter that was too large to be kept whole, or is too large to be wrapped once more, stays where it is.
    ///
    /// # Errors
    /// - `Config`: a name is not valid.
    /// - `Unsupported`: the backend has no logs, or nowhere to keep a place; or the topic's messages are plain values,
    ///   among which a letter would be taken for one.
    /// - what the backend says; what was sent back until then stays so.
    ///
    /// # Cancel safety
    /// Dropped before it returns, some were sent back; those of the record that was under way may be sent back again.
    pub async fn redrive(&self, topic: &str, group: &str, events_max: Option<u64>) -> Result<u64> {
        let sent = self.send_back(topic, group, events_max).await;
        sent.map_err(|error| error.operation("redrive").context("topic", topic).context("group", group))
    }

    async fn send_back(&self, topic: &str, group: &str, events_max: Option<u64>) -> Result<u64> {
        let (topic, group) = (TopicName::new(topic)?, GroupName::new(group)?);
        let letters = topic.dead_letters(&group)?;
        if self.config().settings_of(&topic).wire == Wire::Plain {
            let instead = "publish what the letters hold as new values";
            return Err(Error::unsupported("letters on a topic of plain values", instead));
        }
        let capabilities = self.capabilities();
        if let Support::No { instead } = capabilities.cursors {
            return Err(Error::unsupported("it has no dead letters", instead).backend(capabilities.backend));
        }
        let transport = &self.shared().transport;
        let store = transport.cursors().ok_or_else(crate::bus::queue::closed)?;
        let lanes = transport.open(&self.config().spec_of(&letters)).await?.lanes().max(1);
        // All of them before the first is read: of two that do this at the same time, one goes on in every lane.
        let mut places = Vec::new();
        for lane in 0..lanes {
            places.push(Done::take(store, &letters, lane).await?);
        }
        let (mut sent, most) = (0, events_max.unwrap_or(u64::MAX));
        for done in places {
            if sent >= most {
                break;
            }
            let from = done.next.map_or(LogStart::Earliest, LogStart::At);
            let mut scan = Scan::begin(self, &letters, done.lane, from).await?;
            while sent < most
                && let Some(peeked) = scan.next().await?
            {
                sent += self.send_back_all(&topic, &peeked).await?;
                done.save(Position(peeked.at.0 + 1)).await?;
            }
        }
        Ok(sent)
    }

    /// Sends back the letters of one record.
    async fn send_back_all(&self, topic: &TopicName, peeked: &Peeked) -> Result<u64> {
        let PeekedWhat::Events(records) = &peeked.what else { return Ok(0) };
        let publisher = self.publisher(topic.as_str())?;
        let mut sent = 0;
        for record in records {
            match record.decode::<DeadLetter>() {
                Ok(letter) if letter.body.is_some() => match publisher.publish(&Redriven { letter }).await {
                    Ok(_) => sent += 1,
                    Err(error) if error.kind() == ErrorKind::TooLarge => {
                        tracing::warn!(position = peeked.at.0, %error, "a dead letter stays where it is");
                    }
                    Err(error) => return Err(error),
                },
                Ok(_) => {
                    tracing::warn!(position = peeked.at.0, "a dead letter without its body stays where it is")
                }
                Err(error) => tracing::warn!(position = peeked.at.0, %error, "not a dead letter"),
            }
        }
        Ok(sent)
    }
}
