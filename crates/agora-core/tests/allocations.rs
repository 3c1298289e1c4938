//! No message makes a node allocate more than the limits say.
//!
//! A test binary of its own, with one test: it counts the allocations of the whole process.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // A test.

mod common;

use agora_core::codec::{Control, Parsed, body, parse};
use agora_core::event::builtin::{
    AddressBlocked, CacheInvalidated, CertificateRenewed, MailboxChanged, PushDue,
};
use agora_core::limits::{BODY_BYTES_MAX, CONTROL_BODY_BYTES_MAX, FRAME_KINDS_MAX, FRAME_RECORDS_MAX};
use bytes::Bytes;
use common::{fix_checksum, reseal, stored};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// All bytes that were allocated meanwhile, also those that were given back.
fn allocated<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = dhat::HeapStats::get().total_bytes;
    let result = work();
    (dhat::HeapStats::get().total_bytes - before, result)
}

/// A frame costs its list of kinds, or of nonces; never anything that its lengths claim.
const PARSE_BYTES_MAX: u64 = 4 << 10;

fn parse_within(bytes: Vec<u8>, what: &str) {
    let bytes = Bytes::from(bytes);
    let (used, _) = allocated(|| parse(bytes));
    assert!(used <= PARSE_BYTES_MAX, "{what}: {used} bytes were allocated");
}

/// What decoding a body may allocate: room that it claims and does not fill, up to the largest body, once for a list
/// and once for a text in it; and for each byte an element of a list, with the spare room of lists that grow.
fn decode_bytes_max(body: &[u8]) -> u64 {
    (2 * BODY_BYTES_MAX + 96 * body.len()) as u64
}

fn decode_within<T: serde::de::DeserializeOwned>(bytes: &[u8], what: &str) {
    let (used, _) = allocated(|| body::decode::<T>(bytes));
    let most = decode_bytes_max(bytes);
    assert!(used <= most, "{what}, {} bytes: {used} bytes were allocated, {most} are allowed", bytes.len());
}

fn decode_all_within(bytes: &[u8], what: &str) {
    decode_within::<MailboxChanged>(bytes, what);
    decode_within::<PushDue>(bytes, what);
    decode_within::<AddressBlocked>(bytes, what);
    decode_within::<CertificateRenewed>(bytes, what);
    decode_within::<CacheInvalidated>(bytes, what);
}

#[test]
fn no_message_allocates_beyond_the_limits() {
    let _profiler = dhat::Profiler::builder().testing().build();

    // Every vector, whole, cut, and with every byte at its worst.
    for vector in stored() {
        parse_within(vector.bytes.clone(), &vector.name);
        for at in 0..vector.bytes.len() {
            parse_within(vector.bytes[..at].to_vec(), &vector.name);
            if vector.bytes.len() >= 64 {
                for worst in [0x00, 0x7f, 0x80, 0xff] {
                    let mut bytes = vector.bytes.clone();
                    bytes[at] = worst;
                    fix_checksum(&mut bytes);
                    parse_within(bytes, &vector.name);
                }
            }
        }
    }
    parse_within(fullest_frame(), "the most kinds and records");

    // Bodies that claim more than they hold, at every place.
    let claims: [&[u8]; 5] = [
        &[0xfd, 255, 255, 255, 255, 255, 255, 255, 255],
        &[0xfd, 255, 255, 255, 255, 255, 255, 255, 127],
        &[0xfc, 255, 255, 255, 127],
        &[0xfc, 0xf0, 0xff, 0x0f, 0],
        &[0xfb, 255, 255],
    ];
    for claim in claims {
        for length in 0..64 {
            for filler in [0, 1, 0xfa] {
                decode_all_within(&[&vec![filler; length], claim].concat(), "a claim");
            }
        }
    }
    // Lists of many small elements: what is there costs in proportion, not more.
    for length in [1_000, BODY_BYTES_MAX] {
        let count = u32::try_from(length - 16).unwrap().to_le_bytes();
        let list = [&[0xfc][..], &count, &vec![0; length - 5]].concat();
        decode_within::<CertificateRenewed>(&list, "a list of empty texts");
        decode_within::<Vec<Vec<String>>>(&list, "a list of empty lists");
        decode_within::<Vec<String>>(&list, "a list of empty texts");
    }

    // Control records are refused before they are decoded, when they are larger than any of them can be.
    let heartbeat = |body: &[u8]| control("agora.heartbeat", body);
    let larger = heartbeat(&vec![0; CONTROL_BODY_BYTES_MAX + 1]);
    let (used, result) = allocated(|| decode_control(larger));
    assert!(!result && used <= PARSE_BYTES_MAX, "{used}");
    let tags = [&[1, b'n', 0, 0xfb, 0, 0x70][..], &vec![0; CONTROL_BODY_BYTES_MAX - 6]].concat();
    let largest = heartbeat(&tags);
    let (used, result) = allocated(|| decode_control(largest));
    assert!(!result && used <= decode_bytes_max(&tags), "{used}");
}

fn fullest_frame() -> Vec<u8> {
    let kind = [1, 0, 1, 0, 1, b'a', 0];
    let mut records = kind.repeat(FRAME_KINDS_MAX);
    records.extend([0, 0].repeat(FRAME_RECORDS_MAX - FRAME_KINDS_MAX));
    forged(0, 1, FRAME_RECORDS_MAX, &records)
}

fn control(kind: &str, body: &[u8]) -> Bytes {
    let mut record = vec![1, 0, 1, 0, u8::try_from(kind.len()).unwrap()];
    record.extend_from_slice(kind.as_bytes());
    let length = body.len();
    record.extend([(length & 0x7f) as u8 | 0x80, (length >> 7 & 0x7f) as u8 | 0x80, (length >> 14) as u8]);
    record.extend_from_slice(body);
    forged(2, 0, 1, &record).into()
}

fn forged(frame_type: u8, seq: u64, count: usize, records: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 64];
    frame[..6].copy_from_slice(&[0xa6, b'g', b'o', b'r', 1, frame_type]);
    frame[8] = 64;
    frame[10..12].copy_from_slice(&u16::try_from(count).unwrap().to_le_bytes());
    frame[48..56].copy_from_slice(&seq.to_le_bytes());
    frame.extend_from_slice(records);
    reseal(&mut frame);
    frame
}

/// Was there a control record that could be read?
fn decode_control(bytes: Bytes) -> bool {
    let Parsed::Frame(frame) = parse(bytes) else { panic!("the frame itself is right") };
    frame.records().any(|record| Control::from_record(record).is_ok())
}
