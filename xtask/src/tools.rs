//! The programs that the tests use besides Rust. A missing one is an error that says how to get it:
//! a test that silently does nothing without its tool would be worth nothing.

use std::process::{Command, Stdio};

use crate::network;
use crate::run::{Failure, Result};

/// A program that the tests start.
struct Tool {
    /// What to run to see that it is there and works.
    probe: &'static [&'static str],
    /// What it is for.
    purpose: &'static str,
    /// The Debian package that brings it.
    package: &'static str,
}

/// The frame decoder in Python, which reads the same test vectors as the one in Rust.
const PYTHON: Tool =
    Tool { probe: &["python3", "--version"], purpose: "decoding the test vectors", package: "python3" };

/// The hosts of the network tests are network namespaces: see [`network`].
const NETWORK: [Tool; 3] = [
    Tool { probe: &["ip", "-V"], purpose: "laying links between network namespaces", package: "iproute2" },
    Tool { probe: &["nft", "--version"], purpose: "cutting links in tests", package: "nftables" },
    Tool { probe: &["unshare", "--version"], purpose: "opening network namespaces", package: "util-linux" },
];

/// An error that names everything that the tests of the workspace need and this machine lacks.
pub(crate) fn check_all() -> Result {
    let mut tools = vec![PYTHON];
    // Network namespaces exist on Linux alone, and so do the tests in them.
    if cfg!(target_os = "linux") {
        tools.extend(NETWORK);
    } else {
        println!("note: network namespaces need Linux; the tests that use them are not compiled here");
    }
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !works(tool.probe)).collect();
    if !missing.is_empty() {
        return Err(Failure::new(lacking(&missing)));
    }
    let [program, options] = network::OPEN;
    if network::needs_own() && !works(&[program, options, "true"]) {
        return Err(Failure::new(format!(
            "`{program} {options} true` fails: the network tests need either root or the right to open user \
             namespaces; where the kernel restricts it, \
             `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu) or \
             `sudo sysctl -w user.max_user_namespaces=10000` allows it"
        )));
    }
    Ok(())
}

fn lacking(missing: &[&Tool]) -> String {
    let each: Vec<String> =
        missing.iter().map(|tool| format!("`{}` (for {})", tool.probe[0], tool.purpose)).collect();
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    format!(
        "the tests need programs that are not on the PATH: {}; on Debian and its kin: \
         `sudo apt-get install {}`",
        each.join(", "),
        packages.join(" ")
    )
}

/// Does the command start and end well?
fn works(probe: &[&str]) -> bool {
    let [program, args @ ..] = probe else { return false };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let sentence = lacking(&[&NETWORK[1], &PYTHON]);
        assert!(sentence.contains("`nft` (for cutting links in tests), `python3`"), "{sentence}");
        assert!(sentence.ends_with("`sudo apt-get install nftables python3`"), "{sentence}");
    }

    #[test]
    fn a_program_works_if_it_is_there_and_succeeds() {
        assert!(works(&["true"]));
        assert!(!works(&["false"]));
        assert!(!works(&["a-program-that-is-nowhere"]));
        assert!(!works(&[]));
    }
}
