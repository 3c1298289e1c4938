//! Reads the answers of a connection.

use agora_core::{Error, ErrorKind};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::RESPONSE_BYTES_MAX;
use super::flight::Flight;
use super::socket;
use crate::error::error;

/// The shortest answer: a correlation id.
const RESPONSE_BYTES_MIN: usize = 4;
/// How much room is made for what comes next. What an answer announces is not made room for before it is there.
const STEP_BYTES: usize = 64 << 10;

/// Reads answers until the connection is of no use any more. Returns why.
pub(super) async fn read<S: AsyncRead + Unpin>(mut stream: S, flight: &Flight) -> Error {
    let mut buffer = BytesMut::new();
    let mut answered = 0_u64;
    loop {
        if let Some(length) = buffer.first_chunk().map(|length| i32::from_be_bytes(*length)) {
            let length = match usize::try_from(length) {
                Ok(length) if (RESPONSE_BYTES_MIN..=RESPONSE_BYTES_MAX).contains(&length) => length,
                _ => return not_an_answer(&buffer, length),
            };
            if buffer.len() >= 4 + length {
                buffer.advance(4);
                let frame = buffer.split_to(length).freeze();
                let correlation = frame.first_chunk().map_or(0, |id| i32::from_be_bytes(*id));
                if let Err(error) = flight.answered(correlation, frame) {
                    return error;
                }
                answered += 1;
                continue;
            }
        }
        buffer.reserve(STEP_BYTES);
        let over = match stream.read_buf(&mut buffer).await {
            Ok(0) => socket::closed(answered),
            Ok(_) => {
                flight.heard();
                continue;
            }
            Err(cause) => socket::broken(cause),
        };
        // A broker that refuses says so, and closes the connection: whoever got that answer knows better why it is over.
        tokio::task::yield_now().await;
        return over;
    }
}

/// Whatever speaks there, it does not speak the protocol of Kafka as it should.
fn not_an_answer(buffer: &[u8], length: i32) -> Error {
    // An alert of TLS: its kind and the first byte of its version.
    if buffer.starts_with(&[0x15, 3]) {
        return error(ErrorKind::Config, "the broker wants TLS on this port")
            .help("set `kafka.tls` to true, or name the port of a listener without TLS");
    }
    error(ErrorKind::Backend, "an answer has an impossible length")
        .context("bytes", length)
        .context("allowed", RESPONSE_BYTES_MAX)
        .help("is it a broker of Kafka that listens there? Compare `kafka.brokers` with its `advertised.listeners`")
}
