//! One process of the demo, from the outside.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use agora::{Error, ErrorKind};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command as Process};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::cluster::{Incoming, Setting};
use super::protocol::{Books, Command};
use crate::json;

/// How long a node is given to end by itself.
const END: Duration = Duration::from_secs(5);

/// One life of a node: a process, and what is known of it. Dropping it kills the process.
pub(super) struct Life {
    /// The name of the node, which another life may have had.
    pub(super) name: String,
    /// Known once it is ready.
    pub(super) incarnation: Option<String>,
    /// Is it a member, as far as its parent knows?
    pub(super) alive: bool,
    /// Its last books.
    pub(super) books: Books,
    /// By source: the first sequence that it is owed. By the index of the life that is the source.
    pub(super) owed_from: BTreeMap<usize, u64>,
    /// The sequence before which it is owed everything; of sources that are not in it, all that they published.
    pub(super) owed_to: BTreeMap<usize, u64>,
    /// How it ended, for the table.
    pub(super) end: Option<&'static str>,
    process: Child,
    stdin: Option<ChildStdin>,
}

impl Life {
    /// Starts a process; what it reports goes to `to`, under `index`.
    pub(super) fn start(
        setting: &Setting,
        name: &str,
        index: usize,
        to: mpsc::Sender<(usize, Incoming)>,
    ) -> Result<Self, Error> {
        let broken = |what: &str| Error::new(ErrorKind::Runtime, what).context("node", name);
        let own =
            std::env::current_exe().map_err(|cause| broken("this program cannot be found").source(cause))?;
        let mut command = Process::new(own);
        command.args(["demo-node", "--parent", &std::process::id().to_string()]);
        command.args(["--url", &setting.url, "--cluster", &setting.cluster, "--node", name]);
        command.args(["--connect-timeout", &format!("{}ms", setting.connect_timeout.as_millis())]);
        command.args(&setting.verbose);
        // A group of its own: Ctrl-C is for the parent, which then ends its children in its own way.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process =
            command.spawn().map_err(|cause| broken("a process cannot be started").source(cause))?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().ok_or_else(|| broken("a process has no output"))?;
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(report) = serde_json::from_str(&line) else { continue };
                if to.send((index, Incoming::Report(report))).await.is_err() {
                    return;
                }
            }
            // Nobody may be waiting for it any more.
            drop(to.send((index, Incoming::Ended)).await);
        });
        Ok(Self {
            name: name.to_owned(),
            incarnation: None,
            alive: true,
            books: Books::default(),
            owed_from: BTreeMap::new(),
            owed_to: BTreeMap::new(),
            end: None,
            process,
            stdin,
        })
    }

    /// Tells it to do something.
    pub(super) async fn tell(&mut self, command: &Command) -> Result<(), Error> {
        let line = json::line(command) + "\n";
        let written = match &mut self.stdin {
            Some(stdin) => stdin.write_all(line.as_bytes()).await,
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|cause| {
            Error::new(ErrorKind::Runtime, "a node of the demo has ended unexpectedly")
                .context("node", &self.name)
                .source(cause)
        })
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Error> {
        let gone = || {
            Error::new(ErrorKind::Runtime, "a node of the demo has ended unexpectedly")
                .context("node", &self.name)
        };
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(gone)?;
        kill(Pid::from_raw(pid), signal).map_err(|cause| gone().source(cause))
    }

    /// The process's number.
    pub(super) fn pid(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// Waits until the process has ended; kills it when that takes too long.
    pub(super) async fn ended(&mut self) -> Option<ExitStatus> {
        self.alive = false;
        self.stdin = None;
        if let Ok(ended) = timeout(END, self.process.wait()).await {
            return ended.ok();
        }
        drop(self.process.kill().await);
        None
    }
}
