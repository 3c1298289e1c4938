//! What is recorded through the facade `metrics`, where the feature of that name is on: what the engine cannot see.
//!
//! `docs/operations.md` tells the operator of each. A recorder must be installed before the transport connects.

#[cfg(feature = "metrics")]
pub(crate) use recording::{Shortage, Timings};
#[cfg(not(feature = "metrics"))]
pub(crate) use silent::{Shortage, Timings};

#[cfg(feature = "metrics")]
mod recording {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::time::Duration;

    use metrics::{Gauge, Histogram, Unit};

    use crate::error::BACKEND;

    const REQUEST_DURATION: &str = "agora_request_duration";
    const UNDER_REPLICATED: &str = "agora_under_replicated_partitions";
    const SYSTEM: &str = "messaging.system";
    const OPERATION: &str = "messaging.operation.name";

    /// How long the brokers take to answer, by what they are asked. Each series is found once and kept.
    #[derive(Default)]
    pub(crate) struct Timings(BTreeMap<&'static str, Histogram>);

    impl Timings {
        /// A request of this kind was answered, so long after it was sent.
        pub(crate) fn record(&mut self, request: &'static str, took: Duration) {
            let series = self.0.entry(request).or_insert_with(|| {
                let about = "How long a broker took to answer a request, by the kind of the request.";
                metrics::describe_histogram!(REQUEST_DURATION, Unit::Seconds, about);
                metrics::histogram!(REQUEST_DURATION, SYSTEM => BACKEND, OPERATION => request)
            });
            series.record(took.as_secs_f64());
        }
    }

    /// Partitions that fewer brokers keep than should. Those of several transports in one process add up, and one that
    /// is dropped takes its part with it.
    pub(crate) struct Shortage {
        gauge: Gauge,
        last: AtomicU64,
    }

    impl Default for Shortage {
        fn default() -> Self {
            let about = "Partitions of the topics of this node that fewer brokers keep in sync than should.";
            metrics::describe_gauge!(UNDER_REPLICATED, Unit::Count, about);
            let gauge = metrics::gauge!(UNDER_REPLICATED, SYSTEM => BACKEND);
            // A series that was never set would not be there.
            gauge.increment(0.0);
            Self { gauge, last: AtomicU64::new(0) }
        }
    }

    impl Shortage {
        pub(crate) fn set(&self, partitions: usize) {
            let last = self.last.swap(partitions as u64, Relaxed);
            self.gauge.increment(partitions as f64 - last as f64);
        }
    }

    impl Drop for Shortage {
        fn drop(&mut self) {
            self.set(0);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// Under the names that Prometheus shows.
        #[test]
        fn every_name_stands_in_the_page_for_operators() {
            let page = include_str!("../../../docs/operations.md");
            for name in [&format!("{REQUEST_DURATION}_seconds"), UNDER_REPLICATED] {
                assert!(page.contains(&format!("`{name}`")), "docs/operations.md does not tell of `{name}`");
            }
        }
    }
}

/// Of no size, and nothing happens.
#[cfg(not(feature = "metrics"))]
mod silent {
    use std::time::Duration;

    #[derive(Default)]
    pub(crate) struct Timings;

    impl Timings {
        pub(crate) fn record(&mut self, _request: &'static str, _took: Duration) {}
    }

    #[derive(Default)]
    pub(crate) struct Shortage;

    impl Shortage {
        pub(crate) fn set(&self, _partitions: usize) {}
    }
}
