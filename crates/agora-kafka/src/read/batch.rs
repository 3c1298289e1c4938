//! The batches of a fetched partition. Pure: bytes come in, batches and the reasons why one cannot be read come out.
//!
//! The layout is that of message format 2, "RecordBatch" of <https://kafka.apache.org/documentation/#recordbatch>. A broker
//! answers with whole batches from its file: the first may begin before the offset that was asked for, and the last may be
//! cut off.

use bytes::Bytes;

use super::codec::Codec;
use crate::wire::RESPONSE_BYTES_MAX;

/// The base offset and the length, which every format begins with.
const PREFIX: usize = 12;
/// The length of the shortest message of the formats 0 and 1, behind the prefix.
const OLD_BYTES_MIN: usize = 14;
/// The header of format 2, the prefix included.
const HEADER: usize = 61;
const EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const LAST_DELTA_AT: usize = 23;
const BASE_TIME_AT: usize = 27;
const MAX_TIME_AT: usize = 35;
const PRODUCER_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const SEQUENCE_AT: usize = 53;
const COUNT_AT: usize = 57;

const CODEC_MASK: i16 = 0b111;
const APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// Why something cannot be read.
pub type Why = &'static str;

/// What stands in front of the records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The offset that those of the records are relative to.
    pub base: i64,
    /// The last offset that the batch stands for. Compaction may have removed its record.
    pub last: i64,
    /// The epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// The time that those of the records are relative to, in milliseconds.
    pub base_time: i64,
    /// The latest time of its records; of all of them, where the broker sets the time.
    pub max_time: i64,
    /// Who produced it; -1: a producer that has no identity.
    pub producer: i64,
    /// The epoch of the producer.
    pub producer_epoch: i16,
    /// The producer's number of the first record; -1: it counts none.
    pub sequence: i32,
    /// How many records it says that it has.
    pub count: i32,
    attributes: i16,
}

impl Header {
    /// Does the time of the records come from the broker?
    pub fn is_append_time(&self) -> bool {
        self.attributes & APPEND_TIME != 0
    }

    /// Does it belong to a transaction?
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Does it hold marks of transactions instead of records?
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// What its records are compressed with; `None`: something that nobody here knows.
    pub fn codec(&self) -> Option<Codec> {
        Codec::of(self.attributes & CODEC_MASK)
    }

    fn read(bytes: &[u8]) -> Result<Self, Why> {
        let short = "it is shorter than its header";
        let base = i64_at(bytes, 0).ok_or(short)?;
        let delta = i32_at(bytes, LAST_DELTA_AT).ok_or(short)?;
        let last = base.checked_add(delta.into()).filter(|_| base >= 0 && delta >= 0);
        Ok(Self {
            base,
            last: last.ok_or("its offsets are none")?,
            leader_epoch: i32_at(bytes, EPOCH_AT).ok_or(short)?,
            base_time: i64_at(bytes, BASE_TIME_AT).ok_or(short)?,
            max_time: i64_at(bytes, MAX_TIME_AT).ok_or(short)?,
            producer: i64_at(bytes, PRODUCER_AT).ok_or(short)?,
            producer_epoch: i16_at(bytes, PRODUCER_EPOCH_AT).ok_or(short)?,
            sequence: i32_at(bytes, SEQUENCE_AT).ok_or(short)?,
            count: i32_at(bytes, COUNT_AT).ok_or(short)?,
            attributes: i16_at(bytes, ATTRIBUTES_AT).ok_or(short)?,
        })
    }
}

/// One batch, as the broker has stored it. Its checksum was not looked at yet.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What stands in front of its records.
    pub header: Header,
    bytes: Bytes,
}

impl Batch {
    /// The records, compressed where [`Header::codec`] says so.
    ///
    /// # Errors
    /// The checksum is not that of these bytes.
    pub fn body(&self) -> Result<Bytes, Why> {
        let crc = i32_at(&self.bytes, CRC_AT).map(|crc| crc as u32);
        let covered = self.bytes.get(ATTRIBUTES_AT..);
        match (crc, covered) {
            (Some(crc), Some(covered)) if crc == crc32c::crc32c(covered) => Ok(self.bytes.slice(HEADER..)),
            _ => Err("its checksum is wrong"),
        }
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// What comes next in a fetched partition.
#[derive(Clone, Debug)]
pub enum Step {
    /// A batch.
    Batch(Batch),
    /// Something that cannot be read: the reader goes on behind it.
    Unreadable {
        /// The offset behind the last one.
        until: i64,
        /// Why.
        why: Why,
    },
}

/// The steps through a fetched partition, from an offset on.
#[derive(Debug)]
pub struct Walk<'a> {
    rest: &'a [u8],
    next: i64,
    /// The epoch of the last batch.
    epoch: Option<i32>,
}

impl<'a> Walk<'a> {
    /// Begins. What stands before `from` is left out.
    pub fn new(bytes: &'a [u8], from: i64) -> Self {
        Self { rest: bytes, next: from, epoch: None }
    }

    /// The offset that is to be asked for next.
    pub fn next_offset(&self) -> i64 {
        self.next
    }

    /// The epoch of the leader that appended the last batch, where there was one.
    pub fn leader_epoch(&self) -> Option<i32> {
        self.epoch
    }

    fn unreadable(&mut self, until: i64, why: Why) -> Step {
        self.next = until.max(self.next.saturating_add(1));
        Step::Unreadable { until: self.next, why }
    }

    /// Where what cannot be read ends: where the next batch begins, if there is one.
    fn end_of_unreadable(&self, claimed: Option<i64>) -> i64 {
        let following = i64_at(self.rest, 0).filter(|base| *base > self.next && !self.rest.is_empty());
        following.or(claimed).unwrap_or(self.next)
    }
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            let base = i64_at(self.rest, 0)?;
            let length = i32_at(self.rest, 8)?;
            let length = usize::try_from(length).ok().filter(|length| *length <= RESPONSE_BYTES_MAX);
            let Some(length) = length.filter(|length| *length >= OLD_BYTES_MIN) else {
                // Where it ends cannot be told.
                self.rest = &[];
                return Some(self.unreadable(self.next, "its length is none"));
            };
            let (bytes, rest) = self.rest.split_at_checked(PREFIX + length)?;
            self.rest = rest;
            let header = match bytes.get(MAGIC_AT) {
                Some(2) => Header::read(bytes),
                Some(0 | 1) => {
                    if base < self.next {
                        continue;
                    }
                    let until = base.saturating_add(1);
                    return Some(self.unreadable(until, "its format is older than that of Kafka 0.11"));
                }
                _ => Err("its format is not known"),
            };
            match header {
                Ok(header) if header.last < self.next => {}
                Ok(header) => {
                    self.next = header.last.saturating_add(1);
                    self.epoch = Some(header.leader_epoch);
                    // A copy of its own: what is kept of it does not keep the whole answer.
                    return Some(Step::Batch(Batch { header, bytes: Bytes::copy_from_slice(bytes) }));
                }
                Err(why) => return Some(self.unreadable(self.end_of_unreadable(None), why)),
            }
        }
    }
}

fn at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn i16_at(bytes: &[u8], place: usize) -> Option<i16> {
    at(bytes, place).map(i16::from_be_bytes)
}

fn i32_at(bytes: &[u8], place: usize) -> Option<i32> {
    at(bytes, place).map(i32::from_be_bytes)
}

fn i64_at(bytes: &[u8], place: usize) -> Option<i64> {
    at(bytes, place).map(i64::from_be_bytes)
}
