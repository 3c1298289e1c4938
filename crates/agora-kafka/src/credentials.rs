//! Who this node says that it is.

use std::fmt;
use std::path::{Path, PathBuf};

use agora_core::config::{Kafka, Sasl, Secret};
use agora_core::{Error, ErrorKind, Result};

use crate::error::error;

/// Whom to authenticate as, and how.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) mechanism: Sasl,
    pub(crate) user: String,
    password: Password,
}

#[derive(Clone)]
enum Password {
    Given(Secret),
    /// The first line of a file. It is read for every connection, so that a new password counts without a restart.
    File(PathBuf),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(***)", self.mechanism_name())
    }
}

impl Credentials {
    /// Those of a configuration, where it has some.
    ///
    /// # Errors
    /// `Config`: a file of it cannot be read, or the password would go over the wire for everybody to read.
    pub(crate) fn load(config: &Kafka) -> Result<Option<Self>> {
        let Some(user) = config.user.clone() else { return Ok(None) };
        let password = match (&config.password, &config.password_file) {
            (Some(password), _) => Password::Given(password.clone()),
            (None, Some(path)) => Password::File(path.clone()),
            (None, None) => {
                return Err(error(ErrorKind::Config, "a user is set without a password")
                    .help("set `kafka.password_file` to a file whose first line is the password"));
            }
        };
        let mechanism = config.sasl.unwrap_or(Sasl::ScramSha512);
        if mechanism == Sasl::Plain && !config.tls {
            return Err(error(ErrorKind::Config, "everybody on the way could read the password")
                .help("set `kafka.tls` to true, or `kafka.sasl` to \"scram-sha-512\""));
        }
        let credentials = Self { mechanism, user, password };
        // What cannot be read now is said now, and not at every try to connect.
        credentials.password()?;
        Ok(Some(credentials))
    }

    /// The password as it is now.
    ///
    /// # Errors
    /// `Config`: its file cannot be read.
    pub(crate) fn password(&self) -> Result<Secret> {
        match &self.password {
            Password::Given(password) => Ok(password.clone()),
            Password::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|cause| unreadable(path, "password_file").source(cause))?;
                Ok(Secret::new(text.lines().next().unwrap_or_default()))
            }
        }
    }

    /// What the mechanism is called on the wire.
    pub(crate) fn mechanism_name(&self) -> &'static str {
        match self.mechanism {
            Sasl::Plain => "PLAIN",
            Sasl::ScramSha256 => "SCRAM-SHA-256",
            _ => "SCRAM-SHA-512",
        }
    }
}

/// A file of the configuration that cannot be used.
pub(crate) fn unreadable(path: &Path, setting: &'static str) -> Error {
    error(ErrorKind::Config, "a file of the configuration cannot be read")
        .context("setting", format!("kafka.{setting}"))
        .context("file", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let mut config = Kafka::default();
        config.user = Some("agora".into());
        config.password = Some(Secret::new("hunter2"));
        let shown = format!("{:?}", Credentials::load(&config).unwrap());
        assert!(shown.contains("SCRAM-SHA-512") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_password_never_goes_out_in_the_open() {
        let mut config = Kafka::default();
        (config.user, config.password) = (Some("agora".into()), Some(Secret::new("hunter2")));
        config.sasl = Some(Sasl::Plain);
        assert_eq!(Credentials::load(&config).unwrap_err().kind(), ErrorKind::Config);
        config.tls = true;
        assert!(Credentials::load(&config).unwrap().is_some());
    }

    #[test]
    fn a_new_password_in_the_file_counts() {
        let directory = std::env::temp_dir().join(format!("agora-kafka-{:x}", fastrand::u64(..)));
        std::fs::create_dir(&directory).unwrap();
        let path = directory.join("password");
        std::fs::write(&path, "first\nnot this\n").unwrap();
        let mut config = Kafka::default();
        (config.user, config.password_file) = (Some("agora".into()), Some(path.clone()));
        let credentials = Credentials::load(&config).unwrap().unwrap();
        assert_eq!(credentials.password().unwrap().expose(), "first");
        std::fs::write(&path, "second\n").unwrap();
        assert_eq!(credentials.password().unwrap().expose(), "second");
        std::fs::remove_dir_all(&directory).unwrap();
        let gone = credentials.password().unwrap_err();
        assert!(gone.to_string().contains("kafka.password_file"), "{gone}");
        assert_eq!(Credentials::load(&config).unwrap_err().kind(), ErrorKind::Config);
    }
}
