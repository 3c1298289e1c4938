//! Where a run reads, writes, and learns that it is to end.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process;

use tokio::io::AsyncRead;
use tokio::sync::watch;

use crate::failure::INTERRUPTED;

/// The world around a run of the command line.
pub struct Io {
    /// The standard input.
    pub stdin: Box<dyn AsyncRead + Send + Unpin>,
    /// The standard output: what was asked for, and nothing else.
    pub stdout: Box<dyn Write + Send>,
    /// The standard error: what went wrong, and what goes on.
    pub stderr: Box<dyn Write + Send>,
    /// Is the standard input a terminal? Then nobody types an event into it by accident.
    pub stdin_is_terminal: bool,
    /// Is the standard error a terminal? Then somebody may watch how far a run has come.
    pub stderr_is_terminal: bool,
    /// May the standard output be coloured?
    pub color: bool,
    /// The variables, of which those of agora and of its backends count.
    pub environment: Vec<(OsString, OsString)>,
    /// Set when the run is to end.
    pub interrupt: Interrupt,
    /// Set when nobody reads the standard output any more, where that shows before something is written.
    pub reader_gone: Interrupt,
    /// May this run set the process's logger?
    pub logging: bool,
}

/// The standard input, for a command that reads it.
pub(crate) struct Input {
    pub(crate) stdin: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) is_terminal: bool,
}

impl Io {
    /// The streams, variables and signals of this process. Ctrl-C and SIGTERM end the run in an orderly way; the
    /// second one ends the process.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn of_process() -> Self {
        let stdout = std::io::stdout();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            stdin: Box::new(tokio::io::stdin()),
            color: stdout.is_terminal() && !no_color,
            stdout: Box::new(stdout),
            stderr: Box::new(std::io::stderr()),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            environment: std::env::vars_os().collect(),
            interrupt: Interrupt::of_process(),
            reader_gone: reader_gone(),
            logging: true,
        }
    }
}

/// Watches the standard output of this process. A reader that goes away shows at the next write; where there may be
/// none for hours, as in `agora subscribe quiet | head -1`, that would be too late.
#[cfg(unix)]
fn reader_gone() -> Interrupt {
    use std::os::fd::AsFd;

    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    let (sender, gone) = Interrupt::channel();
    let watch = move || {
        let stdout = std::io::stdout();
        // Errors and hang-ups are told without being asked for; of a file there are none, and this waits for ever.
        let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        while poll(&mut watched, PollTimeout::NONE) == Err(Errno::EINTR) {}
        if watched[0].any() == Some(true) {
            sender.send_replace(true);
        }
    };
    // Without the thread, the next write tells.
    drop(std::thread::Builder::new().name("agora-reader".into()).spawn(watch));
    gone
}

#[cfg(not(unix))]
fn reader_gone() -> Interrupt {
    Interrupt::channel().1
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("color", &self.color).finish_non_exhaustive()
    }
}

/// Tells a run, once, of something that ends it.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// An interrupt, and what sets it: send `true`. Where the sender is dropped instead, it is never set.
    pub fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    fn of_process() -> Self {
        let (sender, interrupt) = Self::channel();
        tokio::spawn(async move {
            let mut signals = Signals::new();
            signals.next().await;
            sender.send_replace(true);
            signals.next().await;
            process::exit(i32::from(INTERRUPTED));
        });
        interrupt
    }

    /// Returns when it is set.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn wait(&mut self) {
        if self.0.wait_for(|set| *set).await.is_err() {
            // Nobody is left who could set it.
            std::future::pending().await
        }
    }
}

#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    /// A signal that cannot be listened to keeps its default: it ends the process.
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        Self(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    async fn next(&mut self) {
        std::future::poll_fn(|cx| {
            let any = self
                .0
                .iter_mut()
                .any(|signal| matches!(signal.poll_recv(cx), std::task::Poll::Ready(Some(()))));
            if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
