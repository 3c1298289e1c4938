//! A shared transport is a transport: who chooses a backend at run time has a `dyn Transport`, and opens a bus over it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{
    Address, Admin, BoxFuture, Capabilities, CursorStore, GroupInbox, GroupSpec, Hint, Inbox, Link, LogInbox,
    LogStart, OutFrame, PublishFailed, TopicInfo, TopicSpec, Transport,
};
use crate::error::Result;
use crate::id::{SourceId, TopicName};

#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn capabilities(&self) -> &Capabilities {
        (**self).capabilities()
    }

    fn link(&self) -> watch::Receiver<Link> {
        (**self).link()
    }

    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        (**self).open(topic).await
    }

    fn publish(
        &self,
        to: &Address,
        frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>> {
        (**self).publish(to, frames, by)
    }

    async fn subscribe(&self, topic: &TopicName) -> Result<Box<dyn Inbox>> {
        (**self).subscribe(topic).await
    }

    async fn open_log(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        (**self).open_log(topic, lane, from).await
    }

    fn cursors(&self) -> Option<&dyn CursorStore> {
        (**self).cursors()
    }

    async fn join_group(&self, topic: &TopicName, group: &GroupSpec) -> Result<Box<dyn GroupInbox>> {
        (**self).join_group(topic, group).await
    }

    fn admin(&self) -> Option<&dyn Admin> {
        (**self).admin()
    }

    async fn announce(&self, me: SourceId) -> Result<Option<mpsc::Receiver<Hint>>> {
        (**self).announce(me).await
    }

    async fn close(&self, by: Instant) -> Result<()> {
        (**self).close(by).await
    }
}
