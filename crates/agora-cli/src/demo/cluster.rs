//! All processes of the demo, and waiting for what they report.

use std::collections::BTreeMap;
use std::time::Duration;

use agora::{Error, ErrorKind};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::books::{Closing, Row};
use super::life::Life;
use super::protocol::{Command, Report};

/// Reports that wait to be looked at.
const REPORTS_MAX: usize = 4096;
/// How long a node may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The pause between two looks at the books.
const LOOK: Duration = Duration::from_millis(100);

/// Where the demo plays.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) url: String,
    pub(super) cluster: String,
    /// `-v`, as often as it was given.
    pub(super) verbose: Option<String>,
    pub(super) connect_timeout: Duration,
}

/// What comes out of a process.
#[derive(Debug)]
pub(super) enum Incoming {
    Report(Report),
    Ended,
}

/// The processes. A node that was started again is another life, with an index of its own.
pub(super) struct Cluster {
    setting: Setting,
    pub(super) lives: Vec<Life>,
    /// All that was reported, in the order in which it came.
    log: Vec<(usize, Report)>,
    incoming: mpsc::Receiver<(usize, Incoming)>,
    sender: mpsc::Sender<(usize, Incoming)>,
}

impl Cluster {
    pub(super) fn new(setting: Setting) -> Self {
        let (sender, incoming) = mpsc::channel(REPORTS_MAX);
        Self { setting, lives: Vec::new(), log: Vec::new(), incoming, sender }
    }

    /// Starts a node, and returns the index of its life.
    pub(super) fn start(&mut self, name: &str) -> Result<usize, Error> {
        let index = self.lives.len();
        self.lives.push(Life::start(&self.setting, name, index, self.sender.clone())?);
        Ok(index)
    }

    /// The lives that are members now.
    pub(super) fn alive(&self) -> Vec<usize> {
        (0..self.lives.len()).filter(|index| self.lives[*index].alive).collect()
    }

    /// The lives that are members now, but this one.
    pub(super) fn others(&self, than: usize) -> Vec<usize> {
        self.alive().into_iter().filter(|index| *index != than).collect()
    }

    pub(super) fn name(&self, life: usize) -> String {
        self.lives[life].name.clone()
    }

    /// What an incarnation is called.
    pub(super) fn name_of(&self, incarnation: &str) -> String {
        let life = self.lives.iter().find(|life| life.incarnation.as_deref() == Some(incarnation));
        life.map_or_else(|| incarnation.to_owned(), |life| life.name.clone())
    }

    pub(super) async fn tell(&mut self, life: usize, command: Command) -> Result<(), Error> {
        self.lives[life].tell(&command).await
    }

    /// Where the log ends now: see [`each`](Self::each).
    pub(super) fn mark(&self) -> usize {
        self.log.len()
    }

    /// What was reported since a mark.
    pub(super) fn since(&self, mark: usize) -> impl Iterator<Item = &(usize, Report)> {
        self.log.iter().skip(mark)
    }

    /// Waits until each of these lives has reported, since the mark, what `wanted` looks for.
    ///
    /// # Errors
    /// `Timeout`, saying who never did. `Runtime`: a node ended, or could not do what it was told.
    pub(super) async fn each<T>(
        &mut self,
        mark: usize,
        lives: &[usize],
        within: Duration,
        what: &str,
        mut wanted: impl FnMut(&Report) -> Option<T>,
    ) -> Result<BTreeMap<usize, T>, Error> {
        let deadline = Instant::now() + within;
        let mut found = BTreeMap::new();
        let mut looked = mark;
        loop {
            while let Some((life, report)) = self.log.get(looked) {
                looked += 1;
                if !lives.contains(life) || found.contains_key(life) {
                    continue;
                }
                if let Some(value) = wanted(report) {
                    found.insert(*life, value);
                }
            }
            if found.len() == lives.len() {
                return Ok(found);
            }
            if self.pump(deadline).await? {
                continue;
            }
            let missing = lives.iter().filter(|life| !found.contains_key(life));
            let names: Vec<String> = missing.map(|life| self.name(*life)).collect();
            return Err(Error::new(ErrorKind::Timeout, format!("{} never {what}", names.join(", ")))
                .context("waited", format!("{within:?}"))
                .help("this machine may be too busy; -v shows what the nodes say"));
        }
    }

