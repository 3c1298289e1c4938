//! Threads on which zenoh may block.
//!
//! A put waits for room while a connection is congested, and so may any declaration. None of that may happen on a
//! worker of the application's runtime, so it happens here: jobs run one after the other, in the order in which
//! they were handed in.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use agora_core::id::TopicName;
use agora_core::{ErrorKind, Result};
use zenoh::Session;
use zenoh::pubsub::Publisher;

use crate::error::{closed, error};

/// What a job may use: the session, and the publishers that this thread has declared.
pub(crate) struct Bench {
    pub(crate) session: Session,
    pub(crate) publishers: BTreeMap<TopicName, Publisher<'static>>,
}

type Job = Box<dyn FnOnce(&mut Bench) + Send>;

/// One such thread. It ends when it is told to [`stop`](Worker::stop), after the jobs that it already has.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
}

impl Worker {
    /// Starts the thread.
    pub(crate) fn start(name: &str, session: Session) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let mut bench = Bench { session, publishers: BTreeMap::new() };
                for job in queue {
                    job(&mut bench);
                }
            })
            .map_err(|cause| error(ErrorKind::Runtime, "cannot start a thread").source(cause))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)) })
    }

    /// Hands a job in, without waiting for it. The callers bound how many they have outstanding.
    pub(crate) fn submit(&self, job: impl FnOnce(&mut Bench) + Send + 'static) -> Result<()> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = jobs.as_ref().is_some_and(|jobs| jobs.send(Box::new(job)).is_ok());
        if sent { Ok(()) } else { Err(closed()) }
    }

    /// Takes no more jobs, and lets the thread end.
    pub(crate) fn stop(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
