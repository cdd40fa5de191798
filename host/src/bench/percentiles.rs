//! Latencies and their quantiles, all of them kept: no histogram's rounding. Workloads push, `report.rs` asks.

use std::time::Duration;

/// Latencies of one case.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    ns: Vec<u64>,
    sorted: bool,
}

impl Latencies {
    pub(super) fn push(&mut self, latency: Duration) {
        self.ns.push(latency.as_nanos() as u64);
        self.sorted = false;
    }

    pub(super) fn len(&self) -> usize {
        self.ns.len()
    }

    pub(super) fn append(&mut self, mut other: Latencies) {
        self.ns.append(&mut other.ns);
        self.sorted = false;
    }

    /// The least latency that a share `q` of all (0 to 1) does not exceed; zero when there is none.
    pub(super) fn quantile(&mut self, q: f64) -> Duration {
        if !self.sorted {
            self.ns.sort_unstable();
            self.sorted = true;
        }
        let rank = (q * self.ns.len() as f64).ceil() as usize;
        Duration::from_nanos(self.ns.get(rank.saturating_sub(1)).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_nearest_rank() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), Duration::ZERO);
        (1..=100u64).rev().for_each(|ms| latencies.push(Duration::from_millis(ms)));
        let at = |latencies: &mut Latencies, q| latencies.quantile(q).as_millis();
        assert_eq!([0.0, 0.5, 0.95, 0.99, 1.0].map(|q| at(&mut latencies, q)), [1, 50, 95, 99, 100]);
        latencies.push(Duration::from_secs(1));
        assert_eq!((at(&mut latencies, 1.0), latencies.len()), (1_000, 101));
    }
}
