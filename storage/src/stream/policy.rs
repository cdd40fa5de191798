//! What a stream does by itself as time passes: scaling with its load, and giving up old events. Clients set a policy,
//! [`crate::Store::maintain`] carries it out; the decisions are pure functions in here.
//!
//! The rules are those of Pravega (shared reference: semantics 1.1), so that a policy means there and here the same.

use super::cut::{CutOrder, StreamCut};
use super::scale::Scaling;
use super::{SEGMENTS_MAX, StreamInfo};
use crate::error::{Error, Result};
use crate::ids::SegmentId;
use serde::{Deserialize, Serialize};

/// After a scaling the next one has to wait for so long, ms.
pub const SCALE_COOL_DOWN_MS: i64 = 10 * 60_000;
/// The spans over which rates are taken, ms.
pub(crate) const RATE_WINDOWS_MS: [i64; 4] = [2 * 60_000, 5 * 60_000, 10 * 60_000, 20 * 60_000];

/// How many segments a stream has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScalePolicy {
    /// As many as somebody says.
    #[default]
    Fixed,
    /// A segment is split when it takes more than 5 times the target over 2 minutes, 2 times over 5 minutes or the target over 10
    /// minutes; two neighbours are merged when both take less than the target over 2, 5 and 10 minutes and less than half of it over
    /// 20. Between two scalings lie [`SCALE_COOL_DOWN_MS`].
    ByEvents {
        /// Events per second and segment.
        target: u64,
        /// Most parts that a split makes.
        factor: u32,
        /// Merging stops here.
        segments_min: u32,
    },
    /// The same by bytes per second (keys and values, before compression).
    ByBytes {
        /// Bytes per second and segment.
        target: u64,
        /// Most parts that a split makes.
        factor: u32,
        /// Merging stops here.
        segments_min: u32,
    },
}

/// How long events are kept. Every cycle notes where the tail is; truncation is to one of these places, so it is as coarse as the
/// cycles. When the stream has subscribers, it is truncated at the earliest of their places instead, as far as the limits
/// allow: what is below the minimum is kept although everybody has it, what is above the maximum goes although somebody
/// needs it (who then hears of the truncation once).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionPolicy {
    /// By what the subscribers have acknowledged, alone. Without subscribers everything is kept.
    ByConsumption,
    /// By stored bytes.
    BySize {
        /// At least so many are kept.
        min_bytes: u64,
        /// More than so many are not kept, whoever needs them.
        max_bytes: Option<u64>,
    },
    /// By the time of arrival.
    ByAge {
        /// What is younger is kept, ms.
        min_ms: u64,
        /// What is older is not kept, whoever needs it, ms.
        max_ms: Option<u64>,
    },
}

/// The policies of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPolicy {
    /// Segments.
    pub scale: ScalePolicy,
    /// Events; none = they stay until somebody truncates.
    pub retention: Option<RetentionPolicy>,
}

impl StreamPolicy {
    /// Checks the numbers.
    pub fn check(&self) -> Result<()> {
        if let ScalePolicy::ByEvents { target, factor, segments_min }
        | ScalePolicy::ByBytes { target, factor, segments_min } = self.scale
            && (target == 0 || factor < 2 || segments_min == 0 || segments_min > SEGMENTS_MAX)
        {
            return Err(Error::invalid(format!(
                "a scale policy needs a target above 0, a factor of 2 or more, and 1 to {SEGMENTS_MAX} segments at least"
            )));
        }
        let (min, max) = match self.retention {
            Some(RetentionPolicy::BySize { min_bytes, max_bytes }) => (min_bytes, max_bytes),
            Some(RetentionPolicy::ByAge { min_ms, max_ms }) => (min_ms, max_ms),
            Some(RetentionPolicy::ByConsumption) | None => (0, None),
        };
        if max.is_some_and(|max| max <= min) {
            return Err(Error::invalid("a retention policy's maximum must be above its minimum"));
        }
        Ok(())
    }
}

/// What truncating at a noted place would leave: bytes, or the age of the place in ms.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) cut: StreamCut,
    pub(crate) leaves: u64,
}

