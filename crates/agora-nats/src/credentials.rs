//! Who this node says that it is: read once, answered anew for every connection.

use std::fmt;
use std::path::Path;

use agora_core::config::{Nats, Secret};
use agora_core::{Error, ErrorKind, Result};
use async_nats::Auth;
use nkeys::KeyPair;

use crate::error::error;

/// The answer to a server that asks who this is. It is never printed.
pub(crate) enum Credentials {
    /// Nobody in particular: the server lets everybody in, or looks at the certificate.
    None,
    /// A name and a password.
    Password { user: String, password: Secret },
    /// One secret for all.
    Token(Secret),
    /// A key whose public half the server knows.
    Key(KeyPair),
    /// A key, and an operator's word for it.
    Jwt { jwt: Secret, key: KeyPair },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password { .. } => "Password(***)",
            Self::Token(_) => "Token(***)",
            Self::Key(_) => "Key(***)",
            Self::Jwt { .. } => "Jwt(***)",
        })
    }
}

impl Credentials {
    /// Those of a configuration.
    pub(crate) fn load(config: &Nats) -> Result<Self> {
        if let Some(user) = &config.user {
            let password = match (&config.password, &config.password_file) {
                (Some(password), _) => password.clone(),
                (None, Some(path)) => Secret::new(first_line(path, "password_file")?),
                (None, None) => Secret::new(""),
            };
            return Ok(Self::Password { user: user.clone(), password });
        }
        if let Some(token) = &config.token {
            return Ok(Self::Token(token.clone()));
        }
        if let Some(path) = &config.nkey_seed_file {
            return Ok(Self::Key(key(first_line(path, "nkey_seed_file")?.trim(), "nkey_seed_file")?));
        }
        if let Some(text) = &config.credentials {
            return document(text.expose(), "credentials");
        }
        if let Some(path) = &config.credentials_file {
            return document(&read(path, "credentials_file")?, "credentials_file");
        }
        Ok(Self::None)
    }

    /// What to say to a server that has sent this nonce.
    pub(crate) fn answer(&self, nonce: &[u8]) -> Result<Auth> {
        let mut auth = Auth::new();
        match self {
            Self::None => {}
            Self::Password { user, password } => {
                auth.username = Some(user.clone());
                auth.password = Some(password.expose().to_owned());
            }
            Self::Token(token) => auth.token = Some(token.expose().to_owned()),
            Self::Key(key) => {
                auth.nkey = Some(key.public_key());
                auth.signature = Some(sign(key, nonce)?);
            }
            Self::Jwt { jwt, key } => {
                auth.jwt = Some(jwt.expose().to_owned());
                auth.signature = Some(sign(key, nonce)?);
            }
        }
        Ok(auth)
    }
}

fn sign(key: &KeyPair, nonce: &[u8]) -> Result<Vec<u8>> {
    key.sign(nonce).map_err(|_| error(ErrorKind::Config, "the key of the credentials cannot sign"))
}

/// A file that holds two blocks between lines of dashes: a JWT, and the seed of its key.
fn document(text: &str, setting: &'static str) -> Result<Credentials> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with("-----BEGIN") || line.starts_with("------BEGIN") {
            blocks.extend(lines.next());
        }
    }
    let [jwt, seed] = blocks[..] else {
        return Err(wrong(setting, "it does not hold a JWT and a key, each between its two lines of dashes"));
    };
    Ok(Credentials::Jwt { jwt: Secret::new(jwt), key: key(seed, setting)? })
}

fn key(seed: &str, setting: &'static str) -> Result<KeyPair> {
    KeyPair::from_seed(seed).map_err(|_| wrong(setting, "the seed of its key is damaged: it begins with SU"))
}

fn first_line(path: &Path, setting: &'static str) -> Result<String> {
    Ok(read(path, setting)?.lines().next().unwrap_or_default().to_owned())
}

fn read(path: &Path, setting: &'static str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|cause| unreadable(path, setting, cause))
}

/// A file of the configuration that cannot be read.
pub(crate) fn unreadable(path: &Path, setting: &'static str, cause: std::io::Error) -> Error {
    error(ErrorKind::Config, "a file of the configuration cannot be read")
        .context("setting", format!("nats.{setting}"))
        .context("file", path.display())
        .source(cause)
}

fn wrong(setting: &'static str, what: &str) -> Error {
    error(ErrorKind::Config, "the credentials cannot be read")
        .context("setting", format!("nats.{setting}"))
        .context("why", what)
        .help("see docs/backends/nats.md for what such a file looks like")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let mut config = Nats::default();
        config.token = Some(Secret::new("hunter2"));
        let shown = format!("{:?}", Credentials::load(&config).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        let key = KeyPair::new_user();
        let text = format!(
            "-----BEGIN NATS USER JWT-----\nabc\n------END\n\n-----BEGIN SEED-----\n{}\n",
            key.seed().unwrap()
        );
        assert!(matches!(document(&text, "credentials").unwrap(), Credentials::Jwt { .. }));
        let damaged = format!("{:?}", document(&text.replace("\nSU", "\nXX"), "credentials").unwrap_err());
        assert!(
            damaged.contains("nats.credentials") && !damaged.contains(&key.seed().unwrap()[4..]),
            "{damaged}"
        );
        assert_eq!(document("nothing", "credentials").unwrap_err().kind(), ErrorKind::Config);
    }
}
