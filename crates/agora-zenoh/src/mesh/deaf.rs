//! Connections that stand and pass nothing on.
//!
//! Zenoh can leave one behind: when its time for making a connection (`open_timeout`) runs out in the very moment
//! in which the other side answers, the connection is kept and never read. Its keep-alives still go out, so the
//! other side sees nothing wrong either, and no lease ends it. Two nodes are then deaf to each other for good. What
//! such a connection cannot do is carry a question there and its answer back.

use std::time::{Duration, Instant};

/// How long a connected member may leave every question unanswered before the connection is closed. Well beyond a
/// lease, so that a process that is merely stopped or swamped is dealt with by zenoh's own means. And beyond ten
/// seconds: for so long zenoh's TCP links linger. Whoever closes a link with something unsent, as to a host that was
/// cut off, is held up by the system until then, and with it one of the two threads that read all other connections.
const PATIENCE: Duration = Duration::from_secs(15);
/// So many questions it must have been, so that a pause of this process alone proves nothing.
const QUESTIONS_MIN: u32 = 5;
/// Whoever stays silent over a new connection is given twice the time, up to so many times.
const DOUBLINGS_MAX: u32 = 5;

/// The questions to one member since it last answered.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    questions: u32,
    since: Option<Instant>,
    given_up: u32,
}

impl Unanswered {
    pub(super) fn asked(&mut self, now: Instant) {
        self.questions += 1;
        self.since.get_or_insert(now);
    }

    /// It answered: whatever was, is over.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// The connection was lost: the next one begins anew, with the patience that was learnt.
    pub(super) fn forgive(&mut self) {
        *self = Self { given_up: self.given_up, ..Self::default() };
    }

    pub(super) fn any(&self) -> bool {
        self.questions > 0
    }

    /// Is it time to close the connection? If so, the count begins anew.
    pub(super) fn give_up(&mut self, now: Instant) -> bool {
        let Some(since) = self.since else { return false };
        let patience = PATIENCE * 2u32.pow(self.given_up.min(DOUBLINGS_MAX));
        let over = self.questions >= QUESTIONS_MIN && now.saturating_duration_since(since) >= patience;
        if over {
            self.given_up += 1;
            self.forgive();
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks every half second, and says after how many milliseconds the connection is given up.
    fn given_up_after(unanswered: &mut Unanswered, now: &mut Instant) -> u128 {
        let start = *now;
        loop {
            unanswered.asked(*now);
            *now += Duration::from_millis(500);
            if unanswered.give_up(*now) {
                return (*now - start).as_millis();
            }
            assert!(*now - start < Duration::from_secs(1000), "never");
        }
    }

    #[test]
    fn silence_is_given_up_later_each_time_and_an_answer_ends_that() {
        let (mut unanswered, mut now) = (Unanswered::default(), Instant::now());
        let mut next = |unanswered: &mut Unanswered| given_up_after(unanswered, &mut now);
        for expected in [15_000, 30_000, 60_000, 120_000, 240_000, 480_000, 480_000] {
            assert_eq!(next(&mut unanswered), expected);
            unanswered.forgive();
        }
        unanswered.answered();
        assert_eq!(next(&mut unanswered), 15_000);
    }

    #[test]
    fn few_questions_prove_nothing() {
        let (mut unanswered, now) = (Unanswered::default(), Instant::now());
        for _ in 1..QUESTIONS_MIN {
            unanswered.asked(now);
        }
        let late = now + Duration::from_secs(3600);
        assert!(!unanswered.give_up(late), "this process may have been stopped for an hour");
        unanswered.asked(late);
        assert!(unanswered.give_up(late));
        assert!(!unanswered.give_up(late), "once");
    }

    #[test]
    fn an_answer_in_between_starts_the_count_anew() {
        let (mut unanswered, mut now) = (Unanswered::default(), Instant::now());
        for _ in 0..100 {
            for _ in 0..29 {
                unanswered.asked(now);
                now += Duration::from_millis(500);
                assert!(!unanswered.give_up(now));
            }
            unanswered.answered();
            assert!(!unanswered.any());
        }
    }
}
