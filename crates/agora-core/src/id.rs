//! Names and identities: what a cluster, a node, a topic, a source and a stream are called.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};

/// The longest topic name, in bytes.
pub const TOPIC_NAME_BYTES_MAX: usize = 200;
/// The longest cluster or node name, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// The longest name of a group, in bytes.
pub const GROUP_NAME_BYTES_MAX: usize = 100;
/// Topics that end so hold dead letters.
pub const DEAD_LETTERS_SUFFIX: &str = ".dead";
/// Topics that begin so are agora's own; an application cannot open one.
pub const RESERVED_TOPIC_PREFIX: &str = "_agora";

/// The name of a topic: words of `A-Z a-z 0-9 _ -` joined by dots, at most 200 bytes, such as `stwt.agora`.
///
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Checks `name` and takes it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is empty, too long, holds another character or an empty word, or begins
    /// with [`RESERVED_TOPIC_PREFIX`].
    pub fn new(name: &str) -> Result<Self> {
        check_words("topic", name, TOPIC_NAME_BYTES_MAX)?;
        if name.starts_with(RESERVED_TOPIC_PREFIX) {
            return Err(Error::new(ErrorKind::Config, "this topic name is reserved")
                .context("topic", name)
                .help(format!(
                    "names that begin with `{RESERVED_TOPIC_PREFIX}` are agora's own; take another"
                )));
        }
        Ok(Self(name.into()))
    }

    /// The topic on which nodes send heartbeats, hellos and repair requests: `_agora.control`.
    pub fn control() -> Self {
        Self("_agora.control".into())
    }

    /// The topic where a group of this topic puts what it cannot handle: `<topic>.<group>.dead`. No two groups share
    /// one, as the name of a group is one word.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when that is too long for a topic.
    pub fn dead_letters(&self, group: &GroupName) -> Result<Self> {
        Self::new(&format!("{self}.{group}{DEAD_LETTERS_SUFFIX}"))
    }

    /// Is it one where dead letters lie?
    pub fn is_dead_letters(&self) -> bool {
        self.0.ends_with(DEAD_LETTERS_SUFFIX)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a group: one word of `A-Z a-z 0-9 _ -`, at most 100 bytes, such as `player-projector`.
///
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// Checks `name` and takes it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is empty, too long, or holds another character.
    pub fn new(name: &str) -> Result<Self> {
        check_words("group", name, GROUP_NAME_BYTES_MAX)?;
        if name.contains('.') {
            return Err(Error::new(ErrorKind::Config, "not a valid group name: it holds a dot")
                .context("found", format!("{name:?}"))
                .help("the name of a group is one word: dots part the words of `<topic>.<group>.dead`"));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Checks a dotted name: what is allowed is the same for topics, clusters and nodes.
pub(crate) fn check_words(what: &'static str, name: &str, bytes_max: usize) -> Result<()> {
    let wrong = |why: String| {
        let shown: String = name.chars().take(80).collect();
        Err(Error::new(ErrorKind::Config, format!("not a valid {what} name: {why}"))
            .context("found", format!("{shown:?}"))
            .help(format!(
                "a {what} name is words of A-Z a-z 0-9 _ - joined by dots, at most {bytes_max} bytes"
            )))
    };
    if name.is_empty() {
        return wrong("it is empty".into());
    }
    if name.len() > bytes_max {
        return wrong(format!("it has {} bytes", name.len()));
    }
    if let Some(c) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        return wrong(format!("it holds {c:?}"));
    }
    if name.split('.').any(str::is_empty) {
        return wrong("a word between dots is empty".into());
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks `name` and takes it.
            ///
            /// # Errors
            /// [`ErrorKind::Config`] when it is empty, longer than 200 bytes or holds anything but words of
            /// `A-Z a-z 0-9 _ -` joined by dots.
            pub fn new(name: &str) -> Result<Self> {
                check_words($what, name, NAME_BYTES_MAX)?;
                Ok(Self(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name_type!(
    /// The name of a cluster. Nodes of different clusters never hear each other, even on one server.
    ClusterName,
    "cluster"
);
name_type!(
    /// The name of a node, by default its host name. Two live nodes must not share one.
    NodeName,
    "node"
);

macro_rules! hex_id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub u64);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hex_id!(
    /// A node, as frames name it: the first eight bytes, big endian, of the SHA-256 of its name.
    NodeId
);
hex_id!(
    /// One life of a node: a random number, drawn when its bus opens. Compared by equality only, so that a clock
    /// that was set back can never mute a node. The order of the type is for containers and means nothing.
    Incarnation
);
hex_id!(
    /// A lane of a topic of a cluster, as frames name it: see [`StreamId::of`].
    StreamId
);

impl NodeId {
    /// The identity of the node of this name.
    pub fn of(name: &NodeName) -> Self {
        Self(hash64(&[b"node", name.as_str().as_bytes()]))
    }
}

impl StreamId {
    /// The identity of one lane of a topic in a cluster. A frame that carries another is never delivered.
    pub fn of(cluster: &ClusterName, topic: &TopicName, lane: u32) -> Self {
        Self(hash64(&[
            b"stream",
            cluster.as_str().as_bytes(),
            topic.as_str().as_bytes(),
            &lane.to_le_bytes(),
        ]))
    }
}

/// The first eight bytes, big endian, of the SHA-256 of the parts, each behind its length (u32, little endian).
fn hash64(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        hash.update(length.to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte))
}

/// Who published: one life of one node. The unit in which order and sequences are kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    /// The node.
    pub node: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.incarnation)
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names() {
        let long = "a".repeat(TOPIC_NAME_BYTES_MAX);
        for good in ["stwt.agora", "a", "angzarr.events.player-1", "A_b.C-d", long.as_str()] {
            assert_eq!(TopicName::new(good).unwrap().as_str(), good);
        }
        let longer = "a".repeat(TOPIC_NAME_BYTES_MAX + 1);
        for bad in ["", ".", "a..b", ".a", "a.", "a b", "a/b", "a*", "ä", "_agora.control", longer.as_str()]
        {
            assert_eq!(TopicName::new(bad).unwrap_err().kind(), ErrorKind::Config, "{bad:?}");
        }
    }

    #[test]
    fn parts_of_a_stream_cannot_slide_into_each_other() {
        let id = |cluster: &str, topic: &str, lane| {
            StreamId::of(&ClusterName::new(cluster).unwrap(), &TopicName::new(topic).unwrap(), lane)
        };
        assert_ne!(id("a", "bc", 0), id("ab", "c", 0));
        assert_ne!(id("a", "b", 0), id("a", "b", 1));
        assert_eq!(id("a", "b", 0), id("a", "b", 0));
    }
}
