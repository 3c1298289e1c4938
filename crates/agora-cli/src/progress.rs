//! How far a long run has come, on a terminal.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

/// So often a second it is drawn anew, at most.
const DRAWN_HZ: u8 = 10;

/// A stream that several write to.
pub(crate) type SharedWriter = Arc<Mutex<Box<dyn Write + Send>>>;

/// A bar, or nothing where nobody watches.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Nothing.
    pub(crate) fn none() -> Self {
        Self(ProgressBar::hidden())
    }

    /// A bar of so many steps, or a counter where nobody knows how many there will be.
    pub(crate) fn on(terminal: SharedWriter, total: Option<u64>) -> Self {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(Terminal(terminal)), DRAWN_HZ);
        let bar = ProgressBar::with_draw_target(total, target);
        let form = match total {
            Some(_) => "{bar:30} {human_pos} of {human_len} events  {rate}  {eta} left",
            None => "{spinner} {human_pos} events  {rate}",
        };
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style.with_key("rate", rate));
        }
        Self(bar)
    }

    /// One step more.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }
}

fn rate(state: &ProgressState, text: &mut dyn std::fmt::Write) {
    // A text takes whatever is written to it.
    let _ = write!(text, "{:.0}/s", state.per_sec());
}

/// However a run ends, what it says last stands on a line of its own.
impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Draws through the standard error of the run, so that both never write at once.
#[derive(Clone)]
struct Terminal(SharedWriter);

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terminal")
    }
}

impl Terminal {
    fn put(&self, text: &str) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes())
    }

    fn go(&self, steps: usize, direction: char) -> io::Result<()> {
        if steps == 0 { Ok(()) } else { self.put(&format!("\u{1b}[{steps}{direction}")) }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        80
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.put(line)?;
        self.put("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.put(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}
