//! Makes the golden vectors.

use agora_core::codec::{
    Ask, Control, FinalHead, FrameBuilder, FrameType, Heartbeat, Hello, Leave, Observer, RecordParts, Stamp,
    TopicState, encode_head,
};
use agora_core::event::RawBytes;
use agora_core::event::builtin::{
    AddressBlocked, AddressUnblocked, CacheInvalidated, CertificateRenewed, ConfigurationReloaded,
    MailboxChange, MailboxChanged, PushDue, PushSubscriptionChange, PushSubscriptionChanged, QueuePaused,
    QueueResumed,
};
use agora_core::event::{DeadLetter, LetterOrigin, Redriven};
use agora_core::id::{ClusterName, Incarnation, NodeId, NodeName, SourceId, StreamId, TopicName};

use super::{fix_checksum, primitives, reseal};

/// A vector before it is written.
pub struct Made {
    pub name: &'static str,
    pub about: &'static str,
    pub bytes: Vec<u8>,
}

pub fn stamp(seq: u64, floor: u64) -> Stamp {
    let cluster = ClusterName::new("demo").unwrap();
    Stamp {
        source: SourceId {
            node: NodeId::of(&NodeName::new("node-1").unwrap()),
            incarnation: Incarnation(0x0123_4567_89ab_cdef),
        },
        stream: StreamId::of(&cluster, &TopicName::new("stwt.agora").unwrap(), 0),
        seq,
        floor,
        sent_us: 1_780_000_000_123_456,
    }
}

pub fn mailbox(account: u64) -> MailboxChanged {
    MailboxChanged {
        account,
        mailbox: 300,
        change: MailboxChange::Flags,
        state: 70_000,
        messages: vec![1, 250, 251, 65_536],
    }
}

pub fn parts<'a>(kind: &'a str, key: Option<&'a [u8]>, body: &'a [u8]) -> RecordParts<'a> {
    RecordParts { kind, version: 1, resync: false, key, body, id: None, correlation: None }
}

/// All vectors, in the order of the document.
pub fn all() -> Vec<Made> {
    let mut all = data();
    all.extend(heads_and_control());
    all.extend(evolution());
    all.extend(unreadable());
    all.extend(refused());
    all
}

fn made(name: &'static str, about: &'static str, bytes: impl AsRef<[u8]>) -> Made {
    Made { name, about, bytes: bytes.as_ref().to_vec() }
}

fn data() -> Vec<Made> {
    let mut b = FrameBuilder::new();
    let mut all = Vec::new();

    b.push(&parts("a", None, b"")).unwrap();
    let bytes = b.finish(&stamp(1, 1), FrameType::Data);
    all.push(made("data-least", "The smallest data frame: one event, no key, no body.", bytes));

    b.push_event(&mailbox(42)).unwrap();
    let bytes = b.finish(&stamp(1, 1), FrameType::Data);
    all.push(made("data-mailbox", "One built-in event with a key.", bytes));

    for account in 1..=3 {
        b.push_event(&mailbox(account)).unwrap();
    }
    let bytes = b.finish(&stamp(1_000, 990), FrameType::Data);
    all.push(made("data-batch", "Three events of one kind: it is named once.", bytes));

    push_builtins(&mut b);
    let bytes = b.finish(&stamp(7, 3), FrameType::Data);
    all.push(made("data-builtin", "Every built-in kind.", bytes));

    push_letters(&mut b);
    let bytes = b.finish(&stamp(21, 21), FrameType::Data);
    all.push(made(
        "data-letters",
        "Dead letters, of an event and of another message, and one sent back.",
        bytes,
    ));

    b.push(&parts("a", None, b"0")).unwrap();
    b.push(&parts("b", Some(b""), b"1")).unwrap();
    b.push(&parts("a", Some(&[0, 255]), b"2")).unwrap();
    b.push(&RecordParts { version: 2, ..parts("a", None, b"3") }).unwrap();
    b.push(&RecordParts { resync: true, ..parts("a", None, b"4") }).unwrap();
    b.push(&parts("b", None, b"5")).unwrap();
    b.push(&RecordParts { id: Some([0x1d; 16]), ..parts("b", None, b"6") }).unwrap();
    b.push(&RecordParts { correlation: Some([0xc0; 16]), ..parts("b", Some(b"k"), b"7") }).unwrap();
    let both = RecordParts { id: Some([1; 16]), correlation: Some([2; 16]), ..parts("a", Some(b"k"), b"8") };
    b.push(&both).unwrap();
    let bytes = b.finish(&stamp(u64::MAX - 9, u64::MAX - 9), FrameType::Data);
    all.push(made(
        "data-parts",
        "Kinds defined, selected and kept, with every part of a record, at the highest numbers.",
        bytes,
    ));

    b.push(&parts("l", Some(&[0x6b; 128]), &[0x62; 127])).unwrap();
    b.push(&parts("l", None, &[0x62; 128])).unwrap();
    let bytes = b.finish(&stamp(1, 1), FrameType::Data);
    all.push(made("data-lengths", "Lengths of one byte and of two.", bytes));

    b.push_event(&primitives::small()).unwrap();
    b.push_event(&primitives::large()).unwrap();
    let bytes = b.finish(&stamp(1, 1), FrameType::Data);
    all.push(made(
        "data-primitives",
        "Every type that a body can hold, in its shortest and longest form.",
        bytes,
    ));
    all
}

