//! What ends a server when the process that started it dies, however it dies.

use std::process::{Child, Command, Stdio};

use crate::failure::{Doing, Result};

/// A shell that waits for the end of its input, which comes when this process ends, and then kills the server.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    pub(crate) fn over(id: u32) -> Result<Self> {
        let script = format!("read -r _; kill -9 {id}");
        let guard = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing("start a shell")?;
        Ok(Self(guard))
    }
}

impl Drop for Guard {
    /// The server is dealt with: nobody is to be killed any more.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
