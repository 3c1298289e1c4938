//! Which lane an event goes to.
//!
//! As the default partitioner of Kafka's Java client does it, so that equal keys meet in one lane, whoever wrote them.

/// The hash `murmur2` with the seed that Kafka's Java client gives it (`Utils.murmur2`).
pub fn murmur2(bytes: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (ix, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * ix);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash.cast_signed()
}

/// What decides the lane of a key, whatever the number of lanes is: `toPositive(murmur2(key))`.
pub(crate) fn hash(key: &[u8]) -> u32 {
    murmur2(key).cast_unsigned() & 0x7fff_ffff
}

/// The lane of what has this hash, of so many.
pub(crate) fn of_hash(hash: u32, lanes: u32) -> u32 {
    hash % lanes.max(1)
}

/// The lane of a key, in a topic of so many lanes.
pub fn of_key(key: &[u8], lanes: u32) -> u32 {
    of_hash(hash(key), lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tests of Kafka's Java client (`UtilsTest.testMurmur2`).
    #[test]
    fn it_is_the_hash_of_the_java_client() {
        for (key, hash) in [
            (&b"21"[..], -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key), hash, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn a_key_has_one_lane_and_no_lane_is_left_out() {
        // 790,332,482 below zero, made positive by its sign bit alone, as `Utils.toPositive` does it.
        assert_eq!(of_key(b"foobar", 10), (-790_332_482_i32 & 0x7fff_ffff).cast_unsigned() % 10);
        assert_eq!((of_key(b"foobar", 1), of_key(b"", 0)), (0, 0));
        let mut found = [0; 7];
        for n in 0..7000_u32 {
            found[of_key(&n.to_le_bytes(), 7) as usize] += 1;
        }
        assert!(found.iter().all(|count| (800..1200).contains(count)), "{found:?}");
    }
}
