//! A member of a group that does what a script says, and writes down what it does.

use std::sync::Arc;
use std::time::Duration;

use agora_core::Error;
use agora_core::bus::{Attempt, Failed, Start};
use agora_core::event::DeadLetter;
use agora_core::id::{Incarnation, NodeId, SourceId};
use tokio::sync::oneshot;

use super::node::Node;
use super::place::place;
use super::recorder::Recorder;
use super::run::Run;
use crate::history::{GroupWhat, How, Life, Sub, Topic, What};
use crate::sim::note::Note;
use crate::suite::{Fault, Verdict};

/// The name of the group of a run.
pub const GROUP: &str = "workers";
/// How long the work of a member that is gone lies.
pub const LEASE: Duration = Duration::from_secs(2);
/// The same where nobody is gone, and nothing may be handled twice: no pause of a busy machine is so long.
pub(super) const LONG_LEASE: Duration = Duration::from_secs(30);
/// How long a handler may take.
pub(super) const HANDLER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often an event is tried.
pub(super) const ATTEMPTS_MAX: u32 = 3;
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(100));
/// Handlers at once.
const CONCURRENCY: usize = 4;

/// What a handler does with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It is done at once.
    Done,
    /// It takes so long, and is done.
    After(Duration),
    /// It fails, and may succeed another time.
    Fail,
    /// It never will.
    Reject,
    /// It panics.
    Panic,
    /// It never ends by itself.
    Hang,
}

/// What to do with the event of this number, at which try.
pub type Script = Arc<dyn Fn(u64, u32) -> Act + Send + Sync>;

/// A member at work.
#[must_use = "dropped, it goes on"]
pub struct Member {
    member: Sub,
    recorder: Recorder,
    leave: oneshot::Sender<Duration>,
    left: oneshot::Receiver<Result<(), Error>>,
}

impl Member {
    pub(super) async fn join(node: &Node, lease: Duration, script: Script) -> Result<Self, Fault> {
        let (run, recorder) = (node.run().clone(), node.run().recorder().clone());
        let member = recorder.sub();
        recorder.record(What::Group(GroupWhat::Join(member, node.life(), Topic(0))));
        let bus = node.bus();
        let joining = bus.group(run.topic().as_str(), GROUP).typed::<Note>().attempts(ATTEMPTS_MAX);
        let joining = joining.backoff(BACKOFF.0, BACKOFF.1).lease(lease).handler_timeout(HANDLER_TIMEOUT);
        let joined = run.soon("joining a group", joining.into_future()).await?;
        drop(bus);
        recorder
            .record(What::Group(GroupWhat::Joined(member, joined.as_ref().map(drop).map_err(Error::kind))));
        let mut group = joined?;
        let (leave, mut told) = oneshot::channel::<Duration>();
        let (tell_left, left) = oneshot::channel();
        let handler = Handler { member, recorder: recorder.clone(), script };
        node.spawn(async move {
            let worked = tokio::select! {
                biased;
                within = &mut told => Err(within),
                ended = group.run(CONCURRENCY, |attempt| handler.clone().handle(attempt)) => Ok(ended),
            };
            let left = match worked {
                Ok(ended) => ended,
                Err(Ok(within)) => group.leave(within).await,
                // Nobody tells it any more: it works for as long as its node does.
                Err(Err(_)) => group.run(CONCURRENCY, |attempt| handler.clone().handle(attempt)).await,
            };
            if let Err(error) = &left {
                handler.recorder.remark(format!("{member}: {error:#}"));
            }
            let what = left.as_ref().copied().map_err(Error::kind);
            handler.recorder.record(What::Group(GroupWhat::Left(member, what)));
            let _ = tell_left.send(left);
        });
        Ok(Self { member, recorder, leave, left })
    }

    /// Its number in the history.
    pub fn sub(&self) -> Sub {
        self.member
    }

    /// How many events it has begun.
    pub fn begun(&self) -> usize {
        self.recorder.look(|history| begun(history, self.member))
    }

    /// Waits until it has begun so many.
    ///
    /// # Errors
    /// Where that does not come in time.
    pub async fn has_begun(&self, run: &Run, events: usize) -> Verdict {
        run.until("a member begins events", |history| begun(history, self.member) >= events).await
    }

