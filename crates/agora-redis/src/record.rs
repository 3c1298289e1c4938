//! The fields of an entry in a stream.
//!
//! agora writes `payload`, and `agora`: a line of words, because each further field has its price at the server and at both
//! ends. The first word is `append=` with 16 hexadecimal digits, a number that is another one each time something is
//! appended; then come the key where a message has one, and the headers: see [`mirror`].
//!
//! An entry of other software is read like this: the first field `payload` is the bytes and the first field `key` the key,
//! where there are such; without `payload`, the value of the only field is the bytes; of several fields, all are headers and
//! there are no bytes.

use std::fmt::Write;

use agora_core::codec;
use agora_core::transport::{OutFrame, Raw, mirror};
use bytes::Bytes;
use redis::{Cmd, Value};

use crate::call::{bytes, list};
use crate::error::Failure;
use crate::place::Id;

/// The bytes of the message.
pub const PAYLOAD: &str = "payload";
/// What agora writes besides.
pub const OWN: &str = "agora";
/// The first word of it.
const APPEND: &[u8] = b"append=";

/// `append=` and its digits.
const STAMP_BYTES: usize = APPEND.len() + 16;
/// What a line takes where keys and kinds are short.
const LINE_BYTES: usize = 128;

/// Where the numbers of `append` come from: no two are the same, whoever writes.
pub(crate) struct Stamps(u64);

impl Stamps {
    pub(crate) fn new() -> Self {
        Self(fastrand::u64(..))
    }

    pub(crate) fn next(&mut self) -> u64 {
        // An odd step visits every number.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0
    }
}

/// Writes a message as the fields of an `XADD`.
pub(crate) fn write(command: &mut Cmd, frame: &OutFrame, stamp: u64) {
    let mut line = String::with_capacity(LINE_BYTES);
    // Writing into memory does not fail.
    let _ = write!(line, "append={stamp:016x}");
    mirror::write(frame, &mut line);
    command.arg(PAYLOAD).arg(&frame.payload[..]).arg(OWN).arg(line);
}

/// A field of an entry: name and value.
type Field = (Vec<u8>, Vec<u8>);

/// The fields of an entry, as the server answers with them.
pub(crate) fn fields(answer: Value) -> Result<Vec<Field>, Failure> {
    let words = list(answer)?;
    let mut fields = Vec::with_capacity(words.len() / 2);
    let mut words = words.into_iter();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        fields.push((bytes(name)?.unwrap_or_default(), bytes(value)?.unwrap_or_default()));
    }
    Ok(fields)
}

/// Reads the fields of an entry. Answers with the message and its stamp.
pub(crate) fn read(id: Id, fields: Vec<Field>) -> (Raw, u64) {
    let mut raw = Raw { payload: Bytes::new(), lane: 0, key: None, headers: Vec::new(), time: id.time() };
    let (mut payload, mut own) = (None, None);
    let is_one = fields.len() == 1;
    for (name, value) in fields {
        match name.as_slice() {
            b"payload" if payload.is_none() => payload = Some(Bytes::from(value)),
            b"key" if raw.key.is_none() && !is_one => raw.key = Some(Bytes::from(value)),
            b"agora" if own.is_none() && parse_stamp(&value).is_some() => own = Some(value),
            _ if is_one => payload = Some(Bytes::from(value)),
            _ => raw.headers.push((String::from_utf8_lossy(&name).into_owned(), Bytes::from(value))),
        }
    }
    raw.payload = payload.unwrap_or_default();
    let stamp = own.as_deref().and_then(parse_stamp).unwrap_or_else(|| of_place(id));
    if let Some(own) = own.filter(|_| !codec::begins_like_frame(&raw.payload)) {
        let line = Bytes::from(own);
        let (key, headers) = mirror::read(&line.slice(STAMP_BYTES.min(line.len())..));
        raw.key = key.or(raw.key);
        raw.headers.extend(headers);
    }
    (raw, stamp)
}

/// The number of the line of agora, where it is one.
fn parse_stamp(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(APPEND)?;
    let (digits, behind) = digits.split_first_chunk::<16>()?;
    if !behind.is_empty() && !behind.starts_with(b" ") {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u64::from_str_radix(digits, 16).ok()
}

/// What other software appended has its place alone.
fn of_place(id: Id) -> u64 {
    id.ms.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ id.seq
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[(&str, &str)]) -> (Raw, u64) {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        read(Id { ms: 5, seq: 1 }, fields.collect())
    }

    fn shown(fields: &[(&str, &str)]) -> String {
        let (raw, _) = entry(fields);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers: Vec<_> =
            raw.headers.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
        format!(
            "{}|{}|{}",
            text(&raw.payload),
            raw.key.as_deref().map(text).unwrap_or_default(),
            headers.join(",")
        )
    }

    #[test]
    fn entries_of_others_are_read_as_documented() {
        for (fields, due) in [
            (&[("payload", "x"), ("key", "k"), ("a", "1")][..], "x|k|a=1"),
            (&[("body", "x")], "x||"),
            (&[("key", "x")], "x||"),
            (&[("a", "1"), ("b", "2")], "||a=1,b=2"),
            (&[("payload", "x"), ("payload", "y")], "x||payload=y"),
            (&[("payload", "x"), ("agora", "odd")], "x||agora=odd"),
            (&[("payload", "x"), ("agora", "append=000000000000001fx")], "x||agora=append=000000000000001fx"),
            (&[("payload", "x"), ("agora", "append=+00000000000001f")], "x||agora=append=+00000000000001f"),
            (&[("payload", "x"), ("agora", "append=000000000000001f key=k kind=a")], "x|k|agora-kind=a"),
            (&[], "||"),
        ] {
            assert_eq!(shown(fields), due, "{fields:?}");
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let frame = OutFrame {
            payload: Bytes::from_static(b"\0\xff"),
            key: Some(Bytes::from_static(b"")),
            headers: vec![("agora-kind", Bytes::from_static(b"k"))],
        };
        let mut command = Cmd::new();
        write(&mut command, &frame, 0x1f);
        let args: Vec<Vec<u8>> = command
            .args_iter()
            .filter_map(|arg| if let redis::Arg::Simple(arg) = arg { Some(arg.to_vec()) } else { None })
            .collect();
        let fields = args.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let (raw, stamp) = read(Id { ms: 5, seq: 1 }, fields);
        assert_eq!((raw.payload, raw.key, stamp), (frame.payload, frame.key, 0x1f));
        assert_eq!(raw.headers, [("agora-kind".to_owned(), Bytes::from_static(b"k"))]);
    }

    #[test]
    fn no_two_stamps_are_the_same() {
        let mut stamps = Stamps::new();
        let (one, other) = (stamps.next(), stamps.next());
        assert_ne!(one, other);
        assert_ne!(entry(&[("a", "1")]).1, read(Id { ms: 5, seq: 2 }, Vec::new()).1);
    }
}
