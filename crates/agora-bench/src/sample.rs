//! One measurement.

use std::future::Future;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// So many events, in this time, for this much of the processors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Events that arrived.
    pub(crate) events: u64,
    /// From the first publish to the last event.
    pub(crate) took: Duration,
    /// Processor time of this process, publisher and subscriber together.
    pub(crate) cpu: Duration,
}

impl Sample {
    /// Events a second.
    pub(crate) fn rate(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }

    /// Microseconds of the processors for each event.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.events as f64
    }
}

/// Measures what a future does with so many events.
pub(crate) async fn sample(events: u64, work: impl Future<Output = ()>) -> Sample {
    let (cpu, began) = (cpu(), Instant::now());
    tokio::time::timeout(crate::PATIENCE, work).await.expect("a measurement took too long");
    let (took, used) = (began.elapsed(), self::cpu() - cpu);
    Sample { events, took, cpu: used }
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the system tells what a process uses");
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Duration::from_micros(micros.unsigned_abs())
}
