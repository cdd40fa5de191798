//! Timers as keyed state: reserved states whose sub-keys are (time, timer). The host's timer service writes and reads
//! them through keyed state, so that timers lie in the same deltas, key groups and checkpoints as everything else.

use crate::error::{Error, Result};

/// The reserved state of event-time timers.
pub const EVENT_TIME: u32 = u32::MAX - 1;

/// The reserved state of processing-time timers.
pub const PROCESSING_TIME: u32 = u32::MAX;

/// The reserved states.
pub const STATES: [u32; 2] = [EVENT_TIME, PROCESSING_TIME];

/// Bytes of a timer's sub-key.
pub const SUB_KEY_BYTES: usize = 12;

const SIGN: u64 = 1 << 63;

/// Whether a state index is reserved for timers.
pub fn is_reserved(state: u32) -> bool {
    state >= EVENT_TIME
}

/// Time (ms, big-endian with the sign bit turned, so that byte order is time order), then the timer's index,
/// big-endian. The value of a timer's entry is empty.
pub fn sub_key(time_ms: i64, timer: u32) -> [u8; SUB_KEY_BYTES] {
    let mut bytes = [0; SUB_KEY_BYTES];
    bytes[..8].copy_from_slice(&(time_ms as u64 ^ SIGN).to_be_bytes());
    bytes[8..].copy_from_slice(&timer.to_be_bytes());
    bytes
}

/// Time (ms) and timer index of a sub-key; `Corrupt` when it has another length.
pub fn decode_sub_key(bytes: &[u8]) -> Result<(i64, u32)> {
    let parts = bytes.split_first_chunk::<8>().and_then(|(time, rest)| Some((time, rest.try_into().ok()?)));
    let Some((time, timer)) = parts else {
        return Err(Error::corrupt(format!(
            "timer entry: its sub-key has {} bytes, {SUB_KEY_BYTES} are due; the state of this operator is damaged",
            bytes.len()
        )));
    };
    Ok(((u64::from_be_bytes(*time) ^ SIGN) as i64, u32::from_be_bytes(timer)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sub_keys_come_back_and_sort_by_time_then_timer(a: (i64, u32), b: (i64, u32)) {
            let (x, y) = (sub_key(a.0, a.1), sub_key(b.0, b.1));
            prop_assert_eq!(decode_sub_key(&x).unwrap(), a);
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }

    #[test]
    fn a_sub_key_of_another_length_is_corrupt() {
        for length in (0..40).filter(|n| *n != SUB_KEY_BYTES) {
            let error = decode_sub_key(&vec![7; length]).unwrap_err();
            assert_eq!(error.kind(), crate::Kind::Corrupt, "{length} bytes");
        }
    }

    #[test]
    fn the_encoding_is_frozen() {
        assert_eq!(sub_key(-1, 2), [0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 2]);
        assert_eq!((EVENT_TIME, PROCESSING_TIME), (0xffff_fffe, 0xffff_ffff));
    }
}
