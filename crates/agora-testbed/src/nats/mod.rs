//! NATS.

mod ask;
mod cluster;

use std::ops::{Deref, DerefMut};
use std::path::Path;

use crate::failure::{Doing, Result};
use crate::find::Program;
use crate::ports::free_port;
use crate::process::{Hello, Process, SMALL};

pub use cluster::NatsCluster;

/// The server speaks first.
pub(crate) const HELLO: Hello = Hello { say: b"", hear: |answer| answer.starts_with(b"INFO ") };

/// Writes the configuration of a server with JetStream beside its data, and gives what names it.
pub(crate) fn arguments(data: &Path, port: u16, more: &str) -> Result<Vec<String>> {
    let store = data.join("jetstream");
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\", max_file_store: 4G }}\n{more}\n",
        store.display()
    );
    let file = data.join("nats.conf");
    std::fs::write(&file, text).doing("write a configuration")?;
    Ok(vec!["-c".into(), file.display().to_string()])
}

/// A NATS server with JetStream.
#[derive(Debug)]
pub struct NatsServer(Process);

impl NatsServer {
    /// One that lets everybody in.
    ///
    /// # Errors
    /// Where there is no server, or it does not start.
    pub async fn start() -> Result<Self> {
        Self::with("").await
    }

    /// One with more in its configuration file, such as `authorization { user: a, password: b }`.
    ///
    /// # Errors
    /// Where there is no server, or it does not start with this.
    pub async fn with(more: &str) -> Result<Self> {
        let (found, port) = (Program::Nats.find()?, free_port()?);
        let process = Process::start(found, port, HELLO, |data| arguments(data, port, more));
        process.await.map(Self)
    }

    /// One whose JetStream stores on a file system of so many bytes, which can be filled up.
    ///
    /// # Errors
    /// Where there is no server, or the system allows no such file system.
    pub async fn on_small_disk(bytes: u64, more: &str) -> Result<Self> {
        let (found, port) = (Program::Nats.find()?, free_port()?);
        let process = Process::start_on(found, port, HELLO, Some(bytes), |data| {
            let store = format!("jetstream {{ store_dir: \"{}\" }}\n", data.join(SMALL).display());
            arguments(data, port, &format!("{store}{more}"))
        });
        process.await.map(Self)
    }

    /// Has it read another configuration, with this in it besides.
    ///
    /// # Errors
    /// Where it is down.
    pub fn reconfigure(&self, more: &str) -> Result {
        arguments(self.data(), self.port(), more)?;
        self.reload()
    }

    /// Publishes a message with these bytes where its headers belong: what no client would send.
    ///
    /// # Errors
    /// Where the server does not take it.
    pub async fn publish_raw(&self, subject: &str, header: &[u8], payload: &[u8]) -> Result {
        ask::publish(self.port(), subject, header, payload).await.map(drop)
    }

    /// `nats://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port())
    }
}

impl Deref for NatsServer {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for NatsServer {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}
