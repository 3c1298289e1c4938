//! A backend to learn from: nodes of one machine that share a directory. `docs/writing-a-backend.md` walks through it.
//!
//! Every publish is one file, made whole and under the next free number, so that the names of the files are the order.
//! Readers look for the next number. It has live topics, logs and cursors; groups and administration it has not, and
//! says so. It is honest and slow: it writes on the caller's thread and reads by polling.
#![forbid(unsafe_code)]

mod cursors;
mod files;
mod inbox;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use agora_core::id::{ClusterName, SourceId, TopicName};
use agora_core::limits::FRAME_BYTES_MAX;
use agora_core::transport::{
    Address, BoxFuture, Capabilities, CursorStore, Durability, GroupOrder, Hint, Inbox, Link, LogInbox,
    LogStart, ONE_LANE, OutFrame, Outcome, PublishFailed, Support, TopicInfo, TopicSpec, Transport,
    check_only_lane,
};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use files::Topic;

const BACKEND: &str = "directory";
const NO_GROUP: &str = "a directory cannot share work out; use NATS with JetStream, Redis or Kafka";
const NO_ADMIN: &str = "look into the directory itself, or use NATS with JetStream, Redis or Kafka";

/// One node's use of a directory.
pub struct DirectoryTransport {
    capabilities: Capabilities,
    /// The cluster's own directory: two clusters share nothing.
    root: PathBuf,
    link: Arc<watch::Sender<Link>>,
    /// Held while files are made: the order of the calls is the order of the numbers.
    writing: Mutex<()>,
}

impl DirectoryTransport {
    /// Uses a directory, which is made if it is not there. Its file system must tell capital letters from small ones.
    ///
    /// # Errors
    /// `Unreachable` where the directory cannot be made.
    pub fn new(directory: impl Into<PathBuf>, cluster: &ClusterName) -> Result<Self> {
        let root = directory.into().join(cluster.as_str());
        std::fs::create_dir_all(&root).map_err(|source| failed("connect", source))?;
        let capabilities = Capabilities {
            backend: BACKEND,
            live: Support::Yes,
            log: Support::Yes,
            group: Support::No { instead: NO_GROUP },
            group_on_batch: Support::No { instead: NO_GROUP },
            lanes: Support::No { instead: ONE_LANE },
            group_order: GroupOrder::None,
            cursors: Support::Yes,
            admin: Support::No { instead: NO_ADMIN },
            live_durability: Durability::Sent,
            echo_via_server: true,
            failure_hints: false,
            message_bytes_max: FRAME_BYTES_MAX,
        };
        let link = Arc::new(watch::Sender::new(Link::Up));
        Ok(Self { capabilities, root, link, writing: Mutex::new(()) })
    }

    fn check_open(&self, operation: &'static str) -> Result<()> {
        if self.link.borrow().is_usable() { Ok(()) } else { Err(closed().operation(operation)) }
    }

    /// Sends as many of the first frames as are allowed. Answers how many, and what was wrong with the next one.
    fn send(&self, to: &Address, frames: &[OutFrame], by: Instant) -> (usize, Result<()>) {
        if let Err(error) = self.check_send(to, by) {
            return (0, Err(error.operation("publish").context("topic", &to.topic)));
        }
        let fit = frames.iter().take_while(|frame| frame.payload.len() <= FRAME_BYTES_MAX).count();
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = Topic::of(&self.root, &to.topic).append(&frames[..fit]);
        drop(writing);
        match written {
            Err(source) => (0, Err(failed("publish", source))),
            Ok(()) if fit == frames.len() => (fit, Ok(())),
            Ok(()) => {
                let error = Error::new(ErrorKind::TooLarge, "a message is larger than a file may be")
                    .context("bytes", frames[fit].payload.len())
                    .context("allowed", FRAME_BYTES_MAX);
                (fit, Err(error.backend(BACKEND).operation("publish")))
            }
        }
    }

    fn check_send(&self, to: &Address, by: Instant) -> Result<()> {
        self.check_open("publish")?;
        check_only_lane(to.lane).map_err(|error| error.backend(BACKEND))?;
        if by < Instant::now() {
            return Err(Error::new(ErrorKind::Timeout, "the deadline had passed already").backend(BACKEND));
        }
        Ok(())
    }
}

#[async_trait]
impl Transport for DirectoryTransport {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        self.check_open("open")?;
        if topic.settings.retention.is_some() || topic.settings.replicas.is_some_and(|count| count > 1) {
            let instead = "leave `retention` and `replicas` out, or use a backend with servers";
            return Err(Error::unsupported("a directory keeps everything once", instead)
                .backend(BACKEND)
                .operation("open"));
        }
        if topic.settings.lanes.is_some_and(|lanes| lanes > 1) {
            let error = Error::unsupported("a topic in a directory has one lane", ONE_LANE);
            return Err(error.backend(BACKEND).operation("open"));
        }
        Topic::make(&self.root, topic).map_err(|error| error.operation("open"))?;
        Ok(TopicInfo::one_lane())
    }

    /// Writes at once, not when the future is polled.
    fn publish(
        &self,
        to: &Address,
        frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>> {
        let (accepted, outcome) = self.send(to, &frames, by);
        // A file is there as a whole or not at all, so it is certain what was not stored.
        let outcome = outcome.map_err(|error| PublishFailed { accepted, outcome: Outcome::NotStored, error });
        Box::pin(std::future::ready(outcome))
    }

    async fn subscribe(&self, topic: &TopicName) -> Result<Box<dyn Inbox>> {
        self.check_open("subscribe")?;
        Topic::make(&self.root, &TopicSpec::live(topic.clone())).map_err(|e| e.operation("subscribe"))?;
        let inbox = inbox::LiveInbox::new(Topic::of(&self.root, topic), self.link.subscribe());
        Ok(Box::new(inbox.map_err(|source| failed("subscribe", source))?))
    }

    async fn open_log(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        self.check_open("open_log")?;
        check_only_lane(lane).map_err(|error| error.backend(BACKEND).operation("open_log"))?;
        Topic::make(&self.root, &TopicSpec::log(topic.clone())).map_err(|e| e.operation("open_log"))?;
        let inbox = inbox::DirectoryLogInbox::new(Topic::of(&self.root, topic), self.link.subscribe(), &from);
        Ok(Box::new(inbox.map_err(|source| failed("open_log", source))?))
    }

    fn cursors(&self) -> Option<&dyn CursorStore> {
        Some(self)
    }

    async fn announce(&self, _: SourceId) -> Result<Option<mpsc::Receiver<Hint>>> {
        self.check_open("announce")?;
        Ok(None)
    }

    async fn close(&self, _: Instant) -> Result<()> {
        let why = "the transport was closed".to_owned();
        self.link.send_replace(Link::Down { since: SystemTime::now(), why });
        Ok(())
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the transport was closed").backend(BACKEND)
}

fn failed(operation: &'static str, source: io::Error) -> Error {
    Error::new(ErrorKind::Unreachable, "the directory cannot be used")
        .backend(BACKEND)
        .operation(operation)
        .help("check that it exists, that this process may write there, and that there is room")
        .source(source)
}
