//! The feature matrix of the facade: every feature builds alone, with none and with all of them, and none brings in
//! the client of a backend that was not asked for.

use std::collections::BTreeSet;

use crate::run::{self, Failure, Result};
use crate::workspace;

const FACADE: &str = "agora";

/// What belongs to one backend alone: its feature, our crate for it and the client libraries beneath.
struct Backend {
    feature: &'static str,
    crates: &'static [&'static str],
}

/// Every backend, also of features that are still to come: nothing may pull them in unasked.
const BACKENDS: [Backend; 4] = [
    Backend { feature: "kafka", crates: &["agora-kafka", "rskafka", "kafka-protocol", "rdkafka"] },
    Backend { feature: "nats", crates: &["agora-nats", "async-nats"] },
    Backend { feature: "redis", crates: &["agora-redis", "redis", "fred"] },
    Backend { feature: "zenoh", crates: &["agora-zenoh", "zenoh"] },
];

/// Builds each combination and looks at what it depends on.
pub(crate) fn check() -> Result {
    let features = workspace::package_named(FACADE)?.features;
    let mut combinations = vec![None];
    combinations.extend(features.iter().map(|feature| Some(feature.as_str())));
    for feature in combinations {
        let selection = selection(feature);
        run::step(cargo(&["check"], &selection))?;
        let tree = run::output(cargo(&["tree", "-e", "normal,build", "--prefix", "none"], &selection))?;
        let uninvited = uninvited(&tree, feature);
        if !uninvited.is_empty() {
            return Err(Failure::new(format!(
                "`{FACADE}` with {} depends on {}, which belongs to another backend",
                feature.map_or("no feature".to_owned(), |feature| format!("the feature `{feature}`")),
                uninvited.into_iter().collect::<Vec<_>>().join(" and ")
            )));
        }
    }
    run::step(cargo(&["check"], &["--all-features".to_owned()]))
}

fn selection(feature: Option<&str>) -> Vec<String> {
    let mut words = vec!["--no-default-features".to_owned()];
    if let Some(feature) = feature {
        words.extend(["--features".to_owned(), feature.to_owned()]);
    }
    words
}

fn cargo(command: &[&str], selection: &[String]) -> std::process::Command {
    let mut cargo = run::cargo(command);
    cargo.args(["-p", FACADE]).args(selection);
    cargo
}

/// The crates in the output of `cargo tree` that belong to a backend other than the one of `feature`.
fn uninvited<'a>(tree: &'a str, feature: Option<&str>) -> BTreeSet<&'a str> {
    let others = BACKENDS.iter().filter(|backend| Some(backend.feature) != feature);
    let banned: BTreeSet<&str> = others.flat_map(|backend| backend.crates).copied().collect();
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| banned.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str =
        "agora v0.1.0 (/x)\nagora-zenoh v0.1.0 (/x)\nzenoh v1.10.2\nzenoh-core v1.10.2\nbytes v1\n";

    #[test]
    fn a_backend_is_welcome_with_its_own_feature_only() {
        assert!(uninvited(TREE, Some("zenoh")).is_empty());
        assert_eq!(uninvited(TREE, Some("nats")), ["agora-zenoh", "zenoh"].into());
        assert_eq!(uninvited(TREE, Some("metrics")), ["agora-zenoh", "zenoh"].into());
        assert_eq!(uninvited(TREE, None), ["agora-zenoh", "zenoh"].into());
        assert!(uninvited("agora v0.1.0\nagora-core v0.1.0\n", None).is_empty());
    }
}
