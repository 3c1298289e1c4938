//! When to send a heartbeat.

use std::time::Duration;

use tokio::time::Instant;

/// The spread of answers to a greeting, per member: in a large cluster not all answer at once.
const ANSWER_SPREAD_PER_MEMBER: Duration = Duration::from_millis(1);
/// The most spread of answers to a greeting.
const ANSWER_SPREAD_MAX: Duration = Duration::from_millis(100);
/// The least time between two heartbeats: it bounds what a flood of greetings can draw from a node.
const SPACING: Duration = Duration::from_millis(100);

/// A heartbeat that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Ask the others to answer with a heartbeat of theirs, because this node does not know who is there.
    pub greet: bool,
}

/// When to send one's own heartbeats: at once at the start, then at least once per interval, and soon after
/// somebody greets or something about oneself changes.
///
/// Whatever the reason, there is one next heartbeat: ten greetings in a row are answered once. While the link is
/// down there is none.
#[derive(Debug)]
pub struct HeartbeatSchedule {
    interval: Duration,
    rng: fastrand::Rng,
    next: Option<Instant>,
    last: Option<Instant>,
    greet: bool,
}

impl HeartbeatSchedule {
    /// A schedule whose first heartbeat is due at `now` and greets. `interval` is
    /// [`heartbeat_interval`](super::MembershipConfig::heartbeat_interval); the seed of `rng` decides all jitter.
    pub fn new(interval: Duration, now: Instant, rng: fastrand::Rng) -> Self {
        Self { interval, rng, next: Some(now), last: None, greet: true }
    }

    /// When to call [`poll_heartbeat`](Self::poll_heartbeat); ask again after every other call. `None` while the
    /// link is down.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// The heartbeat to send now, if one is due. Sending may fail: the next comes by itself.
    #[must_use]
    pub fn poll_heartbeat(&mut self, now: Instant) -> Option<Heartbeat> {
        self.next.filter(|next| *next <= now)?;
        self.last = Some(now);
        // The jitter only ever shortens: others rely on one heartbeat per interval, and a quiet spell after a
        // pause of this process is not made up for by a burst.
        self.next = Some(now + self.interval - self.random_up_to(self.interval / 10));
        Some(Heartbeat { greet: std::mem::take(&mut self.greet) })
    }

    /// Somebody else greets: answers after a random delay of up to 1 ms for each of the `members`, at most 100 ms.
    /// Never call it for one's own greeting.
    pub fn handle_greeting(&mut self, now: Instant, members: usize) {
        let delay = self.random_up_to(spread(members));
        self.bring_forward(now + delay);
    }

    /// What the heartbeat says has changed: tells the others soon.
    pub fn handle_change(&mut self, now: Instant) {
        self.bring_forward(now);
    }

    /// The link went down, or came up: then greets, after a random delay as in an answer, because all who share a
    /// server come back at the same time.
    pub fn handle_link(&mut self, now: Instant, up: bool, members: usize) {
        if !up {
            self.next = None;
        } else if self.next.is_none() {
            self.greet = true;
            self.next = Some(now + self.random_up_to(spread(members)));
        }
    }

    fn bring_forward(&mut self, to: Instant) {
        let allowed = self.last.map_or(to, |last| to.max(last + SPACING));
        self.next = self.next.map(|next| next.min(allowed));
    }

    fn random_up_to(&mut self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.rng.u64(0..=nanos))
    }
}

