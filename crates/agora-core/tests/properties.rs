//! Whatever is written is read again, and whatever arrives does no harm.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)] // A test.

mod common;

use agora_core::codec::{
    FrameBuilder, FrameType, MAGIC, Parsed, RecordParts, Stamp, body, encode_head, parse,
};
use agora_core::event::builtin::{AddressBlocked, MailboxChange, MailboxChanged};
use agora_core::id::{Incarnation, NodeId, SourceId, StreamId};
use common::{check, reseal};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Written {
    kind: String,
    version: u16,
    resync: bool,
    key: Option<Vec<u8>>,
    body: Vec<u8>,
    id: Option<[u8; 16]>,
    correlation: Option<[u8; 16]>,
}

impl Written {
    fn parts(&self) -> RecordParts<'_> {
        RecordParts {
            kind: &self.kind,
            version: self.version,
            resync: self.resync,
            key: self.key.as_deref(),
            body: &self.body,
            id: self.id,
            correlation: self.correlation,
        }
    }
}

fn written() -> impl Strategy<Value = Written> {
    // Few kinds, so that they repeat, and lengths on both sides of one and two bytes.
    let kind =
        prop_oneof![Just("a".to_owned()), Just("b.c".to_owned()), "[A-Za-z0-9_-]{1,9}(\\.[a-z]{1,9}){0,2}"];
    let body = prop_oneof![vec(any::<u8>(), 0..140), vec(any::<u8>(), 16_380..16_390)];
    let key = option::of(vec(any::<u8>(), 0..140));
    (kind, 0..3_u16, any::<bool>(), key, body, any::<Option<[u8; 16]>>(), any::<Option<[u8; 16]>>()).prop_map(
        |(kind, version, resync, key, body, id, correlation)| Written {
            kind,
            version,
            resync,
            key,
            body,
            id,
            correlation,
        },
    )
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    (any::<[u64; 4]>(), 1..u64::MAX / 2, 0..=u64::from(u32::MAX)).prop_map(
        |([node, incarnation, stream, sent_us], seq, back)| Stamp {
            source: SourceId { node: NodeId(node), incarnation: Incarnation(incarnation) },
            stream: StreamId(stream),
            seq,
            floor: seq.saturating_sub(back),
            sent_us,
        },
    )
}

proptest! {
    #[test]
    fn records_come_back(stamp in any_stamp(), all in vec(written(), 1..60)) {
        let mut builder = FrameBuilder::new();
        for record in &all {
            builder.push(&record.parts()).unwrap();
        }
        let bytes = builder.finish(&stamp, FrameType::Data);
        check::any_message(&bytes);
        let Parsed::Frame(frame) = parse(bytes) else { panic!("not read") };
        prop_assert_eq!(frame.header().source, stamp.source);
        prop_assert_eq!(frame.header().stream, stamp.stream);
        prop_assert_eq!((frame.seq(), frame.header().floor), (stamp.seq, stamp.floor));
        prop_assert_eq!(frame.header().sent_us, stamp.sent_us);
        prop_assert_eq!(frame.records_count(), all.len());
        for ((record, written), seq) in frame.records().zip(&all).zip(stamp.seq..) {
            prop_assert_eq!(record.kind(), &written.kind);
            prop_assert_eq!((record.version(), record.resync()), (written.version, written.resync));
            prop_assert_eq!(record.key(), written.key.as_deref());
            prop_assert_eq!(record.body(), &written.body);
            prop_assert_eq!((record.id(), record.correlation()), (written.id, written.correlation));
            prop_assert_eq!(record.seq(), seq);
        }
    }

    #[test]
    fn a_record_that_fits_can_be_pushed(all in vec(written(), 1..200)) {
        let mut builder = FrameBuilder::new();
        for record in &all {
            if builder.fits(&record.parts()) {
                builder.push(&record.parts()).unwrap();
                let alone = builder.records() == 1;
                prop_assert!(alone || builder.frame_bytes() <= agora_core::limits::FRAME_BYTES_TARGET);
            }
        }
    }

    #[test]
    fn heads_come_back(stamp in any_stamp(), fin: bool, nonces in vec(any::<u64>(), 0..=32)) {
        let bytes = encode_head(&stamp, fin, &nonces);
        check::any_message(&bytes);
        let Parsed::Frame(frame) = parse(bytes) else { panic!("not read") };
        let head = frame.head().unwrap();
        prop_assert_eq!((head.fin, &head.nonces), (fin, &nonces));
    }

    #[test]
    fn events_come_back(account: u64, mailbox: u64, state: u64, messages in vec(any::<u32>(), 0..50)) {
        let event = MailboxChanged { account, mailbox, change: MailboxChange::Created, state, messages };
        let mut builder = FrameBuilder::new();
        builder.push_event(&event).unwrap();
        let stamp = common::make::stamp(1, 1);
        let Parsed::Frame(frame) = parse(builder.finish(&stamp, FrameType::Data)) else { panic!("not read") };
        let record = frame.records().next().unwrap();
        prop_assert_eq!(record.decode::<MailboxChanged>().unwrap(), event);
        let key = account.to_string();
        prop_assert_eq!(record.key(), Some(key.as_bytes()));
    }

    /// The body is exactly what the format's own library writes.
    #[test]
    fn bodies_are_those_of_the_library(bytes: [u8; 16], prefix_bits: Option<u8>, reason: String, expires_ms: Option<u64>) {
        let event = AddressBlocked { address: bytes.into(), prefix_bits, reason, expires_ms };
        let mut ours = vec![1, 2, 3];
        body::encode_into(&mut ours, &event).unwrap();
        let theirs = bincode::serde::encode_to_vec(&event, bincode::config::standard()).unwrap();
        prop_assert_eq!(&ours[3..], &theirs);
        prop_assert_eq!(body::decode::<AddressBlocked>(&theirs).unwrap(), event);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300), version in 0..3_u8, kind in 0..4_u8, records in 0..9_u8) {
        check::any_message(&bytes);
        let mut frame = bytes;
        if frame.len() < 64 {
            return Ok(());
        }
        frame[..4].copy_from_slice(&MAGIC);
        frame[4..12].copy_from_slice(&[version, kind, 0, 0, 64, 0, records, 0]);
        frame[20..24].fill(0);
        reseal(&mut frame);
        check::any_message(&frame);
    }

    /// A body that is damaged somewhere is refused, or is another value that is written as such.
    #[test]
    fn damaged_bodies_do_no_harm(at: prop::sample::Index, byte: u8, reason in ".{0,20}") {
        let event = AddressBlocked { address: [192, 0, 2, 1].into(), prefix_bits: None, reason, expires_ms: Some(1 << 40) };
        let mut bytes = Vec::new();
        body::encode_into(&mut bytes, &event).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = body::decode::<AddressBlocked>(&bytes) {
            let mut again = Vec::new();
            body::encode_into(&mut again, &read).unwrap();
            prop_assert_eq!(body::decode::<AddressBlocked>(&again).unwrap(), read);
        }
    }
}
