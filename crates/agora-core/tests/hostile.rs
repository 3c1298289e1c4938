//! Messages that were cut, damaged or made by somebody who means harm.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // A test.

mod common;

use agora_core::codec::{Corrupt, FrameBuilder, FrameType, Parsed, Unreadable, parse};
use agora_core::limits::{
    BODY_BYTES_MAX, FRAME_BYTES_MAX, FRAME_KINDS_MAX, FRAME_RECORDS_MAX, HEAD_NONCES_MAX, HEADER_BYTES_MAX,
    KEY_BYTES_MAX,
};
use bytes::Bytes;
use common::make::{parts, stamp};
use common::{check, fix_checksum, reseal, stored};

fn parse_slice(bytes: &[u8]) -> Parsed {
    parse(Bytes::copy_from_slice(bytes))
}

#[test]
fn a_message_cut_anywhere_is_no_frame() {
    // The one that is left out is a whole frame with a byte too many, and cutting that byte mends it.
    for vector in stored().iter().filter(|vector| vector.name != "corrupt-length") {
        for length in 0..vector.bytes.len() {
            let parsed = parse_slice(&vector.bytes[..length]);
            let refused = matches!(parsed, Parsed::Foreign(_) | Parsed::Corrupt(Corrupt::Length));
            assert!(refused, "{} cut to {length}: {parsed:?}", vector.name);
        }
    }
}

#[test]
fn a_message_with_one_bit_flipped_is_no_frame() {
    for vector in stored().iter().filter(|vector| vector.json.contains(r#""message": "frame""#)) {
        let mut bytes = vector.bytes.clone();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let parsed = parse_slice(&bytes);
            let refused = matches!(parsed, Parsed::Foreign(_) | Parsed::Corrupt(_));
            assert!(refused, "{}, bit {bit}: {parsed:?}", vector.name);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(matches!(parse_slice(&bytes), Parsed::Frame(_)));
    }
}

/// The checksum protects from damage, not from malice: here it is right.
#[test]
fn a_message_with_any_byte_changed_and_the_right_checksum_is_read_or_refused_whole() {
    let mut read = 0_u32;
    for vector in stored().iter().filter(|vector| vector.bytes.len() >= 64) {
        for at in 4..vector.bytes.len() {
            for change in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x7f] {
                let mut bytes = vector.bytes.clone();
                bytes[at] ^= change;
                fix_checksum(&mut bytes);
                check::any_message(&bytes);
                read += u32::from(matches!(parse_slice(&bytes), Parsed::Frame(_)));
            }
        }
        for length in 64..vector.bytes.len() {
            let mut bytes = vector.bytes[..length].to_vec();
            reseal(&mut bytes);
            check::any_message(&bytes);
        }
    }
    assert!(read > 1_000, "hardly any of them was read, so this shows little: {read}");
}

