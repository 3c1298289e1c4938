//! What real servers and real networks can do to a bus, and what the bus must make of it.
//!
//! A [`World`] is a backend with power over it: a server that can be killed and paused, and a link for each node that can
//! be cut, slowed and reset. Each [`FaultCase`] lets several nodes publish and read while something goes wrong, heals it,
//! waits until everybody has what is owed, and judges the history: what was acknowledged was read or is named in a gap,
//! nothing was read that was not published, nothing twice, and each source in its order. A history that does not pass
//! is written to a file.
//!
//! | here | what |
//! |---|---|
//! | `world` | what the author of a backend gives |
//! | `run`, `node`, `member` | nodes that do something and write down what happens to them |
//! | `judge` | what in a history breaks a promise |
//! | `cases` | what goes wrong |

mod cases;
mod judge;
mod member;
mod node;
mod place;
mod recorder;
mod run;
mod tests_of;
mod world;

use std::path::Path;
use std::sync::Arc;

use agora_core::transport::{BoxFuture, Framing, TopicSettings};

pub use cases::all as cases;
pub use judge::Rules;
pub use member::{Act, Elsewhere, GROUP, LEASE, Member, Script};
pub use node::{Node, Reading};
pub use run::Run;
pub use world::{LinkFault, ServerFault, World};

use crate::suite::{Fault, Verdict};

/// On what a case is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// A live topic.
    Live,
    /// A log whose messages hold many events.
    Log,
    /// A log of one event a message.
    Each,
}

impl On {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::Log, Self::Each];

    /// What the topic is.
    pub fn settings(self) -> TopicSettings {
        match self {
            Self::Live => TopicSettings::LIVE,
            Self::Log => TopicSettings::LOG,
            Self::Each => TopicSettings::LOG.framing(Framing::Each),
        }
    }

    /// A stable name, as tests and files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Log => "log",
            Self::Each => "each",
        }
    }
}

/// Something that goes wrong.
#[derive(Clone, Copy)]
pub struct FaultCase {
    /// Its name.
    pub name: &'static str,
    /// On what it is played.
    pub on: &'static [On],
    /// What the user sees of it: one sentence.
    pub seen: &'static str,
    /// Plays it.
    pub run: fn(Run) -> BoxFuture<Verdict>,
}

impl std::fmt::Debug for FaultCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultCase").field("name", &self.name).field("on", &self.on).finish_non_exhaustive()
    }
}

/// The variable that keeps the histories of cases that pass, too: for who wants to see what happens.
pub const KEEP: &str = "AGORA_FAULTS_KEEP";

/// Plays a case on a world of its own. The error is for the person who reads the test: what was wrong, and in which file
/// of `directory` the history is.
///
/// # Errors
/// What broke a promise, or could not be done.
pub async fn play(
    world: Arc<dyn World>,
    name: &str,
    on: On,
    case: impl FnOnce(Run) -> BoxFuture<Verdict>,
    directory: &Path,
) -> Result<(), String> {
    play_on(world, &format!("{}-{name}", on.as_str()), on.settings(), case, directory).await
}

/// As [`play`], with topics of these settings.
///
/// # Errors
/// As [`play`].
pub async fn play_on(
    world: Arc<dyn World>,
    name: &str,
    settings: TopicSettings,
    case: impl FnOnce(Run) -> BoxFuture<Verdict>,
    directory: &Path,
) -> Result<(), String> {
    let name = format!("{}-{name}", world.name());
    let run = Run::new(world, settings).map_err(|fault| format!("{name}: {fault:?}"))?;
    let verdict = case(run.clone()).await;
    run.end().await;
    if verdict.is_ok() && std::env::var_os(KEEP).is_none() {
        return Ok(());
    }
    let path = directory.join(format!("{name}.txt"));
    let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, run.text()));
    let at = written.map_or_else(|error| format!("not written: {error}"), |()| path.display().to_string());
    let Err(Fault::Broken(what) | Fault::NotHere(what)) = verdict else { return Ok(()) };
    Err(format!("{name}: {what}\nIts history: {at}"))
}

/// Plays the case of this name.
///
/// # Errors
/// As [`play`]; and where there is no such case.
pub async fn play_named(world: Arc<dyn World>, name: &str, on: On, directory: &Path) -> Result<(), String> {
    let found = cases().into_iter().find(|case| case.name == name && case.on.contains(&on));
    let case = found.ok_or_else(|| format!("there is no case {name} on {on:?}"))?;
    play(world, name, on, case.run, directory).await
}
