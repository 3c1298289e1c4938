//! Members that work as tasks, and what all of them have done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use agora_core::ErrorKind;
use agora_core::transport::{FromGroup, Settle};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::support::{Member, soon};

/// What was done, and how often; what may have been done, and nobody has heard.
#[derive(Default)]
pub(crate) struct Work {
    done: BTreeMap<u64, u32>,
    open: BTreeSet<u64>,
}

/// Where members write down what they have done.
pub(crate) struct Crew {
    work: Arc<Mutex<Work>>,
    news: (mpsc::Sender<()>, mpsc::Receiver<()>),
}

/// A member that works. Dropping `stop` ends it as a crash would.
pub(crate) struct Worker {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Member>,
}

impl Worker {
    /// Has it stop between two records, and gives it back.
    pub(crate) async fn stop(self) -> Member {
        let _ = self.stop.send(());
        soon("the end of a worker", self.task).await.unwrap()
    }
}

impl Crew {
    pub(crate) fn new() -> Self {
        Self { work: Arc::default(), news: mpsc::channel(1) }
    }

    /// Lets a member work: it acknowledges each record before it takes the next.
    pub(crate) fn employ(&self, mut member: Member) -> Worker {
        let (work, news) = (Arc::clone(&self.work), self.news.0.clone());
        let (stop, mut stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            loop {
                let next = tokio::select! {
                    biased;
                    _ = &mut stopped => return member,
                    next = member.next(1) => next,
                };
                match next {
                    Ok(FromGroup::Message { raw, token, .. }) => {
                        let number: u64 = std::str::from_utf8(&raw.payload).unwrap().parse().unwrap();
                        let settled = member.inbox.settle(token, Settle::Ack).await;
                        let mut work = work.lock().unwrap();
                        match settled {
                            Ok(()) => *work.done.entry(number).or_default() += 1,
                            Err(error) if error.kind() == ErrorKind::Conflict => {}
                            Err(_) => _ = work.open.insert(number),
                        }
                        drop(work);
                        let _ = news.try_send(());
                    }
                    Ok(FromGroup::Revoking { done, .. }) => _ = done.send(()),
                    Ok(FromGroup::Assigned { .. } | FromGroup::Lost { .. }) => {}
                    Ok(other) => panic!("this came: {other:?}"),
                    // It was ended under it.
                    Err(error) if error.kind() == ErrorKind::Closed => return member,
                    Err(error) => panic!("{error:#}"),
                }
            }
        });
        Worker { stop, task }
    }

    /// How much is done or may be.
    pub(crate) fn progress(&self) -> usize {
        let work = self.work.lock().unwrap();
        work.done.len() + work.open.iter().filter(|number| !work.done.contains_key(number)).count()
    }

    /// Waits until so much is done.
    pub(crate) async fn does(&mut self, count: usize) {
        let doing = async {
            while self.progress() < count {
                self.news.1.recv().await;
            }
        };
        let in_time = tokio::time::timeout(crate::support::SOON, doing).await;
        assert!(in_time.is_ok(), "{} of {count} are done", self.progress());
    }

    /// These numbers are done, none is done twice, and none other.
    pub(crate) fn has_done(&self, numbers: std::ops::RangeInclusive<u64>) {
        let work = self.work.lock().unwrap();
        let twice: Vec<_> = work.done.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "settled, and given out again: {twice:?}");
        let all: BTreeSet<u64> = work.done.keys().chain(&work.open).copied().collect();
        assert_eq!(all, numbers.collect());
    }
}