/// A frame with these extensions and records, right in everything that is not looked at here.
fn forged(extensions: &[u8], count: usize, records: &[u8]) -> Vec<u8> {
    let mut builder = FrameBuilder::new();
    builder.push(&parts("a", None, b"")).unwrap();
    let mut frame = builder.finish(&stamp(1, 1), FrameType::Data).to_vec();
    frame.truncate(64);
    frame.extend_from_slice(extensions);
    frame.extend_from_slice(records);
    frame[8..10].copy_from_slice(&u16::try_from(64 + extensions.len()).unwrap().to_le_bytes());
    frame[10..12].copy_from_slice(&u16::try_from(count).unwrap().to_le_bytes());
    reseal(&mut frame);
    frame
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

const DEFINE_A: &[u8] = &[1, 0, 1, 0, 1, b'a'];
const DEFINE_A_WITH_KEY: &[u8] = &[5, 0, 1, 0, 1, b'a'];

#[test]
fn a_length_beyond_a_limit_or_the_end_is_refused() {
    let key = |length: usize| [DEFINE_A_WITH_KEY, &varint(length), &vec![b'k'; length], &[0]].concat();
    let body = |length: usize| [DEFINE_A, &varint(length), &vec![b'b'; length]].concat();
    let kinds = |count: usize| [DEFINE_A, &[0]].concat().repeat(count);
    let records = |count: usize| [DEFINE_A, &[0], &[0, 0].repeat(count - 1)].concat();
    let kind = |length: usize| [&[1, 0, 1, 0, length as u8][..], &vec![b'n'; length], &[0]].concat();
    let extension = |length: usize| {
        [&[1, 0][..], &u16::try_from(length).unwrap().to_le_bytes(), &vec![0; length]].concat()
    };
    let room = HEADER_BYTES_MAX - 64 - 4;
    let good = [
        forged(&[], 1, &key(KEY_BYTES_MAX)),
        forged(&[], 1, &body(BODY_BYTES_MAX)),
        forged(&[], 1, &kind(200)),
        forged(&[], FRAME_KINDS_MAX, &kinds(FRAME_KINDS_MAX)),
        forged(&[], FRAME_RECORDS_MAX, &records(FRAME_RECORDS_MAX)),
        forged(&extension(room), 1, &records(1)),
    ];
    for (index, frame) in good.iter().enumerate() {
        assert!(matches!(parse_slice(frame), Parsed::Frame(_)), "case {index}");
        check::any_message(frame);
    }
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let wrong = [
        forged(&[], 1, &key(KEY_BYTES_MAX + 1)),
        forged(&[], 1, &body(BODY_BYTES_MAX + 1)),
        forged(&[], 1, &kind(201)),
        forged(&[], 1, &kind(0)),
        forged(&[], FRAME_KINDS_MAX + 1, &kinds(FRAME_KINDS_MAX + 1)),
        forged(&[], FRAME_RECORDS_MAX + 1, &records(FRAME_RECORDS_MAX + 1)),
        forged(&[], 0xffff, &records(1)),
        forged(&[], 2, &records(1)),
        forged(&[], 1, &records(2)),
        forged(&extension(room + 1), 1, &records(1)),
        forged(&[1, 0, 0xff, 0xff], 1, &records(1)),
        forged(&[1, 0, 0], 1, &records(1)),
        forged(&[], 1, &[DEFINE_A, &huge].concat()),
        forged(&[], 1, &[DEFINE_A_WITH_KEY, &huge, &[0]].concat()),
        forged(&[], 1, &[DEFINE_A_WITH_KEY, &[9, b'k', 0]].concat()),
    ];
    for (index, frame) in wrong.iter().enumerate() {
        let parsed = parse_slice(frame);
        let refused = matches!(parsed, Parsed::Unreadable { why: Unreadable::Malformed(_), .. });
        assert!(refused, "case {index}: {parsed:?}");
    }
}

#[test]
fn a_frame_larger_than_any_is_refused_before_it_is_read() {
    let body = [DEFINE_A, &varint(BODY_BYTES_MAX), &vec![0; BODY_BYTES_MAX]].concat();
    let second = |length: usize| [&[0][..], &varint(length), &vec![0; length]].concat();
    let room = FRAME_BYTES_MAX - 64 - body.len() - 4;
    let largest = forged(&[], 2, &[body.clone(), second(room)].concat());
    assert_eq!(largest.len(), FRAME_BYTES_MAX);
    assert!(matches!(parse_slice(&largest), Parsed::Frame(_)));
    let larger = forged(&[], 2, &[body, second(room + 1)].concat());
    assert!(matches!(parse_slice(&larger), Parsed::Corrupt(Corrupt::Length)));
}

#[test]
fn a_head_takes_so_many_nonces() {
    let head = |nonces: usize, more: usize| {
        let value = [&[0][..], &vec![7; nonces * 8 + more]].concat();
        let extension = [&[1, 0x80][..], &u16::try_from(value.len()).unwrap().to_le_bytes(), &value].concat();
        let mut frame = forged(&extension, 0, &[]);
        frame[5] = 1;
        fix_checksum(&mut frame);
        parse(frame.into())
    };
    assert!(matches!(head(HEAD_NONCES_MAX, 0), Parsed::Frame(_)));
    for (nonces, more) in [(HEAD_NONCES_MAX + 1, 0), (1, 1), (0, 7), (400, 0)] {
        let parsed = head(nonces, more);
        assert!(matches!(parsed, Parsed::Unreadable { .. }), "{nonces}, {more}: {parsed:?}");
    }
}

#[test]
fn what_cannot_be_read_names_the_events_that_are_missed() {
    let mut later = forged(&[], 3, b"a layout of records that nobody knows yet");
    later[4] = 9;
    later[48..56].copy_from_slice(&100_u64.to_le_bytes());
    fix_checksum(&mut later);
    match parse_slice(&later) {
        Parsed::Unreadable { header, why: Unreadable::Version(9) } => {
            assert_eq!(header.range(), 100..103);
            assert_eq!(header.source, stamp(1, 1).source);
            assert_eq!(header.stream, stamp(1, 1).stream);
        }
        other => panic!("{other:?}"),
    }
}
