//! What a member of a group holds: which tokens are good, and for how long.
//!
//! The server takes an acknowledgement from anybody who once was given the record, also when it has long been given to
//! another. So whether a token is void is decided here, by the time: the lease begins when the record arrives, at the
//! latest when it was given out.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::transport::Token;
use async_nats::Subject;
use tokio::time::Instant;

/// For how many leases a record may wait for the member that asked for it. Then it goes to whoever is free.
const WAIT_LEASES: u32 = 4;

/// The records that one member holds. A pure value.
#[derive(Debug, Default)]
pub(crate) struct Held {
    by_token: BTreeMap<u64, Lease>,
    /// Which token is good for a place of the stream.
    by_place: BTreeMap<u64, u64>,
    last: u64,
    /// No lease ends before: looked at whenever a record is touched, of which there may be thousands.
    ends_first: Option<Instant>,
}

/// A record that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lease {
    at: u64,
    reply: Subject,
    /// The server gives it to another one then.
    until: Instant,
    /// As long as the member was promised it.
    promised: Instant,
    /// It is not with the member yet: its lease is kept whatever was promised.
    waits: bool,
    /// Until then it may wait: nothing is kept from others without end.
    waits_until: Instant,
}

impl Held {
    /// A record has arrived, and waits for the member. A token that was good for it is void.
    pub(crate) fn arrive(
        &mut self,
        at: u64,
        reply: Subject,
        arrived: Instant,
        lease: Duration,
        promise: Duration,
    ) -> Token {
        self.last += 1;
        let lease = Lease {
            at,
            reply,
            until: arrived + lease,
            promised: arrived + promise,
            waits: true,
            waits_until: arrived + lease * WAIT_LEASES,
        };
        self.ends_first = Some(self.ends_first.map_or(lease.until, |first| first.min(lease.until)));
        if let Some(void) = self.by_place.insert(at, self.last) {
            self.by_token.remove(&void);
        }
        self.by_token.insert(self.last, lease);
        Token(self.last)
    }

    /// The member gets it, for what is left of its lease, of which `full` is the whole, or for as long as it was promised
    /// where that is longer. `false`: its lease has ended, and it is another's by now, or comes again.
    pub(crate) fn hand_over(
        &mut self,
        token: Token,
        now: Instant,
        full: Duration,
        promise: Duration,
    ) -> bool {
        self.expire(now);
        let Some(lease) = self.by_token.get_mut(&token.0) else { return false };
        lease.waits = false;
        lease.promised = if promise > full { now + promise } else { lease.until };
        true
    }

    /// Where to settle it; `None` where the token is void.
    pub(crate) fn reply(&mut self, token: Token, now: Instant) -> Option<Subject> {
        self.expire(now);
        self.by_token.get(&token.0).map(|lease| lease.reply.clone())
    }

    /// Its lease begins anew.
    pub(crate) fn extend(&mut self, token: Token, now: Instant, lease: Duration, promise: Duration) {
        if let Some(held) = self.by_token.get_mut(&token.0) {
            held.until = now + lease;
            held.promised = now + promise;
            self.ends_first = self.ends_first.map(|first| first.min(held.until));
        }
    }

    /// It is settled.
    pub(crate) fn remove(&mut self, token: Token) {
        if let Some(lease) = self.by_token.remove(&token.0)
            && self.by_place.get(&lease.at) == Some(&token.0)
        {
            self.by_place.remove(&lease.at);
        }
    }

    /// How many are held by the member.
    pub(crate) fn len(&self) -> usize {
        self.by_token.values().filter(|lease| !lease.waits).count()
    }

    /// Gives everything up. Where to release it: what has ended is another's, and is not taken from it.
    pub(crate) fn clear(&mut self, now: Instant) -> Vec<Subject> {
        self.expire(now);
        self.by_place.clear();
        std::mem::take(&mut self.by_token).into_values().map(|lease| lease.reply).collect()
    }

    /// Those that wait for the member, and those that end sooner on the server than it was promised: they are to be kept.
    pub(crate) fn short_lived(&mut self, now: Instant) -> Vec<(Token, Subject)> {
        self.expire(now);
        let short = self
            .by_token
            .iter()
            .filter(|(_, lease)| lease.waits && now < lease.waits_until || lease.until < lease.promised);
        short.map(|(token, lease)| (Token(*token), lease.reply.clone())).collect()
    }

