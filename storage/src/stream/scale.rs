//! What a scaling is asked for: which segments to seal and which ranges take their place. Clients make it from a
//! [`StreamInfo`], `decide/scale.rs` judges it.

use super::{SegmentInfo, StreamInfo};
use crate::error::{Error, Result};
use crate::ids::SegmentId;
use crate::row::equal_ranges;

/// Segments to seal, and the ranges of hashes, both ends inclusive, that their successors own. The ranges cover exactly what
/// the sealed segments do. Nothing to seal and no range = nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scaling {
    /// Active segments.
    pub seal: Vec<SegmentId>,
    /// One new segment each.
    pub ranges: Vec<(u64, u64)>,
}

impl Scaling {
    /// Splits a segment into equal parts.
    pub fn split(info: &StreamInfo, segment: SegmentId, parts: u32) -> Result<Scaling> {
        let (low, high) = active(info, segment)?.range;
        let width = u128::from(high - low) + 1;
        if parts < 2 || u128::from(parts) > width {
            return Err(Error::invalid(format!(
                "stream {}: segment {segment} cannot be split into {parts} parts: take 2 or more",
                info.name
            )));
        }
        let start = |n: u32| u128::from(low) + (width * u128::from(n)).div_ceil(u128::from(parts));
        let ranges = (0..parts).map(|n| (start(n) as u64, (start(n + 1) - 1) as u64)).collect();
        Ok(Scaling { seal: vec![segment], ranges })
    }

    /// Splits the segment that owns a fraction of the key space (above 0 and below 1) there.
    pub fn split_at(info: &StreamInfo, fraction: f64) -> Result<Scaling> {
        let at = (fraction * 2f64.powi(64)) as u64;
        let owner = info.segments.iter().find(|s| s.range.0 < at && at <= s.range.1);
        match owner {
            Some(SegmentInfo { id, range: (low, high), .. }) if fraction > 0.0 && fraction < 1.0 => {
                Ok(Scaling { seal: vec![*id], ranges: vec![(*low, at - 1), (at, *high)] })
            }
            _ => Err(Error::invalid(format!(
                "stream {}: a split at {fraction} makes no two segments: take a fraction above 0 and below 1 that is no border yet",
                info.name
            ))),
        }
    }

    /// Makes one of adjacent segments.
    pub fn merge(info: &StreamInfo, segments: &[SegmentId]) -> Result<Scaling> {
        let mut ranges = segments.iter().map(|id| Ok(active(info, *id)?.range)).collect::<Result<Vec<_>>>()?;
        ranges.sort_unstable();
        if ranges.len() < 2 || !ranges.windows(2).all(|w| w[0].1.checked_add(1) == Some(w[1].0)) {
            return Err(Error::invalid(format!(
                "stream {}: only two or more adjacent segments can be merged",
                info.name
            )));
        }
        let whole = (ranges[0].0, ranges[ranges.len() - 1].1);
        Ok(Scaling { seal: segments.to_vec(), ranges: vec![whole] })
    }

    /// Makes `count` segments of equal parts; those that are so already stay as they are.
    pub fn to(info: &StreamInfo, count: u32) -> Result<Scaling> {
        super::StreamConfig { segments: count }.check().map_err(|e| e.context(format!("stream {}", info.name)))?;
        let wanted: Vec<(u64, u64)> = equal_ranges(count).iter().map(|r| (r.low, r.high)).collect();
        let seal = info.segments.iter().filter(|s| !wanted.contains(&s.range)).map(|s| s.id).collect();
        let there = |range: &(u64, u64)| info.segments.iter().any(|s| s.range == *range);
        Ok(Scaling { seal, ranges: wanted.into_iter().filter(|range| !there(range)).collect() })
    }
}

fn active(info: &StreamInfo, id: SegmentId) -> Result<&SegmentInfo> {
    info.segments.iter().find(|s| s.id == id).ok_or_else(|| {
        let ids: Vec<String> = info.segments.iter().map(|s| s.id.to_string()).collect();
        Error::invalid(format!(
            "stream {}: segment {id} is none of the active ones, which are {}",
            info.name,
            ids.join(", ")
        ))
    })
}
