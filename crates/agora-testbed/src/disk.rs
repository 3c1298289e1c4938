//! A small file system of one's own, that can be full.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::failure::{Doing, Failure, Result};

/// Mounts it, says so, and keeps it until its input ends, which is when this process does.
const HOLD: &str = "mount -t tmpfs -o size=\"$2\" tmpfs \"$1\" && echo mounted && read -r _";
/// So much is written at once, to fill it.
const FILLING: [u8; 4096] = [0; 4096];

/// A file system in memory that only those see who are started in it.
///
/// It needs no rights: a user may mount in a name space of its own. Some systems forbid that.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    holder: Child,
    at: PathBuf,
}

impl SmallDisk {
    /// One of so many bytes, at this place, which is made.
    pub(crate) fn at(at: PathBuf, bytes: u64) -> Result<Self> {
        fs::create_dir_all(&at).doing("make a directory")?;
        let holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", HOLD, "sh"])
            .arg(&at)
            .arg(bytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .doing("start unshare, of util-linux")?;
        let mut disk = Self { holder, at };
        let mut said = String::new();
        let out = disk.holder.stdout.take().ok_or_else(|| Failure::new("unshare has no output"))?;
        BufReader::new(out).read_line(&mut said).doing("hear of unshare")?;
        if said.trim() == "mounted" {
            return Ok(disk);
        }
        let mut why = String::new();
        if let Some(errors) = disk.holder.stderr.take() {
            BufReader::new(errors).read_line(&mut why).doing("hear of unshare")?;
        }
        Err(Failure::new(format!(
            "a small file system cannot be made: {}. A user must be allowed name spaces of its own: see the sysctls \
             `user.max_user_namespaces`, `kernel.unprivileged_userns_clone` and \
             `kernel.apparmor_restrict_unprivileged_userns`; in a container, its seccomp profile",
            why.trim()
        )))
    }

    /// A command that runs this program where the file system is seen. It takes the program's place: their numbers of
    /// process are the same.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--preserve-credentials", "--user", "--mount", "--target"])
            .arg(self.holder.id().to_string())
            .arg("--")
            .arg(program);
        command
    }

    /// Where it is, as it is seen from here.
    pub(crate) fn seen(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.at.strip_prefix("/").unwrap_or(&self.at))
    }

    fn filling(&self) -> PathBuf {
        self.seen().join("filling")
    }

    /// Fills it up: nothing more can be written.
    pub(crate) fn fill(&self) -> Result {
        let mut file =
            File::options().create(true).append(true).open(self.filling()).doing("write to a small disk")?;
        loop {
            match file.write_all(&FILLING) {
                Ok(()) => {}
                Err(full) if full.kind() == ErrorKind::StorageFull => return Ok(()),
                other => return other.doing("fill a small disk"),
            }
        }
    }

    /// Makes room again.
    pub(crate) fn make_room(&self) -> Result {
        fs::remove_file(self.filling()).doing("make room on a small disk")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
