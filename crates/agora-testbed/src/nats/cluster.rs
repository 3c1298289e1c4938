//! A cluster of three, with JetStream.

use serde_json::Value;

use super::NatsServer;
use super::ask::{monitor, request};
use crate::failure::{Failure, Result};
use crate::ports::free_port;
use crate::wait;

const NODES: usize = 3;

/// Three servers that know each other. They tell clients of nobody else: a client has the addresses that it was given.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<NatsServer>,
    monitoring: Vec<u16>,
}

impl NatsCluster {
    /// Three that are ready to store.
    ///
    /// # Errors
    /// Where there is no server, or they do not come together.
    pub async fn start() -> Result<Self> {
        let routes: Vec<u16> = (0..NODES).map(|_| free_port()).collect::<Result<_>>()?;
        let monitoring: Vec<u16> = (0..NODES).map(|_| free_port()).collect::<Result<_>>()?;
        let others = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\""));
        let others = others.collect::<Vec<_>>().join(", ");
        let mut nodes = Vec::new();
        for (number, (route, monitor)) in routes.iter().zip(&monitoring).enumerate() {
            let more = format!(
                "server_name: {}\nhttp: \"127.0.0.1:{monitor}\"\ncluster {{ name: agora, \
                 listen: \"127.0.0.1:{route}\", no_advertise: true, routes: [{others}] }}",
                name(number)
            );
            nodes.push(NatsServer::with(&more).await?);
        }
        let cluster = Self { nodes, monitoring };
        cluster.ready().await?;
        Ok(cluster)
    }

    /// The nodes.
    pub fn nodes(&self) -> &[NatsServer] {
        &self.nodes
    }

    /// One node, to be killed, paused or begun again.
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn node(&mut self, number: usize) -> &mut NatsServer {
        &mut self.nodes[number]
    }

    /// `nats://` and every node.
    pub fn url(&self) -> String {
        let addresses = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port()));
        format!("nats://{}", addresses.collect::<Vec<_>>().join(","))
    }

    /// Waits until every node that runs is healthy, all that it stores included.
    ///
    /// # Errors
    /// Where that takes too long.
    pub async fn ready(&self) -> Result {
        for (number, _) in self.running() {
            wait::until("a node of NATS is healthy", || async {
                let health = monitor(self.monitoring[number], "/healthz").await?;
                match health["status"].as_str() {
                    Some("ok") => Ok(Some(())),
                    _ => Err(Failure::new(health.to_string())),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Which node leads a stream, by the word of the nodes that run.
    ///
    /// # Errors
    /// Where nobody knows in time.
    pub async fn leader_of(&self, stream: &str) -> Result<usize> {
        wait::until("a stream has a leader", || async {
            for (number, _) in self.running() {
                let told = monitor(self.monitoring[number], "/jsz?streams=true").await?;
                // Only the leader itself is sure to know it: others may tell of one that is gone.
                if leader(&told, stream) == Some(&name(number)) {
                    return Ok(Some(number));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Makes another node lead a stream, and tells which.
    ///
    /// # Errors
    /// Where the leader refuses, or none is found in time.
    pub async fn move_leader(&self, stream: &str) -> Result<usize> {
        let old = self.leader_of(stream).await?;
        let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{stream}");
        let answer = request(self.nodes[old].port(), &subject).await?;
        if answer["success"] != true {
            return Err(Failure::new(format!("{} does not step down: {answer}", name(old))));
        }
        wait::until("another node leads a stream", || async {
            let now = self.leader_of(stream).await?;
            Ok((now != old).then_some(now))
        })
        .await
    }

    fn running(&self) -> impl Iterator<Item = (usize, &NatsServer)> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.id().is_some())
    }
}

fn name(number: usize) -> String {
    format!("n{number}")
}

fn leader<'a>(told: &'a Value, stream: &str) -> Option<&'a str> {
    let accounts = told["account_details"].as_array()?.iter();
    let streams = accounts.filter_map(|account| account["stream_detail"].as_array()).flatten();
    let mut found = streams.filter(|found| found["name"] == stream);
    found.next()?["cluster"]["leader"].as_str()
}
