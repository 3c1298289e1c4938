//! The binary itself, as processes on a network of their own.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// However slow the machine is, it has happened by then.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A URL under which the processes of one test find each other, and nobody else.
pub(crate) fn own_network() -> String {
    format!("zenoh:?multicast=127.0.0.1&multicast_port={}&listen=127.0.0.1:0", fastrand::u16(20_000..60_000))
}

/// A process of the binary. Dropping it kills it.
pub(crate) struct Agora {
    process: Child,
    lines: Receiver<String>,
    stderr: Option<ChildStderr>,
}

/// The binary.
pub(crate) const AGORA: &str = env!("CARGO_BIN_EXE_agora");

fn spawn(mut command: Command, args: &[&str]) -> Child {
    command
        .args(args)
        .env_remove("AGORA_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The lines of a process, read by a thread of their own, which then waits for its end.
fn lines_of(stdout: ChildStdout, process: Option<Child>) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        // Nobody waits for the lines of a test that has failed.
        lines.for_each(|line| drop(sender.send(line)));
        process.map(|mut process| process.wait())
    });
    lines
}

impl Agora {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_by(Command::new(AGORA), args)
    }

    /// Another program becomes the binary, and hands the arguments on.
    pub(crate) fn start_by(command: Command, args: &[&str]) -> Self {
        let mut process = spawn(command, args);
        let lines = lines_of(process.stdout.take().unwrap(), None);
        Self { stderr: process.stderr.take(), process, lines }
    }

    /// Its standard output is read by another program, whose own output is the lines.
    pub(crate) fn start_read_by(args: &[&str], reader: &mut Command) -> Self {
        let mut process = spawn(Command::new(AGORA), args);
        let output = Stdio::from(process.stdout.take().unwrap());
        let mut reader = reader.stdin(output).stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines_of(reader.stdout.take().unwrap(), Some(reader));
        Self { stderr: process.stderr.take(), process, lines }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Reads lines of the standard output until one holds this.
    pub(crate) fn line_with(&self, part: &str) -> String {
        let deadline = Instant::now() + SOON;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no line holds {part:?}; there were {seen:#?}")
                }
            }
        }
    }

    /// Reads the standard error, byte by byte, to the end of the line that holds this.
    pub(crate) fn error_with(&mut self, part: &str) {
        let (mut text, mut byte) = (Vec::new(), [0]);
        while byte[0] != b'\n' || !String::from_utf8_lossy(&text).contains(part) {
            let read = self.stderr.as_mut().unwrap().read(&mut byte).unwrap();
            assert_ne!(read, 0, "{:?} ended without {part:?}", String::from_utf8_lossy(&text));
            text.push(byte[0]);
        }
    }

    /// Waits for the end: status, the rest of the output, and of the errors.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>, String) {
        let deadline = Instant::now() + SOON * 2;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it has not ended");
            // There is no event to wait for that also has a deadline.
            std::thread::sleep(Duration::from_millis(20));
        };
        let lines = self.lines.iter().collect();
        let mut errors = String::new();
        self.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (status, lines, errors)
    }
}

impl Drop for Agora {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until no process of these numbers is left. Stopped ones, and ones that nobody has reaped, count as left.
pub(crate) fn wait_gone(pids: &[i32]) {
    let deadline = Instant::now() + SOON;
    let left = || {
        let lives = |pid: &&i32| match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            // Behind the name in brackets: the state.
            Ok(stat) => !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'),
            Err(_) => kill(Pid::from_raw(**pid), None).is_ok() && cfg!(not(target_os = "linux")),
        };
        pids.iter().filter(lives).copied().collect::<Vec<_>>()
    };
    while !left().is_empty() {
        assert!(Instant::now() < deadline, "{:?} still live", left());
        std::thread::sleep(Duration::from_millis(20));
    }
}
