//! Cursors, flawed.

use std::sync::atomic::Ordering;

use agora_core::id::{NAME_BYTES_MAX, TopicName};
use agora_core::transport::{CursorStore, Fence, Position, Transport};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;

use super::flaw::Flaw;
use super::transport::Flawed;

impl Flawed {
    fn store(&self) -> Result<&dyn CursorStore> {
        self.inner.cursors().ok_or_else(|| Error::new(ErrorKind::Closed, "no cursors"))
    }

    /// The place where a cursor is kept behind this.
    fn place(&self, topic: &TopicName, name: &str) -> Result<(TopicName, String)> {
        let topic = self.topic(topic);
        if self.flaw != Flaw::JoinsNames {
            return Ok((topic, name.to_owned()));
        }
        let short: String = name.chars().take(100).collect();
        let joined = format!("{topic}.{short}").replace('-', "_");
        Ok((TopicName::new("joined")?, joined.chars().take(NAME_BYTES_MAX).collect()))
    }
}

#[async_trait]
impl CursorStore for Flawed {
    async fn take(&self, topic: &TopicName, name: &str) -> Result<(Fence, Option<Vec<u8>>)> {
        if self.flaw == Flaw::WorksAfterClose && self.closed.load(Ordering::Relaxed) {
            return Ok((Fence(0), None));
        }
        let (topic, name) = self.place(topic, name)?;
        let (fence, saved) = self.store()?.take(&topic, &name).await?;
        let saved = match self.flaw {
            Flaw::UnknownIsEmpty => Some(saved.unwrap_or_default()),
            _ => saved,
        };
        Ok((fence, saved))
    }

    async fn save(
        &self,
        topic: &TopicName,
        name: &str,
        fence: Fence,
        cursor: &[u8],
        places: &[(u32, Position)],
    ) -> Result<()> {
        let (topic, name) = self.place(topic, name)?;
        let cursor = match self.flaw {
            Flaw::SavesNothing => return Ok(()),
            Flaw::CutsCursors => &cursor[..cursor.len().min(1000)],
            _ => cursor,
        };
        match self.store()?.save(&topic, &name, fence, cursor, places).await {
            Err(error) if error.kind() == ErrorKind::Conflict && self.flaw == Flaw::IgnoresFences => Ok(()),
            saved => saved,
        }
    }
}
