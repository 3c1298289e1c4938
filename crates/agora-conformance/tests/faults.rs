//! The fault suite on the in-memory transport: what of it a server in memory can be made to suffer. Real servers are in
//! the tests of the backends.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use agora_conformance::faults::{self, LinkFault, On, ServerFault, World};
use agora_conformance::suite::{Ability, Cannot};
use agora_core::Result;
use agora_core::id::{ClusterName, NodeName};
use agora_core::memory::Space;
use agora_core::transport::Transport;
use async_trait::async_trait;

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
