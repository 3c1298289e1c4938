use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::*;
use crate::error::ErrorKind;
use crate::event::builtin::{AddressBlocked, Builtin, CacheInvalidated, MailboxChange, MailboxChanged};
use crate::event::{DecodeError, Event, Events, RawBytes};
use crate::id::{Incarnation, NodeId, SourceId, StreamId};
use crate::limits::*;

fn stamp(seq: u64, floor: u64) -> Stamp {
    Stamp {
        source: SourceId { node: NodeId(0x1111), incarnation: Incarnation(0x2222) },
        stream: StreamId(0x3333),
        seq,
        floor,
        sent_us: 1_700_000_000_000_000,
    }
}

fn mailbox(account: u64) -> MailboxChanged {
    MailboxChanged { account, mailbox: 7, change: MailboxChange::Flags, state: 99, messages: vec![1, 300] }
}

fn blocked(reason: &str) -> AddressBlocked {
    AddressBlocked {
        address: "192.0.2.7".parse().unwrap(),
        prefix_bits: None,
        reason: reason.into(),
        expires_ms: Some(5),
    }
}

fn parts<'a>(kind: &'a str, key: Option<&'a [u8]>, body: &'a [u8]) -> RecordParts<'a> {
    RecordParts { kind, version: 1, resync: false, key, body, id: None, correlation: None }
}

fn frame(bytes: Bytes) -> Arc<Frame> {
    match parse(bytes) {
        Parsed::Frame(frame) => Arc::new(frame),
        other => panic!("{other:?}"),
    }
}

fn records(frame: &Arc<Frame>) -> Vec<Record> {
    let mut cursor = frame.cursor();
    std::iter::from_fn(|| cursor.next(frame)).collect()
}

#[test]
fn events_come_back_in_order_with_all_their_parts() {
    let mut builder = FrameBuilder::new();
    builder.push_event(&mailbox(1)).unwrap();
    builder.push_event(&mailbox(2)).unwrap();
    builder.push_event_with(&blocked("spam"), Some([3; 16]), None).unwrap();
    builder.push_event_with(&mailbox(4), None, Some([4; 16])).unwrap();
    builder.push(&parts("x.y", Some(b""), &[5; 300])).unwrap();
    builder.push_event(&RawBytes(vec![0xff])).unwrap();
    assert_eq!(builder.records(), 6);
    let formed = builder.finish(&stamp(10, 4), FrameType::Data);
    assert!(builder.is_empty());

    let frame = frame(formed.clone());
    assert_eq!(frame.frame_type(), FrameType::Data);
    assert_eq!((frame.seq(), frame.end(), frame.header().floor), (10, 16, 4));
    assert_eq!(frame.header().range(), 10..16);
    assert_eq!(frame.header().source, stamp(1, 1).source);
    assert_eq!(frame.header().stream, StreamId(0x3333));
    assert_eq!(frame.header().sent_us, 1_700_000_000_000_000);
    let records = records(&frame);
    let seen: Vec<_> = records.iter().map(|r| (r.seq(), r.index(), r.kind().to_owned())).collect();
    let (mail, block) = (MailboxChanged::KIND, AddressBlocked::KIND);
    let kinds = [mail, mail, block, mail, "x.y", "agora.bytes"];
    let expected: Vec<_> =
        kinds.iter().enumerate().map(|(i, k)| (10 + i as u64, i, (*k).to_owned())).collect();
    assert_eq!(seen, expected);
    assert_eq!(records[0].decode::<MailboxChanged>().unwrap(), mailbox(1));
    assert_eq!(records[1].key(), Some(&b"2"[..]));
    assert_eq!(records[2].decode::<AddressBlocked>().unwrap(), blocked("spam"));
    assert_eq!((records[2].id(), records[2].correlation()), (Some([3; 16]), None));
    assert!(records[2].resync() && !records[1].resync());
    assert_eq!((records[3].id(), records[3].correlation()), (None, Some([4; 16])));
    assert_eq!((records[4].key(), records[4].body()), (Some(&b""[..]), &[5; 300][..]));
    assert_eq!(records[5].decode::<RawBytes>().unwrap(), RawBytes(vec![0xff]));
    assert_eq!(records[5].key(), None);
    assert_eq!(records[4].decode::<RawBytes>(), Err(DecodeError::OtherKind { expected: "agora.bytes" }));
    assert_eq!(frame.records().len(), 6);
    assert_eq!(frame.bytes(), &formed);
}

