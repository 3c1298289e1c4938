//! The suite on this transport, in a directory of its own that is removed afterwards.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use agora_conformance::suite::{self, Carries, Selection, Subject};
use agora_core::Result;
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use async_trait::async_trait;
use directory_transport::DirectoryTransport;

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[async_trait]
impl Subject for Directory {
    fn name(&self) -> &str {
        "directory"
    }

    async fn connect(&self, cluster: &ClusterName, _: &NodeName) -> Result<Box<dyn Transport>> {
        Ok(Box::new(DirectoryTransport::new(&self.0, cluster)?))
    }

    fn minimum(&self) -> usize {
        105
    }

    fn carries(&self) -> Carries {
        Carries { time: true, ..Carries::NOTHING }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_passes() {
    let directory = std::env::temp_dir().join(format!("agora-directory-{}", std::process::id()));
    let report = suite::run(Arc::new(Directory(directory)), &Selection::all()).await;
    // Shown with `-- --nocapture`.
    write!(io::stdout(), "{report}").unwrap();
    assert!(report.is_success(), "{report}");
}
