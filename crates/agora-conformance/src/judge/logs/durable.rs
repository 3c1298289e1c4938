//! A place that is kept under a name: only what the reader is done with, never going back, saved by one at a time, and
//! found again.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::ErrorKind;

use super::account::Account;
use super::{Findings, Judge};
use crate::history::{Durable, Place, Stands, Sub};

/// What was done under each name.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The last right that was given out, and every holder.
    fences: BTreeMap<Durable, u64>,
    holders: BTreeMap<(Durable, u64), Sub>,
    /// The last place that was saved, by whom and when.
    saved: BTreeMap<Durable, (Duration, Sub, Place)>,
    /// When the place was saved from which a subscription goes on.
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
        if place != saved.as_ref().map(|(_, _, place)| place) {
            findings.add(at, format!("{sub} took {durable} and got another place than was saved last"));
        }
        let (Some(place), Some((since, by, _))) = (place, saved) else { return };
        self.names.resumed.insert(sub, since);
        let head = self.readings.get(&by).map_or(sub, |reading| reading.head);
        let Some(reading) = self.readings.get_mut(&sub) else { return };
        reading.head = head;
        reading.whole = place.whole;
        let resumed = |stands: &Stands| (stands.of, Account::resumed(stands.start, stands.next));
        reading.accounts = place.sources.iter().map(resumed).collect();
    }

    /// Since when what is read was read before: see [`missing`](Judge::missing).
    pub(super) fn place_since(&self, sub: Sub) -> Duration {
        let asked = self.readings.get(&sub).map(|reading| reading.asked).unwrap_or_default();
        self.names.resumed.get(&sub).copied().unwrap_or(asked)
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
        if let Some((_, _, before)) = self.names.saved.get(&durable) {
            let back = before.sources.iter().find(|was| {
                let now = place.sources.iter().find(|now| now.of == was.of);
                now.is_none_or(|now| now.next < was.next)
            });
            if let Some(was) = back {
                findings.add(at, format!("{sub} saved {durable} as {place}, which goes back behind {was}"));
            }
        }
        self.names.saved.insert(durable, (at, sub, place.clone()));
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
