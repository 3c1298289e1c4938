//! The records of one batch, one after the other. Pure.

use std::time::{Duration, SystemTime};

use agora_core::codec::begins_like_frame;
use agora_core::transport::Raw;
use bytes::Bytes;

use super::batch::{Batch, Header, Why};

/// The most bytes that the records of one batch may have when they are decompressed: 64 MiB.
pub const BATCH_BYTES_MAX: usize = 64 << 20;
/// The most headers of one record. Kafka has no limit, but each takes far more room here than there.
pub const HEADERS_MAX: usize = 4096;

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    /// The message. A record without a value, which removes its key from a compacted topic, has an empty payload, as one
    /// whose value is empty has; a header without a value has an empty one. Beside a frame of agora there is nothing.
    pub raw: Raw,
    /// Where it stands.
    pub offset: i64,
    /// What its append wrote beside it: the epoch of the leader, the time, the producer and its count.
    pub stamp: u64,
}

/// The records of a batch.
#[derive(Debug)]
pub struct Records {
    header: Header,
    lane: u32,
    bytes: Bytes,
    at: usize,
    left: i32,
}

const SHORT: Why = "a record is cut off";
const ODD: Why = "a record has impossible lengths";

impl Records {
    /// Opens a batch.
    ///
    /// # Errors
    /// Its checksum is wrong, it cannot be decompressed, or it is too large then.
    pub fn open(batch: &Batch, lane: u32) -> Result<Self, Why> {
        let header = batch.header;
        let codec = header.codec().ok_or("its compression is not known")?;
        let bytes = codec.decompress(batch.body()?, BATCH_BYTES_MAX)?;
        Ok(Self { header, lane, bytes, at: 0, left: header.count })
    }

    /// Of a batch of marks: does it end a transaction without its records?
    pub fn is_abort(&self) -> bool {
        // The key of the mark is its version and its type, of two bytes each; the type of an abort is 0.
        let mut reader = Reader { bytes: &self.bytes, at: 0 };
        let key = (|| {
            reader.varint()?;
            reader.take(1)?;
            reader.varlong()?;
            reader.varint()?;
            let (from, to) = reader.field()??;
            self.bytes.get(from..to)
        })();
        key.is_some_and(|key| key.get(2..4) == Some(&[0, 0]))
    }

    fn parse(&mut self) -> Result<Record, Why> {
        let mut reader = Reader { bytes: &self.bytes, at: self.at };
        let length = reader.varint().and_then(|length| usize::try_from(length).ok()).ok_or(ODD)?;
        let end = reader.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(SHORT)?;
        let mut reader = Reader { bytes: &self.bytes[..end], at: reader.at };
        reader.take(1).ok_or(SHORT)?;
        let time = reader.varlong().ok_or(SHORT)?;
        let delta = reader.varint().filter(|delta| *delta >= 0).ok_or(ODD)?;
        let offset = self.header.base.saturating_add(delta.into());
        if offset > self.header.last {
            return Err(ODD);
        }
        let slice = |place: Option<(usize, usize)>| place.map(|(from, to)| self.bytes.slice(from..to));
        let key = reader.field().ok_or(SHORT)?;
        let payload = slice(reader.field().ok_or(SHORT)?).unwrap_or_default();
        let (mut beside, mut headers) = (None, Vec::new());
        // Key and headers of a frame stand in it too, and are believed there alone.
        if !begins_like_frame(&payload) {
            beside = slice(key);
            let count = reader.varint().and_then(|count| usize::try_from(count).ok()).ok_or(ODD)?;
            if count > HEADERS_MAX {
                return Err("a record has too many headers");
            }
            for _ in 0..count {
                let (from, to) = reader.field().flatten().ok_or(SHORT)?;
                let name = String::from_utf8_lossy(self.bytes.get(from..to).unwrap_or_default()).into_owned();
                headers.push((name, slice(reader.field().ok_or(SHORT)?).unwrap_or_default()));
            }
        }
        self.at = end;
        let time = if self.header.is_append_time() {
            self.header.max_time
        } else {
            self.header.base_time.saturating_add(time)
        };
        let raw = Raw {
            payload,
            lane: self.lane,
            key: beside,
            headers,
            time: u64::try_from(time)
                .ok()
                .and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
        };
        Ok(Record { raw, offset, stamp: self.stamp(delta, time) })
    }

    /// Nothing of it is changed by compaction, which keeps the base offset, the epoch and the producer of a batch.
    fn stamp(&self, delta: i32, time: i64) -> u64 {
        let header = &self.header;
        // A sequence goes on at 0 behind the largest.
        let sequence = if header.sequence < 0 { -1 } else { i64::from(header.sequence) + i64::from(delta) };
        let parts = [
            i64::from(header.leader_epoch),
            time,
            header.producer,
            i64::from(header.producer_epoch),
            sequence,
        ];
        // FNV-1a over 64 bits at a time: a mix, not a defence.
        parts.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, part| {
            (hash ^ (*part as u64)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, Why>;

    /// Behind an error nothing comes.
    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let record = self.parse();
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<(usize, usize)> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len())?;
        let from = std::mem::replace(&mut self.at, end);
        Some((from, end))
    }

    fn unsigned(&mut self, bytes_max: u32) -> Option<u64> {
        let mut value = 0;
        for number in 0..bytes_max {
            let (from, _) = self.take(1)?;
            let byte = *self.bytes.get(from)?;
            value |= u64::from(byte & 0x7f) << (7 * number);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn varlong(&mut self) -> Option<i64> {
        let value = self.unsigned(10)?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn varint(&mut self) -> Option<i32> {
        let value = u32::try_from(self.unsigned(5)?).ok()?;
        Some((value >> 1) as i32 ^ -((value & 1) as i32))
    }

    /// A length, and so many bytes. `Some(None)`: there is no value.
    fn field(&mut self) -> Option<Option<(usize, usize)>> {
        match self.varint()? {
            -1 => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }
}
