//! One step through the records of a frame, shared by the check of a whole frame and by every later walk.

use super::input::Input;
use crate::limits::{BODY_BYTES_MAX, FRAME_KINDS_MAX, KEY_BYTES_MAX};

/// A kind definition follows; it takes the next index.
pub(super) const DEFINE: u8 = 1;
/// The index of a kind that was defined before follows.
pub(super) const SELECT: u8 = 1 << 1;
/// A key follows.
pub(super) const KEY: u8 = 1 << 2;
/// An event id follows.
pub(super) const ID: u8 = 1 << 3;
/// A correlation id follows.
pub(super) const CORRELATION: u8 = 1 << 4;
const KNOWN: u8 = DEFINE | SELECT | KEY | ID | CORRELATION;

/// The bit of a kind: a receiver that does not know it must be told that it missed something.
pub(super) const RESYNC: u8 = 1;

/// Where a piece of a frame stands. A frame is far below 4 GiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) at: u32,
    pub(super) length: u32,
}

impl Span {
    #[inline]
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        let at = self.at as usize;
        bytes.get(at..at + self.length as usize).unwrap_or_default()
    }
}

/// A kind as a frame defines it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kind {
    pub(super) name: Span,
    pub(super) version: u16,
    pub(super) flags: u8,
}

/// Where the parts of one record stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) index: u16,
    pub(super) kind: u8,
    /// 0: none, as no part of a record stands at the front of a frame.
    pub(super) key: Span,
    pub(super) id_at: u32,
    pub(super) correlation_at: u32,
    pub(super) body: Span,
}

/// A place between two records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) at: u32,
    pub(super) index: u16,
    kind: u8,
    kinds: u8,
}

impl Walk {
    pub(super) fn new(at: u32) -> Self {
        Self { at, index: 0, kind: 0, kinds: 0 }
    }

    /// Reads one record; `define` gets each new kind and may refuse it.
    ///
    /// # Errors
    /// What is wrong with the record, in words.
    #[inline]
    pub(super) fn step(
        &mut self,
        bytes: &[u8],
        mut define: impl FnMut(Kind) -> Result<(), &'static str>,
    ) -> Result<Place, &'static str> {
        const SHORT: &str = "a record goes beyond the end of the frame";
        let mut input = Input::new(bytes, self.at as usize);
        let flags = input.u8().ok_or(SHORT)?;
        if flags & !KNOWN != 0 {
            return Err("a record has an unknown flag");
        }
        match flags & (DEFINE | SELECT) {
            0 if self.kinds > 0 => {}
            0 => return Err("the first record has no kind"),
            DEFINE => {
                if usize::from(self.kinds) >= FRAME_KINDS_MAX {
                    return Err("too many kinds");
                }
                let flags = input.u8().ok_or(SHORT)?;
                let version = input.u16().ok_or(SHORT)?;
                let length = input.u8().ok_or(SHORT)?;
                let name = span(&mut input, u32::from(length)).ok_or(SHORT)?;
                define(Kind { name, version, flags })?;
                self.kind = self.kinds;
                self.kinds += 1;
            }
            SELECT => {
                let kind = input.u8().ok_or(SHORT)?;
                if kind >= self.kinds {
                    return Err("a record selects a kind that is not defined");
                }
                self.kind = kind;
            }
            _ => return Err("a record both defines and selects a kind"),
        }
        let mut key = Span::default();
        if flags & KEY != 0 {
            let length = input.varint().ok_or("the length of a key is malformed")?;
            if length as usize > KEY_BYTES_MAX {
                return Err("a key is too large");
            }
            key = span(&mut input, length).ok_or(SHORT)?;
        }
        let mut id_at = 0;
        if flags & ID != 0 {
            id_at = span(&mut input, 16).ok_or(SHORT)?.at;
        }
        let mut correlation_at = 0;
        if flags & CORRELATION != 0 {
            correlation_at = span(&mut input, 16).ok_or(SHORT)?.at;
        }
        let length = input.varint().ok_or("the length of a body is malformed")?;
        if length as usize > BODY_BYTES_MAX {
            return Err("a body is too large");
        }
        let body = span(&mut input, length).ok_or(SHORT)?;
        let place = Place { index: self.index, kind: self.kind, key, id_at, correlation_at, body };
        self.at = body.at + body.length;
        self.index = self.index.wrapping_add(1);
        Ok(place)
    }
}

/// Takes the next `length` bytes. The caller has checked that the frame is at most 4 GiB.
#[inline]
fn span(input: &mut Input<'_>, length: u32) -> Option<Span> {
    let at = u32::try_from(input.at()).ok()?;
    input.take(length as usize)?;
    Some(Span { at, length })
}
