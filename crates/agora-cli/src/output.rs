//! The standard output and the standard error.
//!
//! The output is written by a thread of its own: a reader that does not read must not stop the run from being
//! interrupted, nor its heartbeats.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use agora::Error;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;
use crate::io::Interrupt;
use crate::json;
use crate::progress::{Progress, SharedWriter};

/// Lines that wait to be written.
const LINES_MAX: usize = 1024;
/// How long the last lines are given to be read.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What the writing thread gets.
enum Piece {
    /// A line, without its end.
    Line(Vec<u8>),
    /// Tell when everything before it was written.
    Flush(oneshot::Sender<()>),
}

/// Where the lines of a run go.
pub(crate) struct Output {
    json: bool,
    /// Does somebody watch the standard error?
    watched: bool,
    /// Taken at the end.
    lines: Option<mpsc::Sender<Piece>>,
    /// How the writing ended; taken when that is known.
    ended: Option<oneshot::Receiver<io::Result<()>>>,
    reader_gone: Interrupt,
    stderr: SharedWriter,
}

impl Output {
    pub(crate) fn new(
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
        reader_gone: Interrupt,
        json: bool,
        watched: bool,
    ) -> io::Result<Self> {
        let (lines, receiver) = mpsc::channel(LINES_MAX);
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("agora-output".into()).spawn(move || {
            // Whoever waited for the end may be gone.
            let _ = end.send(write_lines(stdout, receiver));
        })?;
        let (lines, ended, stderr) = (Some(lines), Some(ended), Arc::new(Mutex::new(stderr)));
        Ok(Self { json, watched, lines, ended, reader_gone, stderr })
    }

    /// Is the output JSON?
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Writes a line; waits where the reader is slow.
    pub(crate) async fn line(&mut self, line: String) -> Result<(), Failure> {
        self.bytes(line.into_bytes()).await
    }

    /// Writes bytes as they are, and the end of a line.
    pub(crate) async fn bytes(&mut self, line: Vec<u8>) -> Result<(), Failure> {
        self.send(Piece::Line(line)).await
    }

    /// Returns when everything was written: what the reader was to get is no longer this program's.
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        let (done, written) = oneshot::channel();
        self.send(Piece::Flush(done)).await?;
        match written.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why_ended().await),
        }
    }

    async fn send(&mut self, piece: Piece) -> Result<(), Failure> {
        if let Some(lines) = &self.lines
            && lines.send(piece).await.is_ok()
        {
            return Ok(());
        }
        Err(self.why_ended().await)
    }

    async fn why_ended(&mut self) -> Failure {
        match self.ended.take() {
            Some(ended) => match ended.await {
                Ok(Err(error)) => error.into(),
                Ok(Ok(())) | Err(_) => Failure::OutputClosed,
            },
            None => Failure::OutputClosed,
        }
    }

    /// Shows how far the run has come, where somebody watches.
    pub(crate) fn progress(&self, total: Option<u64>) -> Progress {
        if self.watched && !self.json { Progress::on(self.stderr.clone(), total) } else { Progress::none() }
    }

    /// Writes one object, or the line that says the same to people.
    pub(crate) async fn say(
        &mut self,
        object: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let line = if self.json { json::line(object) } else { text() };
        self.line(line).await
    }

    /// Tells on the standard error what goes on, as an object or as a line.
    pub(crate) fn note(&self, object: &impl Serialize, text: impl FnOnce() -> String) {
        let line = if self.json { json::line(object) } else { text() };
        self.stderr_line(&line);
    }

    /// Tells on the standard error what went wrong and what to do.
    pub(crate) fn error(&self, error: &Error) {
        if self.json {
            return self.stderr_line(&json::line(&json::ErrorLine::of(error)));
        }
        self.stderr_line(&format!("error: {error}"));
        if let Some(help) = error.help_text() {
            self.stderr_line(&format!("help: {help}"));
        }
    }

    /// Writes to the standard error as it is.
    pub(crate) fn plain_error(&self, text: &str) {
        self.stderr_line(text);
    }

    /// Asks something, and leaves the end of the line to the answer.
    pub(crate) fn prompt(&self, text: &str) {
        let mut stderr = self.stderr.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = write!(stderr, "{text}");
        let _ = stderr.flush();
    }

    fn stderr_line(&self, line: &str) {
        let mut stderr = self.stderr.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Whoever closed the standard error does not want to know.
        let _ = writeln!(stderr, "{line}");
        let _ = stderr.flush();
    }

    /// Returns when a line could not be written. The output may stay in use meanwhile.
    pub(crate) fn broken(&self) -> impl Future<Output = ()> + Send + use<> {
        let lines = self.lines.clone();
        async move {
            if let Some(lines) = lines {
                lines.closed().await;
            }
        }
    }

    /// Returns when nobody reads the output any more, even if nothing is written: for commands that do nothing but
    /// tell. The output may stay in use meanwhile.
    pub(crate) fn reader_gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let (broken, mut gone) = (self.broken(), self.reader_gone.clone());
        async move {
            tokio::select! {
                () = broken => {}
                () = gone.wait() => {}
            }
        }
    }

    /// Writes what waits, as far as it is read in time.
    pub(crate) async fn finish(&mut self) -> Result<(), Failure> {
        self.lines = None;
        let Some(ended) = self.ended.take() else { return Ok(()) };
        match tokio::time::timeout(LAST_LINES, ended).await {
            Ok(Ok(Err(error))) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn write_lines(mut stdout: Box<dyn Write + Send>, mut lines: mpsc::Receiver<Piece>) -> io::Result<()> {
    while let Some(piece) = lines.blocking_recv() {
        match piece {
            Piece::Line(mut line) => {
                line.push(b'\n');
                stdout.write_all(&line)?;
                // Many lines at once are written at once, and the last of them at once too.
                if lines.is_empty() {
                    stdout.flush()?;
                }
            }
            Piece::Flush(done) => {
                stdout.flush()?;
                // Whoever waited may be gone.
                let _ = done.send(());
            }
        }
    }
    stdout.flush()
}
