//! The name of the host as the name of the node.

use agora_core::id::{NAME_BYTES_MAX, NodeName};
use agora_core::{Error, ErrorKind, Result};

/// The host's name as a node's name: characters that a node name does not take become `-`.
///
/// # Errors
/// [`ErrorKind::Config`] when nothing of the name is left, or it is too long.
pub fn host_node_name() -> Result<NodeName> {
    node_name_of(&gethostname::gethostname().to_string_lossy())
}

fn node_name_of(host: &str) -> Result<NodeName> {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
    let words: Vec<String> = host
        .split('.')
        .filter(|word| word.chars().any(|c| c.is_ascii_alphanumeric()))
        .map(|word| word.chars().map(allowed).collect())
        .collect();
    let name = words.join(".");
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Error::new(ErrorKind::Config, "the name of this host cannot be the name of a node")
            .context("host name", format!("{:?}", host.chars().take(80).collect::<String>()))
            .help("give the node a name of its own"));
    }
    NodeName::new(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_is_called_becomes_what_a_node_may_be_called() {
        for (host, expected) in [
            ("mail-1", "mail-1"),
            ("mail-1.example.org", "mail-1.example.org"),
            ("mail_1.example.org.", "mail_1.example.org"),
            ("Anna's laptop", "Anna-s-laptop"),
            ("bücher", "b-cher"),
            ("a..b", "a.b"),
        ] {
            assert_eq!(node_name_of(host).unwrap().as_str(), expected, "{host:?}");
        }
        for host in ["", ".", "---", "ööö", &"a".repeat(NAME_BYTES_MAX + 1)] {
            let error = node_name_of(host).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{host:?}");
            assert!(error.help_text().is_some());
        }
    }

    #[test]
    fn this_host_has_a_name() {
        host_node_name().unwrap();
    }
}
