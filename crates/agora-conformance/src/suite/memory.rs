//! The in-memory transport as a subject, with all that its faults can do.

use agora_core::Result;
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::memory::{GroupStyle, Space, SpaceConfig};
use agora_core::transport::Transport;
use async_trait::async_trait;

use super::subject::{Ability, Cannot, Subject};

/// A space in memory, as a server or as peers.
#[derive(Debug)]
pub struct MemorySubject {
    space: Space,
    name: &'static str,
    minimum: usize,
    has_server: bool,
}

impl MemorySubject {
    /// One with a server in the middle, which keeps logs, cursors and groups.
    pub fn with_server() -> Self {
        Self { space: Space::default(), name: "memory", minimum: 171, has_server: true }
    }

    /// One with a server whose groups share out lanes, not records.
    pub fn by_lane() -> Self {
        let config = SpaceConfig { groups: GroupStyle::Lanes, ..SpaceConfig::default() };
        Self { space: Space::new(config), name: "memory-lanes", minimum: 165, has_server: true }
    }

    /// One of peers, which keeps nothing.
    pub fn of_peers() -> Self {
        let config = SpaceConfig { echo_via_server: false, ..SpaceConfig::default() };
        Self { space: Space::new(config), name: "memory-peers", minimum: 63, has_server: false }
    }
}

#[async_trait]
impl Subject for MemorySubject {
    fn name(&self) -> &str {
        self.name
    }

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        Ok(Box::new(self.space.connect(cluster, node)))
    }

    fn minimum(&self) -> usize {
        self.minimum
    }

    async fn cut(&self, node: &NodeName) -> Ability {
        self.space.faults().isolate(node.as_str());
        Ok(())
    }

    async fn heal(&self, node: &NodeName) -> Ability {
        self.space.faults().rejoin(node.as_str());
        Ok(())
    }

    async fn restart_server(&self) -> Ability {
        if !self.has_server {
            return Err(Cannot("peers have no server that could be restarted".into()));
        }
        self.space.faults().server_down();
        self.space.faults().server_up();
        Ok(())
    }

    async fn grow(&self, _: &ClusterName, topic: &TopicName, lanes: u32) -> Ability {
        self.space.faults().grow_log(topic.as_str(), lanes);
        Ok(())
    }

    async fn trim(&self, _: &ClusterName, topic: &TopicName, keep: usize) -> Ability {
        self.space.faults().trim_log(topic.as_str(), keep);
        Ok(())
    }
}
