//! A question that may be asked again without harm.

use std::time::Duration;

use agora_core::{ErrorKind, Result};
use tokio::time::{Instant, sleep_until};

use super::{Line, Target};
use crate::error::{Refusal, closed, of_repeatable};
use crate::wire::Api;

/// The first and the longest pause between two tries. It doubles in between, and half of it is drawn.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

impl Line {
    /// Asks something that may be asked twice without harm, and again until `by` while the reason for the failure passes by
    /// itself: the broker is gone, another one has taken its place, or `judge` finds a refusal that is retryable. Each try
    /// may take as long as `each`.
    ///
    /// # Errors
    /// The last failure; an absent answer is `Unreachable`. A refusal that does not pass is returned at once.
    ///
    /// # Cancel safety
    /// As [`Line::call`].
    pub async fn ask<R: Api>(
        &self,
        target: Target<'_>,
        request: &R,
        each: Duration,
        by: Instant,
        judge: impl Fn(&R::Response) -> Result<(), Refusal> + Send,
    ) -> Result<R::Response> {
        let mut pause = BACKOFF.0;
        loop {
            let try_by = by.min(Instant::now() + each);
            let error = match self.call(target, request, try_by).await {
                Ok(answer) => match judge(&answer) {
                    Ok(()) => return Ok(answer),
                    Err(refusal) => {
                        self.brokers().cure(target, &refusal);
                        let is_retryable = refusal.is_retryable();
                        let error = refusal.into_error().context("request", R::NAME);
                        if !is_retryable {
                            return Err(error);
                        }
                        error
                    }
                },
                Err(error) if passes(error.kind()) => error,
                Err(error) => return Err(error),
            };
            let at = Instant::now() + pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            pause = (pause * 2).min(BACKOFF.1);
            if at >= by {
                return Err(of_repeatable(error));
            }
            tracing::debug!(%error, "asked again");
            tokio::select! {
                biased;
                () = self.brokers().closed() => return Err(closed()),
                () = sleep_until(at) => {}
            }
        }
    }
}

/// Does such a failure pass by itself?
fn passes(kind: ErrorKind) -> bool {
    // A topic that is not there yet may be made in a moment, and known to one broker before the other.
    matches!(
        kind,
        ErrorKind::Unreachable | ErrorKind::OutcomeUnknown | ErrorKind::Timeout | ErrorKind::NotFound
    )
}
