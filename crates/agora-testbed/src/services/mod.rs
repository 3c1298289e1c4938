//! Servers for people: started in the background on the ports that everybody knows, and ended by a later command.
//!
//! What was started is remembered in a directory: each server has a folder of its own there, with its data, its log
//! and a note of its process. Data stays when a server is ended.

mod note;

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep, timeout};

use crate::cache;
use crate::failure::{Doing, Failure, Result};
use crate::find::Program;
use crate::kafka::KafkaVersion;
use crate::process::Hello;
use crate::{kafka, nats, redis};
use note::Note;

/// How long a server may take to answer, and to end.
const WAIT: Duration = Duration::from_secs(20);
/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_millis(20);

/// One server for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, and that of its folder.
    pub name: &'static str,
    /// What it is.
    pub program: Program,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

/// The servers, on their usual ports; Valkey, whose usual port is that of Redis, on the next one.
pub const USUAL: [Service; 4] = [
    Service { name: "nats", program: Program::Nats, port: 4222 },
    Service { name: "redis", program: Program::Redis, port: 6379 },
    Service { name: "valkey", program: Program::Valkey, port: 6380 },
    Service { name: "kafka", program: Program::Kafka(KafkaVersion::V4_1), port: 9092 },
];

/// Where the usual ones are remembered: beneath the build directory.
pub fn directory() -> PathBuf {
    cache::directory().join("up")
}

impl Service {
    /// How to reach it.
    pub fn url(&self) -> String {
        let scheme = match self.program {
            Program::Nats => "nats",
            Program::Redis | Program::Valkey => "redis",
            Program::Kafka(_) => "kafka",
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The number of its process, where it was started from this directory and runs still.
    ///
    /// # Errors
    /// Where the note about it cannot be read.
    pub fn running(&self, directory: &Path) -> Result<Option<u32>> {
        let note = Note::read(&self.note(directory))?;
        Ok(note.filter(Note::holds).map(|note| note.id))
    }

    /// Starts it, and waits until it answers. `false` where it runs already.
    ///
    /// # Errors
    /// Where the port is another's, there is no such server, or it does not answer: with the end of its log.
    pub async fn up(&self, directory: &Path) -> Result<bool> {
        if self.running(directory)?.is_some() {
            return Ok(false);
        }
        self.check_port()?;
        let found = self.program.find()?;
        let data = directory.join(self.name);
        fs::create_dir_all(&data).doing(format_args!("make {}", data.display()))?;
        let (args, hello): (Vec<String>, Hello) = match self.program {
            Program::Nats => (nats::arguments(&data, self.port, "")?, nats::HELLO),
            Program::Redis | Program::Valkey => {
                (redis::arguments(&data, self.port, &["--appendonly", "yes"]), redis::HELLO)
            }
            Program::Kafka(_) => (kafka::service(&found, &data, self.port)?, kafka::HELLO),
        };
        let log_path = data.join("server.log");
        let log = File::create(&log_path).doing(format_args!("make {}", log_path.display()))?;
        let mut child = Command::new(&found.path)
            .args(&args)
            .envs(found.env)
            .current_dir(&data)
            .stdin(Stdio::null())
            .stdout(log.try_clone().doing("open a log")?)
            .stderr(log)
            // What ends the terminal's own programs is not meant for it.
            .process_group(0)
            .spawn()
            .doing(format_args!("start {}", found.path.display()))?;
        Note::of(child.id(), &found.path, &args).write(&self.note(directory))?;
        let by = Instant::now() + WAIT;
        loop {
            let answer = timeout(Duration::from_secs(1), hello.is_answered(self.port)).await;
            let has_ended = child.try_wait().doing("look at a server")?.is_some();
            if !has_ended && matches!(answer, Ok(Ok(true))) {
                return Ok(true);
            }
            if has_ended || Instant::now() > by {
                let _ = child.kill();
                let _ = child.wait();
                let log = fs::read_to_string(&log_path).unwrap_or_default();
                let path = found.path.display();
                return Err(Failure::new(format!("{path} does not answer. Its log:\n{log}")));
            }
            sleep(POLL).await;
        }
    }

    /// Ends it, where it was started from this directory and runs still; tells whether it did.
    ///
    /// # Errors
    /// Where it does not end in time. Another's process that has its number by now is left alone.
    pub async fn down(&self, directory: &Path) -> Result<bool> {
        let path = self.note(directory);
        let Some(note) = Note::read(&path)? else { return Ok(false) };
        let did_run = note.holds();
        if did_run {
            let id = i32::try_from(note.id).map_err(|_| Failure::new("an odd process number"))?;
            kill(Pid::from_raw(id), Signal::SIGTERM).map_err(std::io::Error::from).doing("end a server")?;
            let by = Instant::now() + WAIT;
            while note.holds() {
                if Instant::now() > by {
                    return Err(Failure::new(format!("{} (process {id}) does not end", self.name)));
                }
                sleep(POLL).await;
            }
        }
        fs::remove_file(&path).doing(format_args!("remove {}", path.display()))?;
        Ok(did_run)
    }

    fn note(&self, directory: &Path) -> PathBuf {
        directory.join(self.name).join("process")
    }

    fn check_port(&self) -> Result {
        let Self { name, port, .. } = self;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, *port)) {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::new(format!(
                "{name} cannot have port {port} of loopback ({error}): somebody else listens there; who that is \
                 tells `ss -ltnp 'sport = :{port}'` or `lsof -iTCP:{port} -sTCP:LISTEN`"
            ))),
        }
    }
}
