//! Settling: in call order, many at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use agora_core::id::TopicName;
use agora_core::transport::{BoxFuture, Outcome, Settle, Token};
use agora_core::{Error, ErrorKind, Result};
use redis::cmd;
use tokio::sync::{Notify, mpsc, oneshot};

use super::scripts::SETTLE;
use crate::call::{list, number};
use crate::error::{Failure, closed, error, odd};
use crate::place::Id;
use crate::shared::{Shared, lock};

/// The most calls that wait for the server. A further one is refused with `QueueFull`, and may be tried again.
const QUEUE_MAX: usize = 4096;
/// The most calls that are looked at together, and the most settlements that are sent at once.
const CALLS_MAX: usize = 256;
const BATCH_MAX: usize = 512;

/// What a member holds: each record has the token that was given out last.
#[derive(Default)]
pub(super) struct Held {
    by_token: BTreeMap<u64, Id>,
    by_place: BTreeMap<Id, u64>,
    last: u64,
}

impl Held {
    /// A record was given out: every former token of it is void.
    pub(super) fn give(&mut self, id: Id) -> Token {
        self.last += 1;
        if let Some(former) = self.by_place.insert(id, self.last) {
            self.by_token.remove(&former);
        }
        self.by_token.insert(self.last, id);
        Token(self.last)
    }

    fn place_of(&self, token: Token) -> Option<Id> {
        self.by_token.get(&token.0).copied()
    }

    /// A record is this member's no more, unless it was given out anew meanwhile.
    fn forget(&mut self, token: Token) {
        if let Some(id) = self.by_token.remove(&token.0) {
            self.by_place.remove(&id);
        }
    }
}

struct Word {
    token: Token,
    id: Id,
    how: Settle,
}

/// What was said in one call.
struct Call {
    words: Vec<Word>,
    done: oneshot::Sender<Vec<Result<()>>>,
}

/// The settling of one member.
#[derive(Clone)]
pub(super) struct Settling {
    shared: Arc<Shared>,
    pub(super) held: Arc<Mutex<Held>>,
    calls: mpsc::Sender<Call>,
    /// Something was given back, by this member or another of this process.
    pub(super) released: Arc<Notify>,
}

impl Settling {
    pub(super) fn start(shared: &Arc<Shared>, topic: &TopicName, group: &str, me: &str) -> Self {
        let (calls, received) = mpsc::channel(QUEUE_MAX);
        let (held, released) = (Arc::default(), Arc::new(Notify::new()));
        let settling = Self { shared: Arc::clone(shared), held, calls, released };
        let task = Task {
            shared: Arc::clone(shared),
            topic: topic.clone(),
            group: group.to_owned(),
            me: me.to_owned(),
            held: Arc::clone(&settling.held),
            released: Arc::clone(&settling.released),
        };
        // Ends when the member has gone, because nobody can send it a word then.
        shared.spawn(task.run(received));
        settling
    }

    /// Queued when this returns.
    pub(super) fn settle_all(&self, words: Vec<(Token, Settle)>) -> BoxFuture<Vec<Result<()>>> {
        let (mut good, mut is_held) = (Vec::with_capacity(words.len()), Vec::with_capacity(words.len()));
        {
            let held = lock(&self.held);
            for (token, how) in words {
                let place = held.place_of(token);
                is_held.push(place.is_some());
                good.extend(place.map(|id| Word { token, id, how }));
            }
        }
        let (count, queued) = (good.len(), self.queue(good));
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let answered = async { queued?.await.map_err(|_| closed()) };
            let answers = tokio::select! {
                biased;
                () = shared.ended() => Err(closed()),
                answers = answered => answers,
            };
            let mut answers = answers.unwrap_or_else(|error: Error| vec![Err(error); count]).into_iter();
            let mut answer = |is_held| match is_held {
                true => answers.next().unwrap_or_else(|| Err(closed())),
                false => Err(void()),
            };
            is_held
                .into_iter()
                .map(|is_held| answer(is_held).map_err(|error| error.operation("settle")))
                .collect()
        })
    }

    fn queue(&self, words: Vec<Word>) -> Result<oneshot::Receiver<Vec<Result<()>>>> {
        let (done, answers) = oneshot::channel();
        if words.is_empty() {
            let _ = done.send(Vec::new());
            return Ok(answers);
        }
        self.calls.try_send(Call { words, done }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                error(ErrorKind::QueueFull, "too many settlements wait").context("allowed", QUEUE_MAX)
            }
            mpsc::error::TrySendError::Closed(_) => closed(),
        })?;
        Ok(answers)
    }
}

fn void() -> Error {
    error(ErrorKind::Conflict, "the record is not this member's any more")
        .help("its lease ended before it was settled: make the lease longer, or the work shorter")
}

struct Task {
    shared: Arc<Shared>,
    topic: TopicName,
    group: String,
    me: String,
    held: Arc<Mutex<Held>>,
    released: Arc<Notify>,
}

impl Task {
    async fn run(self, mut calls: mpsc::Receiver<Call>) {
        let mut batch = Vec::new();
        while calls.recv_many(&mut batch, CALLS_MAX).await > 0 {
            let words: Vec<&Word> = batch.iter().flat_map(|call| &call.words).collect();
            let mut answers = Vec::with_capacity(words.len());
            for some in words.chunks(BATCH_MAX) {
                answers.extend(self.answered(self.send(some).await, some));
            }
            let mut answers = answers.into_iter();
            for call in batch.drain(..) {
                let of_call = answers.by_ref().take(call.words.len()).collect();
                let _ = call.done.send(of_call);
            }
        }
    }

    async fn send(&self, batch: &[&Word]) -> Result<Vec<bool>, Failure> {
        let mut command = cmd("EVAL");
        command.arg(SETTLE).arg(1).arg(self.shared.names.stream(&self.topic)).arg(&self.group).arg(&self.me);
        let places = batch.iter().map(|word| word.id);
        let (first, last) = (places.clone().min().unwrap_or_default(), places.max().unwrap_or_default());
        command.arg(first.to_string()).arg(last.to_string());
        for word in batch {
            command.arg(word.id.to_string()).arg(match word.how {
                Settle::Ack => "ack",
                Settle::Extend => "extend",
                Settle::Release => "release",
            });
        }
        let answers = list(self.shared.call(Some(&self.topic), &command).await?)?;
        if answers.len() != batch.len() {
            return Err(odd("another number of settlements than there were"));
        }
        answers.into_iter().map(|answer| Ok(number(answer)? == Some(1))).collect()
    }

    fn answered(&self, answers: Result<Vec<bool>, Failure>, batch: &[&Word]) -> Vec<Result<()>> {
        let answers = match answers {
            Ok(answers) => answers,
            Err(failure) => {
                let error = match failure.outcome {
                    // The group is gone, and with it what was held.
                    Outcome::NotStored if failure.error.to_string().contains("NOGROUP") => void(),
                    _ => failure.error,
                };
                return vec![Err(error); batch.len()];
            }
        };
        let mut held = lock(&self.held);
        let answered = batch.iter().zip(answers).map(|(word, is_mine)| {
            if !is_mine || word.how != Settle::Extend {
                held.forget(word.token);
            }
            if is_mine && word.how == Settle::Release {
                self.released.notify_one();
            }
            if is_mine { Ok(()) } else { Err(void()) }
        });
        answered.collect()
    }
}