#[test]
fn an_enum_of_events_takes_its_kinds_and_leaves_the_others() {
    let mut builder = FrameBuilder::new();
    builder.push_event(&mailbox(1)).unwrap();
    builder.push(&parts("x.y", None, b"")).unwrap();
    builder.push(&parts(MailboxChanged::KIND, None, b"")).unwrap();
    let frame = frame(builder.finish(&stamp(1, 1), FrameType::Data));
    let records = records(&frame);
    assert_eq!(Builtin::from_record(&records[0]).unwrap(), Some(mailbox(1).into()));
    assert_eq!(Builtin::from_record(&records[1]).unwrap(), None);
    assert!(matches!(Builtin::from_record(&records[2]), Err(DecodeError::Body(_))));
    assert!(CacheInvalidated::from_record(&records[0]).unwrap().is_none());
    assert!(Record::from_record(&records[1]).unwrap().is_some());
}

#[test]
fn a_builder_forms_the_same_frame_again() {
    let mut builder = FrameBuilder::new();
    let mut form = |large: bool| {
        builder.push_event(&mailbox(1)).unwrap();
        if large {
            builder.push(&parts("large", None, &vec![1; BODY_BYTES_MAX])).unwrap();
        }
        builder.finish(&stamp(1, 1), FrameType::Data)
    };
    let first = form(false);
    let large = form(true);
    assert_eq!(form(false), first);
    let large = frame(large);
    assert_eq!(records(&large)[1].body(), &vec![1; BODY_BYTES_MAX][..]);
}