fn push_builtins(b: &mut FrameBuilder) {
    b.push_event(&RawBytes(b"any \xff bytes".to_vec())).unwrap();
    b.push_event(&mailbox(u64::MAX)).unwrap();
    b.push_event(&PushSubscriptionChanged {
        account: 5,
        subscription: "phone".into(),
        change: PushSubscriptionChange::Removed,
        expires_ms: Some(1_780_000_000_000),
    })
    .unwrap();
    b.push_event(&PushDue {
        account: 5,
        subscriptions: vec!["phone".into(), "tablet".into()],
        topics: vec![],
        state: 9,
    })
    .unwrap();
    b.push_event(&AddressBlocked {
        address: "192.0.2.7".parse().unwrap(),
        prefix_bits: Some(24),
        reason: "too many failed logins".into(),
        expires_ms: None,
    })
    .unwrap();
    b.push_event(&AddressUnblocked {
        address: "2001:db8::7".parse().unwrap(),
        prefix_bits: None,
        reason: "by hand".into(),
    })
    .unwrap();
    b.push_event(&CertificateRenewed {
        names: vec!["mail.example.org".into(), "example.org".into()],
        serial: "04af".into(),
        fingerprint: "9f".repeat(32),
        not_after_ms: 1_790_000_000_000,
    })
    .unwrap();
    b.push_event(&ConfigurationReloaded { sections: vec!["smtp".into()], revision: 12 }).unwrap();
    b.push_event(&CacheInvalidated { cache: "dns".into(), entries: vec!["example.org".into()] }).unwrap();
    b.push_event(&QueuePaused { queue: "out".into(), reason: "disk".into(), until_ms: Some(0) }).unwrap();
    b.push_event(&QueueResumed { queue: "out".into() }).unwrap();
}

fn push_letters(b: &mut FrameBuilder) {
    let of_event = DeadLetter {
        topic: "shop.events.order".into(),
        group: "shipping".into(),
        reason: "no such customer".into(),
        attempts: 3,
        given_up_by: "node-1".into(),
        given_up_ms: 1_780_000_000_999,
        lane: 2,
        position: u128::MAX.to_string(),
        origin: Some(LetterOrigin { node: 1, incarnation: u64::MAX, seq: 7, sent_us: 1_780_000_000_123_456 }),
        kind: "shop.order.placed".into(),
        version: 4,
        key: Some(b"order/7".to_vec()),
        body: Some(vec![0, 7, 255]),
    };
    let of_other = DeadLetter {
        origin: None,
        kind: String::new(),
        version: 0,
        key: None,
        body: None,
        position: "0".into(),
        ..of_event.clone()
    };
    b.push_event(&of_event).unwrap();
    b.push_event(&of_other).unwrap();
    b.push_event(&Redriven { letter: of_event }).unwrap();
}

