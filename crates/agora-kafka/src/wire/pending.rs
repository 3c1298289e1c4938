//! A request on its way, and whoever waits for its answer.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::CLIENT_ID;
use super::api::Api;
use crate::error::{error, odd};

/// The length that a frame begins with.
const LENGTH_BYTES: usize = 4;
/// Where the correlation id stands in a frame: behind its length, the key and the version.
const CORRELATION_AT: usize = 8;

/// How far a request is. Who takes it out of the queue first decides: the writer, or its caller whose deadline has passed.
const QUEUED: u8 = 0;
const SENT: u8 = 1;
const ABANDONED: u8 = 2;

/// A request that was encoded, with its caller.
pub(super) struct Pending {
    frame: BytesMut,
    pub(super) by: Instant,
    pub(super) waiter: Box<dyn Waiter>,
    stage: Arc<AtomicU8>,
}

/// The caller's side.
pub(super) struct Ticket<T> {
    answer: oneshot::Receiver<Result<T>>,
    stage: Arc<AtomicU8>,
}

/// Waits for an answer whose type the connection does not know.
pub(super) trait Waiter: Send {
    /// Takes the answer, which begins with its correlation id. Returns for how long the broker wants no further request.
    ///
    /// # Errors
    /// The answer cannot be read; the caller was told so too.
    fn take(self: Box<Self>, frame: Bytes) -> Result<Duration>;

    /// There will be no answer.
    fn fail(self: Box<Self>, error: Error);

    /// Does anybody wait?
    fn is_wanted(&self) -> bool;

    /// What was asked.
    fn name(&self) -> &'static str;

    /// How long the broker may be silent about it.
    fn patience(&self) -> Option<Duration>;
}

struct Typed<R: Api> {
    version: i16,
    patience: Option<Duration>,
    answer: oneshot::Sender<Result<R::Response>>,
    request: PhantomData<fn(R)>,
}

impl<R: Api> Waiter for Typed<R> {
    fn take(self: Box<Self>, frame: Bytes) -> Result<Duration> {
        match decode::<R>(frame, self.version) {
            Ok(response) => {
                let throttle = Duration::from_millis(u64::try_from(R::throttle_ms(&response)).unwrap_or(0));
                let _ = self.answer.send(Ok(response));
                Ok(throttle)
            }
            Err(error) => {
                let _ = self.answer.send(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.answer.send(Err(error.context("request", R::NAME)));
    }

    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn name(&self) -> &'static str {
        R::NAME
    }

    fn patience(&self) -> Option<Duration> {
        self.patience
    }
}

fn decode<R: Api>(mut frame: Bytes, version: i16) -> Result<R::Response> {
    let header_version = <R::Response as HeaderVersion>::header_version(version);
    let unreadable =
        || odd("it is no message of this kind").context("request", R::NAME).context("version", version);
    R::SHAPE
        .check(&frame, header_version > 0, version)
        .map_err(|error| error.context("request", R::NAME).context("version", version))?;
    ResponseHeader::decode(&mut frame, header_version).map_err(|_| unreadable())?;
    R::Response::decode(&mut frame, version).map_err(|_| unreadable())
}

impl Pending {
    /// Encodes a request.
    ///
    /// # Errors
    /// `Unsupported`: something in it cannot be said in this version. `TooLarge`.
    pub(super) fn new<R: Api>(request: &R, version: i16, by: Instant) -> Result<(Self, Ticket<R::Response>)> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
        let header_version = R::header_version(version);
        // Asked for beforehand: a megabyte of records is not moved each time that a buffer grows.
        let bytes = header
            .compute_size(header_version)
            .and_then(|header| request.compute_size(version).map(|request| header + request));
        let encoded = bytes.and_then(|bytes| {
            let mut frame = BytesMut::with_capacity(LENGTH_BYTES + bytes);
            frame.put_bytes(0, LENGTH_BYTES);
            header.encode(&mut frame, header_version)?;
            request.encode(&mut frame, version)?;
            Ok(frame)
        });
        let mut frame = encoded.map_err(|cause| {
            error(ErrorKind::Unsupported, "the request cannot be said in the broker's version of it")
                .context("request", R::NAME)
                .context("version", version)
                .source(cause.into_boxed_dyn_error())
        })?;
        let length = i32::try_from(frame.len().saturating_sub(LENGTH_BYTES)).map_err(|_| {
            error(ErrorKind::TooLarge, "the request is larger than the protocol can say")
                .context("request", R::NAME)
        })?;
        if let Some(place) = frame.get_mut(..LENGTH_BYTES) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        let (answer, receiver) = oneshot::channel();
        let stage = Arc::new(AtomicU8::new(QUEUED));
        let waiter =
            Box::new(Typed::<R> { version, patience: request.patience(), answer, request: PhantomData });
        Ok((Self { frame, by, waiter, stage: Arc::clone(&stage) }, Ticket { answer: receiver, stage }))
    }

    /// Takes the request out of the queue, to be sent under this correlation id. `None`: nobody waits for it any more.
    pub(super) fn send(self, correlation: i32) -> Option<(Bytes, Instant, Box<dyn Waiter>)> {
        let Self { mut frame, by, waiter, stage } = self;
        if !waiter.is_wanted()
            || stage.compare_exchange(QUEUED, SENT, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            return None;
        }
        frame.get_mut(CORRELATION_AT..CORRELATION_AT + 4)?.copy_from_slice(&correlation.to_be_bytes());
        Some((frame.freeze(), by, waiter))
    }
}

impl<T> Ticket<T> {
    /// The answer, or why there is none. Where the deadline passes before the request was sent, it never is.
    ///
    /// # Errors
    /// `Timeout`: it was not sent. `Unreachable`: neither, the connection is over. `OutcomeUnknown`: no answer came.
    pub(super) async fn answer(self, by: Instant) -> Result<T> {
        let Self { mut answer, stage } = self;
        let given = tokio::select! {
            biased;
            given = &mut answer => given,
            () = tokio::time::sleep_until(by) => {
                let moved = stage.compare_exchange(QUEUED, ABANDONED, Ordering::AcqRel, Ordering::Acquire);
                if moved.is_ok() {
                    return Err(error(ErrorKind::Timeout, "the deadline passed before the request was sent"));
                }
                // It was sent. The connection looks at the same deadline, and answers every request that was.
                answer.await
            }
        };
        given.unwrap_or_else(|_| {
            if stage.load(Ordering::Acquire) == SENT {
                Err(error(ErrorKind::OutcomeUnknown, "the connection ended before the answer came"))
            } else {
                Err(error(ErrorKind::Unreachable, "the connection ended before the request was sent"))
            }
        })
    }
}