    /// Takes the next report into the log. Returns whether there was one before the deadline.
    ///
    /// # Errors
    /// `Runtime`: a node ended, or could not do what it was told.
    pub(super) async fn pump(&mut self, deadline: Instant) -> Result<bool, Error> {
        match timeout_at(deadline, self.incoming.recv()).await {
            Ok(Some((life, incoming))) => self.take(life, incoming).map(|()| true),
            Ok(None) | Err(_) => Ok(false),
        }
    }

    fn take(&mut self, life: usize, incoming: Incoming) -> Result<(), Error> {
        let wrong = |message: String| {
            Err(Error::new(ErrorKind::Runtime, message).help("-v shows what the nodes say"))
        };
        match incoming {
            Incoming::Report(Report::Failed { message }) => {
                wrong(format!("{} could not do its part: {message}", self.lives[life].name))
            }
            Incoming::Ended if self.lives[life].alive => {
                wrong(format!("{} has ended unexpectedly", self.lives[life].name))
            }
            Incoming::Ended => Ok(()),
            Incoming::Report(report) => {
                match &report {
                    Report::Ready { incarnation } => self.lives[life].incarnation = Some(incarnation.clone()),
                    Report::Books(books) => self.lives[life].books = books.clone(),
                    _ => {}
                }
                self.log.push((life, report));
                Ok(())
            }
        }
    }

    /// Tells a life something that it answers at once.
    pub(super) async fn ask(&mut self, life: usize, command: Command) -> Result<Report, Error> {
        let mark = self.mark();
        self.tell(life, command).await?;
        let answer = |report: &Report| match report {
            Report::Done | Report::Connection { .. } => Some(report.clone()),
            _ => None,
        };
        let mut answers = self.each(mark, &[life], ANSWER, "answered", answer).await?;
        answers.remove(&life).ok_or_else(|| Error::new(ErrorKind::Runtime, "no answer"))
    }

    /// Brings the books of these lives up to date.
    pub(super) async fn audit(&mut self, lives: &[usize]) -> Result<(), Error> {
        let mark = self.mark();
        for life in lives {
            self.tell(*life, Command::Books).await?;
        }
        let books = |report: &Report| matches!(report, Report::Books(_)).then_some(());
        self.each(mark, lives, ANSWER, "reported its books", books).await?;
        Ok(())
    }

    /// From now on a receiver is owed what each other source publishes.
    pub(super) async fn begin_to_owe(&mut self, receiver: usize) -> Result<(), Error> {
        let sources = self.others(receiver);
        self.audit(&sources).await?;
        for source in sources {
            let from = self.lives[source].books.published + 1;
            self.lives[receiver].owed_from.insert(source, from);
        }
        Ok(())
    }

    /// A life has ended: it is owed what the others had published until now.
    pub(super) fn stop_owing(&mut self, receiver: usize, end: &'static str) {
        let sources: Vec<usize> = self.lives[receiver].owed_from.keys().copied().collect();
        for source in sources {
            let to = self.lives[source].books.published + 1;
            self.lives[receiver].owed_to.insert(source, to);
        }
        self.lives[receiver].alive = false;
        self.lives[receiver].end = Some(end);
    }

    /// Waits until nothing is missing silently any more, and returns the state of the books: balanced, or as they
    /// stand when the time is up. Nobody may be publishing.
    pub(super) async fn settle(&mut self, within: Duration) -> Result<Closing, Error> {
        let deadline = Instant::now() + within;
        loop {
            self.audit(&self.alive()).await?;
            let closing = self.closing();
            if closing.balances() || Instant::now() >= deadline {
                return Ok(closing);
            }
            sleep(LOOK).await;
        }
    }

    /// The books of all lives, as they were last reported.
    pub(super) fn closing(&self) -> Closing {
        Closing { rows: (0..self.lives.len()).map(|life| Row::of(&self.lives, life)).collect() }
    }

    /// Ends all processes in an orderly way, and returns the books.
    pub(super) async fn close(mut self) -> Closing {
        let closing = self.closing();
        for life in &mut self.lives {
            if life.alive {
                drop(life.tell(&Command::Leave).await);
            }
        }
        for life in &mut self.lives {
            life.ended().await;
        }
        closing
    }
}
