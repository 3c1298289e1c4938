//! A client of another maker while it runs: what it says line by line, and how it ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::cache;
use crate::failure::{Doing, Failure, Result};
use crate::guard::Guard;

/// A program that was started. Dropping it kills it.
#[derive(Debug)]
pub struct Client {
    // Dropped in this order: first nobody is to kill it any more, then it is killed here.
    _guard: Guard,
    child: Child,
    name: String,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    /// What it says of errors.
    errors: Errors,
}

#[derive(Debug)]
struct Errors(PathBuf);

impl Errors {
    fn end(&self) -> String {
        let said = std::fs::read(self.0.join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&said[said.len().saturating_sub(4000)..]).into_owned()
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.0));
    }
}

impl Client {
    /// Starts a program.
    ///
    /// # Errors
    /// Where there is none.
    pub fn start(command: std::process::Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let errors = Errors(cache::data("client")?);
        let log = File::create(errors.0.join("stderr")).doing("make a log")?;
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().doing(format_args!("start {name}"))?;
        let id = child.id().ok_or_else(|| Failure::new(format!("{name} has no process")))?;
        let output = child.stdout.take().ok_or_else(|| Failure::new(format!("{name} has no output")))?;
        Ok(Self {
            _guard: Guard::over(id)?,
            input: child.stdin.take(),
            output: BufReader::new(output).lines(),
            child,
            name,
            errors,
        })
    }

    /// Starts a program, says `input` to it, and gives all that it says until it ends.
    ///
    /// # Errors
    /// Where there is none, it takes longer than `within`, or it ends as one that failed: with the end of what it
    /// said of errors.
    pub async fn run(command: std::process::Command, input: &str, within: Duration) -> Result<String> {
        let mut client = Self::start(command)?;
        // One that does not read its input has ended, or says why it will.
        let _ = timeout(within, client.say(input)).await;
        client.finish(within).await
    }

    /// Writes to its input.
    ///
    /// # Errors
    /// Where it does not read any more.
    pub async fn say(&mut self, text: &str) -> Result {
        let input = self.input.as_mut().ok_or_else(|| Failure::new("the input is closed"))?;
        input.write_all(text.as_bytes()).await.doing(format_args!("write to {}", self.name))?;
        input.flush().await.doing(format_args!("write to {}", self.name))
    }

    /// The next line of its output; `None` at the end.
    ///
    /// # Errors
    /// Where none comes in time: with the end of what it said of errors.
    ///
    /// # Cancel safety
    /// Cancel safe: no line is lost.
    pub async fn line(&mut self, within: Duration) -> Result<Option<String>> {
        match timeout(within, self.output.next_line()).await {
            Ok(line) => line.doing(format_args!("read from {}", self.name)),
            Err(_) => Err(self.failure(&format!("says nothing within {within:?}"))),
        }
    }

    /// Closes its input, and gives the rest of what it says until it ends.
    ///
    /// # Errors
    /// As [`run`](Client::run).
    pub async fn finish(mut self, within: Duration) -> Result<String> {
        self.input = None;
        let ended = timeout(within, async {
            let mut said = String::new();
            while let Some(line) = self.output.next_line().await? {
                said.push_str(&line);
                said.push('\n');
            }
            Ok::<_, std::io::Error>((said, self.child.wait().await?))
        });
        match ended.await {
            Ok(Ok((said, status))) if status.success() => Ok(said),
            Ok(Ok((said, status))) => Err(self.failure(&format!("failed ({status}), after saying {said:?}"))),
            Ok(Err(error)) => Err(self.failure(&format!("cannot be heard ({error})"))),
            Err(_) => Err(self.failure(&format!("does not end within {within:?}"))),
        }
    }

    /// Asks it to end in its orderly way (SIGTERM), so that it leaves what it is a member of.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn stop(&self) -> Result {
        self.signal(Signal::SIGTERM)
    }

    /// Kills it at once, as a crash would.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn kill(&self) -> Result {
        self.signal(Signal::SIGKILL)
    }

    /// Stops it from doing anything, with its connections open, until [`resume`](Client::resume).
    ///
    /// # Errors
    /// Where it has ended.
    pub fn pause(&self) -> Result {
        self.signal(Signal::SIGSTOP)
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn resume(&self) -> Result {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| self.failure("has ended"))?;
        kill(Pid::from_raw(id), signal).map_err(std::io::Error::from).doing("send a signal to a client")
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::new(format!("{} {what}. The end of its errors:\n{}", self.name, self.errors.end()))
    }
}
