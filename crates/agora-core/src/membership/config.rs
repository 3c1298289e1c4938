//! The times of the failure detector, and how they must relate.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::limits::TOMBSTONE_AGE;

/// The least `heartbeat_interval`: below it, scheduling noise alone would look like a pause.
const HEARTBEAT_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// The most that `fail_after` may be: a member that failed must be remembered for longer than
/// it takes to fail.
const FAIL_AFTER_MAX: Duration = Duration::from_secs(TOMBSTONE_AGE.as_secs() / 2);

/// How fast silence is noticed. All nodes of a cluster should agree: a node that sends more rarely than another
/// expects is suspected by it.
///
/// # Examples
/// A cluster on one rack that wants to know within two seconds:
/// ```
/// use std::time::Duration;
/// use agora_core::membership::MembershipConfig;
///
/// let mut config = MembershipConfig::default();
/// config.heartbeat_interval = Duration::from_millis(400);
/// config.suspect_after = Duration::from_millis(1200);
/// config.fail_after = Duration::from_secs(2);
/// config.hint_grace = Duration::from_millis(600);
/// config.validate()?;
/// # Ok::<(), agora_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MembershipConfig {
    /// The longest time between two heartbeats of a node. Default 1 s, at least 10 ms. A shorter one finds
    /// failures sooner and costs every node `nodes / heartbeat_interval` messages a second.
    pub heartbeat_interval: Duration,
    /// How long a member may be silent before it is suspected. Default 3 s, at least twice
    /// `heartbeat_interval`: one lost heartbeat is no news.
    pub suspect_after: Duration,
    /// How long a member may be silent before it has failed. Default 5 s, at most 5 minutes, at least
    /// `suspect_after + 2 * heartbeat_interval`: a cut of one's own is noticed when the others have been silent
    /// for `suspect_after` (or one's own echo has been missing for two intervals). A shorter one goes unnoticed,
    /// and the last heartbeat before it and the first one after it may each lie an interval away from it.
    pub fail_after: Duration,
    /// How long a member that the backend reports as gone has to prove that it lives. Default 1.5 s. More than
    /// `heartbeat_interval`, so that a live one sends a heartbeat within it; at most `fail_after`. Without effect
    /// on backends that give no hints.
    pub hint_grace: Duration,
}

impl Default for MembershipConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(1),
            suspect_after: Duration::from_secs(3),
            fail_after: Duration::from_secs(5),
            hint_grace: Duration::from_millis(1500),
        }
    }
}

impl MembershipConfig {
    /// Checks each time and how they relate.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the field, what was found, and what it must relate to.
    pub fn validate(&self) -> Result<()> {
        self.relations().map_err(|broken| {
            Error::new(ErrorKind::Config, "the times of the failure detector do not fit together")
                .context("key", format_args!("membership.{}", broken.field))
                .context("found", format_args!("{:?}", broken.found))
                .context("allowed", broken.allowed())
                .help(broken.help())
        })
    }

    /// As [`validate`](Self::validate), for those who know where the times came from.
    pub(crate) fn relations(&self) -> Result<(), Broken> {
        let interval = self.heartbeat_interval;
        at_least("heartbeat_interval", interval, "10 ms", HEARTBEAT_INTERVAL_MIN)?;
        // Bounds the interval too, and with it every sum below.
        at_most("fail_after", self.fail_after, "5 minutes", FAIL_AFTER_MAX)?;
        at_most("heartbeat_interval", interval, "fail_after", self.fail_after)?;
        at_most("suspect_after", self.suspect_after, "fail_after", self.fail_after)?;
        at_most("hint_grace", self.hint_grace, "fail_after", self.fail_after)?;
        at_least("suspect_after", self.suspect_after, "2 * heartbeat_interval", 2 * interval)?;
        let unnoticed_cut = self.suspect_after + 2 * interval;
        at_least("fail_after", self.fail_after, "suspect_after + 2 * heartbeat_interval", unnoticed_cut)?;
        let more_than_one = interval + Duration::from_millis(1);
        at_least("hint_grace", self.hint_grace, "heartbeat_interval + 1 ms", more_than_one)
    }
}

/// A time that breaks its rule.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) field: &'static str,
    pub(crate) found: Duration,
    rule: String,
    bound: Duration,
}

impl Broken {
    pub(crate) fn allowed(&self) -> String {
        format!("{}, which is {:?}", self.rule, self.bound)
    }

    pub(crate) fn help(&self) -> String {
        let Self { field, bound, .. } = self;
        format!("set `membership.{field}` to {bound:?}, or change what it is measured against")
    }
}

fn at_least(field: &'static str, found: Duration, what: &'static str, bound: Duration) -> Result<(), Broken> {
    if found >= bound {
        Ok(())
    } else {
        Err(Broken { field, found, rule: format!("at least {what}"), bound })
    }
}

fn at_most(field: &'static str, found: Duration, what: &'static str, bound: Duration) -> Result<(), Broken> {
    if found <= bound { Ok(()) } else { Err(Broken { field, found, rule: format!("at most {what}"), bound }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(interval: u64, suspect: u64, fail: u64, grace: u64) -> MembershipConfig {
        MembershipConfig {
            heartbeat_interval: Duration::from_millis(interval),
            suspect_after: Duration::from_millis(suspect),
            fail_after: Duration::from_millis(fail),
            hint_grace: Duration::from_millis(grace),
        }
    }

    #[test]
    fn the_default_is_valid() {
        MembershipConfig::default().validate().unwrap();
    }

    #[test]
    fn each_relation_holds_at_its_bound_and_names_the_field_beyond() {
        let max = u64::try_from(FAIL_AFTER_MAX.as_millis()).unwrap();
        for (good, bad, field) in [
            (config(10, 20, 40, 11), config(9, 20, 40, 11), "heartbeat_interval"),
            (config(1000, 2000, 4000, 1500), config(1000, 1999, 4000, 1500), "suspect_after"),
            (config(1000, 2000, 4000, 1500), config(1000, 2000, 3999, 1500), "fail_after"),
            (config(1000, 3000, 5000, 1500), config(1000, 3001, 5000, 1500), "fail_after"),
            (config(1000, 3000, 5000, 1001), config(1000, 3000, 5000, 1000), "hint_grace"),
            (config(1000, 3000, 5000, 5000), config(1000, 3000, 5000, 5001), "hint_grace"),
            (config(1000, 3000, max, 1500), config(1000, 3000, max + 1, 1500), "fail_after"),
            (config(1000, 3000, 5000, 1500), config(u64::MAX, 3000, 5000, 1500), "heartbeat_interval"),
            (config(1000, 3000, 5000, 1500), config(1000, u64::MAX, 5000, 1500), "suspect_after"),
            (config(1000, 3000, 5000, 1500), config(1000, 3000, u64::MAX, 1500), "fail_after"),
        ] {
            good.validate().unwrap();
            let error = bad.validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(&format!("membership.{field},")), "{bad:?}: {error}");
        }
    }
}
