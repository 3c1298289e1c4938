//! One way of one connection: reads, holds back, writes.

use std::collections::VecDeque;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::flow::{CHUNK_BYTES_MAX, Flow};

/// How many portions are held at most: when they are, nothing more is read, and the sender's own buffers fill.
const PORTIONS_MAX: usize = 64;

/// Bytes that were read and may be written from a time on.
struct Portion {
    bytes: Vec<u8>,
    written: usize,
    due: Instant,
}

/// One way of one connection.
pub(super) struct Pump<'a> {
    pub(super) flow: watch::Receiver<Flow>,
    /// Counts what was written, over all connections.
    pub(super) passed: &'a watch::Sender<u64>,
    pub(super) from: ReadHalf<'a>,
    pub(super) to: WriteHalf<'a>,
}

impl Pump<'_> {
    /// Until the sender has ended, and all of it has passed. An error means that the connection is to be reset.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let mut held: VecDeque<Portion> = VecDeque::new();
        let mut buffer = vec![0; CHUNK_BYTES_MAX];
        let mut flow = *self.flow.borrow_and_update();
        // Since the flow became what it is.
        let mut read_bytes = 0_u64;
        let mut last_due = Instant::now();
        let mut is_open = true;
        while is_open || !held.is_empty() {
            if matches!(flow, Flow::ResetAfter(bytes) if read_bytes >= bytes && held.is_empty()) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let moves = flow != Flow::Held;
            let may_read = moves && is_open && held.len() < PORTIONS_MAX;
            let due = held.front().map(|portion| portion.due);
            let is_due = due.is_some_and(|due| due <= Instant::now());
            let front = held.front().map_or(&[][..], |portion| &portion.bytes[portion.written..]);
            // First the flow: once a switch was set, nothing that was sent after it passes by the old rule.
            tokio::select! {
                biased;
                changed = self.flow.changed() => {
                    changed.map_err(|_| io::ErrorKind::ConnectionReset)?;
                    if flow == Flow::Swallowed && read_bytes > 0 {
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                    flow = *self.flow.borrow_and_update();
                    read_bytes = 0;
                }
                written = self.to.write(front), if moves && is_due => {
                    let written = written?;
                    self.passed.send_modify(|passed| *passed += written as u64);
                    if let Some(portion) = held.front_mut() {
                        portion.written += written;
                        if portion.written == portion.bytes.len() {
                            held.pop_front();
                        }
                    }
                    // Lets a reader on this very thread see this portion by itself.
                    yield_now().await;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if moves && due.is_some() && !is_due => {}
                read = self.from.read(&mut buffer[..flow.chunk_bytes(read_bytes)]), if may_read => {
                    let read = read?;
                    read_bytes += read as u64;
                    is_open = read > 0;
                    if is_open && flow != Flow::Swallowed {
                        let (apart, late) = flow.waits(read);
                        last_due = last_due.max(Instant::now()) + apart;
                        let due = last_due + late;
                        held.push_back(Portion { bytes: buffer[..read].to_vec(), written: 0, due });
                    }
                }
            }
        }
        // The end passes like the bytes before it; swallowed, it does not.
        while matches!(flow, Flow::Held | Flow::Swallowed) {
            self.flow.changed().await.map_err(|_| io::ErrorKind::ConnectionReset)?;
            flow = *self.flow.borrow_and_update();
        }
        self.to.shutdown().await
    }
}
