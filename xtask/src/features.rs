//! The feature matrix of the facade: every feature builds alone, with none and with all of them, and none brings in
//! what belongs to another. What is said of a backend that was not compiled in is tested without any.

use std::collections::BTreeSet;
use std::process::Command;

use crate::run::{self, Failure, Result};
use crate::workspace;

const FACADE: &str = "agora";

/// What belongs to one feature alone.
struct Part {
    feature: &'static str,
    /// What the feature must bring in, or this table has the wrong names and would find nothing.
    own: &'static str,
    /// What else nobody but it may bring in.
    others: &'static [&'static str],
}

/// Every part, also of features that are still to come: nothing may pull them in unasked.
const PARTS: [Part; 5] = [
    Part { feature: "kafka", own: "agora-kafka", others: &["rskafka", "kafka-protocol", "rdkafka"] },
    Part { feature: "metrics", own: "metrics", others: &["metrics-util", "metrics-exporter-prometheus"] },
    Part { feature: "nats", own: "agora-nats", others: &["async-nats"] },
    Part { feature: "redis", own: "agora-redis", others: &["redis", "fred"] },
    Part { feature: "zenoh", own: "agora-zenoh", others: &["zenoh"] },
];

/// Builds each combination and looks at what it depends on.
pub(crate) fn check() -> Result {
    let features = workspace::package_named(FACADE)?.features;
    let mut combinations = vec![None];
    combinations
        .extend(features.iter().map(|feature| feature.as_str()).filter(|f| *f != "default").map(Some));
    for feature in combinations {
        let selection = selection(feature);
        run::step(cargo(&["check"], &selection))?;
        let tree = run::output(cargo(&["tree", "-e", "normal,build", "--prefix", "none"], &selection))?;
        judge(&tree, feature).map_err(Failure::new)?;
    }
    run::step(cargo(&["check"], &["--all-features".to_owned()]))?;
    // All other tests run with every feature: what is said where one is missing would never be looked at.
    run::step(cargo(&["test", "--quiet", "--test", "config", "--test", "connect"], &selection(None)))
}

fn selection(feature: Option<&str>) -> Vec<String> {
    let mut words = vec!["--no-default-features".to_owned()];
    if let Some(feature) = feature {
        words.extend(["--features".to_owned(), feature.to_owned()]);
    }
    words
}

fn cargo(command: &[&str], selection: &[String]) -> Command {
    let mut cargo = run::cargo(command);
    cargo.args(["-p", FACADE]).args(selection);
    cargo
}

/// Does the output of `cargo tree` hold what belongs to the feature, and nothing that belongs to another?
fn judge(tree: &str, feature: Option<&str>) -> std::result::Result<(), String> {
    let there: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let with = feature.map_or("no feature".to_owned(), |feature| format!("the feature `{feature}`"));
    if let Some(feature) = feature {
        let Some(part) = PARTS.iter().find(|part| part.feature == feature) else {
            return Err(format!(
                "`{FACADE}` has {with}, and nobody says what belongs to it: add it to `PARTS` in xtask/src/features.rs"
            ));
        };
        if !there.contains(part.own) {
            return Err(format!("`{FACADE}` with {with} does not depend on {}", part.own));
        }
    }
    let others = PARTS.iter().filter(|part| Some(part.feature) != feature);
    let banned = others.flat_map(|part| [part.own].into_iter().chain(part.others.iter().copied()));
    let uninvited: Vec<&str> = banned.filter(|name| there.contains(name)).collect();
    if uninvited.is_empty() {
        return Ok(());
    }
    Err(format!("`{FACADE}` with {with} depends on {}, which belongs to another", uninvited.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZENOH: &str =
        "agora v0.1.0 (/x)\nagora-zenoh v0.1.0 (/x)\nzenoh v1.10.2\nzenoh-core v1.10.2\nbytes v1\n";
    const BARE: &str = "agora v0.1.0\nagora-core v0.1.0\n";

    #[test]
    fn a_part_is_welcome_with_its_own_feature_only() {
        assert_eq!(judge(ZENOH, Some("zenoh")), Ok(()));
        assert_eq!(judge(BARE, None), Ok(()));
        let refused = |tree: &str, feature: Option<&str>| judge(tree, feature).unwrap_err();
        let with_metrics = format!("{ZENOH}metrics v0.24.6\n");
        let both = "depends on agora-zenoh and zenoh, which belongs to another";
        assert!(refused(ZENOH, None).ends_with(both));
        assert!(refused(&with_metrics, Some("metrics")).ends_with(both));
        assert!(refused(&with_metrics, Some("zenoh")).contains("depends on metrics"));
    }

    #[test]
    fn a_feature_that_the_table_does_not_know_or_that_brings_nothing_is_refused() {
        let unknown = judge(BARE, Some("pigeons")).unwrap_err();
        assert!(unknown.contains("`pigeons`") && unknown.contains("add it to `PARTS`"), "{unknown}");
        let nothing = judge(BARE, Some("zenoh")).unwrap_err();
        assert!(nothing.ends_with("does not depend on agora-zenoh"), "{nothing}");
    }
}
