//! Clients of other makers and languages, for tests of what they read and write.

pub mod kafka;
mod running;

use std::path::PathBuf;
use std::process::Command;

use crate::cache;
use crate::failure::Result;
use crate::fetch;
use crate::find::Program;

pub use running::Client;

const NATS_PY: &str = "nats-py==2.16.0";

/// The client of NATS for Python: a directory for `PYTHONPATH`.
///
/// # Errors
/// Where it cannot be fetched.
pub fn nats_py() -> Result<PathBuf> {
    cache::filled(&NATS_PY.replace("==", "-"), |into| fetch::wheel(NATS_PY, into))
}

/// `redis-cli`, which lies beside the server, or on the PATH with it.
///
/// # Errors
/// Where there is none.
pub fn redis_cli(port: u16) -> Result<Command> {
    let server = Program::Redis.find()?;
    let mut command = Command::new(server.path.with_file_name("redis-cli"));
    command.envs(server.env).args(["-p", &port.to_string()]);
    Ok(command)
}