fn heads_and_control() -> Vec<Made> {
    let source = stamp(1, 1).source;
    let stream = StreamId::of(&ClusterName::new("demo").unwrap(), &TopicName::control(), 0);
    let one = |control: Control| control.encode(source, stream, 1_780_000_000_123_456).unwrap();
    let heartbeat = Heartbeat {
        name: "node-1".into(),
        software: "agora 0.1.0".into(),
        tags: vec![("zone".into(), "a".into()), ("role".into(), "imap".into())],
        greet: true,
        topics: vec![TopicState { stream: stamp(1, 1).stream.0, settings: 0x5e77, publishes: true }],
    };
    let all: [Control; 5] = [
        heartbeat.into(),
        Leave { streams: vec![FinalHead { stream: stamp(1, 1).stream.0, next: 100, floor: 90 }] }.into(),
        Hello { stream: stamp(1, 1).stream.0, nonce: 0xfeed_beef }.into(),
        Ask {
            stream: stamp(1, 1).stream.0,
            node: source.node.0,
            incarnation: source.incarnation.0,
            ranges: vec![(3, 5), (250, 251)],
        }
        .into(),
        Observer { greet: true }.into(),
    ];
    let [heartbeat, leave, hello, ask, observer] = all.clone().map(one);
    let mut builder = FrameBuilder::new();
    for control in &all {
        control.push_to(&mut builder).unwrap();
    }
    builder.push(&parts("agora.later", None, b"?")).unwrap();
    builder.push_event(&Ask { stream: 1, node: 2, incarnation: 3, ranges: vec![(5, 5)] }).unwrap();
    let several = builder.finish(&Stamp { stream, ..stamp(1, 1) }, FrameType::Control);
    vec![
        made("head", "A head without an answer.", encode_head(&stamp(1, 1), false, &[])),
        made(
            "head-answer",
            "A head that answers two hellos.",
            encode_head(&stamp(9, 4), false, &[7, u64::MAX]),
        ),
        made("head-fin", "The last head of a source.", encode_head(&stamp(1 << 40, 1 << 39), true, &[])),
        made("control-heartbeat", "A heartbeat.", heartbeat),
        made("control-leave", "A node leaves.", leave),
        made("control-hello", "A hello.", hello),
        made("control-ask", "A repair request.", ask),
        made("control-observer", "A sign of life of an observer.", observer),
        made(
            "control-several",
            "All control records in one frame, one of a kind that is not known, one with an empty range.",
            several,
        ),
    ]
}