    /// It was kept: the server has begun its lease anew.
    pub(crate) fn kept(&mut self, token: Token, now: Instant, lease: Duration) {
        if let Some(held) = self.by_token.get_mut(&token.0) {
            let until = now + lease;
            held.until = if held.waits { until } else { until.min(held.promised.max(held.until)) };
            self.ends_first = self.ends_first.map(|first| first.min(held.until));
        }
    }

    fn expire(&mut self, now: Instant) {
        if self.ends_first.is_none_or(|first| now < first) {
            return;
        }
        let ended: Vec<u64> =
            self.by_token.iter().filter(|(_, lease)| lease.until <= now).map(|(token, _)| *token).collect();
        for token in ended {
            self.remove(Token(token));
        }
        self.ends_first = self.by_token.values().map(|lease| lease.until).min();
    }
}

/// Tells by the numbers of deliveries whether records were passed over that nobody was given.
///
/// Records are given out for the first time in the order of the stream, each delivery to any member has the next number.
/// So where the places have gone forward by more than the deliveries, that many were gone before they could be given out.
/// What was given out and not done, and is then removed by retention while its member has died, cannot be seen so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    at: u64,
    delivery: u64,
}

impl Passed {
    /// As the consumer stands: the last place that was given out, and the number of that delivery.
    pub(crate) fn new(at: u64, delivery: u64) -> Self {
        Self { at, delivery }
    }

    /// A record was delivered. How many were passed over before it.
    pub(crate) fn delivered(&mut self, at: u64, delivery: u64, times: u64) -> u64 {
        let passed = if times == 1 && at > self.at {
            (at - self.at).saturating_sub(delivery.saturating_sub(self.delivery))
        } else {
            0
        };
        if times == 1 && at > self.at {
            *self = Self { at, delivery };
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn given(held: &mut Held, at: u64, reply: &str, now: Instant, promise: Duration) -> Token {
        let token = held.arrive(at, reply.into(), now, S, promise);
        assert!(held.hand_over(token, now, S, promise));
        token
    }

    #[test]
    fn a_token_ends_with_its_lease_and_when_the_record_is_given_anew() {
        let (mut held, now) = (Held::default(), Instant::now());
        let first = given(&mut held, 7, "a", now, S);
        assert_eq!(held.reply(first, now).as_deref(), Some("a"));
        let again = given(&mut held, 7, "b", now, S);
        assert_eq!(held.reply(first, now), None);
        assert_eq!(held.reply(again, now).as_deref(), Some("b"));
        held.extend(again, now + S / 2, S, S);
        assert!(held.reply(again, now + S).is_some());
        assert_eq!(held.reply(again, now + S * 2), None);
        assert_eq!(held.len(), 0);
    }

    #[test]
    fn what_was_promised_for_longer_is_kept() {
        let (mut held, now) = (Held::default(), Instant::now());
        let short = given(&mut held, 1, "short", now, S);
        let long = given(&mut held, 2, "long", now, S * 3);
        assert_eq!(held.short_lived(now), [(long, "long".into())]);
        held.kept(long, now + S / 2, S);
        assert_eq!(held.reply(short, now + S), None);
        assert!(held.reply(long, now + S).is_some());
        held.kept(long, now + S, S * 9);
        assert!(held.short_lived(now + S).is_empty(), "it lasts as long as it was promised");
        assert_eq!(held.reply(long, now + S * 3), None);
    }

    #[test]
    fn what_waits_is_kept_until_it_is_handed_over_and_what_has_ended_is_not_handed_over() {
        let (mut held, now) = (Held::default(), Instant::now());
        let (kept, lost) =
            (held.arrive(1, "kept".into(), now, S, S), held.arrive(2, "lost".into(), now, S, S));
        assert_eq!(held.short_lived(now).len(), 2);
        assert_eq!(held.len(), 0, "the member has nothing yet");
        held.kept(kept, now + S / 2, S);
        assert!(held.hand_over(kept, now + S, S, S));
        assert!(!held.hand_over(lost, now + S, S, S));
        assert_eq!(held.clear(now + S), [Subject::from_static("kept")]);
    }

    #[test]
    fn only_what_nobody_was_given_is_missing() {
        let mut passed = Passed::new(0, 0);
        assert_eq!(passed.delivered(1, 1, 1), 0);
        // 2 and 3 went to another member.
        assert_eq!(passed.delivered(4, 4, 1), 0);
        // An old one comes again.
        assert_eq!(passed.delivered(2, 5, 2), 0);
        assert_eq!(passed.delivered(9, 6, 1), 3);
        assert_eq!(passed.delivered(10, 7, 1), 0);
    }
}
