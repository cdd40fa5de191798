//! Events per second of each node, from the totals that `RunStatus` gives now and then. `live.rs` feeds and shows it.

/// How long a rate looks back, ms.
const WINDOW_MS: u64 = 2_000;

/// Samples of totals, newest last.
#[derive(Default)]
pub(crate) struct Rates {
    samples: std::collections::VecDeque<(u64, Vec<u64>)>,
}

impl Rates {
    /// Takes the totals at a time (ms since the start) and gives events per second of each, over the last two seconds.
    pub(crate) fn update(&mut self, at_ms: u64, totals: &[u64]) -> Vec<u64> {
        // A total that shrinks (a restart from the last commit) or another number of nodes starts anew.
        let fits = |old: &[u64]| old.len() == totals.len() && old.iter().zip(totals).all(|(old, new)| old <= new);
        if self.samples.back().is_some_and(|(_, last)| !fits(last)) {
            self.samples.clear();
        }
        while self.samples.len() > 1 && self.samples[1].0 + WINDOW_MS <= at_ms {
            self.samples.pop_front();
        }
        self.samples.push_back((at_ms, totals.to_vec()));
        let (since, before) = &self.samples[0];
        let elapsed = at_ms.saturating_sub(*since).max(1);
        let one_sample = self.samples.len() == 1;
        let rate = |(new, old): (&u64, &u64)| if one_sample { 0 } else { (new - old) * 1_000 / elapsed };
        totals.iter().zip(before).map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_forgets_what_is_older_than_the_window() {
        let mut rates = Rates::default();
        assert_eq!(rates.update(0, &[0]), [0]);
        assert_eq!(rates.update(1_000, &[500]), [500]);
        assert_eq!(rates.update(2_000, &[2_000]), [1_000]);
        assert_eq!(rates.update(4_000, &[2_000]), [0]);
    }

    #[test]
    fn totals_that_shrink_start_anew() {
        let mut rates = Rates::default();
        rates.update(0, &[1_000, 0]);
        assert_eq!(rates.update(1_000, &[400, 10]), [0, 0]);
        assert_eq!(rates.update(2_000, &[1_400, 10]), [1_000, 0]);
    }
}
