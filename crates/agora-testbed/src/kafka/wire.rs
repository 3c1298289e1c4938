//! How requests to Kafka and their answers are written: the plain way of old messages, and the compact one of those
//! that never had another.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::{Doing, Failure, Result};

/// How long one answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A message, in one version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Api {
    key: i16,
    version: i16,
    /// Is it written with compact lengths and with tags, its heads included?
    is_compact: bool,
}

impl Api {
    pub(super) const fn plain(key: i16, version: i16) -> Self {
        Self { key, version, is_compact: false }
    }

    pub(super) const fn compact(key: i16, version: i16) -> Self {
        Self { key, version, is_compact: true }
    }
}

/// Sends one request, and gives the answer behind its head.
pub(super) async fn request(port: u16, api: Api, body: Say) -> Result<Heard> {
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.doing("connect")?;
        let mut say = Say::default();
        say.i16(api.key);
        say.i16(api.version);
        // The number of the request, and nobody's name.
        say.i32(1);
        say.i16(-1);
        if api.is_compact {
            say.no_tags();
        }
        say.0.extend(body.0);
        let length = i32::try_from(say.0.len()).map_err(|_| Failure::new("too long a request"))?;
        stream.write_all(&[&length.to_be_bytes()[..], &say.0].concat()).await.doing("ask")?;
        let length = stream.read_u32().await.doing("read an answer")?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(4..=ANSWER_BYTES_MAX).contains(&length) {
            return Err(Failure::new(format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).await.doing("read an answer")?;
        Ok(Heard { bytes: answer, at: if api.is_compact { 5 } else { 4 } })
    };
    let answer = timeout(ANSWER_WAIT, asked).await;
    let answer = answer.unwrap_or_else(|_| Err(Failure::new(format!("no answer within {ANSWER_WAIT:?}"))));
    answer.map_err(|failure| {
        Failure::new(format!("request {} to the broker on port {port}: {failure}", api.key))
    })
}

/// What is being said.
#[derive(Default)]
pub(super) struct Say(Vec<u8>);

impl Say {
    pub(super) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(super) fn i16(&mut self, number: i16) {
        self.0.extend(number.to_be_bytes());
    }

    pub(super) fn i32(&mut self, number: i32) {
        self.0.extend(number.to_be_bytes());
    }

    /// Names of tests are short: a longer one is cut off, and refused by the broker.
    pub(super) fn text(&mut self, text: &str) {
        let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
        self.i16(length);
        self.0.extend(text.bytes().take(length.unsigned_abs().into()));
    }

    pub(super) fn list<T>(&mut self, all: impl ExactSizeIterator<Item = T>, each: impl Fn(&mut Self, T)) {
        self.i32(i32::try_from(all.len()).unwrap_or(i32::MAX));
        all.for_each(|one| each(self, one));
    }

    /// A length of the compact way: one more than it is, so that nothing is nought. Seven bits a byte.
    fn compact_length(&mut self, length: usize) {
        let mut left = length + 1;
        while left > 0x7f {
            self.0.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        self.0.push(left as u8);
    }

    pub(super) fn compact_text(&mut self, text: &str) {
        self.compact_length(text.len());
        self.0.extend(text.bytes());
    }

    pub(super) fn compact_list<T>(
        &mut self,
        all: impl ExactSizeIterator<Item = T>,
        each: impl Fn(&mut Self, T),
    ) {
        self.compact_length(all.len());
        all.for_each(|one| each(self, one));
    }

    pub(super) fn no_tags(&mut self) {
        self.0.push(0);
    }
}

/// What was heard, read from its beginning. `None` where it is too short.
pub(super) struct Heard {
    bytes: Vec<u8>,
    at: usize,
}

impl Heard {
    pub(super) fn take(&mut self, length: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// The number of a node; `None` for that of none, too.
    pub(super) fn node(&mut self) -> Option<usize> {
        usize::try_from(self.i32()?).ok()
    }

    /// The outer `None` where it is too short, the inner one where there is no text.
    pub(super) fn text_or_none(&mut self) -> Option<Option<String>> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Some(None) };
        Some(Some(String::from_utf8_lossy(self.take(length)?).into_owned()))
    }

    pub(super) fn text(&mut self) -> Option<String> {
        self.text_or_none().map(Option::unwrap_or_default)
    }

    pub(super) fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.i32()?;
        (0..count.max(0)).map(|_| each(self)).collect()
    }

    /// The outer `None` where it is too short, the inner one for a length of nothing.
    fn compact_length(&mut self) -> Option<Option<usize>> {
        let mut length = 0_usize;
        for shift in (0..28).step_by(7) {
            let byte = self.take(1)?[0];
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(length.checked_sub(1));
            }
        }
        None
    }

    /// How many there are in a list that is there.
    pub(super) fn compact_count(&mut self) -> Option<usize> {
        self.compact_length()?
    }

    /// Empty where there is none.
    pub(super) fn compact_text(&mut self) -> Option<String> {
        let Some(length) = self.compact_length()? else { return Some(String::new()) };
        Some(String::from_utf8_lossy(self.take(length)?).into_owned())
    }
}
