//! Where a space keeps the cursors of durable subscriptions.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::node::MemoryTransport;
use super::state::{EndpointId, State, named};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ClusterName, TopicName};
use crate::transport::{CursorStore, Fence};

type Key = (ClusterName, TopicName, String);

#[derive(Default)]
struct Kept {
    fence: u64,
    cursor: Option<Vec<u8>>,
}

/// The cursors of a space.
#[derive(Default)]
pub(super) struct Cursors(BTreeMap<Key, Kept>);

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
        kept.fence += 1;
        Ok((Fence(kept.fence), kept.cursor.clone()))
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
        if kept.fence != fence.0 {
            let error =
                Error::new(ErrorKind::Conflict, "another subscription has taken over under this name");
            return Err(named(error)
                .context("topic", topic)
                .context("durable", name)
                .help("a durable name is for one subscription at a time: give each node its own"));
        }
        kept.cursor = Some(cursor.to_vec());
        Ok(())
    }
}

#[async_trait]
impl CursorStore for MemoryTransport {
    async fn take(&self, topic: &TopicName, name: &str) -> Result<(Fence, Option<Vec<u8>>)> {
        self.shared.lock().take_cursor(self.id, topic, name).map_err(|error| error.operation("take cursor"))
    }

    async fn save(&self, topic: &TopicName, name: &str, fence: Fence, cursor: &[u8]) -> Result<()> {
        let saved = self.shared.lock().save_cursor(self.id, topic, name, fence, cursor);
        saved.map_err(|error| error.operation("save cursor"))
    }
}
