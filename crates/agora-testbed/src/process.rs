//! One running server.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::cache;
use crate::disk::SmallDisk;
use crate::failure::{Doing, Failure, Result};
use crate::find::Found;
use crate::guard::Guard;

/// What a file system of one's own is called beneath the data of a server.
pub(crate) const SMALL: &str = "small";
/// How long a server may take to answer after it was started. Long, because it only bounds a failure: a machine that
/// starts a dozen servers at once is slow, and a server that has ended is noticed at once.
const START_WAIT: Duration = Duration::from_secs(60);
/// How long a server that was asked to end may take.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// How often a server that starts or ends is looked at: there is no event for either.
const POLL: Duration = Duration::from_millis(10);

/// A server as a process of its own, with a port and a directory of its own. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Process {
    found: Found,
    args: Vec<String>,
    port: u16,
    hello: Hello,
    data: PathBuf,
    running: Option<Running>,
    /// Where it stores, where that is a file system of its own.
    disk: Option<SmallDisk>,
}

#[derive(Debug)]
struct Running {
    // Dropped in this order: first nobody is to kill it any more, then it is killed here.
    _guard: Guard,
    child: Child,
}

/// How a server is seen to answer: what is said to it, and whether its answer begins as it should.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hello {
    pub(crate) say: &'static [u8],
    pub(crate) hear: fn(&[u8]) -> bool,
}

impl Hello {
    /// Does the server on this port of loopback answer as it should?
    pub(crate) async fn is_answered(&self, port: u16) -> io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(self.say).await?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).await?;
        Ok((self.hear)(&answer[..length]))
    }
}

impl Process {
    /// Starts a program, and waits until it answers on its port. `args` is asked with the directory of its data.
    pub(crate) async fn start(
        found: Found,
        port: u16,
        hello: Hello,
        args: impl FnOnce(&Path) -> Result<Vec<String>>,
    ) -> Result<Self> {
        Self::start_on(found, port, hello, None, args).await
    }

    /// The same, with a file system of so many bytes at [`SMALL`] beneath its data.
    pub(crate) async fn start_on(
        found: Found,
        port: u16,
        hello: Hello,
        disk_bytes: Option<u64>,
        args: impl FnOnce(&Path) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let mut process = Self::new(found, port, hello, disk_bytes, args)?;
        process.begin().await?;
        Ok(process)
    }

