//! Cursors: a file each, which is changed under the lock of its topic.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use agora_core::id::TopicName;
use agora_core::transport::{CursorStore, Fence, Position};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;

use super::{BACKEND, DirectoryTransport, failed};

/// What is kept under a name: the right that was given last, and what was saved.
#[derive(Default)]
struct Kept {
    fence: u64,
    cursor: Option<Vec<u8>>,
}

/// The cursors of one topic, which nobody else changes as long as this lives: the lock ends with its file.
struct Cursors {
    directory: PathBuf,
    _lock: File,
}

impl Cursors {
    fn lock(root: &Path, topic: &TopicName) -> io::Result<Self> {
        let directory = root.join(format!("{topic}.cursors"));
        fs::create_dir_all(&directory)?;
        // A name cannot begin with a dot, so no cursor is called so.
        let lock = File::create(directory.join(".lock"))?;
        lock.lock()?;
        Ok(Self { directory, _lock: lock })
    }

    fn load(&self, name: &str) -> io::Result<Kept> {
        let bytes = match fs::read(self.directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            bytes => bytes?,
        };
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "a cursor that nobody here has written");
        let (fence, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
        let cursor = match rest.split_first().ok_or_else(wrong)? {
            (0, _) => None,
            (_, cursor) => Some(cursor.to_vec()),
        };
        Ok(Kept { fence: u64::from_le_bytes(*fence), cursor })
    }

    /// Written under another name first, so that whoever dies here leaves the old one or the new one.
    fn store(&self, name: &str, Kept { fence, cursor }: &Kept) -> io::Result<()> {
        let mut bytes = fence.to_le_bytes().to_vec();
        bytes.push(u8::from(cursor.is_some()));
        bytes.extend(cursor.iter().flatten());
        let new = self.directory.join(".new");
        fs::write(&new, bytes)?;
        fs::rename(new, self.directory.join(name))
    }
}

#[async_trait]
impl CursorStore for DirectoryTransport {
    async fn take(&self, topic: &TopicName, name: &str) -> Result<(Fence, Option<Vec<u8>>)> {
        self.check_open("take cursor")?;
        let take = || {
            let cursors = Cursors::lock(&self.root, topic)?;
            let mut kept = cursors.load(name)?;
            kept.fence += 1;
            cursors.store(name, &kept)?;
            Ok((Fence(kept.fence), kept.cursor))
        };
        take().map_err(|source| failed("take cursor", source))
    }

    async fn save(
        &self,
        topic: &TopicName,
        name: &str,
        fence: Fence,
        cursor: &[u8],
        _: &[(u32, Position)],
    ) -> Result<()> {
        self.check_open("save cursor")?;
        let save = || {
            let cursors = Cursors::lock(&self.root, topic)?;
            let kept = cursors.load(name)?;
            if kept.fence != fence.0 {
                return Ok(false);
            }
            cursors.store(name, &Kept { cursor: Some(cursor.to_vec()), ..kept })?;
            Ok(true)
        };
        if save().map_err(|source| failed("save cursor", source))? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, "another subscription has taken over under this name")
            .backend(BACKEND)
            .operation("save cursor")
            .context("topic", topic)
            .context("durable", name)
            .help("a durable name is for one subscription at a time: give each node its own"))
    }
}
