//! The instruments without the feature `metrics`: of no size, and nothing happens.

use std::time::Duration;

/// Is anything recorded?
pub(super) const RECORDS: bool = false;

/// Names and values that tell the series of one metric apart.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

pub(super) fn describe() {}

/// A number that only grows.
#[derive(Clone, Debug)]
pub(crate) struct Counter;

impl Counter {
    pub(super) fn new(_name: &'static str, _labels: Labels<'_>) -> Self {
        Self
    }

    #[inline]
    pub(crate) fn add(&self, _n: u64) {}
}

/// A number that goes up and down.
#[derive(Debug)]
pub(crate) struct Level;

impl Level {
    pub(super) fn new(_name: &'static str, _labels: Labels<'_>) -> Self {
        Self
    }

    pub(crate) fn set(&self, _value: u64) {}
}

/// What was measured last.
#[derive(Debug)]
pub(crate) struct Reading;

impl Reading {
    pub(super) fn new(_name: &'static str, _labels: Labels<'_>) -> Self {
        Self
    }

    pub(crate) fn set(&self, _value: u64) {}
}

/// How long something took, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Timing;

impl Timing {
    pub(super) fn new(_name: &'static str, _labels: Labels<'_>) -> Self {
        Self
    }

    #[inline]
    pub(crate) fn record(&self, _took: Duration) {}
}