/// Where to truncate; none = nowhere. `candidates` oldest first; `kept` = what there is now, in the same unit; `consumed` = the
/// earliest of the subscribers' places.
pub(crate) fn truncation(
    candidates: &[Candidate],
    kept: u64,
    (min, max): (u64, Option<u64>),
    consumed: Option<&StreamCut>,
) -> Result<Option<StreamCut>> {
    if kept < min {
        return Ok(None);
    }
    // The one that leaves the least that is still more than the minimum.
    let least = candidates.iter().filter(|c| c.leaves > min).min_by_key(|c| c.leaves);
    let Some(consumed) = consumed else { return Ok(least.map(|c| c.cut.clone())) };
    let Some(least) = least else { return Ok(None) };
    match consumed.compare(&least.cut)? {
        // Everybody has read further than may go.
        CutOrder::After => return Ok(Some(least.cut.clone())),
        CutOrder::Crossing => {
            for candidate in candidates.iter().rev().filter(|c| c.leaves > min) {
                if candidate.cut.compare(consumed)? == CutOrder::Before {
                    return Ok(Some(candidate.cut.clone()));
                }
            }
            return Ok(None);
        }
        CutOrder::Equal | CutOrder::Before => {}
    }
    if let Some(max) = max
        && kept > max
    {
        // What they need is more than the maximum when it begins before a place that leaves that much.
        let full = candidates.iter().filter(|c| c.leaves >= max).min_by_key(|c| c.leaves);
        let is_over = match full {
            Some(full) => matches!(consumed.compare(&full.cut)?, CutOrder::Before | CutOrder::Crossing),
            None => false,
        };
        let fits = |c: &&Candidate| c.leaves < max && c.leaves > min;
        if is_over {
            // The first one after it that leaves less than the maximum; one that crosses it would take from it and leave from before it.
            for candidate in candidates.iter().filter(fits) {
                if candidate.cut.compare(consumed)? == CutOrder::After {
                    return Ok(Some(candidate.cut.clone()));
                }
            }
            return Ok(Some(least.cut.clone()));
        }
    }
    Ok(Some(consumed.clone()))
}

/// A segment's rates over [`RATE_WINDOWS_MS`], per second; none = it is not that old.
pub(crate) type Rates = [Option<f64>; 4];

