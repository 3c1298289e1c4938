//! The fault suite on the in-memory transport: what of it a server in memory can be made to suffer. Real servers are in
//! the tests of the backends.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agora_conformance::faults::{self, LinkFault, On, ServerFault, World};
use agora_conformance::suite::{Ability, Cannot};
use agora_core::Result;
use agora_core::id::{ClusterName, NodeName, SourceId, TopicName};
use agora_core::memory::Space;
use agora_core::transport::{
    Address, BoxFuture, Capabilities, GroupInbox, GroupSpec, Hint, Inbox, Link, LogInbox, LogStart, OutFrame,
    PublishFailed, TopicInfo, TopicSpec, Transport,
};
use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

struct Memory(Space);

#[async_trait]
impl World for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        Ok(Box::new(self.0.connect(cluster, node)))
    }

    async fn link(&self, node: &NodeName, what: LinkFault) -> Ability {
        match what {
            LinkFault::Cut => self.0.faults().isolate(node.as_str()),
            LinkFault::Heal => self.0.faults().rejoin(node.as_str()),
            other => return Err(Cannot(format!("there is no {other:?} in memory"))),
        }
        Ok(())
    }

    async fn server(&self, what: ServerFault) -> Ability {
        match what {
            ServerFault::Kill => self.0.faults().server_down(),
            ServerFault::Begin => self.0.faults().server_up(),
            other => return Err(Cannot(format!("there is no {other:?} in memory"))),
        }
        Ok(())
    }
}

/// Those that need nothing but a cut and a restart.
const CASES: [(&str, On); 12] = [
    ("down_at_start", On::Live),
    ("down_at_start", On::Log),
    ("killed_many_times", On::Live),
    ("killed_many_times", On::Log),
    ("cut_and_healed", On::Live),
    ("cut_and_healed", On::Log),
    ("slow_reader_of_a_live_topic", On::Live),
    ("shutdown_drains", On::Log),
    ("handler_panics_or_hangs", On::Log),
    ("poison_goes_to_the_dead_letters", On::Log),
    ("members_join_and_leave", On::Each),
    ("two_nodes_of_one_name", On::Live),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_memory_passes_what_it_can_be_made_to_suffer() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
    let mut playing = tokio::task::JoinSet::new();
    for (name, on) in CASES {
        let directory = directory.clone();
        playing.spawn(async move {
            faults::play_named(Arc::new(Memory(Space::default())), name, on, &directory).await
        });
    }
    let failed: Vec<String> = playing.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// A transport whose log forgets what it acknowledged, now and then.
struct Forgetful {
    inner: Box<dyn Transport>,
    calls: AtomicU64,
}

#[async_trait]
impl Transport for Forgetful {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.inner.link()
    }

    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        self.inner.open(topic).await
    }

    fn publish(
        &self,
        to: &Address,
        frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>> {
        let is_control = !to.topic.as_str().starts_with("faults.");
        if is_control || self.calls.fetch_add(1, Ordering::Relaxed) % 7 != 3 {
            return self.inner.publish(to, frames, by);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    async fn subscribe(&self, topic: &TopicName) -> Result<Box<dyn Inbox>> {
        self.inner.subscribe(topic).await
    }

    async fn open_log(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        self.inner.open_log(topic, lane, from).await
    }

    async fn join_group(&self, topic: &TopicName, group: &GroupSpec) -> Result<Box<dyn GroupInbox>> {
        self.inner.join_group(topic, group).await
    }

    async fn announce(&self, me: SourceId) -> Result<Option<mpsc::Receiver<Hint>>> {
        self.inner.announce(me).await
    }

    async fn close(&self, by: Instant) -> Result<()> {
        self.inner.close(by).await
    }
}

struct ForgetfulWorld(Memory);

#[async_trait]
impl World for ForgetfulWorld {
    fn name(&self) -> &str {
        "forgetful"
    }

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        let inner = self.0.connect(cluster, node).await?;
        Ok(Box::new(Forgetful { inner, calls: AtomicU64::new(0) }))
    }

    async fn link(&self, node: &NodeName, what: LinkFault) -> Ability {
        self.0.link(node, what).await
    }

    async fn server(&self, what: ServerFault) -> Ability {
        self.0.server(what).await
    }

    /// What is lost stays lost: there is nothing to wait for.
    fn patience(&self) -> Duration {
        Duration::from_secs(2)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_forgets_what_it_acknowledged_is_found_out() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
    for (name, on, said) in [
        ("cut_and_healed", On::Log, "the log had accepted"),
        ("handler_fails_and_the_next_succeeds", On::Each, "neither handled nor buried"),
    ] {
        let world = Arc::new(ForgetfulWorld(Memory(Space::default())));
        let why = faults::play_named(world, name, on, &directory).await.unwrap_err();
        assert!(why.contains(said) || why.contains("is owed"), "{why}");
        let (_, file) = why.split_once("Its history: ").unwrap();
        let history = std::fs::read_to_string(file.trim()).unwrap();
        assert!(history.contains("published n0.1/t0/1 as 1"), "the history is in the file that is named");
    }
}

#[test]
fn the_page_for_operators_says_what_each_case_shows() {
    let page = include_str!("../../../docs/operations.md");
    for case in faults::cases() {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", case.name)));
        assert!(row.is_some_and(|row| row.ends_with(&format!("| {} |", case.seen))), "{case:?}: {row:?}");
    }
}
