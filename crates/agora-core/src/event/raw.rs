//! Plain bytes as an event.

use serde::{Deserialize, Serialize};

use super::{Body, DecodeError, Event};
use crate::error::Result;

/// Bytes that agora does not look into, as the command line publishes them. The body is the bytes themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawBytes(pub Vec<u8>);

impl Event for RawBytes {
    const KIND: &'static str = "agora.bytes";

    fn encode_body(&self, into: &mut Body<'_>) -> Result<()> {
        into.write(&self.0)
    }

    fn decode_body(_version: u16, body: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self(body.to_vec()))
    }
}
