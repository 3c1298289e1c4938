//! The instruments with the feature `metrics`: handles of the facade's, found once and kept.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use metrics::{Label, Unit};

use super::names::{COUNTERS, GAUGES, HISTOGRAMS};

/// Is anything recorded?
pub(super) const RECORDS: bool = true;

/// Names and values that tell the series of one metric apart.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

/// Tells the exporter what each metric means. Again and again is no harm: the first word stays.
pub(super) fn describe() {
    for (name, about) in COUNTERS {
        metrics::describe_counter!(*name, Unit::Count, *about);
    }
    for (name, about) in GAUGES {
        let unit = if name.ends_with("_bytes") { Unit::Bytes } else { Unit::Count };
        metrics::describe_gauge!(*name, unit, *about);
    }
    for (name, about) in HISTOGRAMS {
        metrics::describe_histogram!(*name, Unit::Seconds, *about);
    }
}

fn labels_of(labels: Labels<'_>) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}

/// A number that only grows.
#[derive(Clone, Debug)]
pub(crate) struct Counter(metrics::Counter);

impl Counter {
    pub(super) fn new(name: &'static str, labels: Labels<'_>) -> Self {
        Self(metrics::counter!(name, labels_of(labels)))
    }

    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.increment(n);
    }
}

/// A number that goes up and down. Those of several buses in one process add up, and one that is dropped takes its
/// part with it.
#[derive(Debug)]
pub(crate) struct Level {
    gauge: metrics::Gauge,
    last: AtomicU64,
}

impl Level {
    pub(super) fn new(name: &'static str, labels: Labels<'_>) -> Self {
        let gauge = metrics::gauge!(name, labels_of(labels));
        // A series that was never set would not be there.
        gauge.increment(0.0);
        Self { gauge, last: AtomicU64::new(0) }
    }

    pub(crate) fn set(&self, value: u64) {
        let last = self.last.swap(value, Relaxed);
        if last != value {
            self.gauge.increment(value as f64 - last as f64);
        }
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What was measured last, by whoever measured last: of what several in one process see alike. One that is dropped is
/// nothing any more.
#[derive(Debug)]
pub(crate) struct Reading(metrics::Gauge);

impl Reading {
    pub(super) fn new(name: &'static str, labels: Labels<'_>) -> Self {
        Self(metrics::gauge!(name, labels_of(labels)))
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.set(value as f64);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.set(0.0);
    }
}

/// How long something took, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Timing(metrics::Histogram);

impl Timing {
    pub(super) fn new(name: &'static str, labels: Labels<'_>) -> Self {
        Self(metrics::histogram!(name, labels_of(labels)))
    }

    #[inline]
    pub(crate) fn record(&self, took: Duration) {
        self.0.record(took.as_secs_f64());
    }
}
