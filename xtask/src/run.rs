//! Running commands: each is printed before it runs, and a failure names the command.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::process::{Command, ExitStatus};

use crate::workspace;

/// Why a chore failed, in one sentence for the person who started it.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// The result of a chore.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds to an I/O error what was being done.
pub(crate) trait Doing<T> {
    /// `what` continues the sentence "cannot ...".
    fn doing(self, what: impl fmt::Display) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure::new(format!("cannot {what}: {error}")))
    }
}

/// A `cargo` command in the workspace's root.
pub(crate) fn cargo<I, S>(args: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(args).current_dir(workspace::root());
    // Cargo told this process which package it is. Handed on, these make build scripts that watch them run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let about_xtask = ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| text.starts_with(prefix));
        if about_xtask {
            command.env_remove(&name);
        }
    }
    command
}

/// Prints the command, runs it with its output shown, and demands success.
pub(crate) fn step(mut command: Command) -> Result {
    announce(&command);
    let status = command.status().doing(format_args!("start `{}`", shown(&command)))?;
    succeeded(&command, status)
}

/// Prints the command as one could type it.
pub(crate) fn announce(command: &Command) {
    println!("\n$ {}", shown(command));
}

/// Runs the command silently and gives what it wrote to its standard output.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let out = command.output().doing(format_args!("start `{}`", shown(&command)))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        return Err(Failure::new(format!("`{}` failed ({}): {}", shown(&command), out.status, said.trim())));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// An error, unless the command ended well.
pub(crate) fn succeeded(command: &Command, status: ExitStatus) -> Result {
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` failed ({status})", shown(command))))
}

/// The command line, with the variables that were set for it in front.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.to_string_lossy(), quoted(&value.to_string_lossy())));
        }
    }
    // The full path of cargo is of no interest to who reads along.
    let program = command.get_program();
    let program = std::path::Path::new(program).file_name().unwrap_or(program);
    words.push(quoted(&program.to_string_lossy()));
    words.extend(command.get_args().map(|arg| quoted(&arg.to_string_lossy())));
    words.join(" ")
}

/// The word in single quotes where a shell would otherwise split or expand it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/some/where/cargo");
        command.args(["doc", "--no-deps", "it's"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(shown(&command), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'");
    }

    #[test]
    fn a_failure_names_the_command_and_its_answer() {
        let failed = output(cargo(["no-such-command"])).unwrap_err().to_string();
        assert!(failed.starts_with("`cargo no-such-command` failed (exit status: 101): error:"), "{failed}");
    }
}
