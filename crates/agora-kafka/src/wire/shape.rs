//! Looks an answer over before it is decoded.
//!
//! The decoder makes room for as many elements as an answer announces, before it has seen one: a length of two billion
//! from a broken or hostile peer would end the process. So the lengths of every answer are held against the bytes that
//! are there first.

use agora_core::Result;

use crate::error::odd;

/// The most structures and texts in lists that one answer may have, and fields that nobody knows: each takes some ten times
/// the room that it takes on the wire. The largest are the partitions of a cluster, of which Kafka is meant to bear
/// 200,000. What has a fixed size takes no more room than on the wire.
const ELEMENTS_MAX: usize = 1 << 19;

/// The fields of an answer.
#[derive(Debug)]
pub struct Shape {
    /// From this version on, lengths are short and every structure ends with fields that carry numbers (KIP-482).
    flexible_from: Option<i16>,
    fields: &'static [Field],
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    /// Before this version there is none.
    from: i16,
    /// Nor from this one on.
    until: i16,
    /// Its number, where it is one of those.
    tag: Option<u32>,
    part: Part,
}

/// What a field is.
#[derive(Debug)]
pub(super) enum Part {
    /// So many bytes.
    Fixed(usize),
    /// A text, or none.
    Text,
    /// Bytes, or none.
    Blob,
    /// A list of something that has no fields of its own.
    Many(&'static Part),
    /// A list of structures.
    List(&'static [Field]),
    /// A structure.
    Struct(&'static [Field]),
}

pub(super) const fn flexible(from: i16, fields: &'static [Field]) -> Shape {
    Shape { flexible_from: Some(from), fields }
}

pub(super) const fn rigid(fields: &'static [Field]) -> Shape {
    Shape { flexible_from: None, fields }
}

pub(super) const fn always(part: Part) -> Field {
    Field { from: 0, until: i16::MAX, tag: None, part }
}

pub(super) const fn from(version: i16, part: Part) -> Field {
    Field { from: version, until: i16::MAX, tag: None, part }
}

pub(super) const fn before(version: i16, part: Part) -> Field {
    Field { from: 0, until: version, tag: None, part }
}

pub(super) const fn tagged(tag: u32, part: Part) -> Field {
    Field { from: 0, until: i16::MAX, tag: Some(tag), part }
}

impl Field {
    /// Is it there in this version, at its place in the order?
    fn is_in(&self, version: i16) -> bool {
        self.tag.is_none() && (self.from..self.until).contains(&version)
    }
}

/// The head of an answer: its correlation id, and fields that carry numbers.
const HEAD: &[Field] = &[always(Part::Fixed(4))];

impl Shape {
    /// Can this frame be decoded within bounds? `has_tags`: its head is of the newer kind.
    ///
    /// # Errors
    /// What it announces is not there.
    pub(super) fn check(&self, frame: &[u8], has_tags: bool, version: i16) -> Result<()> {
        let mut walk = Walk { rest: frame, version, is_flexible: has_tags, left: ELEMENTS_MAX };
        let head = walk.fields(HEAD);
        walk.is_flexible = self.flexible_from.is_some_and(|from| version >= from);
        head.and_then(|()| walk.fields(self.fields)).ok_or_else(|| odd("it announces more than there is"))
    }
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    is_flexible: bool,
    /// How many more elements are believed.
    left: usize,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &'static [Field]) -> Option<()> {
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_in(version)) {
            self.part(&field.part)?;
        }
        if !self.is_flexible {
            return Some(());
        }
        for _ in 0..self.varint()? {
            self.left = self.left.checked_sub(1)?;
            let (tag, length) = (self.varint()?, self.varint()?);
            match fields.iter().find(|field| field.tag == Some(tag)) {
                // As the decoder does it, whatever the length says.
                Some(field) => self.part(&field.part)?,
                None => self.skip(usize::try_from(length).ok()?)?,
            }
        }
        Some(())
    }

    fn part(&mut self, part: &'static Part) -> Option<()> {
        match part {
            Part::Fixed(bytes) => self.skip(*bytes),
            Part::Text => {
                let length = if self.is_flexible { self.short_length()? } else { self.text_length()? };
                self.skip(length)
            }
            Part::Blob => {
                let length = self.length()?;
                self.skip(length)
            }
            Part::Many(Part::Fixed(bytes)) => {
                let count = self.length()?;
                self.skip(count.checked_mul(*bytes)?)
            }
            Part::Many(part) => {
                for _ in 0..self.elements()? {
                    self.part(part)?;
                }
                Some(())
            }
            Part::List(fields) => {
                for _ in 0..self.elements()? {
                    self.fields(fields)?;
                }
                Some(())
            }
            Part::Struct(fields) => self.fields(fields),
        }
    }

    /// The length of a list. Each element takes a byte at least.
    fn elements(&mut self) -> Option<usize> {
        let count = self.length()?;
        self.left = self.left.checked_sub(count)?;
        (count <= self.rest.len()).then_some(count)
    }

    fn length(&mut self) -> Option<usize> {
        if self.is_flexible {
            return self.short_length();
        }
        match i32::from_be_bytes(*self.take(4)?.first_chunk()?) {
            -1 => Some(0),
            length => usize::try_from(length).ok(),
        }
    }

    fn text_length(&mut self) -> Option<usize> {
        match i16::from_be_bytes(*self.take(2)?.first_chunk()?) {
            -1 => Some(0),
            length => usize::try_from(length).ok(),
        }
    }

    /// One more than the length; 0 is none at all.
    fn short_length(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?.saturating_sub(1)).ok()
    }

