//! What the workspace consists of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::run::{self, Failure, Result};

/// Features that are compiled only where somebody asks for them by name, and why: librdkafka takes two minutes of a
/// processor, and is one more figure of a benchmark.
const BY_HAND: [&str; 1] = ["agora-bench/rdkafka"];

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    // `xtask` is a direct child of the root: see the `members` of the workspace.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Every file of the repository, by its path from the root: what git knows, and what is new and not ignored. In
/// alphabetical order; a file that was deleted but not yet committed is left out.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let listed = run::output(git)?;
    let files: BTreeSet<PathBuf> =
        listed.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    Ok(files.into_iter().filter(|path| root().join(path).is_file()).collect())
}

/// A package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// In alphabetical order, without `default`.
    pub(crate) features: Vec<String>,
    /// Kind (`bin`, `bench`, `test`, ...) and name.
    targets: Vec<(String, String)>,
}

impl Package {
    /// Is there a target of this kind and name?
    pub(crate) fn has(&self, kind: &str, name: &str) -> bool {
        self.targets.iter().any(|(k, n)| k == kind && n == name)
    }
}

/// Every package of the workspace, from `cargo metadata`.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let text = run::output(run::cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("cannot read the answer of `cargo metadata`: {error}")))?;
    Ok(list(&value["packages"]).map(package).collect())
}

/// The arguments that ask for every feature of every package, but for [`BY_HAND`].
///
/// # Errors
/// Cargo does not say what there is.
pub(crate) fn every_feature() -> Result<[String; 2]> {
    let packages = packages()?;
    let all = packages.iter().flat_map(|package| {
        package.features.iter().map(move |feature| format!("{}/{feature}", package.name))
    });
    let all: Vec<String> = all.filter(|feature| !BY_HAND.contains(&feature.as_str())).collect();
    Ok(["--features".to_owned(), all.join(",")])
}

/// The package `name`, or a sentence that says there is none.
pub(crate) fn package_named(name: &str) -> Result<Package> {
    packages()?
        .into_iter()
        .find(|package| package.name == name)
        .ok_or_else(|| Failure::new(format!("the workspace has no package `{name}`")))
}

fn package(value: &Value) -> Package {
    let targets = list(&value["targets"])
        .flat_map(|target| list(&target["kind"]).map(move |kind| (text(kind), text(&target["name"]))))
        .collect();
    let features = value["features"].as_object();
    let mut features: Vec<String> = features.map(|map| map.keys().cloned().collect()).unwrap_or_default();
    features.retain(|feature| feature != "default");
    features.sort();
    Package { name: text(&value["name"]), features, targets }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_finds_itself() {
        let xtask = package_named("xtask").unwrap();
        assert!(xtask.has("bin", "xtask"));
        assert!(!xtask.has("bench", "xtask"));
        assert!(package_named("no-such-package").is_err());
        let [_, features] = every_feature().unwrap();
        assert!(features.split(',').any(|feature| feature == "agora/kafka"), "{features}");
        for feature in BY_HAND {
            let (name, one) = feature.split_once('/').unwrap();
            assert!(package_named(name).unwrap().features.contains(&one.to_owned()), "{feature}");
            assert!(!features.contains(feature));
        }
        assert!(files().unwrap().contains(&PathBuf::from("xtask/Cargo.toml")));
    }
}
