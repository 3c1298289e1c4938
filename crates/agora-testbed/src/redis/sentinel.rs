//! A primary and its replica, watched by sentinels.

use super::RedisServer;
use super::resp::{Value, ask};
use crate::failure::{Doing, Failure, Result};
use crate::find::Program;
use crate::ports::free_port;
use crate::process::Process;
use crate::wait;

/// The name that sentinels know the primary by.
pub const NAME: &str = "main";
/// How long a primary is silent before it counts as down. Sentinels ask once in this time, and where it is shorter than
/// a second they take a new primary for down before they have heard of it.
const DOWN_AFTER_MS: u32 = 1500;

/// Two servers, of which one is the primary, and sentinels that agree on which.
#[derive(Debug)]
pub struct RedisSentinel {
    // The sentinels are dropped first: nobody is to fail over to anybody any more.
    sentinels: Vec<Process>,
    servers: [RedisServer; 2],
}

impl RedisSentinel {
    /// With as many sentinels of this program, most of whom must agree that the primary is down.
    ///
    /// # Errors
    /// Where there is no server, or they do not find each other.
    pub async fn start(program: Program, sentinels: usize) -> Result<Self> {
        let keep = ["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"];
        let primary = RedisServer::with(program, &keep).await?;
        let follow = format!("127.0.0.1 {}", primary.port());
        let replica = RedisServer::with(program, &[&keep[..], &["--replicaof", &follow]].concat()).await?;
        let mut watched = Self { sentinels: Vec::new(), servers: [primary, replica] };
        watched.replicated(1).await?;
        for _ in 0..sentinels {
            watched.sentinels.push(watched.sentinel(program, sentinels / 2 + 1).await?);
        }
        watched.ready().await?;
        Ok(watched)
    }

    async fn sentinel(&self, program: Program, quorum: usize) -> Result<Process> {
        let (found, port) = (program.find()?, free_port()?);
        let primary = self.servers[0].port();
        Process::start(found, port, super::HELLO, |data| {
            let text = format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {primary} {quorum}\n\
                 sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\nsentinel failover-timeout {NAME} 3000\n"
            );
            let file = data.join("sentinel.conf");
            std::fs::write(&file, text).doing("write a configuration")?;
            Ok(vec![file.display().to_string(), "--sentinel".into()])
        })
        .await
    }

    /// The two servers. The first was the primary at the start.
    pub fn servers(&self) -> &[RedisServer; 2] {
        &self.servers
    }

    /// One server, to be killed, paused or begun again.
    ///
    /// # Panics
    /// Where it is neither 0 nor 1.
    pub fn server(&mut self, number: usize) -> &mut RedisServer {
        &mut self.servers[number]
    }

    /// The ports of the sentinels.
    pub fn sentinels(&self) -> impl Iterator<Item = u16> {
        self.sentinels.iter().map(Process::port)
    }

    /// `redis+sentinel://`, every sentinel, and the name of the primary.
    pub fn url(&self) -> String {
        let addresses = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port()));
        format!("redis+sentinel://{}/{NAME}", addresses.collect::<Vec<_>>().join(","))
    }

    /// Which server the sentinels call the primary.
    ///
    /// # Errors
    /// Where a sentinel does not answer, or names a stranger.
    pub async fn primary(&self) -> Result<usize> {
        let sentinel = self.sentinels.first().ok_or_else(|| Failure::new("there is no sentinel"))?;
        let address = ask(sentinel.port(), &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]).await?;
        let port = address.list().get(1).map(Value::text).unwrap_or_default();
        let found = self.servers.iter().position(|server| server.port().to_string() == port);
        found.ok_or_else(|| Failure::new(format!("the primary is a stranger: {address:?}")))
    }

    /// Waits until this server is the primary, by the word of every sentinel and by its own.
    ///
    /// # Errors
    /// Where that takes too long.
    pub async fn promoted(&self, number: usize) -> Result {
        wait::until("a replica has become the primary", || async {
            for sentinel in &self.sentinels {
                let known = ask(sentinel.port(), &["SENTINEL", "MASTER", NAME]).await?;
                let port = known.field("port").unwrap_or_default();
                // Other flags say that it is down, or that a change is still under way.
                if port != self.servers[number].port().to_string() || known.field("flags") != Some("master") {
                    return Ok(None);
                }
            }
            let role = ask(self.servers[number].port(), &["ROLE"]).await?;
            Ok((role.list().first().map(Value::text) == Some("master")).then_some(()))
        })
        .await
    }

    /// Kills the primary, waits until the other server has taken over, and tells which that is.
    ///
    /// # Errors
    /// Where it does not take over in time.
    pub async fn fail_over(&mut self) -> Result<usize> {
        let old = self.primary().await?;
        self.servers[old].kill()?;
        self.promoted(1 - old).await?;
        Ok(1 - old)
    }

    /// Makes the replica miss what is written from now on: it is paused, and its connection to the primary closed.
    /// What was written before has arrived, or is in what it reads when it is resumed.
    ///
    /// # Errors
    /// Where a server does not answer.
    pub async fn leave_replica_behind(&self) -> Result {
        let primary = self.primary().await?;
        self.replicated(1 - primary).await?;
        self.servers[1 - primary].pause()?;
        ask(self.servers[primary].port(), &["CLIENT", "KILL", "TYPE", "replica"]).await.map(drop)
    }

    /// Waits until this server is a replica that has all that its primary has.
    ///
    /// # Errors
    /// Where that takes too long.
    pub async fn replicated(&self, replica: usize) -> Result {
        wait::until("a replica has all that its primary has", || async {
            let role = ask(self.servers[replica].port(), &["ROLE"]).await?;
            let role: Vec<&str> = role.list().iter().map(Value::text).collect();
            let at = ask(self.servers[1 - replica].port(), &["INFO", "replication"]).await?;
            let at =
                at.text().lines().find_map(|line| line.strip_prefix("master_repl_offset:")).unwrap_or("?");
            Ok(matches!(role[..], ["slave", _, _, "connected", offset] if offset == at).then_some(()))
        })
        .await
    }

    /// Waits until every sentinel knows the replica and the other sentinels.
    ///
    /// # Errors
    /// Where that takes too long.
    pub async fn ready(&self) -> Result {
        let others = (self.sentinels.len() - 1).to_string();
        for sentinel in &self.sentinels {
            wait::until("a sentinel knows everybody", || async {
                let known = ask(sentinel.port(), &["SENTINEL", "MASTER", NAME]).await?;
                let replicas = ask(sentinel.port(), &["SENTINEL", "REPLICAS", NAME]).await?;
                let replica = replicas.list().first().and_then(|replica| replica.field("flags"));
                let is_whole = known.field("flags") == Some("master")
                    && known.field("num-other-sentinels") == Some(&others)
                    && replica == Some("slave");
                Ok(is_whole.then_some(()))
            })
            .await?;
        }
        Ok(())
    }
}