/// The header of 64 bytes, the name of the kind and two bytes an event: at most a tenth of bodies of 58 bytes.
#[test]
fn a_busy_frame_costs_little_beyond_its_bodies() {
    let body = [7; 58];
    let mut builder = FrameBuilder::new();
    for _ in 0..64 {
        builder.push(&parts("bench.mailbox.changed", None, &body)).unwrap();
    }
    let bytes = builder.finish(&stamp(1, 1), FrameType::Data).len();
    assert!(bytes * 10 <= 64 * body.len() * 11, "{bytes} bytes for 64 bodies of {}", body.len());
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_the_builder_unchanged() {
    let mut builder = FrameBuilder::new();
    builder.push(&parts("a", None, b"1")).unwrap();
    let long_kind = "k".repeat(KIND_BYTES_MAX + 1);
    let (long_key, long_body) = (vec![0; KEY_BYTES_MAX + 1], vec![0; BODY_BYTES_MAX + 1]);
    let wrong = [
        (parts(&long_kind, None, b""), ErrorKind::TooLarge),
        (parts("b", Some(&long_key), b""), ErrorKind::TooLarge),
        (parts("b", None, &long_body), ErrorKind::TooLarge),
        (parts("b c", None, b""), ErrorKind::Codec),
        (parts("", None, b""), ErrorKind::Codec),
        (parts("b..c", None, b""), ErrorKind::Codec),
    ];
    for (record, kind) in wrong {
        assert_eq!(builder.push(&record).unwrap_err().kind(), kind);
    }
    assert_eq!(builder.push_event(&RawBytes(long_body)).unwrap_err().kind(), ErrorKind::TooLarge);
    let mut other = FrameBuilder::new();
    other.push(&parts("a", None, b"1")).unwrap();
    for builder in [&mut builder, &mut other] {
        builder.push(&parts("a", None, b"2")).unwrap();
    }
    assert_eq!(builder.finish(&stamp(1, 1), FrameType::Data), other.finish(&stamp(1, 1), FrameType::Data));
}

#[test]
fn a_frame_takes_so_many_records_and_kinds() {
    let mut builder = FrameBuilder::new();
    for _ in 0..FRAME_RECORDS_MAX {
        assert!(builder.fits(&parts("a", None, b"")));
        builder.push(&parts("a", None, b"")).unwrap();
    }
    assert!(!builder.fits(&parts("a", None, b"")));
    assert_eq!(builder.push(&parts("a", None, b"")).unwrap_err().kind(), ErrorKind::TooLarge);
    let full = frame(builder.finish(&stamp(1, 1), FrameType::Data));
    assert_eq!(full.records_count(), FRAME_RECORDS_MAX);
    // Two bytes for each event but the first, which brings the kind.
    assert_eq!(full.bytes().len(), HEADER_BYTES + 2 * FRAME_RECORDS_MAX + 5);

    let kinds: Vec<String> = (0..=FRAME_KINDS_MAX).map(|i| format!("k{i}")).collect();
    for kind in &kinds[..FRAME_KINDS_MAX] {
        assert!(builder.fits(&parts(kind, None, b"")));
        builder.push(&parts(kind, None, b"")).unwrap();
    }
    let one_more = parts(&kinds[FRAME_KINDS_MAX], None, b"");
    assert!(!builder.fits(&one_more));
    assert_eq!(builder.push(&one_more).unwrap_err().kind(), ErrorKind::TooLarge);
    for kind in &kinds[..FRAME_KINDS_MAX] {
        builder.push(&parts(kind, None, b"")).unwrap();
    }
    let full = frame(builder.finish(&stamp(1, 1), FrameType::Data));
    let seen: Vec<_> = full.records().map(|record| record.kind()).collect();
    assert_eq!(seen, [&kinds[..FRAME_KINDS_MAX], &kinds[..FRAME_KINDS_MAX]].concat());
}

#[test]
fn a_head_says_where_a_stream_stands() {
    let nonces: Vec<u64> = (0..HEAD_NONCES_MAX as u64).collect();
    for (fin, nonces) in [(false, &nonces[..]), (true, &[])] {
        let frame = frame(encode_head(&stamp(5, 2), fin, nonces));
        assert_eq!(frame.head(), Some(&Head { fin, nonces: nonces.to_vec() }));
        assert_eq!((frame.seq(), frame.end(), frame.header().floor), (5, 5, 2));
        assert!(frame.header().range().is_empty());
        assert_eq!(frame.records().count(), 0);
    }
}

#[test]
fn control_records_come_back() {
    let heartbeat = Heartbeat {
        name: "node-1".into(),
        software: "agora 0.1".into(),
        tags: vec![("zone".into(), "a".into())],
        greet: true,
        topics: vec![TopicState { stream: 1, settings: 2, publishes: true }],
    };
    let all: [Control; 4] = [
        heartbeat.clone().into(),
        Leave { streams: vec![FinalHead { stream: 1, next: 9, floor: 3 }] }.into(),
        Hello { stream: 1, nonce: 2 }.into(),
        Ask { stream: 1, node: 2, incarnation: 3, ranges: vec![(1, 2), (5, 9)] }.into(),
    ];
    for control in &all {
        let frame = frame(control.encode(stamp(1, 1).source, StreamId(8), 7).unwrap());
        assert_eq!((frame.frame_type(), frame.seq(), frame.end()), (FrameType::Control, 0, 0));
        let record = frame.records().next().unwrap();
        assert_eq!(Control::from_record(record).unwrap().as_ref(), Some(control));
    }
    let mut builder = FrameBuilder::new();
    for control in &all {
        control.push_to(&mut builder).unwrap();
    }
    builder.push(&parts("agora.later", None, b"?")).unwrap();
    let frame = frame(builder.finish(&stamp(1, 1), FrameType::Control));
    let seen: Vec<_> = frame.records().map(|r| Control::from_record(r).unwrap()).collect();
    assert_eq!(seen, all.into_iter().map(Some).chain([None]).collect::<Vec<_>>());
}

#[test]
fn control_records_keep_their_limits_on_both_sides() {
    let heartbeat = Heartbeat {
        name: "n".into(),
        software: String::new(),
        tags: Vec::new(),
        greet: false,
        topics: Vec::new(),
    };
    let topic = TopicState { stream: 1, settings: 1, publishes: false };
    let end = FinalHead { stream: 1, next: 1, floor: 1 };
    let ask = Ask { stream: 1, node: 1, incarnation: 1, ranges: vec![(1, 2)] };
    let long = "t".repeat(TAG_BYTES_MAX + 1);
    let wrong: Vec<Control> = vec![
        Heartbeat { name: "a b".into(), ..heartbeat.clone() }.into(),
        Heartbeat { name: String::new(), ..heartbeat.clone() }.into(),
        Heartbeat { software: long.clone(), ..heartbeat.clone() }.into(),
        Heartbeat { tags: vec![(long.clone(), String::new())], ..heartbeat.clone() }.into(),
        Heartbeat { tags: vec![(String::new(), long)], ..heartbeat.clone() }.into(),
        Heartbeat { tags: vec![(String::new(), String::new()); TAGS_MAX + 1], ..heartbeat.clone() }.into(),
        Heartbeat { topics: vec![topic; HEARTBEAT_TOPICS_MAX + 1], ..heartbeat.clone() }.into(),
        Leave { streams: vec![end; HEARTBEAT_TOPICS_MAX + 1] }.into(),
        Leave { streams: vec![FinalHead { next: 0, ..end }] }.into(),
        Leave { streams: vec![FinalHead { floor: 2, ..end }] }.into(),
        Ask { ranges: vec![], ..ask.clone() }.into(),
        Ask { ranges: vec![(0, 2)], ..ask.clone() }.into(),
        Ask { ranges: vec![(2, 2)], ..ask.clone() }.into(),
        Ask { ranges: vec![(1, 2); ASK_RANGES_MAX + 1], ..ask.clone() }.into(),
    ];
    for control in wrong {
        assert!(control.push_to(&mut FrameBuilder::new()).is_err(), "{control:?}");
        let mut builder = FrameBuilder::new();
        match &control {
            Control::Heartbeat(heartbeat) => builder.push_event(heartbeat).unwrap(),
            Control::Leave(leave) => builder.push_event(leave).unwrap(),
            Control::Hello(hello) => builder.push_event(hello).unwrap(),
            Control::Ask(ask) => builder.push_event(ask).unwrap(),
            Control::Observer(observer) => builder.push_event(observer).unwrap(),
        }
        let frame = frame(builder.finish(&stamp(1, 1), FrameType::Control));
        let read = Control::from_record(frame.records().next().unwrap());
        assert!(matches!(read, Err(DecodeError::Invalid(_))), "{read:?}");
    }
}

#[test]
fn bodies_of_other_versions() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct One {
        a: u64,
    }
    impl Event for One {
        const KIND: &'static str = "evolving";
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Two {
        a: u64,
        b: String,
    }
    impl Event for Two {
        const KIND: &'static str = "evolving";
        const VERSION: u16 = 2;

        fn upgrade(version: u16, body: &[u8]) -> Result<Self, DecodeError> {
            assert_eq!(version, 1);
            body::decode(body).map(|One { a }| Self { a, b: "new".into() })
        }
    }
    let mut builder = FrameBuilder::new();
    builder.push_event(&One { a: 1 }).unwrap();
    builder.push_event(&Two { a: 2, b: "x".into() }).unwrap();
    builder.push(&parts("evolving", None, &[1, 1])).unwrap();
    let frame = frame(builder.finish(&stamp(1, 1), FrameType::Data));
    let records: Vec<_> = frame.records().collect();
    assert_eq!(records[0].decode::<Two>().unwrap(), Two { a: 1, b: "new".into() });
    assert_eq!(records[1].decode::<One>().unwrap(), One { a: 2 });
    assert_eq!(records[2].decode::<One>(), Err(DecodeError::Trailing { bytes: 1 }));
    #[derive(Serialize, Deserialize)]
    struct Three {}
    impl Event for Three {
        const KIND: &'static str = "evolving";
        const VERSION: u16 = 3;
    }
    assert!(matches!(
        records[1].decode::<Three>(),
        Err(DecodeError::Unsupported { version: 2, supported: 3 })
    ));
}

#[test]
fn what_is_no_frame_is_told_from_what_is_damaged() {
    let good = encode_head(&stamp(1, 1), false, &[]);
    assert!(matches!(parse(Bytes::new()), Parsed::Foreign(_)));
    assert!(matches!(parse(Bytes::from_static(b"{\"json\":1}")), Parsed::Foreign(_)));
    assert!(matches!(parse(good.slice(..10)), Parsed::Corrupt(Corrupt::Length)));
    let mut longer = good.to_vec();
    longer.push(0);
    assert!(matches!(parse(longer.into()), Parsed::Corrupt(Corrupt::Length)));
    let mut flipped = good.to_vec();
    flipped[50] ^= 1;
    assert!(matches!(parse(flipped.into()), Parsed::Corrupt(Corrupt::Checksum)));
}