    /// Leaves the group in an orderly way.
    ///
    /// # Errors
    /// What the group says.
    pub async fn leave(self, run: &Run, within: Duration) -> Verdict {
        self.recorder.record(What::Group(GroupWhat::Leaving(self.member)));
        let _ = self.leave.send(within);
        match run.soon("leaving a group", self.left).await? {
            Ok(left) => Ok(left?),
            Err(_) => Err(Fault::broken("a member ended before it was told to leave")),
        }
    }
}

/// A member in another process, of which only its own word is known.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    member: Sub,
    recorder: Recorder,
}

impl Elsewhere {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self { member: recorder.sub(), recorder }
    }

    /// It says that it has done this event, which stands on this lane.
    pub fn has_done(&self, source: SourceId, lane: u32, seq: u64) {
        let seq = place(lane, seq);
        let (member, of, how) = (self.member, self.recorder.life_of(source), How::Done);
        self.recorder.record(What::Group(GroupWhat::End { member, of, seq, attempt: 1, how }));
    }
}

fn begun(history: &crate::history::History, of: Sub) -> usize {
    let is_one = |what: &What| matches!(what, What::Group(GroupWhat::Begin { member, .. }) if *member == of);
    history.entries.iter().filter(|entry| is_one(&entry.what)).count()
}

#[derive(Clone)]
struct Handler {
    member: Sub,
    recorder: Recorder,
    script: Script,
}

impl Handler {
    async fn handle(self, attempt: Attempt<Note>) -> Result<(), Failed> {
        let Self { member, recorder, script } = self;
        let of = recorder.life_of(attempt.source());
        let (seq, value) = (place(attempt.lane(), attempt.seq()), attempt.value());
        let number = attempt.attempt();
        recorder.record(What::Group(GroupWhat::Begin { member, of, seq, value, attempt: number }));
        // Told also where it is stopped in its middle, or panics.
        let mut ending = Ending { recorder, member, of, seq, attempt: number, how: How::Dropped };
        let result = match script(value.map_or(0, |value| value.n), number) {
            Act::Done => Ok(()),
            Act::After(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Act::Fail => Err(Failed::retry("the script of this case")),
            Act::Reject => Err(Failed::reject("the script of this case")),
            // Without the hook, which writes a page and may take a second for it.
            Act::Panic => std::panic::resume_unwind(Box::new("the script of this case")),
            Act::Hang => std::future::pending().await,
        };
        ending.how = match &result {
            Ok(()) => How::Done,
            Err(Failed::Retry(_)) => How::Failed,
            Err(Failed::Reject(_)) => How::Rejected,
        };
        result
    }
}

struct Ending {
    recorder: Recorder,
    member: Sub,
    of: Option<Life>,
    seq: u64,
    attempt: u32,
    how: How,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Self { member, of, seq, attempt, how, .. } = *self;
        self.recorder.record(What::Group(GroupWhat::End { member, of, seq, attempt, how }));
    }
}

/// Reads the dead letters of the group of a run, and writes down what is buried.
///
/// # Errors
/// Where they cannot be read.
pub(super) async fn read_dead_letters(node: &Node) -> Verdict {
    let (run, recorder, by) = (node.run().clone(), node.run().recorder().clone(), node.life());
    let letters = run.dead_letters()?;
    let bus = node.bus();
    let starting = bus.subscribe(&letters).typed::<DeadLetter>().start(Start::Earliest);
    let mut letters = run.soon("the dead letters are read", starting).await??;
    node.spawn(async move {
        while let Ok(Some(delivery)) = letters.try_next().await {
            if let agora_core::bus::Delivery::Event(letter) = delivery {
                let origin = letter.origin.as_ref();
                let of = origin.and_then(|origin| recorder.life_of(source_of(origin)));
                let seq = origin.map_or(0, |origin| place(letter.lane, origin.seq));
                recorder.remark(format!("a dead letter after {} tries: {}", letter.attempts, letter.reason));
                recorder.record(What::Group(GroupWhat::Buried(by, of, seq, true)));
            }
        }
    });
    Ok(())
}

fn source_of(origin: &agora_core::event::LetterOrigin) -> SourceId {
    SourceId { node: NodeId(origin.node), incarnation: Incarnation(origin.incarnation) }
}
