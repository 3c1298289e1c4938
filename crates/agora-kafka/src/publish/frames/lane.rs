//! One lane: a call at a time, in few requests that are on their way together.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use agora_core::Error;
use agora_core::transport::{OutFrame, PublishFailed};
use chrono::DateTime;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use rskafka::client::partition::{Compression, PartitionClient};
use rskafka::record::Record;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::super::{bytes_of, not_stored, unanswered, unknown};
use super::Call;
use super::client::{ANSWER_WAIT, Clients, failure, is_certain};

/// The most requests of a call on their way together. At least two: alone, a request of 8 to 40 KB waits 40 ms on loopback,
/// because rskafka leaves it to the system to hold its last part back.
const REQUESTS_MAX: usize = 4;
/// A request is closed to further frames beyond this many bytes.
const REQUEST_BYTES: usize = 256 << 10;

/// Sends what comes, until nothing can come any more.
pub(super) async fn run(
    clients: Arc<Clients>,
    topic: String,
    partition: i32,
    mut calls: mpsc::Receiver<Call>,
) {
    let mut lane = Lane { clients, topic, partition, client: None };
    while let Some(call) = calls.recv().await {
        if call.begin() {
            let outcome = lane.send(&call).await;
            call.answer(outcome);
        }
    }
}

struct Lane {
    clients: Arc<Clients>,
    topic: String,
    partition: i32,
    client: Option<PartitionClient>,
}

impl Lane {
    async fn send(&mut self, call: &Call) -> Result<(), PublishFailed> {
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                let made = self.clients.partition(&self.topic, self.partition, call.by).await;
                made.map_err(|error| not_stored(0, error))?
            }
        };
        let (accepted, failed) = produce(&client, call).await;
        let Some((is_certain, error)) = failed else {
            self.client = Some(client);
            return Ok(());
        };
        if is_certain {
            self.client = Some(client);
            return Err(not_stored(accepted, error));
        }
        // Dropped as a whole: what it knows of the cluster may be what it hangs on.
        self.clients.discard();
        Err(unknown(accepted, error))
    }
}

/// How many frames were accepted, and why not all: whether nothing of the others was stored for certain, and the error.
async fn produce(client: &PartitionClient, call: &Call) -> (usize, Option<(bool, Error)>) {
    let mut requests = requests(&call.frames).into_iter();
    let (mut accepted, mut failed) = (0, None);
    let mut under_way = FuturesOrdered::new();
    loop {
        while failed.is_none() && under_way.len() < REQUESTS_MAX {
            let Some(frames) = requests.next() else { break };
            let sending = client.produce(records(frames), Compression::NoCompression);
            let by = call.by.min(Instant::now() + ANSWER_WAIT);
            under_way.push_back(async move { (frames.len(), timeout_at(by, sending).await) });
        }
        let Some((count, answer)) = under_way.next().await else { return (accepted, failed) };
        match (answer, &failed) {
            (Ok(Ok(_)), None) => {
                accepted += count;
                call.accepted(accepted);
            }
            // It stands behind one that failed.
            (Ok(Ok(_)), Some(_)) => failed = failed.map(|(_, error)| (false, error)),
            (Ok(Err(cause)), _) => {
                let error = failure(&cause);
                let is_certain =
                    is_certain(&error) && failed.as_ref().is_none_or(|(is_certain, _)| *is_certain);
                let error = failed.map_or(error, |(_, first)| first);
                failed = Some((is_certain, error));
            }
            (Err(_), _) => return (accepted, Some((false, unanswered(None)))),
        }
    }
}

/// Parts the frames of a call into requests: at least two, where there are two frames.
fn requests(frames: &[OutFrame]) -> Vec<&[OutFrame]> {
    let all: usize = frames.iter().map(bytes_of).sum();
    let bytes_max = REQUEST_BYTES.min(all.div_ceil(2));
    let (mut parted, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (at, frame) in frames.iter().enumerate() {
        let size = bytes_of(frame);
        if at > begin && bytes + size > bytes_max {
            parted.extend(frames.get(begin..at));
            (begin, bytes) = (at, 0);
        }
        bytes += size;
    }
    parted.extend(frames.get(begin..).filter(|rest| !rest.is_empty()));
    parted
}

fn records(frames: &[OutFrame]) -> Vec<Record> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let timestamp = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    let record = |frame: &OutFrame| Record {
        key: frame.key.as_ref().map(|key| key.to_vec()),
        value: Some(frame.payload.to_vec()),
        headers: frame.headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect(),
        timestamp,
    };
    frames.iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_frames_are_two_requests_and_none_is_much_too_large() {
        let frame = |bytes: usize| OutFrame::new(vec![0; bytes]);
        let sizes = |frames: &[OutFrame]| requests(frames).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[frame(1)]), [1]);
        assert_eq!(sizes(&[frame(1), frame(1)]), [1, 1]);
        assert_eq!(sizes(&[frame(1 << 20), frame(1), frame(1)]), [1, 2]);
        let many: Vec<_> = (0..16).map(|_| frame(64 << 10)).collect();
        assert_eq!(sizes(&many), [3, 3, 3, 3, 3, 1]);
    }
}
