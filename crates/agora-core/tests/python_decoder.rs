//! A decoder in another language, written from the document, reads every vector as this one does.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // A test.

mod common;

use std::process::Command;

use common::{directory, repository, stored};
use serde_json::Value;

#[test]
fn a_decoder_in_python_reads_every_vector() {
    let vectors = stored();
    let output = Command::new("python3")
        .arg(repository().join("tools/decode_frame.py"))
        .args(vectors.iter().map(|vector| directory().join(&vector.name).with_extension("hex")))
        .output()
        .unwrap_or_else(|error| {
            panic!("python3 cannot be run ({error}): install Python 3.8 or later, such as Debian's package python3")
        });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    assert_eq!(lines.len(), vectors.len());
    for (vector, line) in vectors.iter().zip(lines) {
        let theirs: Value = serde_json::from_str(line).unwrap();
        let ours: Value = serde_json::from_str(&vector.json).unwrap();
        assert_eq!(theirs, ours, "{}", vector.name);
    }
}
