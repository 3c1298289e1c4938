//! Where a space keeps the cursors of durable subscriptions.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::node::MemoryTransport;
use super::state::{EndpointId, State, named};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ClusterName, TopicName};
use crate::transport::{CursorStore, Fence, Position};

type Key = (ClusterName, TopicName, String);

/// A cursor as a space keeps it: what was saved last, and who may save the next one. No clock, no I/O.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeptCursor {
    fence: u64,
    cursor: Option<Vec<u8>>,
}

impl KeptCursor {
    /// Gives what was saved last, and the right to save the next one. Every right that was given before is void.
    pub fn take(&mut self) -> (Fence, Option<Vec<u8>>) {
        self.fence += 1;
        (Fence(self.fence), self.cursor.clone())
    }

    /// Saves a cursor.
    ///
    /// # Errors
    /// `Conflict` when the right is void; what was saved last stays.
    pub fn save(&mut self, fence: Fence, cursor: &[u8]) -> Result<()> {
        if self.fence != fence.0 {
            let error =
                Error::new(ErrorKind::Conflict, "another subscription has taken over under this name");
            return Err(
                error.help("a durable name is for one subscription at a time: give each node its own")
            );
        }
        self.cursor = Some(cursor.to_vec());
        Ok(())
    }
}

/// The cursors of a space.
#[derive(Default)]
pub(super) struct Cursors(BTreeMap<Key, KeptCursor>);

impl Cursors {
    /// Forgets every cursor of a topic. Who may save the next one stays.
    pub(super) fn forget(&mut self, cluster: &ClusterName, topic: &TopicName) {
        for ((of, name, _), kept) in &mut self.0 {
            if of == cluster && name == topic {
                kept.cursor = None;
            }
        }
    }
}

impl State {
    fn take_cursor(
        &mut self,
        of: EndpointId,
        topic: &TopicName,
        name: &str,
    ) -> Result<(Fence, Option<Vec<u8>>)> {
        let cluster = self.usable(of)?.cluster.clone();
        let kept = self.cursors.0.entry((cluster, topic.clone(), name.to_owned())).or_default();
        Ok(kept.take())
    }

    fn save_cursor(
        &mut self,
        of: EndpointId,
        topic: &TopicName,
        name: &str,
        fence: Fence,
        cursor: &[u8],
    ) -> Result<()> {
        let cluster = self.usable(of)?.cluster.clone();
        let kept = self.cursors.0.entry((cluster, topic.clone(), name.to_owned())).or_default();
        let saved = kept.save(fence, cursor);
        saved.map_err(|error| named(error).context("topic", topic).context("durable", name))
    }
}

#[async_trait]
impl CursorStore for MemoryTransport {
    async fn take(&self, topic: &TopicName, name: &str) -> Result<(Fence, Option<Vec<u8>>)> {
        self.shared.lock().take_cursor(self.id, topic, name).map_err(|error| error.operation("take cursor"))
    }

    async fn save(
        &self,
        topic: &TopicName,
        name: &str,
        fence: Fence,
        cursor: &[u8],
        _: &[(u32, Position)],
    ) -> Result<()> {
        let saved = self.shared.lock().save_cursor(self.id, topic, name, fence, cursor);
        saved.map_err(|error| error.operation("save cursor"))
    }
}
