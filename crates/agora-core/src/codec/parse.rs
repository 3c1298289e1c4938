//! From bytes to a frame, or to the reason why not.

use std::fmt;

use bytes::Bytes;

use super::frame::{Frame, Kinds};
use super::head::{self, Head};
use super::header::{CRITICAL, FrameType, HEADER_BYTES, Header, MAGIC, VERSION, checksum, floor_back};
use super::input::Input;
use super::walk::{RESYNC, Walk};
use crate::event::is_kind;
use crate::limits::{FRAME_BYTES_MAX, FRAME_RECORDS_MAX, HEADER_BYTES_MAX};

/// What bytes from the network turned out to be.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// A frame, checked as a whole.
    Frame(Frame),
    /// Not a frame of agora: it does not begin with its magic bytes.
    Foreign(Bytes),
    /// A frame that arrived whole, and that this version cannot read. Which events it held is known, because the
    /// layout of the header is the same in all versions: see [`Header::range`].
    Unreadable {
        /// Its header.
        header: Header,
        /// Why it cannot be read.
        why: Unreadable,
    },
    /// Damaged on its way, or never a frame. Nothing in it can be trusted.
    Corrupt(Corrupt),
}

/// Why a frame that arrived whole cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// A version that is not known.
    Version(u8),
    /// Flags that are not known, or that are reserved.
    Flags(u16),
    /// A type that is not known.
    FrameType(u8),
    /// A critical extension that is not known.
    Extension(u16),
    /// It breaks a rule of its version.
    Malformed(&'static str),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "frame version {version} is not known"),
            Self::Flags(flags) => write!(f, "frame flags {flags:#06x} are not known"),
            Self::FrameType(number) => write!(f, "frame type {number} is not known"),
            Self::Extension(number) => write!(f, "critical extension {number:#06x} is not known"),
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

/// Why bytes that begin like a frame are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corrupt {
    /// It is larger than [`FRAME_BYTES_MAX`], or than its header says, or smaller.
    Length,
    /// The checksum is wrong.
    Checksum,
    /// The header contradicts itself.
    Header(&'static str),
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("a frame of the wrong length"),
            Self::Checksum => f.write_str("a frame with a wrong checksum"),
            Self::Header(what) => f.write_str(what),
        }
    }
}

/// Tells what `bytes`, one message from the network, are.
///
/// A frame is checked as a whole, in one pass; what is allocated is at most a list of its kinds and of the nonces
/// of a head.
pub fn parse(bytes: Bytes) -> Parsed {
    if !begins_like_frame(&bytes) {
        return Parsed::Foreign(bytes);
    }
    let header = match check_frozen(&bytes) {
        Ok(header) => header,
        Err(corrupt) => return Parsed::Corrupt(corrupt),
    };
    match check_version_1(&header, &bytes) {
        Ok((frame_type, extensions, kinds)) => Parsed::Frame(Frame {
            header,
            frame_type,
            head: extensions.head,
            skipped_extensions: extensions.skipped,
            kinds,
            bytes,
        }),
        Err(why) => Parsed::Unreadable { header, why },
    }
}

/// Does a message begin with the magic bytes of a frame? Then nothing beside it is needed to read it, or to know that it
/// is damaged.
pub fn begins_like_frame(bytes: &[u8]) -> bool {
    bytes.first_chunk() == Some(&MAGIC)
}

/// What holds for every version: the sizes, the checksum, and numbers that do not overflow.
fn check_frozen(bytes: &[u8]) -> Result<Header, Corrupt> {
    let fixed = bytes.first_chunk::<HEADER_BYTES>().ok_or(Corrupt::Length)?;
    let header = Header::read(fixed);
    if bytes.len() > FRAME_BYTES_MAX || header.frame_bytes as usize != bytes.len() {
        return Err(Corrupt::Length);
    }
    if checksum(bytes) != header.crc {
        return Err(Corrupt::Checksum);
    }
    let header_bytes = usize::from(header.header_bytes);
    if header_bytes < HEADER_BYTES || header_bytes > bytes.len() {
        return Err(Corrupt::Header("the size of the header is impossible"));
    }
    if u64::from(floor_back(fixed)) > header.seq {
        return Err(Corrupt::Header("the floor is below zero"));
    }
    if header.seq.checked_add(u64::from(header.records)).is_none() {
        return Err(Corrupt::Header("the sequence overflows"));
    }
    Ok(header)
}

