//! Key and headers of a message as one line of text, for backends on which each header has its price.
//!
//! `kind=shop.order version=1 source=4af0-6d1 seq=17 key=account/17`: words with one space between them, in no order that
//! anybody relies on. A value is percent-encoded: each byte that is no visible ASCII, and `%` itself, is `%XX`.

use bytes::Bytes;

use super::OutFrame;
use crate::percent::escaped;

/// What the names of the headers of agora begin with; in the line that is left out.
const OWN: &str = "agora-";
/// The word of the key.
const KEY: &str = "key";

/// Appends the line of a message. Nothing, where it has neither key nor headers.
pub fn write(frame: &OutFrame, line: &mut String) {
    let key = frame.key.iter().map(|key| (KEY, key));
    let headers = frame.headers.iter().map(|(name, value)| (name.strip_prefix(OWN).unwrap_or(name), value));
    for (name, value) in key.chain(headers) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(name);
        line.push('=');
        encode(value, line);
    }
}

/// What a line says: the key, and the headers under their own names, in the order in which they stand there. What is no
/// word of ours is passed over.
pub fn read(line: &Bytes) -> (Option<Bytes>, Vec<(String, Bytes)>) {
    let (mut key, mut headers) = (None, Vec::new());
    for word in line.split(|byte| *byte == b' ') {
        let Some(at) = word.iter().position(|byte| *byte == b'=') else { continue };
        let Ok(name) = std::str::from_utf8(&word[..at]) else { continue };
        let value = decode(line, &word[at + 1..]);
        match name {
            KEY => key = Some(value),
            name => headers.push((format!("{OWN}{name}"), value)),
        }
    }
    (key, headers)
}

fn encode(bytes: &[u8], line: &mut String) {
    let is_plain = |byte: &u8| matches!(byte, 0x21..=0x7e) && *byte != b'%';
    if let (true, Ok(text)) = (bytes.iter().all(is_plain), std::str::from_utf8(bytes)) {
        return line.push_str(text);
    }
    for byte in bytes {
        match is_plain(byte) {
            true => line.push(char::from(*byte)),
            false => line.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// What is no code of ours stays as it is: somebody else may have written it.
fn decode(line: &Bytes, value: &[u8]) -> Bytes {
    if !value.contains(&b'%') {
        return line.slice_ref(value);
    }
    let (mut rest, mut bytes) = (value, Vec::with_capacity(value.len()));
    while let Some((first, behind)) = rest.split_first() {
        match (*first == b'%').then(|| escaped(behind)).flatten() {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(frame: &OutFrame) -> String {
        let mut line = String::new();
        write(frame, &mut line);
        line
    }

    fn shown(line: &'static str) -> String {
        let (key, headers) = read(&Bytes::from_static(line.as_bytes()));
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}:{}", text(value))).collect();
        format!("{}|{}", key.as_ref().map(text).unwrap_or_default(), headers.join(","))
    }

    #[test]
    fn every_byte_survives_and_text_stays_readable() {
        let every = Bytes::from((0..=255).collect::<Vec<u8>>());
        let headers = vec![("agora-kind", Bytes::from_static(b"a.kind")), ("agora-seq", every.clone())];
        let frame = OutFrame { key: Some(every.clone()), headers, ..OutFrame::new("x") };
        let (key, headers) = read(&Bytes::from(line(&frame)));
        assert_eq!((key, &headers[1].1), (Some(every.clone()), &every));
        assert_eq!(headers[0], ("agora-kind".to_owned(), Bytes::from_static(b"a.kind")));
        let frame = OutFrame { key: Some(Bytes::from_static(b"a b%\r\n")), ..OutFrame::new("x") };
        assert_eq!(line(&frame), "key=a%20b%25%0D%0A");
        assert_eq!(line(&OutFrame::new("x")), "");
    }

    #[test]
    fn what_others_wrote_is_read_as_far_as_it_can_be() {
        for (line, due) in [
            ("kind=a key=account/17 seq=5", "account/17|agora-kind:a,agora-seq:5"),
            ("", "|"),
            ("text and no words", "|"),
            ("key=100% kind=%zz%+4%4 a=b=c", "100%|agora-kind:%zz%+4%4,agora-a:b=c"),
            ("key= =x", "|agora-:x"),
        ] {
            assert_eq!(shown(line), due, "{line}");
        }
    }
}