fn evolution() -> Vec<Made> {
    let mut b = FrameBuilder::new();
    let kind = "agora.queue.resumed";
    b.push(&RecordParts { version: 2, ..parts(kind, None, b"\x03out\x2aappended") }).unwrap();
    let appended = b.finish(&stamp(1, 1), FrameType::Data);
    b.push(&parts(kind, None, b"\x03out\x2a")).unwrap();
    b.push(&RecordParts { version: 0, ..parts(kind, None, b"\x03out") }).unwrap();
    b.push(&parts(kind, None, b"\x04out")).unwrap();
    b.push(&parts(kind, None, b"\x03o\xfft")).unwrap();
    b.push(&parts(kind, None, b"\xff")).unwrap();
    b.push(&parts("agora.address.unblocked", None, b"\x02\x00")).unwrap();
    b.push(&parts(
        "agora.push.due",
        None,
        b"\xfe\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ))
    .unwrap();
    let wrong = b.finish(&stamp(1, 1), FrameType::Data);
    let extended = with_extension(&[0x34, 0x12, 0x03, 0x00, 1, 2, 3, 0x35, 0x12, 0x00, 0x00]);
    vec![
        made("evolution-appended", "A later version of a kind, with a field appended.", appended),
        made(
            "evolution-wrong-bodies",
            "Bodies that cannot be read: trailing bytes, an old version, a length beyond the end, text that is no \
             UTF-8, a malformed integer, an unknown variant, an integer too large for its type.",
            wrong,
        ),
        made("evolution-extensions", "Two extensions that are not known and not critical.", extended),
    ]
}

fn plain() -> Vec<u8> {
    let mut builder = FrameBuilder::new();
    builder.push(&parts("a", None, b"1")).unwrap();
    builder.push(&parts("a", None, b"2")).unwrap();
    builder.finish(&stamp(20, 15), FrameType::Data).to_vec()
}

fn with_extension(extension: &[u8]) -> Vec<u8> {
    let mut frame = plain();
    frame.splice(64..64, extension.iter().copied());
    let header_bytes = u16::try_from(64 + extension.len()).unwrap();
    frame[8..10].copy_from_slice(&header_bytes.to_le_bytes());
    reseal(&mut frame);
    frame
}

fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = plain();
    change(&mut frame);
    reseal(&mut frame);
    frame
}

fn unreadable() -> Vec<Made> {
    // In `plain` the first record begins at 64: flags, kind flags, version (2), length, "a", length, body; then
    // flags, length, body.
    vec![
        made("unreadable-version", "A later version of the frame.", changed(|f| f[4] = 2)),
        made("unreadable-sealed", "A reserved flag.", changed(|f| f[6] = 1)),
        made("unreadable-type", "A type that is not known.", changed(|f| f[5] = 3)),
        made("unreadable-critical", "A critical extension.", with_extension(&[0x34, 0x92, 0, 0])),
        made("unreadable-head-in-data", "The extension of a head.", with_extension(&[1, 0x80, 1, 0, 0])),
        made(
            "unreadable-extension-length",
            "An extension beyond the header.",
            with_extension(&[1, 0, 9, 0, 0]),
        ),
        made("unreadable-record-flag", "A flag of a record that is not known.", changed(|f| f[64] |= 0x20)),
        made("unreadable-kind-flag", "A flag of a kind that is not known.", changed(|f| f[65] = 2)),
        made("unreadable-kind-name", "A kind that is no name.", changed(|f| f[69] = b'/')),
        made(
            "unreadable-no-kind",
            "A first record without a kind.",
            changed(|f| {
                f.splice(64..70, [0]);
            }),
        ),
        made(
            "unreadable-select",
            "A kind that is not defined.",
            changed(|f| {
                f[72] = 2;
                f.insert(73, 1);
            }),
        ),
        made("unreadable-both", "A kind defined and selected.", changed(|f| f[64] = 3)),
        made("unreadable-short", "A body beyond the end.", changed(|f| f[73] = 2)),
        made("unreadable-long", "Bytes after the last record.", changed(|f| f.push(0))),
        made(
            "unreadable-length-form",
            "A length that is not in its shortest form.",
            changed(|f| {
                f.splice(73..74, [0x81, 0x00]);
            }),
        ),
        made(
            "unreadable-number",
            "A data frame without a number.",
            changed(|f| {
                f[20..24].fill(0);
                f[48..56].fill(0);
            }),
        ),
        made(
            "unreadable-empty",
            "A data frame without records.",
            changed(|f| {
                f[10] = 0;
                f.truncate(64);
            }),
        ),
        made(
            "unreadable-head",
            "A head without its extension.",
            changed(|f| {
                f[5] = 1;
                f[10] = 0;
                f.truncate(64);
            }),
        ),
        made("unreadable-control", "A control frame with a number.", changed(|f| f[5] = 2)),
    ]
}

fn refused() -> Vec<Made> {
    let short = plain()[..63].to_vec();
    let mut damaged = plain();
    damaged[71] ^= 1;
    let mut longer = plain();
    longer.push(0);
    let mut header = plain();
    header[8] = 63;
    fix_checksum(&mut header);
    let mut floor = plain();
    floor[20] = 21;
    fix_checksum(&mut floor);
    let mut overflow = plain();
    overflow[48..56].fill(0xff);
    fix_checksum(&mut overflow);
    vec![
        made("corrupt-short", "A frame that was cut.", short),
        made("corrupt-length", "A frame with a byte too many.", longer),
        made("corrupt-checksum", "A frame with one bit changed.", damaged),
        made("corrupt-header-bytes", "A header smaller than a header.", header),
        made("corrupt-floor", "A floor below zero.", floor),
        made("corrupt-overflow", "Numbers that overflow.", overflow),
        made("foreign-text", "Text of other software.", b"{\"event\":\"from elsewhere\"}"),
        made("foreign-empty", "Nothing.", b""),
    ]
}
