//! Many cases on few servers: a server takes seconds to start, and most cases leave it as it was.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use agora_conformance::faults::{self, On, Run, World};
use agora_conformance::suite::{Ability, Cannot, Verdict};
use agora_core::transport::{BoxFuture, TopicSettings};
use async_trait::async_trait;
use tokio::task::JoinSet;

/// The variable that leaves out all cases but those whose name, as in `log-ack_lost`, contains its value.
const ONLY: &str = "AGORA_FAULTS_ONLY";

/// A world that can be made whole after a case, however that has ended.
#[async_trait]
pub trait Mended: World {
    /// Lets everything pass and every server run.
    ///
    /// # Errors
    /// Where it cannot be mended.
    async fn mend(&self) -> Ability;
}

/// What became of a case: why it failed.
pub type Outcome = Result<(), String>;

type Case<W> = Box<dyn FnOnce(Run, Arc<W>) -> BoxFuture<Verdict> + Send>;

struct Turn<W> {
    name: String,
    settings: TopicSettings,
    case: Case<W>,
}

/// Cases to be played one after the other in a world, or in several at once.
pub struct Round<W> {
    directory: PathBuf,
    turns: VecDeque<Turn<W>>,
}

impl<W: Mended> Round<W> {
    /// None yet. Histories go to this directory.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), turns: VecDeque::new() }
    }

    /// One more, of this world.
    #[must_use]
    pub fn with(
        self,
        on: On,
        name: &str,
        case: impl FnOnce(Run, Arc<W>) -> BoxFuture<Verdict> + Send + 'static,
    ) -> Self {
        self.with_topic(on.settings(), &format!("{}-{name}", on.as_str()), case)
    }

    /// The same, with topics of these settings.
    #[must_use]
    pub fn with_topic(
        mut self,
        settings: TopicSettings,
        name: &str,
        case: impl FnOnce(Run, Arc<W>) -> BoxFuture<Verdict> + Send + 'static,
    ) -> Self {
        let name = name.to_owned();
        if std::env::var(ONLY).is_ok_and(|only| !name.contains(&only)) {
            return self;
        }
        self.turns.push_back(Turn { name, settings, case: Box::new(case) });
        self
    }

    /// Those of the suite that are wanted.
    #[must_use]
    pub fn of_the_suite(mut self, wanted: impl Fn(&str, On) -> bool) -> Self {
        for case in faults::cases() {
            for on in case.on.iter().filter(|on| wanted(case.name, **on)) {
                self = self.with(*on, case.name, move |run, _| (case.run)(run));
            }
        }
        self
    }

    /// Plays all of them, each in one of these worlds, which is mended first.
    ///
    /// # Panics
    /// Where any has broken a promise: what it says is for whoever reads the test.
    pub async fn play(self, worlds: impl IntoIterator<Item = Arc<W>>) {
        let (turns, directory) = (Arc::new(Mutex::new(self.turns)), Arc::new(self.directory));
        let mut playing = JoinSet::new();
        for world in worlds {
            let (turns, directory) = (turns.clone(), directory.clone());
            playing.spawn(async move {
                let mut failed = Vec::new();
                loop {
                    let next = turns.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(turn) = next else { return failed };
                    failed.extend(turn.play(&world, &directory).await.err());
                }
            });
        }
        let failed: Vec<String> = playing.join_all().await.into_iter().flatten().collect();
        assert!(failed.is_empty(), "{} cases failed:\n\n{}", failed.len(), failed.join("\n\n"));
    }
}

impl<W: Mended> Turn<W> {
    async fn play(self, world: &Arc<W>, directory: &Path) -> Outcome {
        let Self { name, settings, case } = self;
        if let Err(Cannot(why)) = world.mend().await {
            return Err(format!("{}-{name}: the world before it cannot be mended: {why}", world.name()));
        }
        let own = world.clone();
        faults::play_on(world.clone(), &name, settings, |run| case(run, own), directory).await
    }
}
