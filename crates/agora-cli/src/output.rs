//! The standard output and the standard error.
//!
//! The output is written by a thread of its own: a reader that does not read must not stop the run from being
//! interrupted, nor its heartbeats.

use std::io::{self, Write};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use agora::Error;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;
use crate::io::Interrupt;
use crate::json;

/// Lines that wait to be written.
const LINES_MAX: usize = 1024;
/// How long the last lines are given to be read.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Where the lines of a run go.
pub(crate) struct Output {
    json: bool,
    /// Taken at the end.
    lines: Option<mpsc::Sender<String>>,
    /// How the writing ended; taken when that is known.
    ended: Option<oneshot::Receiver<io::Result<()>>>,
    reader_gone: Interrupt,
    stderr: Mutex<Box<dyn Write + Send>>,
}

impl Output {
    pub(crate) fn new(
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
        reader_gone: Interrupt,
        json: bool,
    ) -> io::Result<Self> {
        let (lines, receiver) = mpsc::channel(LINES_MAX);
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("agora-output".into()).spawn(move || {
            // Whoever waited for the end may be gone.
            let _ = end.send(write_lines(stdout, receiver));
        })?;
        Ok(Self { json, lines: Some(lines), ended: Some(ended), reader_gone, stderr: Mutex::new(stderr) })
    }

    /// Is the output JSON?
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Writes a line; waits where the reader is slow.
    pub(crate) async fn line(&mut self, line: String) -> Result<(), Failure> {
        if let Some(lines) = &self.lines
            && lines.send(line).await.is_ok()
        {
            return Ok(());
        }
        match self.ended.take() {
            Some(ended) => match ended.await {
                Ok(Err(error)) => Err(error.into()),
                Ok(Ok(())) | Err(_) => Err(Failure::OutputClosed),
            },
            None => Err(Failure::OutputClosed),
        }
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

fn write_lines(mut stdout: Box<dyn Write + Send>, mut lines: mpsc::Receiver<String>) -> io::Result<()> {
    while let Some(line) = lines.blocking_recv() {
        writeln!(stdout, "{line}")?;
        // Many lines at once are written at once, and the last of them at once too.
        if lines.is_empty() {
            stdout.flush()?;
        }
    }
    stdout.flush()
}
