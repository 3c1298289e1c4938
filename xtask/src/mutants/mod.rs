//! `cargo xtask mutants`: the tests are tested. Each patch in `xtask/mutants/` breaks the engine in one way that would
//! break a promise; the commands that it names must notice.
//!
//! The patches are applied one by one to a copy of the tree, which is built in a directory of its own, so that neither
//! the work tree nor its build is touched, and only what a patch changed is built again.

mod limited;
mod patch;
mod table;
mod tree;
mod trial;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::run::{self, Failure, Result};
use crate::workspace;

use patch::Mutant;
use table::Outcome;
use tree::Tree;
use trial::Trial;

/// The unmodified tree must pass first: a test that always fails catches nothing.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only those whose name contains this; can be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Print the names and what each breaks, and run nothing
    #[arg(long)]
    list: bool,
    /// Only so many of them, a part that moves on with each commit: for a run that must be short
    #[arg(long, value_name = "N")]
    sample: Option<NonZeroUsize>,
    /// How long one command may run, once it is built. A test that hangs has caught nothing: it cannot say what broke
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    time_limit: u64,
}

/// Runs the mutants that were asked for.
pub(crate) fn run(args: &Args) -> Result {
    let mut mutants = selected(patch::read_all(&directory())?, &args.only)?;
    if let Some(most) = args.sample {
        mutants = sample(mutants, most.get(), &run::output(head())?);
    }
    if args.list {
        mutants.iter().for_each(|mutant| println!("{:<28} {}", mutant.name, mutant.breaks));
        return Ok(());
    }
    let tree = Tree::new(workspace::root().join("target/mutants"))?;
    tree.sync()?;
    let trial = Trial::new(&tree, Duration::from_secs(args.time_limit));
    println!("the unmodified tree must pass:");
    trial.baseline(&mutants)?;
    println!("\n{} mutants:", mutants.len());
    let mut outcomes = Vec::new();
    for mutant in &mutants {
        let outcome = judge(&tree, &trial, mutant)?;
        println!("{}", table::row(mutant, &outcome));
        outcomes.push((mutant, outcome));
    }
    tree.sync()?;
    table::verdict(&outcomes)
}

fn head() -> Command {
    let mut command = Command::new("git");
    command.args(["rev-parse", "HEAD"]).current_dir(workspace::root());
    command
}

/// A run of `most` neighbours in the list, taken as a ring. The commit's hash says where it begins, so that the same
/// commit always gives the same ones.
fn sample(mut mutants: Vec<Mutant>, most: usize, commit: &str) -> Vec<Mutant> {
    let digits = commit.trim().get(..8).and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let (all, begin) = (mutants.len(), digits.unwrap_or(0) % mutants.len().max(1));
    mutants.rotate_left(begin);
    mutants.truncate(most);
    println!("{} of {all} mutants; all of them: `cargo xtask mutants`", mutants.len());
    mutants
}

/// Everything that is wrong with the patches themselves: their headers, and whether they still apply to the tree.
pub(crate) fn complaints() -> Result<Vec<String>> {
    let mutants = match patch::read_all(&directory()) {
        Ok(mutants) => mutants,
        Err(failure) => return Ok(vec![failure.to_string()]),
    };
    let sentence = |mutant: &Mutant, why| format!("{} does not apply: {why}", mutant.path.display());
    Ok(mutants
        .iter()
        .filter_map(|mutant| tree::applies(workspace::root(), mutant).err().map(|why| sentence(mutant, why)))
        .collect())
}

fn directory() -> PathBuf {
    workspace::root().join("xtask/mutants")
}

/// Applies the patch to a clean tree and runs what must catch it.
fn judge(tree: &Tree, trial: &Trial<'_>, mutant: &Mutant) -> Result<Outcome> {
    // This also takes back the patch before.
    tree.sync()?;
    match tree.apply(mutant) {
        Ok(()) => trial.of(mutant),
        Err(why) => Ok(Outcome::Unfit(format!("does not apply: {why}"))),
    }
}

fn selected(mut mutants: Vec<Mutant>, only: &[String]) -> Result<Vec<Mutant>> {
    mutants.retain(|mutant| only.is_empty() || only.iter().any(|part| mutant.name.contains(part.as_str())));
    if mutants.is_empty() {
        // Nothing to run must never look like everything caught.
        return Err(Failure::new(match only {
            [] => format!("there is no patch in {}", directory().display()),
            only => format!("no mutant has `{}` in its name; `--list` prints them all", only.join("` or `")),
        }));
    }
    Ok(mutants)
}