fn spread(members: usize) -> Duration {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    ANSWER_SPREAD_PER_MEMBER.saturating_mul(members).min(ANSWER_SPREAD_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    fn schedule(now: Instant) -> HeartbeatSchedule {
        HeartbeatSchedule::new(INTERVAL, now, fastrand::Rng::with_seed(7))
    }

    /// Takes the heartbeats up to `until`, each at the time it was asked for.
    fn beats(schedule: &mut HeartbeatSchedule, until: Instant) -> Vec<(Instant, Heartbeat)> {
        let mut beats = Vec::new();
        while let Some(at) = schedule.poll_timeout().filter(|at| *at <= until) {
            beats.push((at, schedule.poll_heartbeat(at).unwrap()));
        }
        beats
    }

    #[test]
    fn the_first_is_at_once_and_alone_greets() {
        let zero = Instant::now();
        let beats = beats(&mut schedule(zero), zero + 10 * INTERVAL);
        assert_eq!(beats[0], (zero, Heartbeat { greet: true }));
        assert!(beats[1..].iter().all(|(_, beat)| !beat.greet));
    }

    #[test]
    fn jitter_only_shortens_and_by_a_tenth_at_most() {
        let zero = Instant::now();
        let beats = beats(&mut schedule(zero), zero + 1000 * INTERVAL);
        let gaps: Vec<Duration> = beats.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(*least >= INTERVAL * 9 / 10 && *most <= INTERVAL, "{least:?} to {most:?}");
        assert!(*most - *least > 50 * MS, "no jitter: nodes that start together would stay together");
    }

    #[test]
    fn a_call_that_is_early_does_nothing() {
        let zero = Instant::now();
        let mut schedule = schedule(zero);
        assert!(schedule.poll_heartbeat(zero).is_some());
        let next = schedule.poll_timeout();
        assert_eq!(schedule.poll_heartbeat(zero + 899 * MS), None);
        assert_eq!(schedule.poll_timeout(), next);
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let zero = Instant::now();
        let mut schedule = schedule(zero);
        assert!(schedule.poll_heartbeat(zero).is_some());
        let late = zero + 60 * INTERVAL;
        assert!(schedule.poll_heartbeat(late).is_some());
        assert!(schedule.poll_timeout().unwrap() >= late + INTERVAL * 9 / 10);
    }

    #[test]
    fn greetings_are_answered_once_and_within_a_spread_that_grows_with_the_members() {
        for (members, spread) in [(0, 0), (10, 10), (50, 50), (100, 100), (4096, 100)] {
            let zero = Instant::now();
            let mut latest = Duration::ZERO;
            for seed in 0..200 {
                let mut schedule = HeartbeatSchedule::new(INTERVAL, zero, fastrand::Rng::with_seed(seed));
                assert!(schedule.poll_heartbeat(zero).is_some());
                let greeted = zero + 500 * MS;
                schedule.handle_greeting(greeted, members);
                let first = schedule.poll_timeout().unwrap();
                latest = latest.max(first - greeted);
                for _ in 0..10 {
                    schedule.handle_greeting(greeted, members);
                }
                let answers = beats(&mut schedule, greeted + 400 * MS);
                assert_eq!(answers.len(), 1, "{answers:?}");
                assert!(!answers[0].1.greet, "an answer that greets would be answered for ever");
            }
            assert!(latest <= spread * MS && latest >= spread * MS * 9 / 10, "{members}: {latest:?}");
        }
    }

    #[test]
    fn a_greeting_never_puts_a_heartbeat_off() {
        let zero = Instant::now();
        let mut schedule = schedule(zero);
        assert!(schedule.poll_heartbeat(zero).is_some());
        let next = schedule.poll_timeout().unwrap();
        for i in 1..=100 {
            schedule.handle_greeting(next - i * MS / 100, 100);
            assert!(schedule.poll_timeout().unwrap() <= next);
        }
    }

    #[test]
    fn a_flood_of_greetings_draws_ten_heartbeats_a_second() {
        let zero = Instant::now();
        let mut schedule = schedule(zero);
        let mut sent = 0;
        for i in 0..10_000 {
            let now = zero + i * MS;
            schedule.handle_greeting(now, 1);
            schedule.handle_change(now);
            sent += usize::from(schedule.poll_heartbeat(now).is_some());
        }
        assert_eq!(sent, 100);
    }

    #[test]
    fn an_answer_comes_after_its_greeting_though_a_heartbeat_was_just_sent() {
        // The one who greets may have missed it.
        let zero = Instant::now();
        let mut schedule = schedule(zero);
        assert!(schedule.poll_heartbeat(zero).is_some());
        schedule.handle_greeting(zero + MS, 10);
        let beats = beats(&mut schedule, zero + 200 * MS);
        assert_eq!(beats.len(), 1);
    }

    #[test]
    fn a_change_is_told_at_once() {
        let zero = Instant::now();
        let mut schedule = schedule(zero);
        assert!(schedule.poll_heartbeat(zero).is_some());
        schedule.handle_change(zero + 300 * MS);
        assert_eq!(schedule.poll_timeout(), Some(zero + 300 * MS));
        assert_eq!(schedule.poll_heartbeat(zero + 300 * MS), Some(Heartbeat { greet: false }));
    }

    #[test]
    fn a_link_that_is_down_silences_and_one_that_comes_back_greets() {
        let zero = Instant::now();
        let mut schedule = schedule(zero);
        assert!(schedule.poll_heartbeat(zero).is_some());
        schedule.handle_link(zero + 100 * MS, false, 50);
        schedule.handle_greeting(zero + 200 * MS, 50);
        schedule.handle_change(zero + 200 * MS);
        assert_eq!(schedule.poll_timeout(), None);
        assert_eq!(schedule.poll_heartbeat(zero + 60 * INTERVAL), None);
        let up = zero + 90 * INTERVAL;
        schedule.handle_link(up, true, 50);
        let (at, beat) = beats(&mut schedule, up + INTERVAL)[0];
        assert!(at >= up && at <= up + 50 * MS && beat.greet, "{:?} {beat:?}", at - up);
        // Told again, it does not greet again.
        schedule.handle_link(at, true, 50);
        assert!(schedule.poll_timeout().unwrap() >= at + INTERVAL * 9 / 10);
    }
}
