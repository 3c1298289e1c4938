//! A command with an end: past its time it is killed, together with everything that it started.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::run::{Doing, Result};

/// How a command ended.
#[derive(Debug)]
pub(super) enum Ended {
    Itself(ExitStatus),
    /// It was killed.
    OutOfTime,
}

/// How often to look whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs the command for at most `limit`; what it prints goes to `log`.
pub(super) fn run(mut command: Command, limit: Duration, log: &Path) -> Result<Ended> {
    let file = File::create(log).doing(format_args!("create {}", log.display()))?;
    let both = file.try_clone().doing(format_args!("share {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file).stderr(both);
    // A group of its own: cargo's child, the test, would outlive cargo alone.
    command.process_group(0);
    let mut child = command.spawn().doing("start cargo")?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().doing("wait for cargo")? {
            return Ok(Ended::Itself(status));
        }
        if Instant::now() >= deadline {
            if let Ok(group) = i32::try_from(child.id()) {
                // It may have ended this very moment: then there is nothing to kill.
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            child.wait().doing("wait for cargo")?;
            return Ok(Ended::OutOfTime);
        }
        thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;
    use std::fs;

    fn shell(script: &str, limit: Duration, name: &str) -> (Ended, String) {
        let directory = workspace::root().join("target/xtask-tests/limited");
        fs::create_dir_all(&directory).unwrap();
        let log = directory.join(name);
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        (run(command, limit, &log).unwrap(), fs::read_to_string(&log).unwrap())
    }

    #[test]
    fn a_command_that_ends_is_logged() {
        let (ended, log) = shell("echo out; echo err >&2; exit 3", Duration::from_secs(60), "ends");
        assert!(matches!(ended, Ended::Itself(status) if status.code() == Some(3)));
        assert_eq!(log, "out\nerr\n");
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        // The child writes its id; once it is gone, nothing with that id answers any more.
        let (ended, log) = shell("sleep 600 & echo $!; wait", Duration::from_millis(300), "hangs");
        assert!(matches!(ended, Ended::OutOfTime));
        let child = Pid::from_raw(log.trim().parse().unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        let running = || {
            let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            // Whoever inherits it may take a moment to collect it: a zombie does not run.
            !state.is_empty() && !state.contains(") Z ")
        };
        while running() {
            assert!(Instant::now() < deadline, "process {child} is still there");
            thread::sleep(LOOK_EVERY);
        }
    }
}
