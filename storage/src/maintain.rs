//! What a store does as time passes: truncation by policy, scaling by load, forgetting silent writers, freeing what nobody can read,
//! rewriting sealed files that are mostly dead. A thread of the store calls it now and then, or whoever owns the store does, at the
//! times of its own clock: [`Store::maintain`]. The decisions are `stream/policy.rs`'s, the parts the committer's.

use crate::decide::{Outcome, StreamWork, TailNote, Work, has_dead_chunks};
use crate::error::{Error, Kind, Result};
use crate::ids::{Offset, SegmentId, StreamId, StreamName};
use crate::overlay::Snapshot;
use crate::redb_io::RedbSnapshot;
use crate::row::{RetentionRow, SegmentKey, StreamRow};
use crate::store::Store;
use crate::stream::policy::{RATE_WINDOWS_MS, Rates};
use crate::stream::{
    RetentionPolicy, SCALE_COOL_DOWN_MS, ScalePolicy, StreamInfo, StreamPolicy, StreamRef, StreamState, info_of, policy,
};
use std::collections::{BTreeMap, VecDeque};

/// Between two looks for silent writers, ms.
const FORGET_EVERY_MS: i64 = 10 * 60_000;
/// Samples of a stream's load lie at least so far apart, ms.
const SAMPLE_EVERY_MS: i64 = 10_000;
/// Between the smallest limit of a retention policy and the next lie about so many noted places.
const PLACES: u64 = 32;

/// What a call of [`Store::maintain`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Streams that were scaled.
    pub scaled: Vec<StreamName>,
    /// Streams that were truncated.
    pub truncated: Vec<StreamName>,
    /// Chunks and rows freed that nobody could read any more.
    pub freed: u64,
    /// Writers forgotten.
    pub forgotten_writers: u64,
    /// Sealed files that were mostly dead and whose rest went to new ones.
    pub rewritten_files: u64,
}

/// What is remembered from one call to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    loads: BTreeMap<StreamId, Load>,
    forgot_at_ms: Option<i64>,
}

/// Events and bytes so far, by segment.
type Amounts = BTreeMap<SegmentId, (u64, u64)>;

/// How much the segments of a stream have taken, over the last 20 minutes.
#[derive(Debug, Default)]
struct Load {
    /// Up to where bytes are counted, and how many.
    counted: BTreeMap<SegmentId, (Offset, u64)>,
    /// Oldest first: what there was by then.
    samples: VecDeque<(i64, Amounts)>,
}

/// A stream that there may be something to do about.
struct Tended {
    id: StreamId,
    row: StreamRow,
    dirty: bool,
    policy: StreamPolicy,
}

impl Store {
    /// Carries out the policies of all streams, frees what nobody can read any more, and rewrites sealed files that are mostly dead. Time is
    /// that of the store's clock. What goes wrong with one stream keeps none of the others from their turn.
    pub fn maintain(&self) -> Result<Maintenance> {
        self.must_not_wait()?;
        let mut memory = self.memory();
        let now_ms = self.now_ms();
        let mut done = Maintenance::default();
        let forget = memory.forgot_at_ms.is_none_or(|at| now_ms < at || now_ms >= at + FORGET_EVERY_MS);
        if forget {
            memory.forgot_at_ms = Some(now_ms);
        }
        let tended = self.shared().read(tended)?;
        memory.loads.retain(|id, _| tended.iter().any(|t| t.id == *id && t.policy.scale != ScalePolicy::Fixed));
        for stream in tended {
            match self.tend(&stream, &mut memory, now_ms, forget, &mut done) {
                Ok(()) => {}
                Err(e) if matches!(e.kind(), Kind::Unavailable | Kind::Full) => return Err(e),
                Err(e) => tracing::warn!(stream = %stream.row.name, error = %e, "maintaining a stream failed"),
            }
        }
        done.rewritten_files = self.rewrite_files()?;
        Ok(done)
    }

    fn tend(
        &self,
        stream: &Tended,
        memory: &mut Memory,
        now_ms: i64,
        forget: bool,
        done: &mut Maintenance,
    ) -> Result<()> {
        let at = StreamRef { id: stream.id, generation: stream.row.generation };
        if stream.row.state != StreamState::Deleted {
            if stream.policy.retention.is_some() && self.retain(at, now_ms)? {
                done.truncated.push(stream.row.name.clone());
            }
            if stream.policy.scale != ScalePolicy::Fixed
                && stream.row.state == StreamState::Active
                && self.scale_by_load(at, stream.policy.scale, memory.loads.entry(stream.id).or_default(), now_ms)?
            {
                done.scaled.push(stream.row.name.clone());
            }
            if forget {
                let before_ms = now_ms.saturating_sub_unsigned(self.options().writer_ttl_ms);
                done.forgotten_writers += self.repeat(|| StreamWork::ForgetWriters { stream: at, before_ms })?;
            }
        }
        if stream.dirty {
            done.freed += self.sweep_stream(stream.id)?;
        }
        Ok(())
    }

