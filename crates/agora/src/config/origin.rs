//! Where a value came from.

use std::fmt;

/// Who has a say, from the weakest to the strongest: a value of a stronger place wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Place {
    /// What holds where nobody says anything.
    Default,
    /// The default of the software in whose words the file is written.
    Style,
    /// The configuration file.
    File,
    /// A variable of the software in whose words a service is configured, such as `NATS_URL`.
    ForeignVariable,
    /// A variable of agora's own, such as `AGORA__URL`.
    Variable,
    /// The program itself: [`LoadOptions::set`](super::LoadOptions::set) and the methods of
    /// [`Builder`](crate::Builder).
    Code,
    /// The command line.
    CommandLine,
}

/// Where a value came from, so that an operator can find and change it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// Who said it.
    pub place: Place,
    /// The file, the variable or the option; empty for code and defaults.
    pub name: String,
    /// The key as it is written there, where it is not agora's own name of it.
    pub written: Option<String>,
    /// Is it a part of a URL?
    pub in_url: bool,
}

impl Origin {
    pub(super) fn new(place: Place, name: impl Into<String>) -> Self {
        Self { place, name: name.into(), written: None, in_url: false }
    }

    pub(super) fn written(&self, key: impl Into<String>) -> Self {
        Self { written: Some(key.into()), ..self.clone() }
    }

    pub(super) fn in_url(&self) -> Self {
        Self { in_url: true, ..self.clone() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.in_url {
            f.write_str("the URL in ")?;
        }
        match self.place {
            Place::Default => f.write_str("default")?,
            Place::Style => write!(f, "default of {}", self.name)?,
            Place::File => write!(f, "file {}", self.name)?,
            Place::ForeignVariable | Place::Variable => write!(f, "variable {}", self.name)?,
            Place::Code => f.write_str("code")?,
            Place::CommandLine => write!(f, "command line, {}", self.name)?,
        }
        match &self.written {
            Some(key) => write!(f, ", key `{key}`"),
            None => Ok(()),
        }
    }
}
