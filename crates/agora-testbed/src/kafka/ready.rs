//! What makes a broker quick to start: it is formatted once for all, and Java remembers its classes.
//!
//! To format takes a Java of its own, most of a second for each node; to load thousands of classes takes half of the
//! start. Both are done once for each release and kept beside it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::settings::{Node, properties};
use super::{HELLO, PASSWORD, USER, install};
use crate::cache;
use crate::failure::{Doing, Failure, Result};
use crate::find::Found;
use crate::guard::Guard;
use crate::ports::free_port;

/// The class that formats, and the one that serves.
const STORAGE_TOOL: &str = "kafka.tools.StorageTool";
pub(super) const SERVER: &str = "kafka.Kafka";
/// Any will do: no two clusters of tests meet.
const CLUSTER: &str = "AAAAAAAAAAAAAAAAAAAAAQ";
/// What formatting leaves behind, beside `meta.properties`: the features of the cluster and its passwords.
const CHECKPOINT: &str = "bootstrap.checkpoint";
/// How long the broker may take that is started for its classes only.
const WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// What is kept of one release.
#[derive(Clone, Debug)]
pub(super) struct Ready(PathBuf);

impl Ready {
    /// Made where it is not there yet.
    pub(super) fn of(found: &Found) -> Result<Self> {
        let (major, minor) = found.version;
        // An archive of classes is another Java's refuse.
        let java = install::java()?.major;
        let name = format!("kafka-{major}.{minor}-java{java}-ready");
        cache::filled(&name, |into| make(found, into)).map(Self)
    }

    /// Java's file of classes. One that does not fit is ignored by Java.
    pub(super) fn classes(&self) -> PathBuf {
        self.0.join("classes.jsa")
    }

    /// Formats the data of a node, unless there is some: a directory that gets another identity loses its partitions.
    pub(super) fn format(&self, node: usize, log: &Path) -> Result {
        format(&self.0.join(CHECKPOINT), node, log)
    }
}

fn make(found: &Found, into: &Path) -> Result {
    let scratch = into.join("scratch");
    std::fs::create_dir_all(&scratch).doing("make a directory")?;
    let port = free_port()?;
    let node = Node::new(0, port, vec![free_port()?]);
    let file = scratch.join("server.properties");
    let text = properties(&node, &scratch, &std::collections::BTreeMap::new());
    std::fs::write(&file, text).doing("write a configuration")?;

    let mut tool = java(found);
    tool.arg(STORAGE_TOOL).args(["format", "-t", CLUSTER, "-c"]).arg(&file);
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        tool.args(["--add-scram", &format!("{mechanism}=[name={USER},password={PASSWORD}]")]);
    }
    let out = tool.output().doing("start Java")?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        return Err(Failure::new(format!("Kafka cannot be formatted ({}): {said}", out.status)));
    }
    std::fs::copy(scratch.join(super::LOG).join(CHECKPOINT), into.join(CHECKPOINT)).doing("keep a format")?;

    let mut server = java(found);
    server.arg(format!("-XX:ArchiveClassesAtExit={}", into.join("classes.jsa").display()));
    let log = std::fs::File::create(scratch.join("server.log")).doing("make a log")?;
    server.arg(SERVER).arg(&file).stdin(Stdio::null()).stderr(log.try_clone().doing("open a log")?);
    let mut child = server.stdout(log).spawn().doing("start Java")?;
    let guard = Guard::over(child.id())?;
    let served = serve_once(&mut child, port);
    drop(guard);
    let _ = child.kill();
    let _ = child.wait();
    served.map_err(|failure| {
        let log = std::fs::read_to_string(scratch.join("server.log")).unwrap_or_default();
        Failure::new(format!(
            "Kafka {failure}. Its log:\n{}",
            log.get(log.len().saturating_sub(4000)..).unwrap_or("")
        ))
    })?;
    std::fs::remove_dir_all(&scratch).doing("remove a directory")
}

/// With the options that its classes are kept for.
fn java(found: &Found) -> Command {
    let mut command = Command::new(&found.path);
    command.args(super::JAVA).envs(found.env.iter().cloned());
    command
}

/// Waits until it answers, then ends it in its orderly way: Java writes what it remembers at the end.
fn serve_once(child: &mut Child, port: u16) -> Result {
    let by = Instant::now() + WAIT;
    let mut is_told = false;
    loop {
        if let Some(status) = child.try_wait().doing("look at a server")? {
            return if is_told { Ok(()) } else { Err(Failure::new(format!("ended at once ({status})"))) };
        }
        if Instant::now() > by {
            return Err(Failure::new("neither answers nor ends in time"));
        }
        if !is_told && is_answered(port) {
            let id = i32::try_from(child.id()).map_err(|_| Failure::new("has an odd process number"))?;
            kill(Pid::from_raw(id), Signal::SIGTERM).map_err(std::io::Error::from).doing("end a server")?;
            is_told = true;
        }
        std::thread::sleep(POLL);
    }
}

fn is_answered(port: u16) -> bool {
    let asked = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(HELLO.say)?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer)?;
        Ok((HELLO.hear)(&answer[..length]))
    };
    asked().unwrap_or(false)
}

/// What `StorageTool` would write, from what it wrote once.
fn format(checkpoint: &Path, node: usize, log: &Path) -> Result {
    let meta = log.join("meta.properties");
    if meta.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(log).doing(format_args!("make {}", log.display()))?;
    std::fs::copy(checkpoint, log.join(CHECKPOINT)).doing("format a node")?;
    let text = format!("version=1\ncluster.id={CLUSTER}\nnode.id={node}\n");
    std::fs::write(meta, text).doing("format a node")
}
