//! Where fetched servers and the data of running ones are kept: beneath the build directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Result};

/// `servers` beneath the build directory of the workspace, or beneath `CARGO_TARGET_DIR`.
pub(crate) fn directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    target.unwrap_or_else(|| workspace.join("target")).join("servers")
}

/// Has `make` fill a directory, once for all processes and for good: the directory gets its name when it is whole.
pub(crate) fn filled(name: &str, make: impl FnOnce(&Path) -> Result) -> Result<PathBuf> {
    let root = directory();
    fs::create_dir_all(&root).doing(format_args!("make {}", root.display()))?;
    let whole = root.join(name);
    // Ends with the file, and with the process.
    let lock = File::create(root.join(format!("{name}.lock"))).doing("make a lock")?;
    lock.lock().doing(format_args!("lock {name}"))?;
    if whole.exists() {
        return Ok(whole);
    }
    let part = root.join(format!("{name}.part"));
    if part.exists() {
        fs::remove_dir_all(&part).doing(format_args!("remove {}", part.display()))?;
    }
    fs::create_dir_all(&part).doing(format_args!("make {}", part.display()))?;
    make(&part)?;
    fs::rename(&part, &whole).doing(format_args!("name {}", whole.display()))?;
    Ok(whole)
}

/// An empty directory for the data of one server.
pub(crate) fn data(program: &str) -> Result<PathBuf> {
    let name = format!("{program}-{}-{:08x}", std::process::id(), fastrand::u32(..));
    let path = directory().join("data").join(name);
    fs::create_dir_all(&path).doing(format_args!("make {}", path.display()))?;
    Ok(path)
}
