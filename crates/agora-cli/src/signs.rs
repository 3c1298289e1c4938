//! Signs of life of a node: what its `/livez`, `/readyz` and `/metrics` answer.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use agora::{Bus, Error, ErrorKind, Link};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::failure::Failure;

/// The upper bounds of the histograms' buckets, in seconds: from what memory takes to the longest a publish may.
const BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0];

/// What a node can tell of itself.
#[derive(Debug)]
pub(crate) struct Signs {
    stage: Mutex<Stage>,
    metrics: PrometheusHandle,
}

#[derive(Clone, Debug)]
enum Stage {
    Connecting,
    Present { bus: Bus, established: bool },
    Leaving,
}

/// Not ready, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotReady(pub(crate) String);

impl Signs {
    /// Must be called before the bus opens: what was opened earlier is not measured.
    ///
    /// # Errors
    /// `Runtime` when this process hands its metrics to another exporter.
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self { stage: Mutex::new(Stage::Connecting), metrics: recorder()? })
    }

    /// The node has a bus, until what this returns is dropped.
    pub(crate) fn enter(&self, bus: &Bus) -> Present<'_> {
        *self.stage() = Stage::Present { bus: bus.clone(), established: false };
        Present(self)
    }

    /// Is the node a part of the cluster, and hears what it is to hear?
    pub(crate) async fn ready(&self) -> Result<(), NotReady> {
        let stage = self.stage().clone();
        let (bus, established) = match stage {
            Stage::Connecting => return Err(NotReady("the backend has not answered yet".to_owned())),
            Stage::Leaving => return Err(NotReady("the node is leaving".to_owned())),
            Stage::Present { bus, established } => (bus, established),
        };
        // Asked of the bus each time: what was joined once stays joined, and no time is waited for it.
        let joined = bus.ready(Duration::ZERO).await.is_ok();
        let link = bus.link().borrow().clone();
        judge(&link, joined, established)
    }

    /// The metrics of this process, as Prometheus reads them.
    pub(crate) fn metrics(&self) -> String {
        self.metrics.render()
    }

    /// Folds what was recorded into the histograms. Without it, what nobody scrapes would take more and more memory.
    pub(crate) fn upkeep(&self) {
        self.metrics.run_upkeep();
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node while it has a bus.
pub(crate) struct Present<'a>(&'a Signs);

impl Present<'_> {
    /// Every subscription of the node is established.
    pub(crate) fn established(&self) {
        if let Stage::Present { established, .. } = &mut *self.0.stage() {
            *established = true;
        }
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        *self.0.stage() = Stage::Leaving;
    }
}

fn judge(link: &Link, joined: bool, established: bool) -> Result<(), NotReady> {
    match link {
        Link::Down { why, .. } => Err(NotReady(format!("the link is down: {why}"))),
        _ if !joined => Err(NotReady("the node has not joined the cluster yet".to_owned())),
        _ if !established => Err(NotReady("the subscriptions are not established yet".to_owned())),
        // A link that is degraded is usable.
        _ => Ok(()),
    }
}

/// The recorder of this process, installed by whoever asks first.
fn recorder() -> Result<PrometheusHandle, Failure> {
    static RECORDER: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let install = || {
        let builder = PrometheusBuilder::new().with_recommended_naming(true);
        let builder = builder.set_buckets(&BUCKETS).map_err(|error| error.to_string())?;
        builder.install_recorder().map_err(|error| error.to_string())
    };
    RECORDER.get_or_init(install).clone().map_err(|why| {
        let message = "the metrics of this process cannot be recorded";
        Failure::Error(Error::new(ErrorKind::Runtime, message).operation("http").source(why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_nothing_is_missing_and_says_what_is() {
        let since = std::time::SystemTime::now();
        let why = || "no answer".to_owned();
        let says = |link: &Link, joined, established| judge(link, joined, established).map_err(|e| e.0);
        assert_eq!(says(&Link::Up, true, true), Ok(()));
        assert_eq!(says(&Link::Degraded { since, why: why() }, true, true), Ok(()));
        let down = Link::Down { since, why: why() };
        assert_eq!(says(&down, true, true), Err("the link is down: no answer".to_owned()));
        assert_eq!(says(&Link::Up, false, false), Err("the node has not joined the cluster yet".to_owned()));
        assert_eq!(says(&Link::Up, true, false), Err("the subscriptions are not established yet".to_owned()));
    }
}
