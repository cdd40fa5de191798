//! Keeps manifests short: several blobs of state changes that lie side by side become one. A background thread of the
//! store does this after commits; only the switch-over is a (small) part of the committer's.
//!
//! Size-tiered: once the newest blobs hold `at` of one tier and none of a greater one, they are folded. So a byte is
//! rewritten about once per tier, and a manifest keeps fewer than `at` blobs per tier.

use crate::decide::{Outcome, Work};
use crate::error::Result;
use crate::manifest::Manifest;
use crate::overlay::Snapshot;
use crate::queue::{Job, Queue};
use crate::shared::Shared;
use crate::state;
use bytes::Bytes;
use crossbeam_channel::bounded;
use std::ops::Range;

/// Blobs of up to so many bytes are of the lowest tier; each tier is [`TIER_FACTOR`] times the one below.
const LOWEST_TIER_BYTES: u64 = 16 << 10;
const TIER_FACTOR: u64 = 8;
/// Most bytes folded at once: the fold holds them in memory.
const FOLD_BYTES_MAX: u64 = 512 << 20;

/// Which blobs to fold now. 0 = never.
pub(crate) fn choose(manifest: &Manifest, at: usize) -> Option<Range<usize>> {
    let sizes: Vec<u64> = manifest.blobs.iter().map(|blob| blob.bytes).collect();
    choose_sizes(&sizes, at, LOWEST_TIER_BYTES, TIER_FACTOR, FOLD_BYTES_MAX)
}

/// The longest run of newest parts up to the lowest size tier of which it has `at`.
pub(crate) fn choose_sizes(sizes: &[u64], at: usize, lowest: u64, factor: u64, bytes_max: u64) -> Option<Range<usize>> {
    let tier = |bytes: u64| (bytes / lowest).max(1).ilog(factor);
    let len = sizes.len();
    if at < 2 || len < at {
        return None;
    }
    let top = sizes.iter().map(|bytes| tier(*bytes)).max()?;
    for tier_max in 0..=top {
        let (mut bytes, mut run, mut of_tier) = (0u64, 0, 0);
        for size in sizes.iter().rev() {
            bytes = bytes.saturating_add(*size);
            if tier(*size) > tier_max || bytes > bytes_max {
                break;
            }
            run += 1;
            of_tier += usize::from(tier(*size) == tier_max);
        }
        if of_tier >= at {
            return Some(len - run..len);
        }
    }
    None
}

/// The operators whose state a group has changed.
pub(crate) fn changed(works: &[Work]) -> impl Iterator<Item = (&str, &str)> {
    works.iter().flat_map(|work| match work {
        Work::Part(crate::commit::Part::Epoch(epoch)) => {
            epoch.state.iter().map(|delta| (epoch.pipeline.as_str(), delta.operator.as_str())).collect()
        }
        _ => Vec::new(),
    })
}

/// Folds once, if there is enough to fold. False: nothing was done.
pub(crate) fn fold(shared: &Shared, queue: &Queue, pipeline: &str, operator: &str, at: usize) -> Result<bool> {
    let read = shared.read(|snapshot| {
        let manifest = snapshot.manifest(pipeline, operator)?.unwrap_or_default();
        let Some(range) = choose(&manifest, at) else { return Ok(None) };
        // Removals must stay as long as a run below may hold what they remove.
        let oldest = range.start == 0 && manifest.runs.is_empty();
        let chosen = manifest.blobs[range].to_vec();
        let blobs = chosen.iter().map(|entry| snapshot.blob(entry)).collect::<Result<Vec<Bytes>>>()?;
        Ok(Some((chosen, blobs, oldest)))
    });
    let context = || format!("folding the state of pipeline {pipeline}, operator {operator}");
    let Some((chosen, blobs, oldest)) = read.map_err(|e| e.context(context()))? else { return Ok(false) };
    let blob = state::merge(&blobs, oldest).map_err(|e| e.context(context()))?;
    let (answer, answered) = bounded(1);
    queue.push(Job {
        work: Work::Fold {
            pipeline: pipeline.to_string(),
            operator: operator.to_string(),
            folded: chosen.iter().map(|entry| entry.id).collect(),
            blob,
        },
        on_done: Box::new(move |outcome| drop(answer.send(outcome))),
    });
    match answered.recv() {
        Ok(outcome) => Ok(outcome.map_err(|e| e.context(context()))? == Outcome::Folded(true)),
        Err(_) => Err(crate::queue::closed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;
    use crate::manifest::{BlobEntry, BlobId};

    fn manifest(sizes: &[u64]) -> Manifest {
        let entry = |(i, bytes): (usize, &u64)| BlobEntry {
            id: BlobId(i as u64),
            bytes: *bytes,
            crc: 0,
            through: Epoch(i as u64),
        };
        Manifest { runs: Vec::new(), blobs: sizes.iter().enumerate().map(entry).collect() }
    }

    #[test]
    fn blobs_of_a_tier_are_folded_and_bigger_ones_left_alone() {
        assert_eq!(choose(&manifest(&[100; 7]), 8), None);
        assert_eq!(choose(&manifest(&[100; 9]), 8), Some(0..9));
        assert_eq!(choose(&manifest(&[100; 9]), 0), None);
        let big = 10 << 20;
        assert_eq!(choose(&manifest(&[big, 5, 5, 5, 5]), 4), Some(1..5));
        assert_eq!(choose(&manifest(&[big, big, big, big]), 4), Some(0..4));
        assert_eq!(choose(&manifest(&[big, big, big, 5]), 4), None);
        assert_eq!(choose(&manifest(&[big, 5, big, big, 5, big]), 4), Some(0..6));
        assert_eq!(choose(&manifest(&[FOLD_BYTES_MAX, big, 5, 5]), 4), None);
    }

    #[test]
    fn a_manifest_stays_short_and_a_byte_is_rewritten_a_few_times() {
        let mut sizes: Vec<u64> = Vec::new();
        let (mut written, mut longest) = (0, 0);
        for _ in 0..10_000 {
            sizes.push(20 << 10);
            while let Some(range) = choose(&manifest(&sizes), 8) {
                let sum = sizes[range.clone()].iter().sum();
                written += sum;
                sizes.splice(range, [sum]);
            }
            longest = longest.max(sizes.len());
        }
        assert!(longest <= 8 * 5, "{longest} blobs");
        assert!(written <= 7 * 10_000 * (20 << 10), "{} times", written / (10_000 * (20 << 10)));
    }
}
