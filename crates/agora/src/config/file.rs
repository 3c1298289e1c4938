//! From a file to its style, and from its style to agora's keys.

use std::io::Read;
use std::path::Path;

use agora_core::{Error, ErrorKind, Result};

use super::layer::Layer;
use super::native;
use super::options::File;
use super::origin::{Origin, Place};
use super::problem::error;
use super::tree::{Node, Table};
use super::{bus, store};

/// The longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a file comes to.
pub(super) struct Loaded {
    /// The defaults of its style.
    pub(super) defaults: Layer,
    pub(super) layer: Layer,
    pub(super) warnings: Vec<String>,
}

pub(super) fn load(file: Option<&File>) -> Result<Loaded> {
    let (defaults, layer) = (Layer::default(), Layer::default());
    let mut loaded = Loaded { defaults, layer, warnings: Vec::new() };
    let (name, text) = match file {
        None => return Ok(loaded),
        Some(File::Text { name, text }) => (name.clone(), text.clone()),
        Some(File::Named(path)) => (path.display().to_string(), read(path)?),
        Some(File::Optional(path)) => {
            let missing = matches!(path.try_exists(), Ok(false));
            if missing {
                loaded.warnings.push(format!("there is no file {}: it was not read", path.display()));
                return Ok(loaded);
            }
            (path.display().to_string(), read(path)?)
        }
    };
    parse(&name, &text, &mut loaded)?;
    Ok(loaded)
}

fn read(path: &Path) -> Result<String> {
    let cannot = |why: String, help: &str| {
        Error::new(ErrorKind::Config, why).operation("config").context("file", path.display()).help(help)
    };
    let named = "whoever names a file means it: correct its path, or do not name it";
    let unreadable = |cause: std::io::Error| {
        let help = match cause.kind() {
            std::io::ErrorKind::NotFound => named,
            _ => "see that this process may read it",
        };
        cannot("the configuration file cannot be read".to_owned(), help).source(cause)
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let why = format!("the configuration file has more than {FILE_BYTES_MAX} bytes");
        return Err(cannot(why, "is it the right file?"));
    }
    String::from_utf8(bytes)
        .map_err(|_| cannot("the configuration file is not UTF-8".to_owned(), "save it as UTF-8"))
}

fn parse(name: &str, text: &str, loaded: &mut Loaded) -> Result<()> {
    let from = Origin::new(Place::File, name);
    // No TOML begins with a brace, and no JSON object with anything else.
    let json = name.ends_with(".json") || text.trim_start().starts_with('{');
    let table = if json { Table::json(text) } else { Table::toml(text) };
    let table = table.map_err(|malformed| {
        let mut error = error(if json { "the file is not JSON" } else { "the file is not TOML" }, &from);
        if let Some(line) = malformed.line {
            error = error.context("line", line);
        }
        error = error.context("why", malformed.why);
        if json { error } else { error.help("a text stands in quotes, and each key once") }
    })?;
    if json {
        return store::read_object(&table, &from, &mut loaded.layer, &mut loaded.defaults);
    }
    match style(&table, &from)? {
        Style::Native => native::read(&table, &from, &mut loaded.layer),
        Style::Store => store::read(&table, &from, &mut loaded.layer, &mut loaded.defaults),
        Style::Bus => bus::read(&table, &from, &mut loaded.layer),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Native,
    Store,
    Bus,
}

/// The style of a file, by the keys that only one style has.
fn style(table: &Table, from: &Origin) -> Result<Style> {
    let native = |name: &str, node: &Node| match name {
        // A name in one style, a table in another.
        "cluster" => matches!(node, Node::Leaf(_)),
        _ => native::top_names().any(|known| known == name),
    };
    let mut marks: Vec<(Style, String)> = Vec::new();
    for (name, node) in table.iter() {
        let mark = match (name, &node) {
            ("cluster", Node::Table(_)) => (Style::Store, "[cluster]".to_owned()),
            ("store", _) => (Style::Store, "[store]".to_owned()),
            ("bus", _) => (Style::Bus, "[bus]".to_owned()),
            (name, node) if native(name, node) => (Style::Native, name.to_owned()),
            _ => continue,
        };
        marks.push(mark);
    }
    let Some((style, first)) = marks.first() else { return Ok(Style::Native) };
    match marks.iter().find(|(other, _)| other != style) {
        None => Ok(*style),
        Some((_, other)) => Err(error("the file mixes two styles", from)
            .context("found", format!("`{first}` and `{other}`"))
            .help(
                "one file is in one style: agora's own (`url`, `[nats]`, ..), a mail server's (`[cluster]`, \
                 `[store.\"NAME\"]`) or a framework's (`[bus]`); what goes beyond a foreign style can be said with \
                 AGORA__ variables",
            )),
    }
}
