//! `agora config`: what holds, and where it came from.

use std::ffi::OsString;
use std::path::Path;

use agora::config::{Config, LoadOptions, Place};
use serde::Serialize;
use serde_json::Value;

use crate::args::{ConfigArgs, ConfigCommand, Global};
use crate::failure::{DONE, Failure};
use crate::json::Note;
use crate::output::Output;
use crate::{configured, text};

/// One setting that holds.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "setting")]
struct SettingLine<'a> {
    key: &'a str,
    value: Value,
    /// Who said it.
    place: &'static str,
    /// The same with the file, variable or option, for people.
    origin: String,
}

/// A file that is as it should be.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "checked")]
struct CheckedLine<'a> {
    file: &'a str,
    /// How many settings the file has.
    settings: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'static str>,
}

pub(crate) async fn run(
    global: &Global,
    args: &ConfigArgs,
    environment: &[(OsString, OsString)],
    color: bool,
    output: &mut Output,
) -> Result<u8, Failure> {
    if let Some(ConfigCommand::Check { file }) = &args.command {
        return check(file, output).await;
    }
    let config = configured::load(global, environment, true)?;
    warn(&config, output);
    if output.json() {
        for setting in config.settings() {
            let line = SettingLine {
                key: &setting.key,
                value: value(&setting.value),
                place: word(setting.origin.place),
                origin: setting.origin.to_string(),
            };
            output.line(crate::json::line(&line)).await?;
        }
        return Ok(DONE);
    }
    let rows: Vec<[String; 2]> = config
        .settings()
        .iter()
        .map(|setting| {
            let text = text::harmless(&format!("{} = {}", setting.key, setting.value));
            [text, format!("# {}", text::harmless(&setting.origin.to_string()))]
        })
        .collect();
    for (line, setting) in text::table(&rows).into_iter().zip(config.settings()) {
        // What nobody set is less than what somebody did.
        let faint = color && setting.origin.place == Place::Default;
        output.line(if faint { format!("\u{1b}[2m{line}\u{1b}[0m") } else { line }).await?;
    }
    Ok(DONE)
}

/// A file alone: neither variables nor other options have a say.
async fn check(file: &Path, output: &mut Output) -> Result<u8, Failure> {
    let config = Config::load(LoadOptions::new().file(file))?;
    warn(&config, output);
    let settings = config.origins().filter(|(_, origin)| origin.place == Place::File).count();
    let backend = config.model().backend.map(|backend| backend.as_str());
    let name = file.to_string_lossy();
    let line = CheckedLine { file: &name, settings, backend };
    output
        .say(&line, || {
            let over = backend.map_or_else(|| "it names no backend".to_owned(), |b| format!("backend {b}"));
            format!("{} is good: {settings} settings, {over}", text::harmless(&name))
        })
        .await?;
    Ok(DONE)
}

fn warn(config: &Config, output: &Output) {
    for message in config.warnings() {
        output.note(&Note::Warning { message }, || format!("warning: {message}"));
    }
}

/// A value is TOML. Most of that is JSON too; what is not, such as the words of a default, is a text.
fn value(toml: &str) -> Value {
    serde_json::from_str(toml).unwrap_or_else(|_| Value::String(toml.to_owned()))
}

fn word(place: Place) -> &'static str {
    match place {
        Place::Default => "default",
        Place::Style => "style",
        Place::File => "file",
        Place::ForeignVariable => "foreign_variable",
        Place::Variable => "variable",
        Place::Code => "code",
        Place::CommandLine => "command_line",
        _ => "other",
    }
}