    /// The same, not started yet.
    pub(crate) fn new(
        found: Found,
        port: u16,
        hello: Hello,
        disk_bytes: Option<u64>,
        args: impl FnOnce(&Path) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let name = found.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let data = cache::data(&name)?;
        let disk = disk_bytes.map(|bytes| SmallDisk::at(data.join(SMALL), bytes)).transpose()?;
        let mut process = Self { found, args: Vec::new(), port, hello, data, running: None, disk };
        process.args = args(&process.data)?;
        Ok(process)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it keeps its data, its log and its configuration.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The number of its process; `None` while it is down.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Is it there? One that has ended by itself is not.
    pub fn runs(&mut self) -> bool {
        if let Some(running) = &mut self.running
            && let Ok(Some(_)) = running.child.try_wait()
        {
            self.running = None;
        }
        self.running.is_some()
    }

    /// The end of what it has logged.
    pub fn log(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(4000)..]).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.data.join("server.log")
    }

    /// Starts it, with the data that it had, and waits until it answers.
    ///
    /// # Errors
    /// Where it ends, or does not answer in time: with the end of its log.
    pub async fn begin(&mut self) -> Result {
        self.spawn()?;
        self.answers().await
    }

    /// Starts it, with the data that it had, and does not wait.
    ///
    /// # Errors
    /// Where no process can be made.
    pub fn spawn(&mut self) -> Result {
        self.kill()?;
        let log = File::options().create(true).append(true).open(self.log_path()).doing("open a log")?;
        let program = &self.found.path;
        let command = self.disk.as_ref().map_or_else(|| Command::new(program), |disk| disk.command(program));
        let child = { command }
            .args(&self.args)
            .envs(self.found.env.iter().cloned())
            .current_dir(&self.data)
            .stdin(Stdio::null())
            .stdout(log.try_clone().doing("open a log")?)
            .stderr(log)
            .spawn()
            .doing(format_args!("start {}", self.found.path.display()))?;
        self.running = Some(Running { _guard: Guard::over(child.id())?, child });
        Ok(())
    }

    /// Waits until it answers on its port.
    ///
    /// # Errors
    /// As [`begin`](Process::begin).
    pub async fn answers(&mut self) -> Result {
        let by = Instant::now() + START_WAIT;
        loop {
            match timeout(Duration::from_secs(1), self.hello.is_answered(self.port)).await {
                Ok(Ok(true)) => return Ok(()),
                _ if Instant::now() > by => return Err(self.failure("does not answer")),
                _ => {}
            }
            let Some(running) = &mut self.running else { return Err(self.failure("is down")) };
            if let Ok(Some(status)) = running.child.try_wait() {
                self.running = None;
                return Err(self.failure(&format!("ended at once ({status})")));
            }
            sleep(POLL).await;
        }
    }

    fn failure(&self, what: &str) -> Failure {
        let (path, log) = (self.found.path.display(), self.log());
        Failure::new(format!("{path} on port {} {what}. The end of its log:\n{log}", self.port))
    }

    fn signal(&self, signal: Signal) -> Result {
        let id = self.id().ok_or_else(|| self.failure("is down"))?;
        let id = i32::try_from(id).map_err(|_| self.failure("has an odd process number"))?;
        kill(Pid::from_raw(id), signal).map_err(io::Error::from).doing("send a signal to a server")
    }

    /// Kills it at once, as a crash would. Down already, it stays so.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn kill(&mut self) -> Result {
        let Some(Running { _guard, mut child }) = self.running.take() else { return Ok(()) };
        drop(_guard);
        child.kill().doing("kill a server")?;
        child.wait().map(drop).doing("wait for a server's end")
    }

    /// Asks it to end in its orderly way, and waits for that.
    ///
    /// # Errors
    /// Where it does not end in time.
    pub async fn stop(&mut self) -> Result {
        self.signal(Signal::SIGTERM)?;
        let by = Instant::now() + STOP_WAIT;
        while let Some(running) = &mut self.running {
            if running.child.try_wait().doing("wait for a server's end")?.is_some() {
                self.running = None;
            } else if Instant::now() > by {
                return Err(self.failure("does not end"));
            } else {
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Stops it from doing anything, with its connections open, until [`resume`](Process::resume).
    ///
    /// # Errors
    /// Where it is down.
    pub fn pause(&self) -> Result {
        self.signal(Signal::SIGSTOP)
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// Where it is down.
    pub fn resume(&self) -> Result {
        self.signal(Signal::SIGCONT)
    }

    /// Tells it that its configuration has changed (SIGHUP).
    ///
    /// # Errors
    /// Where it is down.
    pub fn reload(&self) -> Result {
        self.signal(Signal::SIGHUP)
    }

    /// Fills up the file system that it stores on: nothing more can be written.
    ///
    /// # Errors
    /// Where it has none of its own.
    pub fn fill_disk(&self) -> Result {
        self.disk()?.fill()
    }

    /// Makes room on it again.
    ///
    /// # Errors
    /// Where it has none of its own, or it was not filled up.
    pub fn make_room(&self) -> Result {
        self.disk()?.make_room()
    }

    pub(crate) fn disk(&self) -> Result<&SmallDisk> {
        self.disk.as_ref().ok_or_else(|| self.failure("has no file system of its own"))
    }

    /// Kills it, and starts it again with the data that it had.
    ///
    /// # Errors
    /// As [`begin`](Process::begin).
    pub async fn restart(&mut self) -> Result {
        self.kill()?;
        self.begin().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.data);
    }
}
