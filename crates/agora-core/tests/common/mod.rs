//! Golden vectors, as they are made and as they lie in the tree.
#![allow(dead_code, unreachable_pub)] // Each test binary uses a part of it.

pub mod check;
pub mod expect;
pub mod make;
pub mod primitives;

use std::fs;
use std::path::{Path, PathBuf};

/// A message as it lies in the tree, and what a decoder makes of it.
pub struct Stored {
    pub name: String,
    pub bytes: Vec<u8>,
    pub json: String,
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// All vectors of the tree, by name.
pub fn stored() -> Vec<Stored> {
    let mut paths: Vec<_> = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "hex"));
    paths.sort_by_key(|path| path.with_extension(""));
    assert!(paths.len() >= 20, "the vectors are missing: only {} are there", paths.len());
    let read = |path: &PathBuf| Stored {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        bytes: from_hex(&fs::read_to_string(path).unwrap()),
        json: fs::read_to_string(path.with_extension("json")).unwrap(),
    };
    paths.iter().map(read).collect()
}

/// Hexadecimal text, without its lines of comment.
pub fn from_hex(text: &str) -> Vec<u8> {
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2));
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the size and the checksum of a frame that was changed by hand.
pub fn reseal(frame: &mut [u8]) {
    let length = u32::try_from(frame.len()).unwrap();
    frame[12..16].copy_from_slice(&length.to_le_bytes());
    fix_checksum(frame);
}

/// Writes the checksum of a frame that was changed by hand, and leaves the size as it is.
pub fn fix_checksum(frame: &mut [u8]) {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..16]), &frame[20..]);
    frame[16..20].copy_from_slice(&crc.to_le_bytes());
}
