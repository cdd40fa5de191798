//! Numbers drawn from a seed (splitmix64): the same seed, the same soak. Every actor has its own.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// `who` tells the users of one seed apart.
    pub(super) fn new(seed: u64, who: u64) -> Random {
        let mut random = Random(seed ^ who.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `least` to below `end`.
    pub(super) fn range(&mut self, least: u64, end: u64) -> u64 {
        least + self.next() % end.saturating_sub(least).max(1)
    }

    /// True once in so many times.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.range(0, n) == 0
    }

    pub(super) fn duration(&mut self, (least, longest): (Duration, Duration)) -> Duration {
        Duration::from_millis(self.range(least.as_millis() as u64, longest.as_millis() as u64 + 1))
    }
}
