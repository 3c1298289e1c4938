//! Where Kafka and the Java that runs it come from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::cache;
use crate::failure::{Doing, Failure, Result};
use crate::fetch;
use crate::find::{self, Found, Version};

/// An installed Kafka starts with it, and has its jars in `libs` beside the directory that it is in.
pub(crate) const SCRIPT: &str = "kafka-server-start.sh";
/// Where an installed Kafka is, for those who do not have its scripts on the PATH.
pub const KAFKA_HOME: &str = "KAFKA_HOME";
/// Kafka 4 needs it.
const JAVA_LEAST: u32 = 17;
/// Kafka brings no logger that writes.
pub(crate) const LOGGER: &str = "org.slf4j:slf4j-simple:1.7.36";

/// A line of Kafka that tests run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum KafkaVersion {
    /// 3.9, the last one before 4.0 dropped old versions of messages.
    V3_9,
    /// 4.1, or a later one of 4 where it is installed.
    #[default]
    V4_1,
}

impl KafkaVersion {
    pub(crate) fn least(self) -> Version {
        match self {
            Self::V3_9 => (3, 9),
            Self::V4_1 => (4, 1),
        }
    }

    /// Is a Kafka of this version one of the line?
    pub(crate) fn takes(self, version: Version) -> bool {
        version >= self.least() && version.0 == self.least().0
    }

    /// The release that is fetched.
    pub(crate) fn pinned(self) -> &'static str {
        match self {
            Self::V3_9 => "3.9.1",
            Self::V4_1 => "4.1.1",
        }
    }
}

/// The installed Kafka that this script belongs to; `None` where it is none, or there is no Java for it.
pub(crate) fn beside(script: &Path) -> Option<Found> {
    // The script may be a link from a directory of the PATH.
    let home = script.canonicalize().ok()?.parent()?.parent()?.to_owned();
    in_libs(&home.join("libs")).ok()
}

/// The Kafka of `KAFKA_HOME`, where that is set and its version is of the line.
pub(crate) fn at_home(line: KafkaVersion) -> Result<Option<Found>> {
    let Some(home) = std::env::var_os(KAFKA_HOME).filter(|home| !home.is_empty()) else { return Ok(None) };
    let found = in_libs(&Path::new(&home).join("libs"))?;
    Ok(line.takes(found.version).then_some(found))
}

/// The pinned release, from Maven.
pub(crate) fn fetched(line: KafkaVersion) -> Result<Found> {
    // Before Maven: it takes Java too, and says so in its own words.
    java()?;
    let release = line.pinned();
    let kafka = format!("org.apache.kafka:kafka_2.13:{release}");
    let libs = cache::filled(&format!("kafka-{release}"), |into| fetch::maven(&[&kafka, LOGGER], into))?;
    in_libs(&libs)
}

/// A Kafka by its jars. Its class path goes by the environment: every program of Kafka is then started alike.
fn in_libs(libs: &Path) -> Result<Found> {
    let listed = std::fs::read_dir(libs).doing(format_args!("list {}", libs.display()))?;
    let names = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let version = names.into_iter().find_map(|name| version_of(&name));
    let version = version.ok_or_else(|| Failure::new(format!("there is no Kafka in {}", libs.display())))?;
    let class_path: OsString = libs.join("*").into_os_string();
    Ok(Found { path: java()?.path.clone(), version, env: vec![("CLASSPATH", class_path)] })
}

/// The version in the name of Kafka's own jar, such as `kafka_2.13-4.1.1.jar`.
fn version_of(jar: &str) -> Option<Version> {
    let (_, version) = jar.strip_prefix("kafka_")?.strip_suffix(".jar")?.split_once('-')?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// A Java that is new enough.
#[derive(Clone, Debug)]
pub(crate) struct Java {
    pub(crate) path: PathBuf,
    pub(crate) major: u32,
}

/// That of `JAVA_HOME`, else the first on the PATH that is new enough. Looked for once in the life of this process: to
/// ask Java for its version takes a moment each time.
pub(crate) fn java() -> Result<&'static Java> {
    static FOUND: OnceLock<Option<Java>> = OnceLock::new();
    FOUND.get_or_init(find_java).as_ref().ok_or_else(|| {
        let what = "there is no Java of at least";
        Failure::new(format!(
            "{what} {JAVA_LEAST} in JAVA_HOME or on the PATH (Debian: default-jre-headless)"
        ))
    })
}

fn find_java() -> Option<Java> {
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let all = home.into_iter().filter(|path| path.is_file()).chain(find::files_on_path("java"));
    let known = all.filter_map(|path| {
        let out = Command::new(&path).arg("-version").output().ok()?;
        let major = java_major(&String::from_utf8_lossy(&out.stderr))?;
        Some(Java { path, major })
    });
    known.into_iter().find(|java| java.major >= JAVA_LEAST)
}

/// The first number of what `java -version` says between quotes. Before 9 that was a 1.
fn java_major(said: &str) -> Option<u32> {
    let version = said.split('"').nth(1)?;
    version.split(['.', '-', '+']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_kafka_is_in_the_name_of_its_jar() {
        assert_eq!(version_of("kafka_2.13-4.1.1.jar"), Some((4, 1)));
        assert_eq!(version_of("kafka_2.13-3.9.1.jar"), Some((3, 9)));
        assert_eq!(version_of("kafka-clients-4.1.1.jar"), None);
    }

    #[test]
    fn an_installed_kafka_is_known_by_its_script_and_its_jars() {
        let home = cache::data("kafka-home").unwrap();
        for directory in ["bin", "libs"] {
            std::fs::create_dir_all(home.join(directory)).unwrap();
        }
        let script = home.join("bin").join(SCRIPT);
        std::fs::write(&script, "").unwrap();
        assert!(beside(&script).is_none(), "it has no jars");
        std::fs::write(home.join("libs/kafka_2.13-4.2.0.jar"), "").unwrap();
        let found = beside(&script).unwrap();
        assert_eq!(found.version, (4, 2));
        let libs = home.canonicalize().unwrap().join("libs/*");
        assert_eq!(found.env, [("CLASSPATH", libs.into_os_string())]);
        std::fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_line_takes_later_releases_of_its_own_and_no_others() {
        assert!(KafkaVersion::V4_1.takes((4, 1)) && KafkaVersion::V4_1.takes((4, 3)));
        assert!(!KafkaVersion::V4_1.takes((4, 0)) && !KafkaVersion::V4_1.takes((5, 0)));
        assert!(KafkaVersion::V3_9.takes((3, 9)) && !KafkaVersion::V3_9.takes((4, 1)));
    }

    #[test]
    fn the_version_of_java_is_read_as_old_and_new_ones_tell_it() {
        assert_eq!(java_major("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK ..."), Some(17));
        assert_eq!(java_major("openjdk version \"21-ea\" 2023"), Some(21));
        assert_eq!(java_major("java version \"1.8.0_402\""), Some(1));
        assert_eq!(java_major("no java"), None);
    }
}
