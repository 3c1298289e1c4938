//! The first 64 bytes of a frame. Their layout is frozen for all versions.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use crate::id::{Incarnation, NodeId, SourceId, StreamId};

/// The first four bytes of every frame. The first one begins neither ASCII nor UTF-8 text, so that no text is
/// taken for a frame.
pub const MAGIC: [u8; 4] = [0xa6, b'g', b'o', b'r'];
/// The version of the frame that this crate writes and reads.
pub const VERSION: u8 = 1;
/// The size of the header, without extensions.
pub const HEADER_BYTES: usize = 64;

/// Where the checksum stands; it covers everything else.
pub(super) const CRC_AT: Range<usize> = 16..20;
/// The bit of an extension's type that says: refuse the frame if you do not know me.
pub(super) const CRITICAL: u16 = 0x8000;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameType {
    /// Events of a stream, numbered.
    Data = 0,
    /// No events: where the stream stands.
    Head = 1,
    /// Records that nodes exchange about themselves, without numbers.
    Control = 2,
}

impl FrameType {
    /// The type of this number, if it is known.
    pub fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Data),
            1 => Some(Self::Head),
            2 => Some(Self::Control),
            _ => None,
        }
    }
}

/// What the sender adds when a frame is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Who sends.
    pub source: SourceId,
    /// The lane of a topic of a cluster.
    pub stream: StreamId,
    /// The number of the first event; in a head, of the next one to come. At least 1, and ignored in a control
    /// frame.
    pub seq: u64,
    /// The oldest number that the source still holds for repair (live) or that is still unsettled (log); at most
    /// `seq`, and a higher one is taken for `seq`.
    pub floor: u64,
    /// When the frame was formed, in microseconds since 1970, by the clock of the sender.
    pub sent_us: u64,
}

/// The header of a frame whose checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version of the frame.
    pub version: u8,
    /// The type as it stands there: see [`Header::frame_type`].
    pub type_number: u8,
    /// Flags; none is defined yet.
    pub flags: u16,
    /// The size of the header with its extensions.
    pub header_bytes: u16,
    /// The number of records.
    pub records: u16,
    /// The size of the whole frame.
    pub frame_bytes: u32,
    /// The checksum of the frame: CRC-32C.
    pub crc: u32,
    /// Who sent it.
    pub source: SourceId,
    /// The lane of a topic of a cluster to which it belongs.
    pub stream: StreamId,
    /// The number of the first event; 0 where the frame has no numbered events.
    pub seq: u64,
    /// See [`Stamp::floor`].
    pub floor: u64,
    /// When it was formed, in microseconds since 1970, by the clock of the sender.
    pub sent_us: u64,
}

impl Header {
    /// What the frame is for, or `None` for a type that is not known.
    pub fn frame_type(&self) -> Option<FrameType> {
        FrameType::from_u8(self.type_number)
    }

    /// The numbers of the events in it, half open. Empty for a head and a control frame. It holds for every
    /// version, known or not.
    pub fn range(&self) -> Range<u64> {
        match self.seq {
            0 => 0..0,
            seq => seq..seq.saturating_add(u64::from(self.records)),
        }
    }

    /// When it was formed, by the clock of the sender.
    pub fn sent(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_micros(self.sent_us))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The header of a frame of one's own, which needs no check. `None` where the bytes are no frame, by their first bytes
    /// and their length.
    pub fn peek(frame: &[u8]) -> Option<Self> {
        let header = Self::read(frame.first_chunk().filter(|_| frame.starts_with(&MAGIC))?);
        (header.frame_bytes as usize == frame.len()).then_some(header)
    }

    /// Reads the 64 bytes as they stand, without judging them.
    pub(super) fn read(bytes: &[u8; HEADER_BYTES]) -> Self {
        let seq = u64_at(bytes, 48);
        Self {
            version: bytes[4],
            type_number: bytes[5],
            flags: u16_at(bytes, 6),
            header_bytes: u16_at(bytes, 8),
            records: u16_at(bytes, 10),
            frame_bytes: u32_at(bytes, 12),
            crc: u32_at(bytes, 16),
            source: SourceId { node: NodeId(u64_at(bytes, 24)), incarnation: Incarnation(u64_at(bytes, 32)) },
            stream: StreamId(u64_at(bytes, 40)),
            seq,
            floor: seq.saturating_sub(u64::from(u32_at(bytes, 20))),
            sent_us: u64_at(bytes, 56),
        }
    }
}

/// How far the floor stands behind the sequence, as the frame says it.
pub(super) fn floor_back(bytes: &[u8; HEADER_BYTES]) -> u32 {
    u32_at(bytes, 20)
}

/// Writes header and checksum into the first 64 bytes of a frame that is otherwise complete.
///
/// The sizes are bounded by the callers, far below what their fields can hold.
pub(super) fn seal(frame: &mut [u8], stamp: &Stamp, frame_type: FrameType, header_bytes: u16, records: u16) {
    let frame_bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let Some(header) = frame.first_chunk_mut::<HEADER_BYTES>() else { return };
    let (seq, floor) = match frame_type {
        FrameType::Control => (0, 0),
        FrameType::Data | FrameType::Head => (stamp.seq, stamp.floor),
    };
    let floor_back = u32::try_from(seq.saturating_sub(floor)).unwrap_or(u32::MAX);
    header[..4].copy_from_slice(&MAGIC);
    header[4] = VERSION;
    header[5] = frame_type as u8;
    header[6..8].fill(0);
    header[8..10].copy_from_slice(&header_bytes.to_le_bytes());
    header[10..12].copy_from_slice(&records.to_le_bytes());
    header[12..16].copy_from_slice(&frame_bytes.to_le_bytes());
    header[20..24].copy_from_slice(&floor_back.to_le_bytes());
    header[24..32].copy_from_slice(&stamp.source.node.0.to_le_bytes());
    header[32..40].copy_from_slice(&stamp.source.incarnation.0.to_le_bytes());
    header[40..48].copy_from_slice(&stamp.stream.0.to_le_bytes());
    header[48..56].copy_from_slice(&seq.to_le_bytes());
    header[56..64].copy_from_slice(&stamp.sent_us.to_le_bytes());
    let crc = checksum(frame);
    frame[CRC_AT].copy_from_slice(&crc.to_le_bytes());
}

/// CRC-32C of everything but the checksum itself.
pub(super) fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..CRC_AT.start]), &frame[CRC_AT.end..])
}

fn u16_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}