type Content = (FrameType, Extensions, Kinds);

#[derive(Default)]
struct Extensions {
    head: Option<Head>,
    skipped: u16,
}

fn check_version_1(header: &Header, bytes: &[u8]) -> Result<Content, Unreadable> {
    if header.version != VERSION {
        return Err(Unreadable::Version(header.version));
    }
    if header.flags != 0 {
        return Err(Unreadable::Flags(header.flags));
    }
    let frame_type = header.frame_type().ok_or(Unreadable::FrameType(header.type_number))?;
    let extensions = check_extensions(header, frame_type, bytes)?;
    check_counts(header, frame_type).map_err(Unreadable::Malformed)?;
    let kinds = check_records(header, bytes).map_err(Unreadable::Malformed)?;
    Ok((frame_type, extensions, kinds))
}

fn check_counts(header: &Header, frame_type: FrameType) -> Result<(), &'static str> {
    if usize::from(header.records) > FRAME_RECORDS_MAX {
        return Err("too many records");
    }
    match frame_type {
        FrameType::Data if header.seq == 0 => Err("a data frame without a number"),
        FrameType::Data if header.records == 0 => Err("a data frame without records"),
        FrameType::Head if header.seq == 0 => Err("a head without a number"),
        FrameType::Head if header.records != 0 => Err("a head with records"),
        FrameType::Control if header.seq != 0 => Err("a control frame with a number"),
        FrameType::Control if header.records == 0 => Err("a control frame without records"),
        _ => Ok(()),
    }
}

fn check_extensions(header: &Header, of: FrameType, bytes: &[u8]) -> Result<Extensions, Unreadable> {
    const SHORT: Unreadable = Unreadable::Malformed("an extension goes beyond the end of the header");
    let end = usize::from(header.header_bytes);
    if end > HEADER_BYTES_MAX {
        return Err(Unreadable::Malformed("the header is too large"));
    }
    let mut input = Input::new(&bytes[..end], HEADER_BYTES);
    let mut found = Extensions::default();
    while !input.is_at_end() {
        let number = input.u16().ok_or(SHORT)?;
        let length = input.u16().ok_or(SHORT)?;
        let value = input.take(usize::from(length)).ok_or(SHORT)?;
        if number == head::EXTENSION && of == FrameType::Head && found.head.is_none() {
            let read =
                Head::read(value).ok_or(Unreadable::Malformed("the extension of a head is malformed"))?;
            found.head = Some(read);
        } else if number & CRITICAL != 0 {
            return Err(Unreadable::Extension(number));
        } else {
            // An extension takes four bytes or more of a header that is bounded, so this cannot overflow.
            found.skipped += 1;
        }
    }
    if of == FrameType::Head && found.head.is_none() {
        return Err(Unreadable::Malformed("a head without its extension"));
    }
    Ok(found)
}

fn check_records(header: &Header, bytes: &[u8]) -> Result<Kinds, &'static str> {
    let mut kinds = Kinds::default();
    let mut walk = Walk::new(u32::from(header.header_bytes));
    for _ in 0..header.records {
        walk.step(bytes, |kind| {
            if kind.flags & !RESYNC != 0 {
                return Err("a kind has an unknown flag");
            }
            if !is_kind(kind.name.of(bytes)) {
                return Err("a kind is not a dotted name");
            }
            kinds.push(kind);
            Ok(())
        })?;
    }
    if walk.at as usize != bytes.len() {
        return Err("bytes after the last record");
    }
    Ok(kinds)
}
