//! The binary beside clients of Kafka that nobody here wrote: each reads what the other wrote, and they share the work of
//! groups.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test")]

mod groups;
mod records;
mod scripts;

use std::process::Command;
use std::time::Duration;

use agora_testbed::clients::Client;
use serde_json::Value;

/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(90);

/// The binary on a broker.
fn agora(url: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agora"));
    command.args(words).args(["--url", url, "--json"]).env_remove("AGORA_URL");
    command
}

/// Runs a program to its end.
async fn run(command: Command, input: &str) -> String {
    Client::run(command, input, SOON).await.unwrap()
}

/// Runs the binary to its end, and gives the objects that it printed.
async fn told(url: &str, words: &[&str], input: &str) -> Vec<Value> {
    let lines = run(agora(url, words), input).await;
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