/// What a policy makes of the rates of the active segments, in the order of their ranges.
pub(crate) fn scaling(policy: ScalePolicy, info: &StreamInfo, rates: &[(SegmentId, Rates)]) -> Result<Option<Scaling>> {
    let (ScalePolicy::ByEvents { target, factor, segments_min }
    | ScalePolicy::ByBytes { target, factor, segments_min }) = policy
    else {
        return Ok(None);
    };
    let target = target as f64;
    let mut out = Scaling::default();
    let mut room = SEGMENTS_MAX as usize - rates.len().min(SEGMENTS_MAX as usize);
    for (segment, [two, five, ten, _]) in rates {
        let hot = [(two, 5.0), (five, 2.0), (ten, 1.0)]
            .into_iter()
            .filter_map(|(rate, times)| rate.filter(|rate| *rate > times * target))
            .reduce(f64::max);
        let Some(rate) = hot.filter(|_| room > 0) else { continue };
        let parts = ((rate / target).ceil() as u32).clamp(2, factor.max(2)).min(room as u32 + 1);
        let Ok(split) = Scaling::split(info, *segment, parts) else { continue };
        room -= split.ranges.len() - 1;
        out.seal.extend(split.seal);
        out.ranges.extend(split.ranges);
    }
    if !out.seal.is_empty() {
        return Ok(Some(out));
    }
    let cold = |rates: &Rates| {
        rates[..3].iter().all(|rate| rate.is_some_and(|rate| rate < target))
            && rates[3].is_some_and(|rate| rate < target / 2.0)
    };
    let mut count = rates.len();
    let mut n = 0;
    while n + 1 < rates.len() && count > segments_min as usize {
        if cold(&rates[n].1) && cold(&rates[n + 1].1) {
            let merge = Scaling::merge(info, &[rates[n].0, rates[n + 1].0])?;
            out.seal.extend(merge.seal);
            out.ranges.extend(merge.ranges);
            count -= 1;
            n += 1;
        }
        n += 1;
    }
    Ok((!out.seal.is_empty()).then_some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Generation, Offset, StreamId};
    use crate::stream::{CutTile, StreamRef};

    const STREAM: StreamRef = StreamRef { id: StreamId(1), generation: Generation(1) };

    /// Two halves of the key space, at these offsets.
    fn at(left: u64, right: u64) -> StreamCut {
        let tile =
            |low, high, segment, offset| CutTile { low, high, segment: SegmentId(segment), offset: Offset(offset) };
        StreamCut::new(STREAM, vec![tile(0, u64::MAX >> 1, 0, left), tile(1 << 63, u64::MAX, 1, right)]).unwrap()
    }

    /// A stream that grew evenly to 70, noted every 10: truncating at the n-th place leaves 70 - 10 n.
    fn places() -> Vec<Candidate> {
        (1..=6).map(|n| Candidate { cut: at(5 * n, 5 * n), leaves: 70 - 10 * n }).collect()
    }

    fn chosen(kept: u64, limits: (u64, Option<u64>), consumed: Option<StreamCut>) -> Option<u64> {
        let cut = truncation(&places(), kept, limits, consumed.as_ref()).unwrap()?;
        Some(70 - cut.tiles().iter().map(|t| t.offset.0).sum::<u64>())
    }

    #[test]
    fn a_limit_truncates_to_the_least_that_is_more_than_the_minimum() {
        assert_eq!(chosen(10, (20, Some(40)), None), None, "below the minimum nothing goes");
        assert_eq!(chosen(70, (20, None), None), Some(30));
        assert_eq!(chosen(70, (20, Some(40)), None), Some(30));
        assert_eq!(chosen(35, (20, Some(40)), None), Some(30), "between the limits it goes on to the minimum");
        assert_eq!(chosen(70, (65, None), None), None, "no place leaves enough");
    }

    #[test]
    fn what_the_subscribers_have_read_decides_between_the_limits() {
        let limits = (20, Some(40));
        // The earliest subscriber has left 35, 10, 60 to read.
        assert_eq!(chosen(70, limits, Some(at(18, 17))), Some(35), "between the limits: just there");
        assert_eq!(chosen(70, limits, Some(at(30, 30))), Some(30), "below the minimum it does not count");
        assert_eq!(chosen(70, limits, Some(at(5, 5))), Some(30), "a slow one loses what is above the maximum");
        assert_eq!(chosen(70, (20, None), Some(at(5, 5))), Some(60), "without a maximum it is waited for");
        assert_eq!(chosen(70, (0, None), Some(at(30, 30))), Some(10), "no limits but the consumption");
        assert_eq!(chosen(10, (20, Some(40)), Some(at(30, 30))), None);
    }

    #[test]
    fn where_the_places_cross_the_next_one_that_does_not_is_taken() {
        // Left 45 of 70: ahead of the minimum's place on the left, behind it on the right.
        assert_eq!(chosen(70, (20, None), Some(at(22, 18))), Some(40), "the first before it");
        // Crosses the maximum's place (leaves 30 with 20/40), and is not past the minimum's.
        let places: Vec<Candidate> =
            (1..=6).map(|n| Candidate { cut: at(5 * n, 5 * n), leaves: 70 - 10 * n }).collect();
        let crossing = at(17, 8);
        let cut = truncation(&places, 70, (5, Some(45)), Some(&crossing)).unwrap().unwrap();
        assert_eq!(cut, at(20, 20), "the first after it");
    }

    #[test]
    fn a_policy_is_refused_when_its_numbers_make_no_sense() {
        let scale = |target, factor, segments_min| StreamPolicy {
            scale: ScalePolicy::ByEvents { target, factor, segments_min },
            retention: None,
        };
        assert!(scale(1, 2, 1).check().is_ok());
        for bad in [scale(0, 2, 1), scale(1, 1, 1), scale(1, 2, 0), scale(1, 2, 9_999)] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        let size = |min_bytes, max_bytes| StreamPolicy {
            retention: Some(RetentionPolicy::BySize { min_bytes, max_bytes }),
            ..StreamPolicy::default()
        };
        assert!(size(5, Some(6)).check().is_ok() && size(5, None).check().is_ok() && size(5, Some(5)).check().is_err());
    }
}
