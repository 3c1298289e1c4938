//! Redis and Valkey.

mod cluster;
mod resp;
mod sentinel;

use std::ops::{Deref, DerefMut};
use std::path::Path;

use crate::failure::Result;
use crate::find::Program;
use crate::ports::free_port;
use crate::process::{Hello, Process, SMALL};

pub use cluster::RedisCluster;
pub use resp::{Value, ask, ask_all, ask_as};
pub use sentinel::{NAME, RedisSentinel};

/// With a password set, the answer is that it is missing.
pub(crate) const HELLO: Hello =
    Hello { say: b"PING\r\n", hear: |answer| answer.starts_with(b"+PONG") || answer.starts_with(b"-NOAUTH") };

/// Puts a server on a port of loopback and its data where they belong.
pub(crate) fn arguments(data: &Path, port: u16, args: &[&str]) -> Vec<String> {
    let (port, data) = (port.to_string(), data.display().to_string());
    let own = ["--port", &port, "--bind", "127.0.0.1", "--dir", &data, "--save", ""];
    own.iter().chain(args).map(|word| (*word).to_owned()).collect()
}

/// A Redis or Valkey server.
#[derive(Debug)]
pub struct RedisServer(Process);

impl RedisServer {
    /// One of Redis' that keeps all that it acknowledged across a kill.
    ///
    /// # Errors
    /// Where there is no server, or it does not start.
    pub async fn start() -> Result<Self> {
        Self::with(Program::Redis, &["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// One of this program, with these arguments besides.
    ///
    /// # Errors
    /// Where there is no server, or it does not start with these.
    pub async fn with(program: Program, args: &[&str]) -> Result<Self> {
        let (found, port) = (program.find()?, free_port()?);
        let process = Process::start(found, port, HELLO, |data| Ok(arguments(data, port, args)));
        process.await.map(Self)
    }

    /// One that writes what it acknowledges to a file system of so many bytes, which can be filled up. It does not wait for
    /// the disk: one that does ends where it cannot write.
    ///
    /// # Errors
    /// Where there is no server, or the system allows no such file system.
    pub async fn on_small_disk(program: Program, bytes: u64) -> Result<Self> {
        let (found, port) = (program.find()?, free_port()?);
        let process = Process::start_on(found, port, HELLO, Some(bytes), |data| {
            Ok(arguments(&data.join(SMALL), port, &["--appendonly", "yes", "--appendfsync", "everysec"]))
        });
        process.await.map(Self)
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }
}

impl Deref for RedisServer {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for RedisServer {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}
