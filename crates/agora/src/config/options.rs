//! Where a configuration is to be read from.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Where [`Config::load`](super::Config::load) reads from. Nothing is read that is not named here: no file is looked
/// for, and the variables of the process count only where they are passed in.
///
/// # Examples
/// What a service does at start:
/// ```no_run
/// # fn example() -> agora::Result<()> {
/// use agora::config::{Config, LoadOptions};
///
/// let options = LoadOptions::new().file("/etc/agora.toml").environment(std::env::vars_os());
/// let config = Config::load(options)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use = "nothing is read before `Config::load`"]
pub struct LoadOptions {
    pub(super) file: Option<File>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) defaults: Vec<(String, String)>,
    pub(super) variables: Vec<(String, String, String)>,
    pub(super) code: Vec<(String, String)>,
    pub(super) command_line: Vec<(String, String, String)>,
}

/// A file, or a text in its place.
#[derive(Clone)]
pub(super) enum File {
    /// One that must be there.
    Named(PathBuf),
    /// One that may be there.
    Optional(PathBuf),
    /// The text itself, and what it is called.
    Text { name: String, text: String },
}

impl LoadOptions {
    /// Nothing: the defaults alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads this file. That it is missing is an error: whoever names a file means it. Replaces a file named before.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(File::Named(path.into()));
        self
    }

    /// Reads this file where there is one: for a default place, which nobody named. That it is missing is written in
    /// the [warnings](super::Config::warnings).
    pub fn file_if_present(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(File::Optional(path.into()));
        self
    }

    /// Reads a text as if it were a file of this name; a name that ends with `.json` is read as JSON.
    pub fn text(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.file = Some(File::Text { name: name.into(), text: text.into() });
        self
    }

    /// Takes variables, such as [`std::env::vars_os`]. Those that are none of agora's are left alone.
    pub fn environment<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        self.environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Takes the value of a variable of the program's own that stands for a key, such as `MAIL_BUS_URL` for `url`. It
    /// is as strong as agora's own variables, and one key by two variables is an error.
    pub fn variable(
        mut self,
        name: impl Into<String>,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.variables.push((name.into(), key.into(), value.into()));
        self
    }

    /// Sets a key where nobody else does, for a program with a default of its own.
    pub fn default_value(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.defaults.push((key.into(), value.into()));
        self
    }

    /// Sets a key, such as `nats.ping_interval` to `20s`, over what files and variables say. A list is separated by
    /// commas.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.code.push((key.into(), value.into()));
        self
    }

    /// Sets a key over everything else, because the command line has this option.
    pub fn command_line(
        mut self,
        option: impl Into<String>,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.command_line.push((option.into(), key.into(), value.into()));
        self
    }
}

/// Values may be secrets, so only their keys are shown, and of the variables only how many there are.
impl fmt::Debug for LoadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = match &self.file {
            None => "none".to_owned(),
            Some(File::Named(path) | File::Optional(path)) => path.display().to_string(),
            Some(File::Text { name, text }) => format!("{name} <{} bytes>", text.len()),
        };
        let keys = |pairs: &[(String, String)]| pairs.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        let own: Vec<&str> = self.variables.iter().map(|(name, ..)| name.as_str()).collect();
        let command_line: Vec<&str> = self.command_line.iter().map(|(option, ..)| option.as_str()).collect();
        f.debug_struct("LoadOptions")
            .field("file", &file)
            .field("variables", &self.environment.len())
            .field("own_variables", &own)
            .field("defaults", &keys(&self.defaults))
            .field("code", &keys(&self.code))
            .field("command_line", &command_line)
            .finish()
    }
}
