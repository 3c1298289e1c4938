//! Events: what nodes tell each other.
//!
//! An event is a plain type with serde's derives and a name:
//!
//! ```
//! use agora_core::event::{Event, Key};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct OrderPlaced {
//!     order: u64,
//!     items: Vec<u32>,
//! }
//!
//! impl Event for OrderPlaced {
//!     const KIND: &'static str = "shop.order.placed";
//!
//!     fn key(&self) -> Option<Key<'_>> {
//!         Some(self.order.into())
//!     }
//! }
//! ```
//!
//! The events that every clustered service needs are in [`builtin`].

pub mod builtin;
mod error;
mod key;
mod kinds;
mod letters;
mod raw;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::codec::body::Body;
pub use error::DecodeError;
pub use key::Key;
pub use kinds::Events;
pub use letters::{DeadLetter, LetterOrigin, Redriven};
pub use raw::RawBytes;

use crate::codec::body;
use crate::error::Result;
use crate::limits::KIND_BYTES_MAX;

/// What a receiver that does not know the kind of an event must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// Go on: who does not know the event does not need it.
    Skip,
    /// Be told by a `Gap` that something was missed. For events such as "this cache entry is stale": who skipped
    /// one in silence would stay wrong.
    Resync,
}

/// Something that happened, and that other nodes should know.
///
/// # Evolution
/// Nodes of several versions run side by side, so a kind changes by these rules only:
/// - A kind never changes its meaning and is never used again for another.
/// - Fields are appended at the end of the type itself (not inside of a field's type), and [`VERSION`] goes up by
///   one. An older reader ignores what was appended.
/// - A reader of a higher version gets older bodies through [`upgrade`].
/// - A variant that is appended to an enum inside of an event cannot be read by an older reader; such a change
///   wants a new kind.
///
/// A body of the reader's own version must be read to its last byte.
///
/// # What serde can and cannot do here
/// Bodies carry no names, so `skip_serializing_if`, `flatten`, `untagged`, `tag` and `default` do not work in
/// them. A type must not contain itself: a body from the network could nest it until the stack ends. A collection
/// of elements that take no bytes, such as `Vec<()>`, can be claimed to have any length.
///
/// [`VERSION`]: Event::VERSION
/// [`upgrade`]: Event::upgrade
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stable name: words of `A-Z a-z 0-9 _ -` joined by dots, at most 200 bytes. Names that begin with
    /// `agora.` are agora's own.
    const KIND: &'static str;
    /// The version of its fields.
    const VERSION: u16 = 1;
    /// What a receiver that does not know the kind must do.
    const UNKNOWN: Unknown = Unknown::Skip;

    /// What the event is about: events with equal keys keep their order, and on a keyed topic it says where the
    /// event is stored. At most 1 KiB. Default: none.
    fn key(&self) -> Option<Key<'_>> {
        None
    }

    /// Reads a body of an older version.
    ///
    /// # Errors
    /// By default every older version is refused.
    fn upgrade(version: u16, body: &[u8]) -> Result<Self, DecodeError> {
        let _ = body;
        Err(DecodeError::Unsupported { version, supported: Self::VERSION })
    }

    /// Writes the body. Only a kind whose body is not in the common format replaces this, and then
    /// [`decode_body`](Event::decode_body) too.
    ///
    /// # Errors
    /// `TooLarge` or `Codec`.
    #[inline]
    fn encode_body(&self, into: &mut Body<'_>) -> Result<()> {
        into.encode(self)
    }

    /// Reads a body that was written with `version`.
    ///
    /// # Errors
    /// The version cannot be read, or the body is malformed.
    #[inline]
    fn decode_body(version: u16, body: &[u8]) -> Result<Self, DecodeError> {
        match version.cmp(&Self::VERSION) {
            std::cmp::Ordering::Equal => body::decode(body),
            std::cmp::Ordering::Greater => body::decode_prefix(body).map(|(event, _)| event),
            std::cmp::Ordering::Less => Self::upgrade(version, body),
        }
    }
}

/// Is this the name of a kind: words of `A-Z a-z 0-9 _ -` joined by dots, at most 200 bytes?
pub fn is_kind(name: &[u8]) -> bool {
    name.len() <= KIND_BYTES_MAX
        && name.split(|byte| *byte == b'.').all(|word| {
            !word.is_empty() && word.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        })
}
