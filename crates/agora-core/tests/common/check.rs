//! What must hold for every message, whoever made it. Shared by the tests and the fuzz target.

use agora_core::codec::{
    Control, Frame, FrameBuilder, FrameType, Parsed, RecordParts, Stamp, encode_head, parse,
};
use agora_core::event::builtin::Builtin;
use agora_core::event::{Events, RawBytes};
use bytes::Bytes;
use std::sync::Arc;

/// Parses a message, and where it is a frame, uses all of it: every record is read, decoded in every way, and forms
/// a frame of the same meaning again.
pub fn any_message(bytes: &[u8]) {
    let Parsed::Frame(frame) = parse(Bytes::copy_from_slice(bytes)) else { return };
    let frame = Arc::new(frame);
    decode_all(&frame);
    let again = parse(form_again(&frame));
    let Parsed::Frame(again) = again else { panic!("what was read cannot be written again: {again:?}") };
    same(&frame, &again);
}

fn decode_all(frame: &Arc<Frame>) {
    let mut cursor = frame.cursor();
    let mut count = 0;
    while let Some(record) = cursor.next(frame) {
        // Most of them fail; none may panic.
        let _ = Builtin::from_record(&record);
        let _ = RawBytes::from_record(&record);
        let _ = Control::from_record(record.as_ref());
        let _ = format!("{record:?}");
        count += 1;
    }
    assert_eq!(count, frame.records_count(), "a frame that was checked is walked to its end");
    if frame.frame_type() == FrameType::Data {
        assert_eq!(frame.header().range(), frame.seq()..frame.end());
    } else {
        assert!(frame.header().range().is_empty());
    }
}

fn form_again(frame: &Frame) -> Bytes {
    let header = frame.header();
    let stamp = Stamp {
        source: header.source,
        stream: header.stream,
        seq: header.seq,
        floor: header.floor,
        sent_us: header.sent_us,
    };
    if let Some(head) = frame.head() {
        return encode_head(&stamp, head.fin, &head.nonces);
    }
    let mut builder = FrameBuilder::new();
    for record in frame.records() {
        builder
            .push(&RecordParts {
                kind: record.kind(),
                version: record.version(),
                resync: record.resync(),
                key: record.key(),
                body: record.body(),
                id: record.id(),
                correlation: record.correlation(),
            })
            .expect("what was read is within the limits");
    }
    builder.finish(&stamp, frame.frame_type())
}

fn same(left: &Frame, right: &Frame) {
    assert_eq!(left.frame_type(), right.frame_type());
    assert_eq!(left.head(), right.head());
    assert_eq!((left.seq(), left.end()), (right.seq(), right.end()));
    assert_eq!(left.header().floor, right.header().floor);
    assert_eq!(left.records_count(), right.records_count());
    for (left, right) in left.records().zip(right.records()) {
        assert_eq!(left.kind(), right.kind());
        assert_eq!((left.version(), left.resync()), (right.version(), right.resync()));
        assert_eq!(left.key(), right.key());
        assert_eq!(left.body(), right.body());
        assert_eq!((left.id(), left.correlation()), (right.id(), right.correlation()));
        assert_eq!((left.seq(), left.index()), (right.seq(), right.index()));
    }
}
