//! Decides what belongs to the policies of a stream: their rows, the places that subscribers have acknowledged, and a retention cycle.

use super::append::stream_row;
use super::{check_name, truncate};
use crate::error::{Error, Result};
use crate::ids::StreamId;
use crate::overlay::{Overlay, Snapshot};
use crate::row::{RetentionRow, SegmentKey, SubscriberRow};
use crate::stream::{CutOrder, RetentionPolicy, StreamCut, StreamPolicy, StreamRef, policy};

/// Most subscribers of one stream.
const SUBSCRIBERS_MAX: usize = 4_096;

pub(super) fn set_policy(o: &mut Overlay<'_>, stream: StreamRef, policy: StreamPolicy) -> Result<()> {
    let row = stream_row(o, stream)?;
    policy.check().map_err(|e| e.context(format!("stream {}", row.name)))?;
    if policy == StreamPolicy::default() {
        o.changes.policies.drop(stream.id);
    } else {
        o.changes.policies.put(stream.id, policy);
    }
    if policy.retention.is_none() {
        for (number, _) in o.retention_cuts(stream.id)? {
            o.changes.retention_cuts.drop((stream.id, number));
        }
    }
    Ok(())
}

/// Notes how far a subscriber has read for good. It may go back (a group that was reset reads again).
pub(super) fn acknowledge(o: &mut Overlay<'_>, subscriber: &str, cut: &StreamCut, now_ms: i64) -> Result<()> {
    let stream = cut.stream();
    let row = stream_row(o, stream)?;
    check_name("subscriber", subscriber).map_err(|e| e.context(format!("stream {}", row.name)))?;
    if let Some(tile) = cut.tiles().iter().find(|tile| !row.was_made(tile.segment)) {
        return Err(Error::invalid(format!(
            "stream {}: subscriber {subscriber} acknowledges segment {}, which it never had",
            row.name, tile.segment
        )));
    }
    let subscribers = o.subscribers(stream.id)?;
    if subscribers.len() >= SUBSCRIBERS_MAX && !subscribers.contains_key(subscriber) {
        return Err(Error::invalid(format!("stream {} has {SUBSCRIBERS_MAX} subscribers: remove one", row.name)));
    }
    o.changes.subscribers.put((stream.id, subscriber.to_string()), SubscriberRow { cut: cut.clone(), at_ms: now_ms });
    Ok(())
}

pub(super) fn unsubscribe(o: &mut Overlay<'_>, stream: StreamRef, subscriber: &str) -> Result<()> {
    stream_row(o, stream)?;
    o.changes.subscribers.drop((stream.id, subscriber.to_string()));
    Ok(())
}

/// The tail, as a cycle saw it.
#[derive(Clone, Debug)]
pub(crate) struct TailNote {
    pub(crate) cut: StreamCut,
    /// Bytes between the last noted place and this one.
    pub(crate) bytes: u64,
    /// Whether it is far enough from the last one to be noted.
    pub(crate) is_new: bool,
}

/// One cycle: notes the tail, and truncates as the policy says. True: it truncated.
pub(super) fn retain(o: &mut Overlay<'_>, stream: StreamRef, tail: &TailNote, now_ms: i64) -> Result<bool> {
    stream_row(o, stream)?;
    let Some(policy) = o.policy(stream.id)?.and_then(|policy| policy.retention) else { return Ok(false) };
    let mut noted = o.retention_cuts(stream.id)?;
    let bytes_at_tail = noted.last().map_or(0, |(_, row)| row.bytes_before) + tail.bytes;
    if tail.is_new {
        let number = noted.last().map_or(0, |(number, _)| number + 1);
        let row = RetentionRow { at_ms: now_ms, cut: tail.cut.clone(), bytes_before: bytes_at_tail };
        o.changes.retention_cuts.put((stream.id, number), row.clone());
        noted.push((number, row));
    }
    let mut consumed: Option<StreamCut> = None;
    for row in o.subscribers(stream.id)?.values() {
        consumed = Some(match consumed {
            Some(cut) => cut.earlier(&row.cut)?,
            None => row.cut.clone(),
        });
    }
    let chosen = match policy {
        RetentionPolicy::ByConsumption => consumed,
        RetentionPolicy::BySize { min_bytes, max_bytes } => {
            let leaves = |row: &RetentionRow| bytes_at_tail.saturating_sub(row.bytes_before);
            let kept = kept_bytes(o, stream.id)?;
            policy::truncation(&candidates(&noted, leaves), kept, (min_bytes, max_bytes), consumed.as_ref())?
        }
        RetentionPolicy::ByAge { min_ms, max_ms } => {
            let leaves = |row: &RetentionRow| now_ms.saturating_sub(row.at_ms).max(0) as u64;
            // What lies before the oldest noted place is at least as old as that.
            let oldest = noted.first().map_or(0, |(_, row)| leaves(row));
            policy::truncation(&candidates(&noted, leaves), oldest, (min_ms, max_ms), consumed.as_ref())?
        }
    };
    let Some(cut) = chosen else { return Ok(false) };
    let moved = truncate::truncate(o, &cut)?;
    for (number, row) in noted {
        // The one at the new head stays: it tells how old the rest is.
        if row.cut.compare(&cut)? == CutOrder::Before {
            o.changes.retention_cuts.drop((stream.id, number));
        }
    }
    Ok(moved)
}

fn candidates(noted: &[(u64, RetentionRow)], leaves: impl Fn(&RetentionRow) -> u64) -> Vec<policy::Candidate> {
    noted.iter().map(|(_, row)| policy::Candidate { cut: row.cut.clone(), leaves: leaves(row) }).collect()
}

fn kept_bytes(o: &Overlay<'_>, stream: StreamId) -> Result<u64> {
    let Some(row) = o.stream(stream)? else { return Ok(0) };
    let past = o.past_segments(stream)?;
    let mut sum = 0;
    for segment in row.segments.iter().map(|s| s.id).chain(past.iter().map(|(id, _)| *id)) {
        sum += o.segment(SegmentKey { stream, segment })?.unwrap_or_default().bytes;
    }
    Ok(sum)
}

/// Drops all of these rows of a deleted stream; how many.
pub(super) fn bury(o: &mut Overlay<'_>, stream: StreamId) -> Result<usize> {
    let mut done = 0;
    for (number, _) in o.retention_cuts(stream)? {
        o.changes.retention_cuts.drop((stream, number));
        done += 1;
    }
    for subscriber in o.subscribers(stream)?.into_keys() {
        o.changes.subscribers.drop((stream, subscriber));
        done += 1;
    }
    if o.policy(stream)?.is_some() {
        o.changes.policies.drop(stream);
        done += 1;
    }
    Ok(done)
}
