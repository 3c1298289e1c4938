//! A place that is kept under a name: only what the reader is done with, never going back, saved by one at a time, and
//! found again.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::ErrorKind;

use super::account::Account;
use super::{Findings, Judge};
use crate::history::{Durable, Pace, Place, Stands, Sub};

/// What was done under each name.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The last right that was given out, and every holder.
    fences: BTreeMap<Durable, u64>,
    holders: BTreeMap<(Durable, u64), Sub>,
    /// The last place that was saved, by whom, and since when changes of the log were news then.
    saved: BTreeMap<Durable, (Sub, Place, Duration)>,
    /// For a subscription that goes on from a place: since when its changes of the log are news.
    resumed: BTreeMap<Sub, Duration>,
}

impl Judge<'_> {
    pub(super) fn taken(
        &mut self,
        at: Duration,
        sub: Sub,
        durable: Durable,
        fence: u64,
        place: Option<&Place>,
        findings: &mut Findings,
    ) {
        for ((_, _), holder) in self.names.holders.iter().filter(|((name, _), _)| *name == durable) {
            if let Some(reading) = self.readings.get_mut(holder) {
                reading.superseded.get_or_insert(at);
            }
        }
        self.names.fences.insert(durable, fence);
        self.names.holders.insert((durable, fence), sub);
        let saved = self.names.saved.get(&durable).cloned();
        if place != saved.as_ref().map(|(_, place, _)| place) {
            findings.add(at, format!("{sub} took {durable} and got another place than was saved last"));
        }
        let (Some(place), Some((by, _, since))) = (place, saved) else { return };
        self.names.resumed.insert(sub, since);
        let head = self.readings.get(&by).map_or(sub, |reading| reading.head);
        let Some(reading) = self.readings.get_mut(&sub) else { return };
        reading.head = head;
        reading.whole = place.whole;
        let resumed = |stands: &Stands| (stands.of, Account::resumed(stands.start, stands.next));
        reading.accounts = place.sources.iter().map(resumed).collect();
    }

    /// Since when what happens to the log is news to this reading: since records were missing last, to it or to whom it
    /// goes on from. What was done to the log before a place was saved may lie behind that place.
    pub(super) fn place_since(&self, sub: Sub) -> Duration {
        let Some(reading) = self.readings.get(&sub) else { return Duration::ZERO };
        let resumed = self.names.resumed.get(&sub).copied();
        // A slow reader is told late.
        let told = reading.missing.last().copied().filter(|_| reading.pace == Pace::Prompt);
        told.or(resumed).unwrap_or(reading.asked)
    }

    pub(super) fn saved(
        &mut self,
        at: Duration,
        durable: Durable,
        fence: u64,
        place: &Place,
        result: Result<(), ErrorKind>,
        findings: &mut Findings,
    ) {
        let latest = self.names.fences.get(&durable).copied();
        let holds = latest == Some(fence);
        if let Err(kind) = result {
            if kind == ErrorKind::Conflict && holds {
                findings.add(at, format!("{durable} was refused to #{fence}, which holds it"));
            }
            return;
        }
        if !holds {
            let latest = latest.unwrap_or_default();
            findings
                .add(at, format!("{durable} was saved by #{fence}, although #{latest} had taken it over"));
        }
        let Some(sub) = self.names.holders.get(&(durable, fence)).copied() else { return };
        if let Some(text) = self.ahead(sub, place) {
            findings.add(at, format!("{sub} saved {durable} as {place}: {text}"));
        }
        if let Some((_, before, _)) = self.names.saved.get(&durable) {
            let back = before.sources.iter().find(|was| {
                let now = place.sources.iter().find(|now| now.of == was.of);
                now.is_none_or(|now| now.next < was.next)
            });
            if let Some(was) = back {
                findings.add(at, format!("{sub} saved {durable} as {place}, which goes back behind {was}"));
            }
        }
        let since = self.place_since(sub);
        self.names.saved.insert(durable, (sub, place.clone(), since));
    }

    /// What a place says that its reader is not done with.
    fn ahead(&self, sub: Sub, place: &Place) -> Option<String> {
        let reading = self.readings.get(&sub)?;
        place.sources.iter().filter(|stands| !reading.hides(stands.of)).find_map(|stands| {
            let Stands { of, start, next } = *stands;
            let Some((from, to)) = reading.accounts.get(&of).and_then(Account::told) else {
                return Some(format!("it was told nothing of {of}"));
            };
            if next > to || start < from {
                return Some(format!("of {of} it was told {from}..{to}"));
            }
            let undone = reading.undone.filter(|(whose, seq)| *whose == of && next > *seq);
            undone.map(|(_, seq)| format!("it is not done with {of} {seq}"))
        })
    }
}
