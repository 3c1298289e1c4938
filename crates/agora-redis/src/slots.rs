//! Which server of a cluster is in charge of which key.

use std::collections::BTreeMap;

use redis::Value;

use crate::call::{bytes, list, number, text};
use crate::dial::Server;
use crate::error::Failure;

/// The number of slots, by the specification of Redis clusters.
const SLOTS: u16 = 16_384;

/// The slot of a key: what stands between the first `{` and the next `}` decides, where something does.
pub(crate) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC16-CCITT as XMODEM has it: the specification of Redis clusters, appendix A.
fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for byte in bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
    }
    crc
}

/// The servers of some slots.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shard {
    last: u16,
    master: Server,
    replicas: Vec<Server>,
}

/// Who is in charge of what, as one server has told it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots(BTreeMap<u16, Shard>);

impl Slots {
    /// Reads the answer of `CLUSTER SLOTS`. A server that does not know its own address leaves it out: `told_by` is then
    /// the one that was reached.
    pub(crate) fn read(answer: Value, told_by: &Server) -> Result<Self, Failure> {
        let mut slots = BTreeMap::new();
        for range in list(answer)? {
            let mut parts = list(range)?.into_iter();
            let mut slot = || Ok::<_, Failure>(number(parts.next().unwrap_or_default())?.unwrap_or_default());
            let (first, last) = (slot()?, slot()?);
            let mut servers = Vec::new();
            for server in parts {
                let mut fields = list(server)?.into_iter();
                let host =
                    bytes(fields.next().unwrap_or_default())?.filter(|host| !host.is_empty() && host != b"?");
                let host =
                    host.map_or_else(|| Ok(told_by.0.clone()), |host| text(Value::BulkString(host)))?;
                let port = number(fields.next().unwrap_or_default())?.unwrap_or_default();
                servers.push((host, u16::try_from(port).unwrap_or_default()));
            }
            let mut servers = servers.into_iter();
            if let (Some(master), Ok(first), Ok(last)) =
                (servers.next(), u16::try_from(first), u16::try_from(last))
                && last < SLOTS
            {
                slots.insert(first, Shard { last, master, replicas: servers.collect() });
            }
        }
        Ok(Self(slots))
    }

    fn shard(&self, slot: u16) -> Option<&Shard> {
        self.0.range(..=slot).next_back().map(|(_, shard)| shard).filter(|shard| slot <= shard.last)
    }

    /// The master of a slot; `None` where nobody has it.
    pub(crate) fn master(&self, slot: u16) -> Option<&Server> {
        self.shard(slot).map(|shard| &shard.master)
    }

    /// The replicas of a slot.
    pub(crate) fn replicas(&self, slot: u16) -> &[Server] {
        self.shard(slot).map(|shard| shard.replicas.as_slice()).unwrap_or_default()
    }

    /// Every master, each once.
    pub(crate) fn masters(&self) -> Vec<Server> {
        let mut masters: Vec<_> = self.0.values().map(|shard| shard.master.clone()).collect();
        masters.sort();
        masters.dedup();
        masters
    }

    /// Every server, each once.
    pub(crate) fn servers(&self) -> Vec<Server> {
        let all = self.0.values().flat_map(|shard| std::iter::once(&shard.master).chain(&shard.replicas));
        let mut all: Vec<_> = all.cloned().collect();
        all.sort();
        all.dedup();
        all
    }

    /// Has every slot a master?
    pub(crate) fn is_whole(&self) -> bool {
        let mut next = 0;
        for (first, shard) in &self.0 {
            if *first != next {
                return false;
            }
            next = shard.last + 1;
        }
        next == SLOTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot_of("foo"), 12_182);
        assert_eq!(slot_of("agora:prod:{foo}:log"), 12_182, "the tag alone counts");
        assert_eq!(slot_of("{}foo"), crc16(b"{}foo") % SLOTS, "an empty tag is none");
    }

    fn server(port: i64) -> Value {
        let host = if port == 1 { Value::BulkString(Vec::new()) } else { Value::BulkString(b"h".to_vec()) };
        Value::Array(vec![host, Value::Int(port)])
    }

    #[test]
    fn the_servers_of_a_slot_are_found() {
        let range = |first, last, ports: &[i64]| {
            let mut parts = vec![Value::Int(first), Value::Int(last)];
            parts.extend(ports.iter().map(|port| server(*port)));
            Value::Array(parts)
        };
        let told_by = ("me".to_owned(), 9);
        let answer = Value::Array(vec![range(8000, 16_383, &[2, 3]), range(0, 7998, &[1])]);
        let slots = Slots::read(answer, &told_by).unwrap();
        assert_eq!(slots.master(0), Some(&("me".to_owned(), 1)));
        assert_eq!(slots.master(7999), None);
        assert_eq!(slots.master(16_383), Some(&("h".to_owned(), 2)));
        assert_eq!(slots.replicas(8000), [("h".to_owned(), 3)]);
        assert_eq!(slots.masters().len(), 2);
        assert!(!slots.is_whole());
        let answer = Value::Array(vec![range(0, 16_383, &[2])]);
        assert!(Slots::read(answer, &told_by).unwrap().is_whole());
    }
}
