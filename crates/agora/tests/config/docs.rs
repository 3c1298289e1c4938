//! The documentation says what the code does: its tables of keys are the model's, and its examples load.

use std::fmt::Write;

use agora::config::{Config, LoadOptions};
use agora::core::config::{SECTIONS, Section};

use crate::load;

const CONFIGURATION: &str = include_str!("../../../../docs/configuration.md");
const MIGRATING: &str = include_str!("../../../../docs/migrating.md");

/// The table of a section, as the documentation has to show it.
fn table(section: &Section) -> String {
    // Brackets would be links.
    let plain = |text: &str| text.replace('[', "\\[").replace('|', "\\|");
    let mut table = "| key | takes | default | |\n|---|---|---|---|\n".to_owned();
    for key in section.keys {
        let default = if key.default.is_empty() { "none" } else { key.default };
        let takes = plain(&key.takes.to_string());
        writeln!(table, "| `{}` | {takes} | {} | {} |", key.name, plain(default), plain(key.about)).unwrap();
    }
    table
}

#[test]
fn the_tables_of_keys_are_the_models() {
    let mut expected = CONFIGURATION.to_owned();
    for section in SECTIONS {
        let name = if section.name.is_empty() { "top" } else { section.name };
        let begin = format!("<!-- keys: {name} -->\n");
        let (before, rest) = expected.split_once(&begin).unwrap_or_else(|| panic!("no table of {begin}"));
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        expected = format!("{before}{begin}{}<!-- end -->{after}", table(section));
    }
    let place = std::env::temp_dir().join("agora-configuration.md");
    if expected != CONFIGURATION {
        std::fs::write(&place, &expected).unwrap();
        panic!("docs/configuration.md differs from the model; it should be as in {}", place.display());
    }
}

/// The fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("\n```{language}\n");
    text.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_example_loads() {
    let mut count = 0;
    for text in [CONFIGURATION, MIGRATING] {
        for block in blocks(text, "toml") {
            load(LoadOptions::new().text("example.toml", block)).backend().unwrap();
            count += 1;
        }
        for block in blocks(text, "json") {
            load(LoadOptions::new().text("example.json", block)).backend().unwrap();
            count += 1;
        }
        for block in blocks(text, "sh") {
            let variables = block.lines().map(|line| line.split_once('=').unwrap());
            load(LoadOptions::new().environment(variables)).backend().unwrap();
            count += 1;
        }
    }
    assert!(count >= 8, "{count}");
}

/// What `migrating.md` says of a foreign key is so: the key on the left is known, and sets the one on the right.
#[test]
fn every_word_of_a_store_is_translated_as_the_page_says() {
    let mut kind = String::new();
    let mut checked = 0;
    let (_, rest) = MIGRATING.split_once("| type | key | becomes |\n|---|---|---|\n").unwrap();
    for line in rest.lines().take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> =
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('|')).collect();
        let quoted =
            |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        if let Some(named) = quoted(cells[0]).first() {
            kind.clone_from(named);
        }
        let (theirs, ours) = (quoted(cells[1]), quoted(cells[2]));
        for (i, theirs) in theirs.iter().enumerate() {
            let expected = match theirs.as_str() {
                "addresses" => "nats.addresses".to_owned(),
                word if cells[2].starts_with("the same") => format!("{kind}.{word}"),
                _ => ours[i].clone(),
            };
            let value = sample(theirs);
            let servers = match (kind.as_str(), theirs.as_str()) {
                ("kafka", word) if word != "brokers" => "brokers = \"a:1\"\n",
                ("nats", word) if !word.starts_with("address") => "address = \"a:1\"\n",
                ("redis", word) if word != "urls" => "urls = \"redis://a\"\n",
                _ => "",
            };
            let partner = match theirs.as_str() {
                "user" => "password = \"p\"\n",
                "password" => "user = \"u\"\n",
                "read-from-replicas" => "redis-type = \"cluster\"\n",
                _ => "",
            };
            let text = format!(
                "cluster.coordinator = \"x\"\n[store.x]\ntype = \"{kind}\"\n{servers}{partner}{theirs} = {value}\n"
            );
            let config = Config::load(LoadOptions::new().text("f.toml", &text))
                .unwrap_or_else(|e| panic!("{text}{e:#}"));
            let origin = config.origin(&expected).unwrap_or_else(|| panic!("{theirs} sets no {expected}"));
            assert_eq!(
                origin.written.as_deref(),
                Some(format!("store.\"x\".{theirs}").as_str()),
                "{expected}"
            );
            checked += 1;
        }
    }
    assert!(checked >= 25, "{checked}");
}

fn sample(word: &str) -> &'static str {
    match word {
        "brokers" | "address" | "addresses" => "[\"a:1\"]",
        "urls" => "\"redis://a\"",
        "redis-type" => "\"cluster\"",
        "protocol-version" => "\"resp3\"",
        "no-echo" | "tls.enable" | "read-from-replicas" => "true",
        "max-reconnects" | "retry.total" => "7",
        word if word.starts_with("capacity.") => "7",
        "retry.min-wait" => "\"700ms\"",
        word if word.contains("timeout") || word.contains("wait") || word.contains("interval") => "\"7s\"",
        _ => "\"sample\"",
    }
}
