//! A network of one's own for the tests that make hosts, links and cuts.
//!
//! Root makes network namespaces as it likes. Anybody else gets the right to do so inside a user namespace, in which
//! they are root over a network that is empty but for a loopback interface.

use std::process::Command;

/// What opens it: user, network and mount namespaces, in which one's own user is root.
pub(crate) const OPEN: [&str; 2] = ["unshare", "-Urnm"];

/// Prepares it and goes on with the command in its arguments. The names of namespaces live in `/run`, where only the
/// real root may write: here it is covered by an empty one.
const PREPARE: &str = r#"mount -t tmpfs none /run && ip link set lo up && exec "$@""#;

/// Must the tests run inside it to be allowed to make namespaces?
pub(crate) fn needs_own() -> bool {
    cfg!(target_os = "linux") && !nix::unistd::geteuid().is_root()
}

/// The command, to be run inside. Nothing can be downloaded there, so it must have been built before.
pub(crate) fn within_own(command: &Command) -> Command {
    let [program, options] = OPEN;
    let mut within = Command::new(program);
    within.args([options, "sh", "-c", PREPARE, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => within.env(name, value),
            None => within.env_remove(name),
        };
    }
    within.env("CARGO_NET_OFFLINE", "true");
    if let Some(directory) = command.get_current_dir() {
        within.current_dir(directory);
    }
    within
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::run;

    #[test]
    fn inside_one_can_make_hosts_and_link_them() {
        let script = r#"ip netns add there && ip link add here type veth peer name eth0 netns there \
            && ip -n there -brief link | cut -d@ -f1 && echo "$WORD" && pwd"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("WORD", "kept").current_dir("/");
        let said = run::output(within_own(&command)).unwrap();
        let lines: Vec<&str> =
            said.lines().map(|line| line.split_whitespace().next().unwrap_or("")).collect();
        assert_eq!(lines, ["lo", "eth0", "kept", "/"]);
        assert!(!std::path::Path::new("/run/netns/there").exists(), "nothing of it is seen outside");
    }
}
