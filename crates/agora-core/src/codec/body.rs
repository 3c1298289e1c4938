//! The format of a body: bincode 2 in its standard configuration, through serde, always with a limit.
//!
//! This is the only place that knows the crate `bincode`. The format itself is written down in
//! `docs/wire-format.md` and outlives the crate.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::error::EncodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::event::DecodeError;

/// The largest body.
pub(super) const BYTES_MAX: usize = crate::limits::BODY_BYTES_MAX;

const CONFIG: Configuration<LittleEndian, Varint, Limit<BYTES_MAX>> =
    bincode::config::standard().with_limit::<BYTES_MAX>();

/// Where an event writes its body: append only.
#[derive(Debug)]
pub struct Body<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where the body must have ended.
    end: usize,
}

impl<'a> Body<'a> {
    /// Writes behind what is in `bytes` already, at most [`BODY_BYTES_MAX`](crate::limits::BODY_BYTES_MAX).
    #[inline]
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        let end = bytes.len() + BYTES_MAX;
        Self { bytes, end }
    }

    /// Appends `value` in the format of bodies.
    ///
    /// The limit is looked at when all is written: what is written is about as large as the value, which is there
    /// already, and a look at each of the many small pieces would take as long as the writing.
    ///
    /// # Errors
    /// `TooLarge` beyond the limit, `Codec` when the value refuses. What was written so far stays: the caller
    /// takes it back.
    #[inline]
    pub fn encode<T: Serialize>(&mut self, value: &T) -> Result<()> {
        bincode::serde::encode_into_std_write(value, self.bytes, CONFIG).map_err(encode_error)?;
        if self.bytes.len() > self.end { Err(encode_error(EncodeError::UnexpectedEnd)) } else { Ok(()) }
    }

    /// Appends bytes as they are.
    ///
    /// # Errors
    /// `TooLarge` beyond the limit; then nothing was written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > self.end.saturating_sub(self.bytes.len()) {
            return Err(encode_error(EncodeError::UnexpectedEnd));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

#[cold]
fn encode_error(error: EncodeError) -> Error {
    match error {
        EncodeError::UnexpectedEnd => {
            Error::new(ErrorKind::TooLarge, "the body of an event is too large").context("allowed", BYTES_MAX)
        }
        error => Error::new(ErrorKind::Codec, "an event cannot be encoded").source(error),
    }
}

/// Appends `value` to `bytes`.
///
/// # Errors
/// `TooLarge` when it takes more than [`BODY_BYTES_MAX`](crate::limits::BODY_BYTES_MAX), `Codec` when it refuses.
/// Then `bytes` is as it was.
pub fn encode_into<T: Serialize>(bytes: &mut Vec<u8>, value: &T) -> Result<()> {
    let before = bytes.len();
    Body::new(bytes).encode(value).inspect_err(|_| bytes.truncate(before))
}

/// Decodes a value that takes the whole of `body`.
///
/// # Errors
/// The body is malformed, or bytes are left over.
#[inline]
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let (value, used) = decode_prefix(body)?;
    if used != body.len() {
        return Err(DecodeError::Trailing { bytes: body.len() - used });
    }
    Ok(value)
}

/// Decodes a value from the beginning of `body`, and says how much of it that took: what follows was appended by
/// a later version.
///
/// # Errors
/// The body is malformed.
#[inline]
pub fn decode_prefix<T: DeserializeOwned>(body: &[u8]) -> Result<(T, usize), DecodeError> {
    bincode::serde::decode_from_slice(body, CONFIG).map_err(|error| DecodeError::body(&error))
}
