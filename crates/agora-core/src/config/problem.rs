//! What is wrong with a setting, before anybody knows where it came from.

/// What is wrong with one setting, or with several that do not fit together. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The keys that it is about, the first being the one to look at, such as `nats.ping_interval`. Empty where the
    /// reader of a single value knows the key itself.
    pub keys: Vec<String>,
    /// What is wrong, as the end of a sentence that begins with the key.
    pub what: String,
    /// What was found, where it may be shown.
    pub found: Option<String>,
    /// What is allowed.
    pub allowed: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A value that is not allowed.
    pub(super) fn value(found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self {
            keys: Vec::new(),
            what: "has a value that is not allowed".to_owned(),
            found: Some(found.into()),
            allowed: Some(allowed.into()),
            help: None,
        }
    }

    /// Settings that do not fit together.
    pub(super) fn relation<const N: usize>(
        keys: [&str; N],
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            keys: keys.map(str::to_owned).to_vec(),
            what: what.into(),
            found: None,
            allowed: None,
            help: Some(help.into()),
        }
    }

    pub(super) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}
