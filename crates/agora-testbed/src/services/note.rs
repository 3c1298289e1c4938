//! Which process a server is: its number alone may be another's by now.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use crate::failure::{Doing, Result};

/// The number of a process, and the command line that it was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) id: u32,
    command: String,
}

impl Note {
    pub(super) fn of(id: u32, program: &Path, args: &[String]) -> Self {
        let words = std::iter::once(program.to_string_lossy().into_owned()).chain(args.iter().cloned());
        Self { id, command: words.collect::<Vec<_>>().join(" ") }
    }

    /// What was written, `None` where nothing was.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.doing(format_args!("read {}", path.display()))?,
        };
        let note = text.split_once('\n').and_then(|(id, command)| {
            Some(Self { id: id.parse().ok()?, command: command.trim_end().to_owned() })
        });
        Ok(note)
    }

    pub(super) fn write(&self, path: &Path) -> Result {
        let text = format!("{}\n{}\n", self.id, self.command);
        fs::write(path, text).doing(format_args!("write {}", path.display()))
    }

    /// Does the process run still, and is it the one that was noted?
    pub(super) fn holds(&self) -> bool {
        running(self.id).is_some_and(|command| is_same(&self.command, &command))
    }
}

/// Redis shows its address behind its name; its other words are gone. One Java is as good as another: its words count.
fn is_same(noted: &str, running: &str) -> bool {
    let program = |command: &str| command.split(' ').next().map(str::to_owned);
    let is_title = running.split(' ').nth(1).is_some_and(|word| word.contains(':'));
    running == noted || (is_title && program(noted) == program(running))
}

/// The command line of a process; `None` where it is not there, or has ended and only waits to be noticed.
fn running(id: u32) -> Option<String> {
    if cfg!(target_os = "linux") {
        let words = fs::read(format!("/proc/{id}/cmdline")).ok().filter(|words| !words.is_empty())?;
        return Some(String::from_utf8_lossy(&words).replace('\0', " ").trim_end().to_owned());
    }
    let out = Command::new("ps").args(["-p", &id.to_string(), "-o", "args="]).output().ok()?;
    let said = String::from_utf8_lossy(&out.stdout).trim_end().to_owned();
    (!said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_changed_its_title_is_known_and_another_program_is_not() {
        let noted = "/x/redis-server --port 6379 --save ";
        assert!(is_same(noted, noted));
        assert!(is_same(noted, "/x/redis-server 127.0.0.1:6379"));
        assert!(!is_same(noted, "/bin/sh -c sleep"));
        assert!(!is_same("/x/java -Xmx400m kafka.Kafka a", "/x/java -Xmx400m kafka.Kafka b"));
    }

    #[test]
    fn a_process_that_is_another_s_by_now_does_not_hold() {
        let this = Note::of(std::process::id(), Path::new("/nowhere/redis-server"), &[]);
        assert!(!this.holds());
        let command = running(std::process::id()).unwrap();
        assert!(Note { id: std::process::id(), command }.holds());
    }
}