    /// Frees what nobody can read of a stream; how much.
    pub(crate) fn sweep_stream(&self, stream: StreamId) -> Result<u64> {
        self.repeat(|| StreamWork::Sweep { stream })
    }

    /// Hands a work in until it finds nothing more to do.
    fn repeat(&self, work: impl Fn() -> StreamWork) -> Result<u64> {
        let mut all = 0;
        loop {
            match self.ask(Work::Stream(work()))? {
                Outcome::Freed(0) => return Ok(all),
                Outcome::Freed(n) => all += n as u64,
                other => return Err(Error::bug(format!("the committer answered another question: {other:?}"))),
            }
        }
    }

    fn retain(&self, stream: StreamRef, now_ms: i64) -> Result<bool> {
        let Some(tail) = self.shared().read(|snapshot| tail_note(snapshot, stream, now_ms))? else { return Ok(false) };
        match self.ask(Work::Stream(StreamWork::Retain { stream, tail, now_ms }))? {
            Outcome::Freed(n) => Ok(n > 0),
            other => Err(Error::bug(format!("the committer answered another question: {other:?}"))),
        }
    }

    fn scale_by_load(&self, stream: StreamRef, scale: ScalePolicy, load: &mut Load, now_ms: i64) -> Result<bool> {
        let Some(info) = self.shared().read(|snapshot| {
            let info = info_of(snapshot, stream.id)?;
            info.map(|info| load.count(snapshot, &info, scale).map(|()| info)).transpose()
        })?
        else {
            return Ok(false);
        };
        let now = load.now(&info);
        let by_bytes = matches!(scale, ScalePolicy::ByBytes { .. });
        let rates: Vec<(SegmentId, Rates)> =
            info.segments.iter().map(|s| (s.id, load.rates(s.id, &now, now_ms, by_bytes))).collect();
        load.note(now_ms, now);
        let last_ms = info.past.iter().map(|past| past.sealed_at_ms).max();
        if last_ms.is_some_and(|at| now_ms < at.saturating_add(SCALE_COOL_DOWN_MS)) {
            return Ok(false);
        }
        let Some(scaling) = policy::scaling(scale, &info, &rates)? else { return Ok(false) };
        match self.ask(Work::Stream(StreamWork::Scale { stream, scaling, now_ms })) {
            Ok(_) => Ok(true),
            // Somebody scaled it meanwhile.
            Err(e) if e.kind() == Kind::Sealed => Ok(false),
            Err(e) => Err(e),
        }
    }
}

fn tended(snapshot: &RedbSnapshot) -> Result<Vec<Tended>> {
    let mut out = Vec::new();
    for (id, row) in snapshot.stream_rows()? {
        // One that cannot be read is `check`'s to name.
        let Ok(row) = row else { continue };
        let dirty = is_dirty(snapshot, id, &row)?;
        let policy = snapshot.policy(id)?.unwrap_or_default();
        out.push(Tended { id, row, dirty, policy });
    }
    Ok(out)
}

