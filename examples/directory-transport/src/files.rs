//! A topic as a directory of files, each of which is one publish.
//!
//! A file is named by its number, from 0, and holds the time of its publish in microseconds, then each message behind
//! its length. It is written under another name first and linked to its own when it is whole: a link fails where the
//! name is taken, so that of two who want a number one gets it, and nobody ever reads half a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agora_core::id::TopicName;
use agora_core::transport::{OutFrame, Raw, TopicKind, TopicSpec};
use agora_core::{Error, ErrorKind, Result};
use bytes::Bytes;

use super::BACKEND;

/// A live topic keeps so many files: a reader that falls behind by more is told that it missed some.
pub(crate) const LIVE_FILES_MAX: u64 = 1024;

/// A topic's directory.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    directory: PathBuf,
    is_log: bool,
}

/// The messages of one publish.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) time: SystemTime,
    pub(crate) payloads: Vec<Bytes>,
}

impl Segment {
    /// A message, as the contract has it.
    pub(crate) fn raw(&self, index: usize) -> Option<Raw> {
        let payload = self.payloads.get(index)?.clone();
        Some(Raw { payload, lane: 0, key: None, headers: Vec::new(), time: Some(self.time) })
    }
}

fn path(root: &Path, topic: &TopicName, kind: TopicKind) -> PathBuf {
    let ending = if kind == TopicKind::Log { "log" } else { "live" };
    root.join(format!("{topic}.{ending}"))
}

impl Topic {
    /// Makes a topic, or finds it.
    pub(crate) fn make(root: &Path, topic: &TopicSpec) -> Result<()> {
        let kind = topic.kind();
        let other = if kind == TopicKind::Log { TopicKind::Live } else { TopicKind::Log };
        if path(root, &topic.name, other).exists() {
            return Err(Error::new(ErrorKind::Config, "the topic is of the other kind here")
                .backend(BACKEND)
                .context("topic", &topic.name)
                .help("every node must be told the same of a topic: is it live, or a log?"));
        }
        fs::create_dir_all(path(root, &topic.name, kind)).map_err(|source| super::failed("open", source))
    }

    /// A topic that was made.
    pub(crate) fn of(root: &Path, topic: &TopicName) -> Self {
        let log = path(root, topic, TopicKind::Log);
        let is_log = log.exists();
        Self { directory: if is_log { log } else { path(root, topic, TopicKind::Live) }, is_log }
    }

    fn file(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:020}"))
    }

    /// The first number that is there, and the one behind the last.
    pub(crate) fn range(&self) -> io::Result<(u64, u64)> {
        let mut range = None;
        for entry in fs::read_dir(&self.directory)? {
            // What is still being written has a name that is no number.
            if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok()) {
                let (first, end) = range.unwrap_or((number, number + 1));
                range = Some((first.min(number), end.max(number + 1)));
            }
        }
        Ok(range.unwrap_or((0, 0)))
    }

    /// Makes the next file of these messages.
    pub(crate) fn append(&self, frames: &[OutFrame]) -> io::Result<()> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        if frames.is_empty() {
            return Ok(());
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut bytes = (since.as_micros() as u64).to_le_bytes().to_vec();
        for frame in frames {
            bytes.extend((frame.payload.len() as u32).to_le_bytes());
            bytes.extend(&frame.payload);
        }
        fs::create_dir_all(&self.directory)?;
        let unique = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let whole = self.directory.join(format!(".{}-{unique}", std::process::id()));
        fs::write(&whole, bytes)?;
        let linked = self.link(&whole);
        fs::remove_file(&whole)?;
        let number = linked?;
        if !self.is_log && number >= LIVE_FILES_MAX {
            // Another writer may have taken it away already.
            let _ = fs::remove_file(self.file(number - LIVE_FILES_MAX));
        }
        Ok(())
    }

    /// Gives a file the next free number.
    fn link(&self, whole: &Path) -> io::Result<u64> {
        let (_, mut number) = self.range()?;
        loop {
            match fs::hard_link(whole, self.file(number)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
                Ok(()) => return Ok(number),
            }
        }
    }

    /// Reads a file; `None` where there is none of this number.
    pub(crate) fn read(&self, number: u64) -> io::Result<Option<Segment>> {
        match fs::read(self.file(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(bytes) => match parse(Bytes::from(bytes)) {
                Some(segment) => Ok(Some(segment)),
                None => {
                    Err(io::Error::new(io::ErrorKind::InvalidData, "a file that nobody here has written"))
                }
            },
        }
    }
}

/// Lengths are checked against what is there before anything is taken.
fn parse(mut bytes: Bytes) -> Option<Segment> {
    let micros = u64::from_le_bytes(take(&mut bytes, 8)?.as_ref().try_into().ok()?);
    let mut payloads = Vec::new();
    while !bytes.is_empty() {
        let len = u32::from_le_bytes(take(&mut bytes, 4)?.as_ref().try_into().ok()?);
        payloads.push(take(&mut bytes, len as usize)?);
    }
    Some(Segment { time: UNIX_EPOCH + Duration::from_micros(micros), payloads })
}

fn take(bytes: &mut Bytes, len: usize) -> Option<Bytes> {
    (bytes.len() >= len).then(|| bytes.split_to(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_lies_about_its_lengths_is_refused() {
        assert!(parse(Bytes::from_static(b"")).is_none());
        assert!(parse(Bytes::from_static(b"\0\0\0\0\0\0\0\0\xff\xff\xff\xffabc")).is_none());
        let good = parse(Bytes::from_static(b"\0\0\0\0\0\0\0\0\x03\0\0\0abc\0\0\0\0")).unwrap();
        assert_eq!(good.payloads, [&b"abc"[..], b""]);
    }
}
