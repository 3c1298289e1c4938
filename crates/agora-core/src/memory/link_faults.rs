//! What a link does to the messages that pass it.

use std::ops::RangeInclusive;
use std::time::Duration;

use fastrand::Rng;

/// The longest delay that a link can have.
pub const DELAY_MAX: Duration = Duration::from_secs(3600);

/// What a link does to the messages that pass it, each one by itself: some are lost, some arrive twice, all take
/// their time, and since that time varies, they overtake each other.
///
/// ```
/// # use agora_core::memory::LinkFaults;
/// # use std::time::Duration;
/// let bad = LinkFaults::none()
///     .loss(0.1)
///     .duplication(0.05)
///     .delay(Duration::from_millis(1)..=Duration::from_millis(30));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LinkFaults {
    loss: f64,
    duplication: f64,
    delay_least: Duration,
    delay_most: Duration,
}

impl LinkFaults {
    /// A link that does nothing to what passes it.
    pub fn none() -> Self {
        Self { loss: 0.0, duplication: 0.0, delay_least: Duration::ZERO, delay_most: Duration::ZERO }
    }

    /// The probability, 0 to 1, that a message is lost without a word. Default 0.
    ///
    /// # Panics
    /// When it is no probability.
    #[must_use]
    #[track_caller]
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = checked("loss", probability);
        self
    }

    /// The probability, 0 to 1, that a message that is not lost arrives twice, each copy with its own delay.
    /// Default 0.
    ///
    /// # Panics
    /// When it is no probability.
    #[must_use]
    #[track_caller]
    pub fn duplication(mut self, probability: f64) -> Self {
        self.duplication = checked("duplication", probability);
        self
    }

    /// How long a message is on its way: drawn evenly, to the microsecond. A range of one value keeps the order;
    /// a wider one lets messages overtake each other. Default 0, the longest is [`DELAY_MAX`].
    ///
    /// # Panics
    /// When the range is empty or reaches beyond [`DELAY_MAX`].
    #[must_use]
    #[track_caller]
    pub fn delay(mut self, range: RangeInclusive<Duration>) -> Self {
        (self.delay_least, self.delay_most) = checked_delay(&range);
        self
    }

    /// Sends one message over the link: the delay of each copy that arrives.
    pub(super) fn draw(&self, rng: &mut Rng) -> Draw {
        if happens(self.loss, rng) {
            return Draw::Lost;
        }
        if happens(self.duplication, rng) {
            return Draw::Twice(self.draw_delay(rng), self.draw_delay(rng));
        }
        Draw::Once(self.draw_delay(rng))
    }

    fn draw_delay(&self, rng: &mut Rng) -> Duration {
        draw_delay(self.delay_least, self.delay_most, rng)
    }
}

/// What a link did to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draw {
    Lost,
    Once(Duration),
    Twice(Duration, Duration),
}

/// A certain or an impossible event takes nothing from the generator: then a rule that is never met does not change
/// what happens elsewhere.
fn happens(probability: f64, rng: &mut Rng) -> bool {
    probability > 0.0 && (probability >= 1.0 || rng.f64() < probability)
}

/// A delay between the two, to the microsecond.
pub(super) fn draw_delay(least: Duration, most: Duration, rng: &mut Rng) -> Duration {
    let spread = u64::try_from((most - least).as_micros()).unwrap_or(u64::MAX);
    if spread == 0 { least } else { least + Duration::from_micros(rng.u64(..=spread)) }
}

#[track_caller]
fn checked(what: &str, probability: f64) -> f64 {
    assert!((0.0..=1.0).contains(&probability), "{what} is a probability, 0 to 1, not {probability}");
    probability
}

/// The ends of a range of delays.
#[track_caller]
pub(super) fn checked_delay(range: &RangeInclusive<Duration>) -> (Duration, Duration) {
    assert!(range.start() <= range.end(), "the range of delays {range:?} is empty");
    assert!(*range.end() <= DELAY_MAX, "the delay {:?} is longer than {DELAY_MAX:?}", range.end());
    (*range.start(), *range.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_probabilities() {
        const DRAWS: usize = 20_000;
        let ms = Duration::from_millis;
        let link = LinkFaults::none().loss(0.1).duplication(0.2).delay(ms(2)..=ms(4));
        let mut rng = Rng::with_seed(1);
        let (mut lost, mut twice, mut delays) = (0, 0, Vec::new());
        for _ in 0..DRAWS {
            match link.draw(&mut rng) {
                Draw::Lost => lost += 1,
                Draw::Once(delay) => delays.push(delay),
                Draw::Twice(one, other) => {
                    twice += 1;
                    delays.extend([one, other]);
                }
            }
        }
        assert!((1_800..2_200).contains(&lost), "about 10% of {DRAWS}: {lost}");
        assert!((3_400..3_800).contains(&twice), "about 20% of the rest: {twice}");
        let mean = delays.iter().sum::<Duration>() / u32::try_from(delays.len()).unwrap();
        assert!(delays.iter().all(|delay| (ms(2)..=ms(4)).contains(delay)));
        assert!((Duration::from_micros(2_980)..Duration::from_micros(3_020)).contains(&mean), "{mean:?}");
    }

    #[test]
    fn certain_and_impossible_events_draw_nothing() {
        let mut rng = Rng::with_seed(1);
        let before = rng.clone();
        let second = Duration::from_secs(1);
        assert_eq!(LinkFaults::none().delay(second..=second).draw(&mut rng), Draw::Once(second));
        assert_eq!(LinkFaults::none().loss(1.0).draw(&mut rng), Draw::Lost);
        assert_eq!(rng, before);
    }

    #[test]
    #[should_panic(expected = "loss is a probability, 0 to 1, not 10")]
    fn per_cent_are_refused() {
        let _ = LinkFaults::none().loss(10.0);
    }

    #[test]
    #[should_panic(expected = "is longer than 3600s")]
    fn a_delay_of_days_is_refused() {
        let _ = LinkFaults::none().delay(Duration::ZERO..=Duration::from_secs(86_400));
    }
}
