//! What is declared missing in a log is missing, and for the reason that is given.

use std::time::Duration;

use agora_core::live::Reason;

use super::content::Lost;
use super::{Findings, Judge};
use crate::history::{Life, Pace, Sub, Topic};

/// What stands in a log for so long, a prompt reader has read.
const READ: Duration = super::super::ms(100);

impl Judge<'_> {
    /// Events of a source are missing.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn gap(
        &mut self,
        at: Duration,
        sub: Sub,
        of: Option<Life>,
        topic: Topic,
        range: (Option<u64>, Option<u64>),
        reason: Reason,
        findings: &mut Findings,
    ) {
        let Some(reading) = self.readings.get(&sub) else { return };
        let Some(of) = of.filter(|of| topic == reading.topic && !reading.hides(*of)) else {
            return findings.add(at, format!("{sub} got a gap that it did not ask for: {topic}"));
        };
        let (Some(from), Some(to)) = range else {
            return findings
                .add(at, format!("{sub} got a gap in a log that does not say from where to where"));
        };
        if let Some(why) = self.untrue(at, sub, of, topic, from..to, reason) {
            let text = format!("{sub}, {of} {topic}: the gap {from}..{to} ({}): {why}", reason.as_str());
            findings.add(at, text);
        }
        let late = reason == Reason::Late;
        self.tell(at, sub, of, from, findings, |account, whole| match late {
            true => account.tell_late(from, to),
            false => account.tell(from, to, whole),
        });
    }

    fn untrue(
        &self,
        at: Duration,
        sub: Sub,
        of: Life,
        topic: Topic,
        range: std::ops::Range<u64>,
        reason: Reason,
    ) -> Option<String> {
        if self.is_calm() {
            return Some("nothing went wrong".into());
        }
        let reading = self.readings.get(&sub)?;
        let of_source = || self.stored(topic).filter(|stored| stored.of == Some(of) && stored.since <= at);
        match reason {
            // Nothing of it stands in front of the record that says so.
            Reason::GivenUp => {
                let told = of_source().position(|stored| stored.floor >= range.end);
                let Some(told) = told else { return Some("its source never said so".into()) };
                let mut before = of_source().take(told).filter(|stored| stored.stood(at));
                before
                    .find(|stored| stored.seq < range.end && stored.end > range.start)
                    .map(|stored| format!("{} stands in the log, in front", stored.seq))
            }
            Reason::Lost if reading.pace == Pace::Prompt => {
                let mut read = of_source().filter(|stored| stored.stood(at) && stored.since + READ < at);
                read.find(|stored| stored.seq < range.end && stored.end > range.start)
                    .map(|stored| format!("{} stands in the log", stored.seq))
            }
            Reason::Late => {
                let stands = of_source().any(|stored| stored.seq == range.start);
                (!stands).then(|| "it does not stand in the log".into())
            }
            Reason::Lost => None,
            Reason::TooFarAhead if self.facts.plan.memory_bytes < 64 << 20 => None,
            _ => Some("there was no reason for it".into()),
        }
    }

    /// Records are missing, nobody knows of whom.
    pub(super) fn missing(&mut self, at: Duration, sub: Sub, reason: Reason, findings: &mut Findings) {
        let Some(reading) = self.readings.get(&sub) else { return };
        let topic = reading.topic;
        let how = match reason {
            Reason::Retention => Some(Lost::Trimmed),
            Reason::Rewritten => Some(Lost::Rewritten),
            _ => None,
        };
        let since = self.place_since(sub);
        let mut faults = self.faults.iter().filter(|fault| fault.topic == topic && fault.at <= at);
        let happened = match how {
            // Whoever has read nothing has no mark, and cannot tell whether it was there when that happened.
            Some(Lost::Trimmed) if !reading.read => faults.next().is_some(),
            Some(how) => faults.any(|fault| fault.at > since && fault.how == how),
            None => false,
        };
        if !happened {
            let reason = reason.as_str();
            findings.add(
                at,
                format!("{sub} misses records of {topic} ({reason}), and nothing of the kind happened"),
            );
        }
        if let Some(reading) = self.readings.get_mut(&sub) {
            reading.missing.push(at);
            (reading.whole, reading.read) = (false, false);
            reading.accounts.values_mut().for_each(|account| account.excused = true);
        }
    }
}
