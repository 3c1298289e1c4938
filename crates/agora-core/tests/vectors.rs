//! The golden vectors, the document and the code say the same.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // A test.

mod common;

use std::fs;
use std::sync::Once;

use agora_core::id::{ClusterName, NodeId, NodeName, StreamId, TopicName};
use common::{Stored, directory, expect::expectation, hex, make, repository, stored};
use sha2::{Digest, Sha256};

const SEAL: &str = "Seal: `";

/// The part of the document that is the format, and the hash that ties it to the vectors.
fn document() -> (String, String, String) {
    let text = fs::read_to_string(repository().join("docs/wire-format.md")).unwrap();
    let begin = text.find("<!-- normative: begin -->").expect("the document has its first marker");
    let end = text.find("<!-- normative: end -->").expect("the document has its second marker");
    let normative = text[begin..end].to_owned();
    let seal_at = text.find(SEAL).expect("the document has a seal") + SEAL.len();
    let seal = text[seal_at..seal_at + 64].to_owned();
    (text, normative, seal)
}

fn seal_of(normative: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(normative);
    for vector in stored() {
        hash.update(format!("\n{}\n{}\n{}", vector.name, hex(&vector.bytes), vector.json));
    }
    hex(&hash.finalize())
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

fn bless() {
    for entry in fs::read_dir(directory()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for vector in make::all() {
        let mut text = format!("# {}\n", vector.about);
        for line in vector.bytes.chunks(32) {
            text += &hex(line);
            text.push('\n');
        }
        let path = directory().join(vector.name);
        fs::write(path.with_extension("hex"), text).unwrap();
        fs::write(path.with_extension("json"), pretty(&expectation(&vector.bytes))).unwrap();
    }
    let (text, normative, seal) = document();
    let sealed = text.replace(&format!("{SEAL}{seal}"), &format!("{SEAL}{}", seal_of(&normative)));
    fs::write(repository().join("docs/wire-format.md"), sealed).unwrap();
}

/// The vectors of the tree, written anew before if that is wanted.
fn vectors() -> Vec<Stored> {
    static BLESS: Once = Once::new();
    BLESS.call_once(|| {
        if std::env::var_os("AGORA_BLESS").is_some() {
            bless();
        }
    });
    stored()
}

#[test]
fn document_vectors_and_code_agree() {
    let made = make::all();
    let stored = vectors();
    let mut names: Vec<_> = made.iter().map(|vector| vector.name).collect();
    names.sort_unstable();
    assert_eq!(names, stored.iter().map(|vector| vector.name.as_str()).collect::<Vec<_>>());
    for vector in &stored {
        let made = made.iter().find(|made| made.name == vector.name).unwrap();
        assert_eq!(hex(&made.bytes), hex(&vector.bytes), "{}: other bytes are written now", vector.name);
        assert_eq!(pretty(&expectation(&vector.bytes)), vector.json, "{}: read otherwise now", vector.name);
    }
    let (_, normative, seal) = document();
    assert_eq!(
        seal_of(&normative),
        seal,
        "the format's document and its vectors do not belong together: see the end of docs/wire-format.md"
    );
}

#[test]
fn the_names_of_vectors_say_what_they_are() {
    for vector in vectors() {
        let message = serde_json::from_str::<serde_json::Value>(&vector.json).unwrap()["message"].clone();
        let expected = match vector.name.split('-').next().unwrap() {
            "data" | "head" | "control" | "evolution" => "frame",
            other => other,
        };
        assert_eq!(message, expected, "{}", vector.name);
    }
}

#[test]
fn the_identities_of_the_document_are_right() {
    let (_, normative, _) = document();
    let cluster = ClusterName::new("demo").unwrap();
    let topic = TopicName::new("stwt.agora").unwrap();
    let expected = format!(
        "node `node-1` is `{}`; lane 0 of topic `stwt.agora` in cluster `demo` is `{}`;\nlane 3 of it is `{}`",
        NodeId::of(&NodeName::new("node-1").unwrap()),
        StreamId::of(&cluster, &topic, 0),
        StreamId::of(&cluster, &topic, 3),
    );
    assert!(normative.contains(&expected), "the document should say:\n{expected}");
}

#[test]
fn the_limits_of_the_document_are_those_of_the_code() {
    use agora_core::limits::*;
    let (_, normative, _) = document();
    let thousands = |number: usize| {
        let digits = number.to_string();
        let groups: Vec<_> =
            digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
        groups.join(",")
    };
    for (what, limit) in [
        ("frame", FRAME_BYTES_MAX),
        ("header with extensions", HEADER_BYTES_MAX),
        ("records in a frame", FRAME_RECORDS_MAX),
        ("kinds in a frame", FRAME_KINDS_MAX),
        ("name of a kind", KIND_BYTES_MAX),
        ("key", KEY_BYTES_MAX),
        ("body", BODY_BYTES_MAX),
        ("body of a control record", CONTROL_BODY_BYTES_MAX),
        ("nonces in a head", HEAD_NONCES_MAX),
    ] {
        let line = format!("| {what} | {}", thousands(limit));
        assert!(normative.contains(&line), "the document should say: {line}");
    }
    for (what, limit) in [
        ("tags, each", TAGS_MAX),
        ("topics, each", HEARTBEAT_TOPICS_MAX),
        ("ranges; `from`", ASK_RANGES_MAX),
        ("bytes; at most", TAG_BYTES_MAX),
    ] {
        let line = format!("{limit} {what}");
        assert!(normative.contains(&line), "the document should say: {line}");
    }
}
