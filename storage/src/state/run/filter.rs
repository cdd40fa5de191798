//! The filter of a run's file: which keys it surely does not hold. A split block Bloom filter as Apache Parquet specifies
//! it (blocks of eight 32-bit words, one bit a word), over h(state, key). `writer.rs` makes it, `reader.rs` asks it.

const WORDS: usize = 8;
pub(super) const BLOCK_BYTES: usize = WORDS * 4;
/// About one key in a hundred that is not there passes.
const BITS_PER_KEY: usize = 10;
const SALT: [u32; WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// Its bytes, for the hashes of all keys.
pub(super) fn build(hashes: &[u64]) -> Vec<u8> {
    let blocks = (hashes.len() * BITS_PER_KEY).div_ceil(BLOCK_BYTES * 8).max(1);
    let mut words = vec![0u32; blocks * WORDS];
    for hash in hashes {
        let at = block_of(*hash, blocks) * WORDS;
        for (word, bit) in words[at..at + WORDS].iter_mut().zip(bits(*hash)) {
            *word |= bit;
        }
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Whether the key may be there. A filter of a wrong length never says no.
#[inline]
pub(super) fn may_hold(filter: &[u8], hash: u64) -> bool {
    let blocks = filter.len() / BLOCK_BYTES;
    if blocks == 0 {
        return true;
    }
    let at = block_of(hash, blocks) * BLOCK_BYTES;
    let (words, _) = filter[at..at + BLOCK_BYTES].as_chunks::<4>();
    words.iter().zip(bits(hash)).all(|(word, bit)| u32::from_le_bytes(*word) & bit != 0)
}

#[inline]
fn block_of(hash: u64, blocks: usize) -> usize {
    (((hash >> 32) * blocks as u64) >> 32) as usize
}

#[inline]
fn bits(hash: u64) -> [u32; WORDS] {
    SALT.map(|salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash_key;

    #[test]
    fn no_key_is_denied_and_few_others_pass() {
        let hash = |i: u32| hash_key(&i.to_le_bytes());
        for count in [0u32, 1, 1_000, 50_000] {
            let hashes: Vec<u64> = (0..count).map(hash).collect();
            let filter = build(&hashes);
            assert!(hashes.iter().all(|h| may_hold(&filter, *h)));
            let passed = (count..count + 10_000).filter(|i| may_hold(&filter, hash(*i))).count();
            assert!(passed < 300, "{passed} of 10000 pass with {count} keys");
        }
        assert!(may_hold(&[], 5) && may_hold(&[0; 31], 5));
    }
}
