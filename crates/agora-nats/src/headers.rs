//! What stands beside the bytes of a message: the key and the headers, as NATS carries them.
//!
//! A header of NATS is text of one line, and a key of agora is any bytes. So the values of agora's own headers are
//! percent-encoded: every byte that is no visible ASCII, and `%` itself, is `%XX`. Headers of others are left alone.

use agora_core::transport::{OutFrame, Raw};
use async_nats::HeaderMap;
use bytes::Bytes;
use std::time::SystemTime;

/// The key of a message.
pub(crate) const KEY: &str = "agora-key";
/// What agora's own headers begin with.
const OWN: &str = "agora-";
/// What the headers of NATS itself begin with. They are about the carrying, and not shown.
const NATIVE: &str = "nats-";
/// By which JetStream knows a message again.
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";

/// The headers of a message, and how many bytes they take on the wire.
pub(crate) struct Dress {
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) bytes: usize,
}

impl Dress {
    /// Those of a frame, and the identity of the message where it has one.
    pub(crate) fn of(frame: &OutFrame, id: Option<&str>) -> Self {
        let mut headers = HeaderMap::new();
        let mut bytes = 0;
        let mut add = |name: &str, value: String| {
            // `NAME: VALUE\r\n`
            bytes += name.len() + value.len() + 4;
            headers.insert(name, value);
        };
        if let Some(id) = id {
            add(MESSAGE_ID, id.to_owned());
        }
        if let Some(key) = &frame.key {
            add(KEY, encode(key));
        }
        for (name, value) in &frame.headers {
            add(name, encode(value));
        }
        if headers.is_empty() {
            return Self { headers: None, bytes: 0 };
        }
        // `NATS/1.0\r\n` before them, and `\r\n` behind.
        Self { headers: Some(headers), bytes: bytes + 12 }
    }
}

/// A message as the contract has it.
pub(crate) fn raw(payload: Bytes, headers: Option<&HeaderMap>, time: Option<SystemTime>) -> Raw {
    let mut raw = Raw { payload, lane: 0, key: None, headers: Vec::new(), time };
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        let name: &str = name.as_ref();
        let lower = name.to_ascii_lowercase();
        for value in values {
            if lower == KEY {
                raw.key = Some(decode(value.as_str()));
            } else if lower.starts_with(OWN) {
                raw.headers.push((lower.clone(), decode(value.as_str())));
            } else if !lower.starts_with(NATIVE) {
                raw.headers.push((name.to_owned(), Bytes::copy_from_slice(value.as_str().as_bytes())));
            }
        }
    }
    // The client keeps them in no order.
    raw.headers.sort();
    raw
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'%' => text.push_str("%25"),
            0x21..=0x7e => text.push(char::from(*byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// What is no code of ours stays as it is: somebody else may have written it.
fn decode(text: &str) -> Bytes {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.first_chunk::<2>().filter(|_| *first == b'%');
        match code.and_then(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes.into()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_and_text_stays_readable() {
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&every)), every);
        assert_eq!(encode(b"account/17"), "account/17");
        assert_eq!(encode(b"a b%\r\n"), "a%20b%25%0D%0A");
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%+4%4"), "%zz%+4%4");
    }

    #[test]
    fn the_size_is_what_the_client_writes() {
        let frame = OutFrame {
            key: Some(Bytes::from_static(b"k\0")),
            headers: vec![("agora-kind", Bytes::from_static(b"a.kind"))],
            ..OutFrame::new("x")
        };
        let dress = Dress::of(&frame, Some("id"));
        let written = "NATS/1.0\r\nNats-Msg-Id: id\r\nagora-key: k%00\r\nagora-kind: a.kind\r\n\r\n";
        assert_eq!(dress.bytes, written.len());
        assert!(Dress::of(&OutFrame::new("x"), None).headers.is_none());
    }

    #[test]
    fn others_headers_are_left_alone_and_the_servers_are_not_shown() {
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "text/%41");
        headers.insert(MESSAGE_ID, "7");
        headers.insert(KEY, "a%20b");
        let raw = raw(Bytes::new(), Some(&headers), None);
        assert_eq!(raw.key.as_deref(), Some(&b"a b"[..]));
        assert_eq!(raw.headers, [("Content-Type".to_owned(), Bytes::from_static(b"text/%41"))]);
    }
}
