//! A cluster: masters that share the slots, each with as many replicas as one likes.

use super::RedisServer;
use super::resp::{Value, ask};
use crate::failure::{Failure, Result};
use crate::find::Program;
use crate::ports::free_port;
use crate::wait;

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// Three masters of a cluster, and their replicas. Killed ones are begun again by [`Process`](crate::Process).
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters, then their replicas: that of the first, of the second, of the third, of the first.
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// One of this program, that serves.
    ///
    /// # Errors
    /// Where there is no server, or they do not come together.
    pub async fn start(program: Program, replicas_of_each: usize) -> Result<Self> {
        let mut nodes = Vec::new();
        for _ in 0..MASTERS * (1 + replicas_of_each) {
            // The usual port of the bus is far above that of clients, where outgoing connections have theirs.
            let bus = free_port()?.to_string();
            let more = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus];
            let keep = ["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"];
            nodes.push((RedisServer::with(program, &[more, keep].concat()).await?, bus));
        }
        let (first, first_bus) = (nodes[0].0.port().to_string(), nodes[0].1.clone());
        for (number, (node, _)) in nodes.iter().enumerate() {
            let epoch = (number + 1).to_string();
            ask(node.port(), &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
            ask(node.port(), &["CLUSTER", "MEET", "127.0.0.1", &first, &first_bus]).await?;
            if number < MASTERS {
                let from = (SLOTS * number / MASTERS).to_string();
                let to = (SLOTS * (number + 1) / MASTERS - 1).to_string();
                ask(node.port(), &["CLUSTER", "ADDSLOTSRANGE", &from, &to]).await?;
            }
        }
        let cluster = Self { nodes: nodes.into_iter().map(|(node, _)| node).collect() };
        cluster.ready().await?;
        for (number, node) in cluster.nodes.iter().enumerate().skip(MASTERS) {
            let master = ask(cluster.nodes[number % MASTERS].port(), &["CLUSTER", "MYID"]).await?;
            ask(node.port(), &["CLUSTER", "REPLICATE", master.text()]).await?;
        }
        for node in cluster.nodes.iter().skip(MASTERS) {
            wait::until("a replica follows its master", || async {
                let role = ask(node.port(), &["ROLE"]).await?;
                Ok((role.list().get(3).map(Value::text) == Some("connected")).then_some(()))
            })
            .await?;
        }
        cluster.ready().await?;
        Ok(cluster)
    }

    /// The nodes: three masters, then the replicas.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// One node, to be killed, paused or begun again.
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn node(&mut self, number: usize) -> &mut RedisServer {
        &mut self.nodes[number]
    }

    /// `redis+cluster://` and every node.
    pub fn url(&self) -> String {
        let addresses = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port()));
        format!("redis+cluster://{}", addresses.collect::<Vec<_>>().join(","))
    }

    /// Waits until every node that runs says that the cluster is whole.
    ///
    /// # Errors
    /// Where that takes too long.
    pub async fn ready(&self) -> Result {
        let expected = format!("cluster_known_nodes:{}", self.nodes.len());
        for node in self.nodes.iter().filter(|node| node.id().is_some()) {
            wait::until("a cluster of Redis is whole", || async {
                let info = ask(node.port(), &["CLUSTER", "INFO"]).await?;
                let has = |line: &str| info.text().lines().any(|found| found.trim() == line);
                Ok((has("cluster_state:ok") && has(&expected)).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Which node is the master of a key now, as the nodes that run agree.
    ///
    /// # Errors
    /// Where nobody answers in time.
    pub async fn master_of(&self, key: &str) -> Result<usize> {
        wait::until("a master of a key is known", || async {
            for (number, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.id().is_some()) {
                // Whoever is not its master says so by an error.
                let is_master =
                    ask(node.port(), &["ROLE"]).await?.list().first().map(Value::text) == Some("master");
                if is_master && ask(node.port(), &["EXISTS", key]).await.is_ok() {
                    return Ok(Some(number));
                }
            }
            Err(Failure::new("no node is"))
        })
        .await
    }
}