fn is_dirty(snapshot: &RedbSnapshot, id: StreamId, row: &StreamRow) -> Result<bool> {
    if row.state == StreamState::Deleted {
        return Ok(!row.segments.is_empty() || snapshot.stream_id(&row.name)? != Some(id));
    }
    let past = snapshot.past_segments(id)?;
    for segment in row.segments.iter().map(|s| s.id).chain(past.iter().map(|(id, _)| *id)) {
        let key = SegmentKey { stream: id, segment };
        if let Some(bounds) = snapshot.segment(key)?
            && has_dead_chunks(snapshot, key, &bounds)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Bytes of the chunks from an offset on, encoded and decoded; of the first one in parts.
fn bytes_from(snapshot: &RedbSnapshot, key: SegmentKey, from: Offset) -> Result<(u64, u64)> {
    let Some(start) = snapshot.holder(key, from)? else { return Ok((0, 0)) };
    let (mut bytes, mut raw) = (0, 0);
    snapshot.chunks_starting_at(key, start, |chunk, entry| {
        let Ok(entry) = entry else { return Ok(true) };
        let skipped = from.0.saturating_sub(chunk.first.0).min(u64::from(entry.events));
        let part = |n: u32| u64::from(n) * (u64::from(entry.events) - skipped) / u64::from(entry.events.max(1));
        bytes += part(entry.bytes);
        raw += part(entry.raw_bytes);
        Ok(true)
    })?;
    Ok((bytes, raw))
}

fn tail_note(snapshot: &RedbSnapshot, stream: StreamRef, now_ms: i64) -> Result<Option<TailNote>> {
    let Some(policy) = snapshot.policy(stream.id)?.and_then(|policy| policy.retention) else { return Ok(None) };
    let Some(info) = info_of(snapshot, stream.id)? else { return Ok(None) };
    let last = snapshot.retention_cuts(stream.id)?.pop().map(|(_, row)| row);
    let known = last.as_ref().map(|row| row.cut.positions()).unwrap_or_default();
    let newest = known.keys().next_back().copied();
    let mut bytes = 0;
    for segment in info.all_segments() {
        let from = match known.get(&segment.id) {
            Some(offset) => (*offset).max(segment.head),
            // Sealed before the last place was noted.
            None if newest.is_some_and(|newest| segment.id < newest) && info.is_past(segment.id) => continue,
            None => segment.head,
        };
        bytes += bytes_from(snapshot, SegmentKey { stream: stream.id, segment: segment.id }, from)?.0;
    }
    let cut = info.tail_cut();
    let is_new = last.is_none_or(|RetentionRow { cut: noted, at_ms, .. }| {
        let step = |min: u64, max: Option<u64>| (min / PLACES).min(max.map_or(u64::MAX, |max| (max - min) / 4)).max(1);
        let far = match policy {
            RetentionPolicy::BySize { min_bytes, max_bytes } => bytes >= step(min_bytes, max_bytes),
            RetentionPolicy::ByAge { min_ms, max_ms } => {
                now_ms.saturating_sub(at_ms) >= i64::try_from(step(min_ms, max_ms)).unwrap_or(i64::MAX)
            }
            RetentionPolicy::ByConsumption => false,
        };
        noted != cut && far
    });
    Ok(Some(TailNote { cut, bytes, is_new }))
}

impl Load {
    /// Counts what came since the last call.
    fn count(&mut self, snapshot: &RedbSnapshot, info: &StreamInfo, scale: ScalePolicy) -> Result<()> {
        self.counted.retain(|id, _| info.segments.iter().any(|s| s.id == *id));
        for segment in &info.segments {
            let (from, bytes) = self.counted.get(&segment.id).copied().unwrap_or((segment.head, 0));
            let more = match scale {
                ScalePolicy::ByBytes { .. } if from < segment.tail => {
                    bytes_from(snapshot, SegmentKey { stream: info.stream.id, segment: segment.id }, from)?.1
                }
                _ => 0,
            };
            self.counted.insert(segment.id, (segment.tail, bytes + more));
        }
        Ok(())
    }

    fn now(&self, info: &StreamInfo) -> Amounts {
        let counted = |id| self.counted.get(&id).map_or(0, |(_, bytes)| *bytes);
        info.segments.iter().map(|s| (s.id, (s.tail.0, counted(s.id)))).collect()
    }

    fn rates(&self, id: SegmentId, now: &Amounts, now_ms: i64, by_bytes: bool) -> Rates {
        let of = |amount: &(u64, u64)| if by_bytes { amount.1 } else { amount.0 };
        RATE_WINDOWS_MS.map(|window| {
            let then = self.samples.iter().rev().find(|(at, _)| *at <= now_ms - window)?;
            let grown = of(now.get(&id)?).saturating_sub(of(then.1.get(&id)?));
            Some(grown as f64 * 1_000.0 / (now_ms - then.0) as f64)
        })
    }

    fn note(&mut self, now_ms: i64, now: Amounts) {
        match self.samples.back() {
            // The clock was set back: what was measured stands for nothing.
            Some((at, _)) if *at > now_ms => self.samples.clear(),
            Some((at, _)) if now_ms < at + SAMPLE_EVERY_MS => return,
            _ => {}
        }
        self.samples.push_back((now_ms, now));
        let oldest = now_ms - RATE_WINDOWS_MS[3];
        while self.samples.get(1).is_some_and(|(at, _)| *at <= oldest) {
            self.samples.pop_front();
        }
    }
}
