//! Runs of the command line in this process, with streams that a test can watch.
#![allow(dead_code, reason = "not every test uses all of it")]

pub(crate) mod http;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use agora::memory::Space;
use agora_cli::{Connector, Interrupt, Io};
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// However slow the machine is, a line has come by then.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A stream that a test types into, line by line, and that ends when this is dropped.
pub(crate) struct Typed(tokio::io::DuplexStream);

impl Typed {
    pub(crate) async fn line(&mut self, line: &str) {
        tokio::io::AsyncWriteExt::write_all(&mut self.0, format!("{line}\n").as_bytes()).await.unwrap();
    }
}

/// A stream whose lines arrive at a receiver.
struct Lines {
    partial: Vec<u8>,
    lines: mpsc::UnboundedSender<String>,
    /// So many lines are taken; then the reader is gone.
    left: Option<usize>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if *byte != b'\n' {
                self.partial.push(*byte);
                continue;
            }
            if self.left == Some(0) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.left = self.left.map(|left| left - 1);
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).into_owned();
            drop(self.lines.send(line));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A run that goes on.
pub(crate) struct Running {
    pub(crate) stdout: mpsc::UnboundedReceiver<String>,
    pub(crate) stderr: mpsc::UnboundedReceiver<String>,
    interrupt: watch::Sender<bool>,
    task: JoinHandle<u8>,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: u8,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Ended {
    /// The lines of the standard output as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn assert_code(self, code: u8) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

impl Running {
    /// As Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.interrupt.send_replace(true);
    }

    /// The next line of the standard output.
    pub(crate) async fn line(&mut self) -> String {
        timeout(SOON, self.stdout.recv()).await.expect("no line came").expect("the output has ended")
    }

    /// Reads lines of the standard output until one holds this.
    pub(crate) async fn line_with(&mut self, part: &str) -> String {
        wait_line(&mut self.stdout, part).await
    }

    /// Reads lines of the standard error until one holds this.
    pub(crate) async fn error_with(&mut self, part: &str) -> String {
        wait_line(&mut self.stderr, part).await
    }

    pub(crate) async fn end(mut self) -> Ended {
        let code = timeout(SOON, self.task).await.expect("it has not ended").unwrap();
        let rest = |lines: &mut mpsc::UnboundedReceiver<String>| {
            std::iter::from_fn(|| lines.try_recv().ok()).collect::<Vec<_>>()
        };
        Ended { code, stdout: rest(&mut self.stdout), stderr: rest(&mut self.stderr) }
    }
}

async fn wait_line(lines: &mut mpsc::UnboundedReceiver<String>, part: &str) -> String {
    let mut seen = VecDeque::new();
    let found = timeout(SOON, async {
        while let Some(line) = lines.recv().await {
            if line.contains(part) {
                return Some(line);
            }
            seen.push_back(line);
        }
        None
    })
    .await;
    match found {
        Ok(Some(line)) => line,
        _ => panic!("no line holds {part:?}; there were {seen:#?}"),
    }
}

/// What surrounds a run.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) stdin: &'static str,
    pub(crate) stdin_is_terminal: bool,
    pub(crate) stderr_is_terminal: bool,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// The bus comes from this space, and not from a URL.
    pub(crate) space: Option<Space>,
    /// The reader of the standard output takes so many lines, and is gone.
    pub(crate) stdout_lines: Option<usize>,
}

impl World {
    /// Everything happens in this space.
    pub(crate) fn over(space: &Space) -> Self {
        Self { space: Some(space.clone()), ..Self::default() }
    }

    pub(crate) async fn run(self, args: &[&str]) -> Ended {
        self.start(args).end().await
    }

    /// Starts a run whose standard input is typed.
    pub(crate) fn start_typed(self, args: &[&str]) -> (Running, Typed) {
        let (typed, stdin) = tokio::io::duplex(4096);
        (self.start_with(Box::new(stdin), args), Typed(typed))
    }

    pub(crate) fn start(self, args: &[&str]) -> Running {
        let stdin = Box::new(io::Cursor::new(self.stdin));
        self.start_with(stdin, args)
    }

    fn start_with(self, stdin: Box<dyn AsyncRead + Send + Unpin>, args: &[&str]) -> Running {
        let (out, stdout) = mpsc::unbounded_channel();
        let (err, stderr) = mpsc::unbounded_channel();
        let (interrupt, interrupted) = Interrupt::channel();
        let io = Io {
            stdin,
            stdout: Box::new(Lines { partial: Vec::new(), lines: out, left: self.stdout_lines }),
            stderr: Box::new(Lines { partial: Vec::new(), lines: err, left: None }),
            stdin_is_terminal: self.stdin_is_terminal,
            stderr_is_terminal: self.stderr_is_terminal,
            color: false,
            environment: self
                .environment
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            interrupt: interrupted,
            reader_gone: Interrupt::channel().1,
            logging: false,
        };
        let args: Vec<std::ffi::OsString> =
            std::iter::once("agora").chain(args.iter().copied()).map(Into::into).collect();
        let bus = match self.space {
            Some(space) => Connector::over(move |cluster, node| space.connect(cluster, node)),
            None => Connector::by_url(),
        };
        let task = tokio::spawn(agora_cli::run(args, io, bus));
        Running { stdout, stderr, interrupt, task }
    }
}

/// Starts a run.
pub(crate) fn start(args: &[&str]) -> Running {
    World::default().start(args)
}

/// Runs to the end.
pub(crate) async fn run(args: &[&str]) -> Ended {
    start(args).end().await
}
