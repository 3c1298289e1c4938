//! A frame that says where a stream stands.

use bytes::Bytes;

use super::header::{CRITICAL, FrameType, HEADER_BYTES, Stamp, seal};
use super::input::Input;
use crate::limits::HEAD_NONCES_MAX;

/// The type of the extension that makes a head. Critical: who does not understand it understands nothing.
pub(super) const EXTENSION: u16 = CRITICAL | 1;
/// The source leaves, and nothing comes after.
const FIN: u8 = 1;

/// What a head says, besides its stamp.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The source forms nothing more in this stream.
    pub fin: bool,
    /// The hellos that this head answers.
    pub nonces: Vec<u64>,
}

impl Head {
    /// Reads the value of the extension; `None` where it is malformed.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let mut input = Input::new(value, 0);
        let flags = input.u8()?;
        let count = (value.len() - 1) / 8;
        if flags & !FIN != 0 || count > HEAD_NONCES_MAX || value.len() != 1 + count * 8 {
            return None;
        }
        let mut nonces = Vec::with_capacity(count);
        for _ in 0..count {
            nonces.push(u64::from_le_bytes(input.array()?));
        }
        Some(Self { fin: flags & FIN != 0, nonces })
    }
}

/// Forms a head: `stamp.seq` is the number of the next event to come, `fin` says that there is none, and `nonces`
/// are the hellos that it answers.
///
/// At most [`HEAD_NONCES_MAX`] nonces fit; a caller with more of them sends several heads, one for each of
/// `nonces.chunks(HEAD_NONCES_MAX)`. What is beyond is left out.
pub fn encode_head(stamp: &Stamp, fin: bool, nonces: &[u64]) -> Bytes {
    debug_assert!(nonces.len() <= HEAD_NONCES_MAX, "send several heads");
    let nonces = &nonces[..nonces.len().min(HEAD_NONCES_MAX)];
    // At most 1 + 32 * 8, so that it fits the length of an extension and the header with it.
    let value_bytes = u16::try_from(1 + nonces.len() * 8).unwrap_or(u16::MAX);
    let header_bytes = 64 + 4 + value_bytes;
    let mut frame = Vec::with_capacity(usize::from(header_bytes));
    frame.resize(HEADER_BYTES, 0);
    frame.extend_from_slice(&EXTENSION.to_le_bytes());
    frame.extend_from_slice(&value_bytes.to_le_bytes());
    frame.push(if fin { FIN } else { 0 });
    for nonce in nonces {
        frame.extend_from_slice(&nonce.to_le_bytes());
    }
    seal(&mut frame, stamp, FrameType::Head, header_bytes, 0);
    Bytes::from(frame)
}
