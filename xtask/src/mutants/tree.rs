//! The copy of the repository to which patches are applied.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::patch::Mutant;
use crate::run::{Doing, Result};
use crate::workspace;

/// `tree` holds the copy, `build` what is built of it, `logs` what the commands said.
pub(super) struct Tree {
    home: PathBuf,
    /// Every file as it was in the beginning: whoever goes on working meanwhile changes nothing for the mutants.
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Tree {
    pub(super) fn new(home: PathBuf) -> Result<Self> {
        for directory in ["tree", "build", "logs"] {
            let directory = home.join(directory);
            fs::create_dir_all(&directory).doing(format_args!("create {}", directory.display()))?;
        }
        let mut files = BTreeMap::new();
        for file in workspace::files()? {
            let path = workspace::root().join(&file);
            files.insert(file, fs::read(&path).doing(format_args!("read {}", path.display()))?);
        }
        Ok(Self { home, files })
    }

    pub(super) fn root(&self) -> PathBuf {
        self.home.join("tree")
    }

    pub(super) fn build(&self) -> PathBuf {
        self.home.join("build")
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(name).with_extension("log")
    }

    /// Makes the copy what the work tree was in the beginning. A file that is equal already is not written: its time
    /// of change stays, and cargo does not build it again.
    pub(super) fn sync(&self) -> Result {
        let root = self.root();
        for (file, wanted) in &self.files {
            let path = root.join(file);
            if fs::read(&path).is_ok_and(|there| there == *wanted) {
                continue;
            }
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).doing(format_args!("create {}", parent.display()))?;
            }
            fs::write(&path, wanted).doing(format_args!("write {}", path.display()))?;
        }
        self.remove_others(&root)
    }

    /// Removes what a patch, or an earlier state of the repository, has left behind.
    fn remove_others(&self, directory: &Path) -> Result {
        let doing = || format!("list {}", directory.display());
        for entry in fs::read_dir(directory).doing(doing())? {
            let path = entry.doing(doing())?.path();
            if path.is_dir() {
                self.remove_others(&path)?;
            } else if !path.strip_prefix(self.root()).is_ok_and(|file| self.files.contains_key(file)) {
                fs::remove_file(&path).doing(format_args!("remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Applies the patch to the copy, or says why it does not fit.
    pub(super) fn apply(&self, mutant: &Mutant) -> std::result::Result<(), String> {
        git_apply(&self.root(), mutant, &[])
    }
}

/// Would the patch apply to the tree at `root`? Nothing is changed.
pub(super) fn applies(root: &Path, mutant: &Mutant) -> std::result::Result<(), String> {
    git_apply(root, mutant, &["--check"])
}

fn git_apply(root: &Path, mutant: &Mutant, options: &[&str]) -> std::result::Result<(), String> {
    let mut git = Command::new("git");
    git.arg("apply").args(options).arg(&mutant.path).current_dir(root);
    // Inside of a repository git would take the paths of the patch from its top, and skip what lies elsewhere.
    if let Some(above) = root.parent() {
        git.env("GIT_CEILING_DIRECTORIES", above).env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    }
    let out = git.output().map_err(|error| format!("cannot start git: {error}"))?;
    if out.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&out.stderr).trim().replace('\n', "; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own below `target`, so below a repository, as the real one is.
    fn tree(name: &str) -> Tree {
        let home = workspace::root().join("target/xtask-tests").join(name);
        let _ = fs::remove_dir_all(&home);
        Tree::new(home).unwrap()
    }

    fn mutant(tree: &Tree, text: &str) -> Mutant {
        let path = tree.log("m").with_extension("patch");
        fs::write(&path, text).unwrap();
        Mutant { name: "m".into(), path, breaks: "nothing".into(), caught_by: Vec::new() }
    }

    const PATCH: &str = "\
# mutant: m
--- a/rustfmt.toml
+++ b/rustfmt.toml
@@ -1,2 +1,2 @@
-max_width = 110
+max_width = 11
 use_small_heuristics = \"Max\"
";

    #[test]
    fn a_patch_is_applied_to_the_copy_and_taken_back() {
        let tree = tree("apply");
        tree.sync().unwrap();
        let copy = tree.root().join("rustfmt.toml");
        let original = fs::read_to_string(&copy).unwrap();
        let untouched = fs::metadata(tree.root().join("Cargo.toml")).unwrap().modified().unwrap();
        let mutant = mutant(&tree, PATCH);

        applies(&tree.root(), &mutant).unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), original, "a check changes nothing");
        tree.apply(&mutant).unwrap();
        assert!(fs::read_to_string(&copy).unwrap().starts_with("max_width = 11\n"));
        assert!(tree.apply(&mutant).unwrap_err().contains("rustfmt.toml"), "it fits once only");

        fs::write(tree.root().join("left-behind.rs"), "x").unwrap();
        tree.sync().unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), original);
        assert!(!tree.root().join("left-behind.rs").exists());
        let after = fs::metadata(tree.root().join("Cargo.toml")).unwrap().modified().unwrap();
        assert_eq!(untouched, after, "equal files are not written again");
    }
}
