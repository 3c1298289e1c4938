//! Batches, made by hand, so that they can be wrong too.

use std::io::Write;

use agora_kafka::read::Codec;
use bytes::Bytes;

/// A record to be put into a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    pub(crate) offset_delta: i32,
    pub(crate) time_delta: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A batch to be made.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) base: i64,
    pub(crate) last_delta: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) codec: i16,
    /// The other attributes.
    pub(crate) attributes: i16,
    pub(crate) base_time: i64,
    pub(crate) max_time: i64,
    pub(crate) producer: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) sequence: i32,
    pub(crate) count: i32,
    pub(crate) records: Vec<Made>,
}

pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
pub(crate) const CONTROL: i16 = 1 << 5;
pub(crate) const APPEND_TIME: i16 = 1 << 3;

impl Batch {
    /// Of records one behind the other.
    pub(crate) fn of(base: i64, mut records: Vec<Made>) -> Self {
        for (delta, record) in (0..).zip(&mut records) {
            record.offset_delta = delta;
        }
        let count = records.len() as i32;
        Self {
            base,
            last_delta: (count - 1).max(0),
            leader_epoch: 0,
            codec: 0,
            attributes: 0,
            base_time: 1_700_000_000_000,
            max_time: 1_700_000_000_000,
            producer: -1,
            producer_epoch: -1,
            sequence: -1,
            count,
            records,
        }
    }

    /// Of values.
    pub(crate) fn of_values(base: i64, values: &[&str]) -> Self {
        Self::of(base, values.iter().map(|value| value_of(value)).collect())
    }

    pub(crate) fn codec(self, codec: Codec) -> Self {
        Self { codec: number(codec), ..self }
    }

    /// Of a transaction.
    pub(crate) fn within(self, producer: i64, epoch: i16, sequence: i32) -> Self {
        let attributes = self.attributes | TRANSACTIONAL;
        Self { producer, producer_epoch: epoch, sequence, attributes, ..self }
    }

    /// The mark that ends a transaction.
    pub(crate) fn mark(base: i64, producer: i64, is_commit: bool) -> Self {
        let key = vec![0, 0, 0, u8::from(is_commit)];
        let record = Made { key: Some(key), value: Some(vec![0; 6]), ..Made::default() };
        let batch = Self::of(base, vec![record]).within(producer, 0, -1);
        Self { attributes: batch.attributes | CONTROL, ..batch }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for record in &self.records {
            put_record(&mut body, record);
        }
        self.bytes_of(&compress(self.codec, &body))
    }

    /// With this behind its header.
    pub(crate) fn bytes_of(&self, body: &[u8]) -> Vec<u8> {
        let mut covered = Vec::new();
        covered.extend((self.codec | self.attributes).to_be_bytes());
        covered.extend(self.last_delta.to_be_bytes());
        covered.extend(self.base_time.to_be_bytes());
        covered.extend(self.max_time.to_be_bytes());
        covered.extend(self.producer.to_be_bytes());
        covered.extend(self.producer_epoch.to_be_bytes());
        covered.extend(self.sequence.to_be_bytes());
        covered.extend(self.count.to_be_bytes());
        covered.extend(body);
        let mut all = self.base.to_be_bytes().to_vec();
        all.extend((covered.len() as i32 + 9).to_be_bytes());
        all.extend(self.leader_epoch.to_be_bytes());
        all.push(2);
        all.extend(crc32c::crc32c(&covered).to_be_bytes());
        all.extend(covered);
        all
    }
}

pub(crate) fn value_of(value: &str) -> Made {
    Made { value: Some(value.into()), ..Made::default() }
}

/// A message of the formats before 0.11.
pub(crate) fn old_message(offset: i64, magic: u8, value: &[u8]) -> Vec<u8> {
    let mut message = vec![0, 0, 0, 0, magic, 0];
    if magic == 1 {
        message.extend(1_700_000_000_000_i64.to_be_bytes());
    }
    message.extend((-1_i32).to_be_bytes());
    message.extend((value.len() as i32).to_be_bytes());
    message.extend(value);
    let mut all = offset.to_be_bytes().to_vec();
    all.extend((message.len() as i32).to_be_bytes());
    all.extend(message);
    all
}

pub(crate) fn number(codec: Codec) -> i16 {
    match codec {
        Codec::Plain => 0,
        Codec::Gzip => 1,
        Codec::Snappy => 2,
        Codec::Lz4 => 3,
        Codec::Zstd => 4,
    }
}

pub(crate) const CODECS: [Codec; 5] = [Codec::Plain, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

pub(crate) fn compress(codec: i16, body: &[u8]) -> Vec<u8> {
    match codec {
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        2 => snap::raw::Encoder::new().compress_vec(body).unwrap(),
        3 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        4 => zstd::encode_all(body, 3).unwrap(),
        _ => body.to_vec(),
    }
}

fn put_record(out: &mut Vec<u8>, record: &Made) {
    let mut body = vec![0];
    put_varint(&mut body, record.time_delta);
    put_varint(&mut body, record.offset_delta.into());
    put_field(&mut body, record.key.as_deref());
    put_field(&mut body, record.value.as_deref());
    put_varint(&mut body, record.headers.len() as i64);
    for (name, value) in &record.headers {
        put_field(&mut body, Some(name.as_bytes()));
        put_field(&mut body, value.as_deref());
    }
    put_varint(out, body.len() as i64);
    out.extend(body);
}

fn put_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, bytes.len() as i64);
            out.extend(bytes);
        }
    }
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut value = (value << 1 ^ value >> 63) as u64;
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Some batches, one behind the other.
pub(crate) fn joined(batches: &[Vec<u8>]) -> Bytes {
    batches.concat().into()
}
