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

/// The most settlements that wait for the server. A further one is refused with `QueueFull`, and may be tried again.
const QUEUE_MAX: usize = 4096;
/// The most that are sent at once.
const BATCH_MAX: usize = 256;

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
    done: oneshot::Sender<Result<()>>,
}

/// The settling of one member.
#[derive(Clone)]
pub(super) struct Settling {
    shared: Arc<Shared>,
    pub(super) held: Arc<Mutex<Held>>,
    words: mpsc::Sender<Word>,
    /// Something was given back, by this member or another of this process.
    pub(super) released: Arc<Notify>,
}

impl Settling {
    pub(super) fn start(shared: &Arc<Shared>, topic: &TopicName, group: &str, me: &str) -> Self {
        let (words, received) = mpsc::channel(QUEUE_MAX);
        let (held, released) = (Arc::default(), Arc::new(Notify::new()));
        let settling = Self { shared: Arc::clone(shared), held, words, released };
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

    pub(super) fn settle(&self, token: Token, how: Settle) -> BoxFuture<Result<()>> {
        let (done, answer) = oneshot::channel();
        let queued = self.queue(token, how, done);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let answered = async {
                queued?;
                answer.await.unwrap_or_else(|_| Err(closed()))
            };
            tokio::select! {
                biased;
                () = shared.ended() => Err(closed()),
                answer = answered => answer,
            }
            .map_err(|error| error.operation("settle"))
        })
    }

    fn queue(&self, token: Token, how: Settle, done: oneshot::Sender<Result<()>>) -> Result<()> {
        let id = lock(&self.held).place_of(token).ok_or_else(void)?;
        self.words.try_send(Word { token, id, how, done }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                error(ErrorKind::QueueFull, "too many settlements wait").context("allowed", QUEUE_MAX)
            }
            mpsc::error::TrySendError::Closed(_) => closed(),
        })
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
    async fn run(self, mut words: mpsc::Receiver<Word>) {
        let mut batch = Vec::new();
        while words.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let answers = self.send(&batch).await;
            self.answered(answers, std::mem::take(&mut batch));
        }
    }

    async fn send(&self, batch: &[Word]) -> Result<Vec<bool>, Failure> {
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

    fn answered(&self, answers: Result<Vec<bool>, Failure>, batch: Vec<Word>) {
        let answers = match answers {
            Ok(answers) => answers,
            Err(failure) => {
                let error = match failure.outcome {
                    // The group is gone, and with it what was held.
                    Outcome::NotStored if failure.error.to_string().contains("NOGROUP") => void(),
                    _ => failure.error,
                };
                return batch.into_iter().for_each(|word| drop(word.done.send(Err(error.clone()))));
            }
        };
        for (word, is_mine) in batch.into_iter().zip(answers) {
            if !is_mine || word.how != Settle::Extend {
                lock(&self.held).forget(word.token);
            }
            if is_mine && word.how == Settle::Release {
                self.released.notify_one();
            }
            let _ = word.done.send(if is_mine { Ok(()) } else { Err(void()) });
        }
    }
}
