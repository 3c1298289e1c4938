//! What stands beside the bytes of a message: the key and the headers, as NATS carries them.
//!
//! The client pays for each header with a handful of allocations, at both ends. So the key and the headers of agora are one
//! header, `agora`, with a line of words: see [`mirror`]. Headers of others are left alone.

use std::time::SystemTime;

use agora_core::codec;
use agora_core::transport::{OutFrame, Raw, mirror};
use async_nats::{HeaderMap, HeaderName, header};
use bytes::Bytes;

/// The header of agora.
pub(crate) const OWN: &str = "agora";
/// What the headers of NATS itself begin with. They are about the carrying, and not shown.
const NATIVE: &[u8] = b"nats-";
/// What a line takes where keys and kinds are short.
const LINE_BYTES: usize = 128;
/// `NATS/1.0\r\n` before the headers, and `\r\n` behind.
const AROUND: usize = 12;

/// The headers of a message, and how many bytes they take on the wire.
pub(crate) struct Dress {
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) bytes: usize,
}

impl Dress {
    /// Those of a frame, and the identity of the message, by which JetStream knows it again, where it has one.
    pub(crate) fn of(frame: &OutFrame, id: Option<&str>) -> Self {
        let mut headers = HeaderMap::new();
        let mut bytes = AROUND;
        let mut add = |name: HeaderName, value: String| {
            // `NAME: VALUE\r\n`
            bytes += AsRef::<str>::as_ref(&name).len() + value.len() + 4;
            headers.insert(name, value);
        };
        if let Some(id) = id {
            add(header::NATS_MESSAGE_ID, id.to_owned());
        }
        let mut line = String::with_capacity(LINE_BYTES);
        mirror::write(frame, &mut line);
        if !line.is_empty() {
            add(HeaderName::from_static(OWN), line);
        }
        match headers.is_empty() {
            true => Self { headers: None, bytes: 0 },
            false => Self { headers: Some(headers), bytes },
        }
    }
}

/// A message as the contract has it.
pub(crate) fn raw(payload: Bytes, headers: Option<&HeaderMap>, time: Option<SystemTime>) -> Raw {
    let mut raw = Raw { payload, lane: 0, key: None, headers: Vec::new(), time };
    if codec::begins_like_frame(&raw.payload) {
        return raw;
    }
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        let name: &str = name.as_ref();
        let is_native =
            name.as_bytes().get(..NATIVE.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(NATIVE));
        for value in values.iter().filter(|_| !is_native) {
            let value = Bytes::copy_from_slice(value.as_str().as_bytes());
            if name.eq_ignore_ascii_case(OWN) {
                let (key, own) = mirror::read(&value);
                raw.key = key.or(raw.key);
                raw.headers.extend(own);
            } else {
                raw.headers.push((name.to_owned(), value));
            }
        }
    }
    // The client keeps them in no order.
    raw.headers.sort();
    raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_what_the_client_writes() {
        let frame = OutFrame {
            key: Some(Bytes::from_static(b"k\0")),
            headers: vec![("agora-kind", Bytes::from_static(b"a.kind"))],
            ..OutFrame::new("x")
        };
        let dress = Dress::of(&frame, Some("id"));
        let written = "NATS/1.0\r\nNats-Msg-Id: id\r\nagora: key=k%00 kind=a.kind\r\n\r\n";
        assert_eq!(dress.bytes, written.len());
        assert!(Dress::of(&OutFrame::new("x"), None).headers.is_none());
    }

    #[test]
    fn others_headers_are_left_alone_and_the_servers_are_not_shown() {
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "text/%41");
        headers.insert("NATS-Msg-Id", "7");
        headers.insert("Agora", "key=a%20b");
        let read = |payload: &[u8]| raw(Bytes::copy_from_slice(payload), Some(&headers), None);
        let found = read(b"plain");
        assert_eq!(found.key.as_deref(), Some(&b"a b"[..]));
        assert_eq!(found.headers, [("Content-Type".to_owned(), Bytes::from_static(b"text/%41"))]);
        assert_eq!(read(&codec::MAGIC).key, None, "a frame has its key in itself");
    }
}