    /// Seven bits a byte, the lowest first, as the decoder reads it: at most five bytes.
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = u32::from(*self.take(1)?.first()?);
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(value)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.take(bytes).map(drop)
    }

    fn take(&mut self, bytes: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use agora_core::ErrorKind;
    use bytes::{BufMut, Bytes, BytesMut};
    use kafka_protocol::messages::MetadataRequest;
    use kafka_protocol::protocol::{Decodable, HeaderVersion, Message};
    use proptest::prelude::*;

    use super::*;
    use crate::wire::api::{Api, every_api};

    /// Writes bytes of a shape, as chance has it.
    struct Writer<'a> {
        out: BytesMut,
        version: i16,
        is_flexible: bool,
        chance: &'a mut fastrand::Rng,
    }

    impl Writer<'_> {
        fn fields(&mut self, fields: &'static [Field]) {
            let version = self.version;
            for field in fields.iter().filter(|field| field.is_in(version)) {
                self.part(&field.part);
            }
            if self.is_flexible {
                // One of each that is known, and one that nobody knows.
                let known: Vec<_> = fields.iter().filter(|field| field.tag.is_some()).collect();
                self.varint(known.len() + 1);
                for field in known {
                    self.varint(field.tag.unwrap() as usize);
                    self.varint(0);
                    self.part(&field.part);
                }
                self.varint(4711);
                self.varint(2);
                self.out.put_slice(b"??");
            }
        }

        fn part(&mut self, part: &'static Part) {
            let few = self.chance.usize(1..3);
            match part {
                // Small numbers, in which no length could be taken for another field.
                Part::Fixed(bytes) => self.out.put_bytes(1, *bytes),
                Part::Text => {
                    match self.is_flexible {
                        true => self.varint(few + 1),
                        false => self.out.put_i16(few as i16),
                    }
                    self.out.put_bytes(b'x', few);
                }
                Part::Blob => {
                    self.length(few);
                    self.out.put_bytes(b'y', few);
                }
                Part::Many(part) => {
                    self.length(few);
                    (0..few).for_each(|_| self.part(part));
                }
                Part::List(fields) => {
                    self.length(few);
                    (0..few).for_each(|_| self.fields(fields));
                }
                Part::Struct(fields) => self.fields(fields),
            }
        }

        fn length(&mut self, length: usize) {
            match self.is_flexible {
                true => self.varint(length + 1),
                false => self.out.put_i32(length as i32),
            }
        }

        fn varint(&mut self, mut value: usize) {
            while value >= 0x80 {
                self.out.put_u8((value & 0x7f) as u8 | 0x80);
                value >>= 7;
            }
            self.out.put_u8(value as u8);
        }
    }

    fn body<R: Api>(version: i16, chance: &mut fastrand::Rng) -> Bytes {
        let is_flexible = R::SHAPE.flexible_from.is_some_and(|from| version >= from);
        let mut writer = Writer { out: BytesMut::new(), version, is_flexible, chance };
        writer.fields(R::SHAPE.fields);
        writer.out.freeze()
    }

    fn has_tags<R: Api>(version: i16) -> bool {
        <R::Response as HeaderVersion>::header_version(version) > 0
    }

    /// An answer of any shape, behind its head.
    fn frame<R: Api>(version: i16, body: &[u8]) -> Vec<u8> {
        let head: &[u8] = if has_tags::<R>(version) { &[0, 0, 0, 1, 0] } else { &[0, 0, 0, 1] };
        [head, body].concat()
    }

    fn agrees<R: Api>() {
        let (least, most) = (<R as Message>::VERSIONS.min, <R as Message>::VERSIONS.max.min(R::CEILING));
        for version in least..=most {
            for seed in 0..20 {
                let mut body = body::<R>(version, &mut fastrand::Rng::with_seed(seed));
                let what = format!("{} {version}, seed {seed}", R::NAME);
                let frame = frame::<R>(version, &body);
                R::SHAPE.check(&frame, has_tags::<R>(version), version).expect(&what);
                // Cut short anywhere, it is refused before anybody decodes it.
                for end in 0..frame.len() {
                    let cut = R::SHAPE.check(&frame[..end], has_tags::<R>(version), version);
                    assert_eq!(cut.unwrap_err().kind(), ErrorKind::OutcomeUnknown, "{what}");
                }
                R::Response::decode(&mut body, version).expect(&what);
                assert!(body.is_empty(), "{what}: {} bytes are left", body.len());
            }
        }
    }

    #[test]
    fn every_shape_is_what_the_decoder_reads() {
        every_api!(agrees);
    }

    fn survives<R: Api>(bytes: &Bytes) {
        for version in <R as Message>::VERSIONS.min..=<R as Message>::VERSIONS.max.min(R::CEILING) {
            if R::SHAPE.check(&frame::<R>(version, bytes), has_tags::<R>(version), version).is_ok() {
                let _ = R::Response::decode(&mut bytes.clone(), version);
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_can_end_the_process(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            every_api!(survives, &bytes);
        }
    }

    #[test]
    fn a_list_is_as_long_as_it_is_and_not_as_it_says() {
        // Correlation id, throttle time, and two billion brokers.
        let rigid = [&[0, 0, 0, 1][..], &[0; 4], &i32::MAX.to_be_bytes()].concat();
        assert!(<MetadataRequest as Api>::SHAPE.check(&rigid, false, 8).is_err());
        let flexible = [&[0, 0, 0, 1, 0][..], &[0; 4], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
        assert!(<MetadataRequest as Api>::SHAPE.check(&flexible, true, 9).is_err());
    }
}
