//! What a message turned out to be, as JSON that a decoder in another language can give too.

use agora_core::codec::{Control, Corrupt, Frame, FrameType, Header, Parsed, RecordRef, Unreadable, parse};
use agora_core::event::{DeadLetter, DecodeError, Event, Redriven, builtin};
use bytes::Bytes;
use serde_json::{Value, json};

use super::hex;
use super::primitives::Primitives;

/// Decodes a message into the JSON of the vectors.
pub fn expectation(bytes: &[u8]) -> Value {
    match parse(Bytes::copy_from_slice(bytes)) {
        Parsed::Frame(frame) => of_frame(&frame),
        Parsed::Foreign(_) => json!({"message": "foreign"}),
        Parsed::Corrupt(why) => json!({"message": "corrupt", "why": of_corrupt(why)}),
        Parsed::Unreadable { header, why } => {
            let range = header.range();
            json!({
                "message": "unreadable",
                "why": of_unreadable(why),
                "header": of_header(&header),
                "missed": [range.start, range.end],
            })
        }
    }
}

fn of_corrupt(why: Corrupt) -> &'static str {
    match why {
        Corrupt::Length => "length",
        Corrupt::Checksum => "checksum",
        Corrupt::Header(_) => "header",
        other => panic!("no name for {other:?}"),
    }
}

fn of_unreadable(why: Unreadable) -> &'static str {
    match why {
        Unreadable::Version(_) => "version",
        Unreadable::Flags(_) => "flags",
        Unreadable::FrameType(_) => "type",
        Unreadable::Extension(_) => "extension",
        Unreadable::Malformed(_) => "malformed",
        other => panic!("no name for {other:?}"),
    }
}

fn of_header(header: &Header) -> Value {
    json!({
        "version": header.version,
        "type": header.type_number,
        "node": header.source.node.to_string(),
        "incarnation": header.source.incarnation.to_string(),
        "stream": header.stream.to_string(),
        "seq": header.seq,
        "floor": header.floor,
        "sent_us": header.sent_us,
        "records": header.records,
    })
}

fn of_frame(frame: &Frame) -> Value {
    let mut value = json!({
        "message": "frame",
        "header": of_header(frame.header()),
        "skipped_extensions": frame.skipped_extensions(),
    });
    match frame.frame_type() {
        FrameType::Head => {
            let head = frame.head().unwrap();
            value["head"] = json!({"fin": head.fin, "nonces": head.nonces});
        }
        FrameType::Data | FrameType::Control => value["records"] = frame.records().map(of_record).collect(),
    }
    value
}

fn of_record(record: RecordRef<'_>) -> Value {
    let mut value = json!({
        "seq": record.seq(),
        "kind": record.kind(),
        "kind_version": record.version(),
        "resync": record.resync(),
        "key": record.key().map(hex),
        "id": record.id().map(|id| hex(&id)),
        "correlation": record.correlation().map(|id| hex(&id)),
        "body_hex": hex(record.body()),
    });
    match body(record) {
        Some(Ok(body)) => value["body"] = body,
        Some(Err(_)) => value["body_error"] = true.into(),
        None => {}
    }
    value
}

fn body(record: RecordRef<'_>) -> Option<Result<Value, DecodeError>> {
    if record.header().frame_type() == Some(FrameType::Control) {
        return match Control::from_record(record).transpose()? {
            Ok(Control::Heartbeat(heartbeat)) => Some(Ok(json!(heartbeat))),
            Ok(Control::Leave(leave)) => Some(Ok(json!(leave))),
            Ok(Control::Hello(hello)) => Some(Ok(json!(hello))),
            Ok(Control::Ask(ask)) => Some(Ok(json!(ask))),
            Ok(Control::Observer(observer)) => Some(Ok(json!(observer))),
            Ok(other) => panic!("no JSON for {other:?}"),
            Err(error) => Some(Err(error)),
        };
    }
    macro_rules! of_kind {
        ($($event:ident),+) => {
            match record.kind() {
                $(builtin::$event::KIND => Some(record.decode::<builtin::$event>().map(|event| json!(event))),)+
                DeadLetter::KIND => Some(record.decode::<DeadLetter>().map(|event| json!(event))),
                Redriven::KIND => Some(record.decode::<Redriven>().map(|event| json!(event))),
                Primitives::KIND => Some(record.decode::<Primitives>().map(|event| json!(event))),
                _ => None,
            }
        };
    }
    agora_core::for_each_builtin!(of_kind)
}
