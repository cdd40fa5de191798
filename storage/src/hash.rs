//! The one hash. Frozen: routing, key groups and stored data depend on it; its name is recorded in the store.
//!
//! h(key) = xxh3-64 with seed 0. Routing position = h / 2^64; key group = (h x max parallelism) >> 64. One hash, so
//! that chained pipelines need no reshuffle: a segment's range of positions is a range of key groups.

use crate::ids::KeyGroup;

/// The name recorded in every store.
pub const HASH_NAME: &str = "xxh3-64/seed0";

/// Greatest max parallelism.
pub const MAX_PARALLELISM_MAX: u32 = 32_768;

/// h(key).
#[inline]
pub fn hash_key(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

/// The key group of a hash.
#[inline]
pub fn key_group(hash: u64, max_parallelism: u32) -> KeyGroup {
    KeyGroup(((u128::from(hash) * u128::from(max_parallelism)) >> 64) as u32)
}

/// The key groups of subtask `index` of `parallelism`: a half-open range. Ranges of all subtasks tile 0..max.
pub fn key_group_range(index: u32, parallelism: u32, max_parallelism: u32) -> std::ops::Range<u32> {
    let bound = |i: u32| (u64::from(i) * u64::from(max_parallelism)).div_ceil(u64::from(parallelism)) as u32;
    bound(index)..bound(index + 1)
}

/// The subtask of `parallelism` that owns a key group; inverse of [`key_group_range`].
#[inline]
pub fn subtask_of(group: KeyGroup, parallelism: u32, max_parallelism: u32) -> u32 {
    (u64::from(group.0) * u64::from(parallelism) / u64::from(max_parallelism)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_frozen() {
        assert_eq!(hash_key(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash_key(b"EWR"), xxhash_rust::xxh3::xxh3_64_with_seed(b"EWR", 0));
        assert_eq!(key_group(u64::MAX, 128), KeyGroup(127));
        assert_eq!(key_group(0, 128), KeyGroup(0));
    }

    #[test]
    fn ranges_tile_and_agree_with_the_owner() {
        for max in [1u32, 7, 128, 32_768] {
            for parallelism in 1..=max.min(9) {
                let mut next = 0;
                for index in 0..parallelism {
                    let range = key_group_range(index, parallelism, max);
                    assert_eq!(range.start, next);
                    next = range.end;
                    for group in range {
                        assert_eq!(subtask_of(KeyGroup(group), parallelism, max), index);
                    }
                }
                assert_eq!(next, max);
            }
        }
    }
}
