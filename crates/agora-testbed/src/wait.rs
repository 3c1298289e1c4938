//! Waiting for what a server only tells when it is asked.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::failure::{Failure, Result};

/// How long a cluster may take to agree on something.
const AGREE_WAIT: Duration = Duration::from_secs(40);
/// How often it is asked.
const POLL: Duration = Duration::from_millis(50);

/// Asks again and again until there is an answer. `what` continues the sentence "waited in vain until ...".
pub(crate) async fn until<T, F>(what: &str, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let by = Instant::now() + AGREE_WAIT;
    loop {
        let last = match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => String::new(),
            Err(failure) => format!(": {failure}"),
        };
        if Instant::now() > by {
            return Err(Failure::new(format!("waited {AGREE_WAIT:?} in vain until {what}{last}")));
        }
        sleep(POLL).await;
    }
}
