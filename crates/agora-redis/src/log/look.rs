//! What a stream is at one moment, in numbers.

use redis::Value;

use crate::call::{bytes, list, number};
use crate::error::{Failure, odd};
use crate::place::Id;

/// Reads it. `XINFO STREAM` alone would send the first and the last entry along, which may be large.
///
/// Keys: the stream, its settings. Answers with nothing but the life where there is no stream.
pub(crate) const LOOK: &str = "\
local life = redis.call('HGET', KEYS[2], 'life')
if redis.call('EXISTS', KEYS[1]) == 0 then return {life} end
local info, found = redis.call('XINFO', 'STREAM', KEYS[1]), {}
for i = 1, #info, 2 do found[info[i]] = info[i + 1] end
return {life, found['length'], found['entries-added'], found['last-generated-id'], found['max-deleted-entry-id'],
    found['recorded-first-entry-id']}";

/// A stream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// What distinguishes this log from another one of the same name, before or after it; `None` where nobody has
    /// opened it as a log.
    pub(crate) life: Option<Vec<u8>>,
    pub(crate) stream: Option<Counts>,
}

/// What is counted of a stream that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The entries that it holds.
    pub(crate) length: u64,
    /// The entries that were ever added.
    pub(crate) added: u64,
    /// The newest place that was given out.
    pub(crate) last: Id,
    /// The newest entry that somebody deleted by itself, which is not how retention does it.
    pub(crate) deleted: Id,
    /// The oldest entry that it holds; zero where it holds none.
    pub(crate) first: Id,
}

impl Look {
    /// Reads an answer of [`LOOK`].
    pub(crate) fn read(answer: Value) -> Result<Self, Failure> {
        let mut fields = list(answer)?.into_iter();
        let mut field = || fields.next().unwrap_or(Value::Nil);
        let life = bytes(field())?;
        let Some(length) = number(field())? else { return Ok(Self { life, stream: None }) };
        let added = number(field())?.ok_or_else(|| odd("a stream without `entries-added`"))?;
        let mut id = || -> Result<Id, Failure> {
            let text = bytes(field())?.unwrap_or_default();
            Id::parse(&text).ok_or_else(|| odd("a place in a stream that is none"))
        };
        let (last, deleted, first) = (id()?, id()?, id()?);
        Ok(Self { life, stream: Some(Counts { length, added, last, deleted, first }) })
    }

    /// The counts, those of an empty stream where there is none.
    pub(crate) fn counts(&self) -> Counts {
        self.stream.unwrap_or_default()
    }
}

impl Counts {
    /// Was nothing ever trimmed away or deleted?
    pub(crate) fn is_whole(&self) -> bool {
        self.length == self.added && self.deleted == Id::ZERO
    }

    /// Was there never an entry at this place, where there is none now, in the stream as it is? Retention takes the oldest
    /// ones, and whoever deletes one by itself leaves a trace. False where it cannot be told.
    pub(crate) fn never_held(&self, place: Id) -> bool {
        self.is_whole() || self.length > 0 && self.first < place && self.deleted < place
    }

    /// The number of the oldest entry among all that were ever added, from 1; `None` where entries were deleted out of
    /// the middle.
    pub(crate) fn number_of_first(&self) -> Option<u64> {
        (self.length > 0 && self.deleted < self.first).then(|| (self.added + 1).saturating_sub(self.length))
    }
}
