//! Whole clusters over the in-memory transport, under paused time, driven by one seed.
//!
//! The seed decides a [`Plan`]: the nodes, what they do, and what goes wrong. The run writes a
//! [`History`], and the [`judge`] tells what in it breaks a promise. Time is virtual, every
//! random number comes from the seed, and there is one thread: a seed repeats to the byte.

mod audit;
mod cluster;
mod draw;
mod fault;
mod member;
mod node;
pub(crate) mod note;
mod plan;
mod reader;
mod recorder;
mod tap;

use agora_core::{Error, ErrorKind, Result};

pub use fault::{Damage, Fault, Line, Place, Refusal};
pub use member::{ATTEMPTS_MAX, HANDLER_TIMEOUT};
pub use plan::{Act, Plan, Profile, Sharing};

use crate::history::History;
use crate::judge::{self, Finding};

/// A run and what the judge found.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was to be done.
    pub plan: Plan,
    /// What happened.
    pub history: History,
    /// What broke a promise; empty where nothing did.
    pub findings: Vec<Finding>,
}

/// Runs a plan on a runtime of its own, on the calling thread.
///
/// # Errors
/// `Runtime` when there is no runtime to be had; whatever a bus says that cannot be opened.
pub fn run(plan: &Plan) -> Result<History> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime
        .map_err(|source| Error::new(ErrorKind::Runtime, "no runtime for a simulation").source(source))?;
    runtime.block_on(async { cluster::Cluster::new(plan)?.run().await })
}

/// Runs the plan of a seed and judges it.
///
/// # Errors
/// As [`run`].
pub fn run_seed(seed: u64) -> Result<Report> {
    let plan = Plan::of(seed);
    let history = run(&plan)?;
    let findings = judge::judge(&plan, &history);
    Ok(Report { plan, history, findings })
}

/// Where two texts first differ: the number of the line, from 1, and the lines. `None` where they are equal.
pub fn first_difference<'a>(one: &'a str, other: &'a str) -> Option<(usize, &'a str, &'a str)> {
    if one == other {
        return None;
    }
    let (mut a, mut b) = (one.lines(), other.lines());
    for number in 1.. {
        match (a.next(), b.next()) {
            (None, None) => return None,
            (x, y) if x != y => return Some((number, x.unwrap_or("(end)"), y.unwrap_or("(end)"))),
            _ => {}
        }
    }
    None
}
