//! Decides what happens to transactions: begins them, stages their chunks, commits and aborts them, forgets them. The terms are
//! `stream/transaction/mod.rs`'s.
//!
//! Invariants:
//! 1. staged chunks are in no index; a commit puts all of them there in one part, and only there;
//! 2. a transaction is live until it is committed or all of its chunks are freed, then its row is kept for a while;
//! 3. `staged_bytes` is the sum over open and prepared transactions, and stays within its limit;
//! 4. a prepared transaction ends only when somebody asks for it, or its stream is deleted;
//! 5. ids are never used twice.

use super::append::{index_entry, open_stream_row, place};
use super::{FREED_CHUNKS_MAX, Outcome, Terms, time};
use crate::codec::chunk;
use crate::commit::{Accepted, Append};
use crate::error::{Error, Kind, Result};
use crate::hash::hash_key;
use crate::ids::{SegmentId, StreamId, TransactionId};
use crate::overlay::{Overlay, Snapshot, TransactionSnapshot};
use crate::row::{StagedRow, StreamRow, TransactionRow};
use crate::stream::time::{check_time, check_writer};
use crate::stream::transaction::{
    AbortReason, Placed, Staging, TRANSACTION_CHUNKS_MAX, TRANSACTIONS_LIVE_MAX, TransactionInfo, TransactionOptions,
    TransactionPart, TransactionState,
};
use crate::stream::{Appender, EncodedChunk, StreamRef, StreamState};
use crate::time::EventTime;
use std::collections::{BTreeMap, BTreeSet};

/// Most transactions that are forgotten with one part; the rest go with the next ones.
const FORGOTTEN_MAX: usize = 64;

/// The hash that a transaction's key-less events share, so that they keep together and in order.
pub(crate) fn keyless_hash(id: TransactionId) -> u64 {
    hash_key(&id.0.to_be_bytes())
}

/// Ms from a moment on, without overflow.
fn later(at_ms: i64, by_ms: u64) -> i64 {
    at_ms.saturating_add(i64::try_from(by_ms).unwrap_or(i64::MAX))
}

/// When its lease and its life end.
fn ends(row: &TransactionRow, terms: &Terms) -> (i64, i64) {
    let life = later(row.began_at_ms, terms.transactions.life_ms(row.lease_ms));
    (later(row.renewed_at_ms.max(terms.opened_at_ms), row.lease_ms), life)
}

/// Why it is to be aborted now, if it is.
fn expired(row: &TransactionRow, terms: &Terms) -> Option<AbortReason> {
    if row.state != TransactionState::Open {
        return None;
    }
    let (lease, life) = ends(row, terms);
    match terms.now_ms {
        now if now >= life => Some(AbortReason::Life),
        now if now >= lease => Some(AbortReason::Lease),
        _ => None,
    }
}

/// What others are told of it.
pub(crate) fn info(id: TransactionId, row: TransactionRow, terms: &Terms) -> TransactionInfo {
    let (lease, life) = ends(&row, terms);
    let open = row.state == TransactionState::Open;
    // One whose time is over does nothing any more, though nobody has swept it up yet.
    let over = expired(&row, terms);
    TransactionInfo {
        id,
        stream: row.stream,
        name: row.name,
        state: if over.is_some() { TransactionState::Aborting } else { row.state },
        why: row.why.or(over),
        writer: row.writer,
        began_at_ms: row.began_at_ms,
        lease_ms: row.lease_ms,
        expires_at_ms: open.then_some(lease.min(life)),
        chunks: row.chunks,
        events: row.events,
        bytes: row.bytes,
        time: row.time,
        ended_at_ms: row.ended_at_ms,
        placed: row.placed,
    }
}

fn answer(id: TransactionId, row: TransactionRow, terms: &Terms) -> Outcome {
    let transaction = Some(Box::new(info(id, row, terms)));
    Outcome::Accepted(Accepted { transaction, ..Accepted::default() })
}

fn known(o: &Overlay<'_>, id: TransactionId) -> Result<TransactionRow> {
    o.transaction(id)?.ok_or_else(|| {
        Error::not_found(format!(
            "transaction {id} is unknown: it never began here, or ended so long ago that it is forgotten"
        ))
    })
}

/// Why it can do nothing any more.
fn gone(id: TransactionId, row: &TransactionRow, doing: &str) -> Error {
    let why = match row.why {
        Some(AbortReason::Lease) => {
            format!("nobody wrote to it or pinged it for {} ms, so it was aborted", row.lease_ms)
        }
        Some(AbortReason::Life) => "it lived as long as a transaction may, so it was aborted".to_string(),
        Some(AbortReason::Stream) => "its stream was sealed or deleted, so it was aborted".to_string(),
        Some(AbortReason::Asked) => "it was aborted".to_string(),
        None if row.state == TransactionState::Committed => "it is committed".to_string(),
        None => "it is prepared, nothing can be added".to_string(),
    };
    Error::invalid(format!("{doing} transaction {id} of stream {}: {why}; begin another one", row.name))
}

pub(super) fn part(o: &mut Overlay<'_>, terms: &Terms, part: &TransactionPart) -> Result<Outcome> {
    match part {
        TransactionPart::Begin { stream, options } => begin(o, terms, *stream, options),
        TransactionPart::Write { id, staging, prepare } => write(o, terms, *id, staging, *prepare),
        TransactionPart::Commit { id, rest, time } => commit(o, terms, *id, rest, *time),
        TransactionPart::Abort { id } => abort(o, terms, *id),
        TransactionPart::Ping { id, lease_ms } => ping(o, terms, *id, *lease_ms),
    }
}

fn check_lease(terms: &Terms, lease_ms: u64) -> Result<()> {
    let limits = &terms.transactions;
    if !(limits.lease_min_ms..=limits.lease_max_ms).contains(&lease_ms) {
        return Err(Error::invalid(format!(
            "a transaction's lease of {lease_ms} ms: it must be {} to {} ms",
            limits.lease_min_ms, limits.lease_max_ms
        )));
    }
    Ok(())
}

fn begin(o: &mut Overlay<'_>, terms: &Terms, stream: StreamRef, options: &TransactionOptions) -> Result<Outcome> {
    let TransactionOptions { lease_ms, writer } = options;
    let row = open_stream_row(o, stream)?;
    check_lease(terms, *lease_ms)?;
    writer.as_deref().map(check_writer).transpose()?;
    if o.live_transactions(Some(stream.id))?.len() >= TRANSACTIONS_LIVE_MAX {
        return Err(Error::invalid(format!(
            "stream {} has {TRANSACTIONS_LIVE_MAX} transactions already: commit or abort some first",
            row.name
        )));
    }
    let id = o.next_transaction()?;
    let row = TransactionRow {
        stream,
        name: row.name,
        writer: writer.clone(),
        state: TransactionState::Open,
        why: None,
        began_at_ms: terms.now_ms,
        lease_ms: *lease_ms,
        renewed_at_ms: terms.now_ms,
        chunks: 0,
        freed: 0,
        events: 0,
        bytes: 0,
        rest: None,
        time: None,
        ended_at_ms: None,
        placed: Vec::new(),
    };
    let changes = &mut o.changes.transactions;
    changes.next = Some(TransactionId(id.0 + 1));
    changes.live.insert((stream.id, id), true);
    changes.rows.insert(id, Some(row.clone()));
    Ok(answer(id, row, terms))
}

/// Ends one whose time is over, and says so: the abort is committed though what was asked for is refused.
fn refuse(o: &mut Overlay<'_>, terms: &Terms, id: TransactionId, row: TransactionRow, doing: &str) -> Result<Outcome> {
    let why = expired(&row, terms).unwrap_or(AbortReason::Lease);
    let row = begin_abort(o, terms, id, row, why)?;
    let error = gone(id, &row, doing);
    Ok(Outcome::Refused(error.kind(), error.to_string()))
}

/// How many of these chunks are staged already, by a write whose outcome was not heard. None: others are in their place.
fn staged_before(o: &Overlay<'_>, id: TransactionId, row: &TransactionRow, staging: &Staging) -> Result<Option<u64>> {
    let known = row.chunks.checked_sub(staging.after).filter(|known| row.holds() && *known <= staging.chunks());
    let chunks = staging.appends.iter().flat_map(|append| append.chunks.iter().map(|chunk| (append.segment, chunk)));
    for (number, (segment, chunk)) in (staging.after..row.chunks).zip(chunks).filter(|_| known.is_some()) {
        let crc = chunk::decode_header(&chunk.bytes)?.crc;
        if o.staged_row(id, number)?.is_none_or(|staged| (staged.segment, staged.entry.crc) != (segment, crc)) {
            return Ok(None);
        }
    }
    Ok(known)
}

/// What tells this from other chunks, or from another number of chunks before them.
fn digest(staging: &Staging) -> Result<(u64, u32)> {
    let mut digest = 0;
    for append in &staging.appends {
        for chunk in &append.chunks {
            digest = crc32c::crc32c_append(digest, &append.segment.0.to_le_bytes());
            digest = crc32c::crc32c_append(digest, &chunk::decode_header(&chunk.bytes)?.crc.to_le_bytes());
        }
    }
    Ok((staging.after, digest))
}

fn fenced(id: TransactionId, row: &TransactionRow, staging: &Staging) -> Error {
    Error::fenced(format!(
        "transaction {id} of stream {} has {} chunks, not {}: another handle writes to it; stop this one",
        row.name, row.chunks, staging.after
    ))
}

/// The chunks' entries, checked, and their sums.
fn entries(stream: &StreamRow, id: StreamRef, staging: &Staging) -> Result<Vec<(StagedRow, EncodedChunk)>> {
    let mut out = Vec::new();
    for append in &staging.appends {
        if append.stream != id || !stream.was_made(append.segment) {
            return Err(Error::invalid(format!("stream {} has no segment {}", stream.name, append.segment)));
        }
        for chunk in &append.chunks {
            out.push((StagedRow { segment: append.segment, entry: index_entry(stream, chunk)? }, chunk.clone()));
        }
    }
    Ok(out)
}

fn write(o: &mut Overlay<'_>, terms: &Terms, id: TransactionId, staging: &Staging, prepare: bool) -> Result<Outcome> {
    let mut row = known(o, id)?;
    if expired(&row, terms).is_some() {
        return refuse(o, terms, id, row, "write to");
    }
    let known = staged_before(o, id, &row, staging)?;
    let known = match (row.state, known) {
        (TransactionState::Open, Some(known)) => known,
        (TransactionState::Open, None) => return Err(fenced(id, &row, staging)),
        (TransactionState::Prepared, Some(known)) if prepare && known == staging.chunks() => {
            return Ok(answer(id, row, terms));
        }
        _ => return Err(gone(id, &row, "write to")),
    };
    if known < staging.chunks() {
        let stream = open_stream_row(o, row.stream)?;
        let chunks = entries(&stream, row.stream, staging)?.split_off(known as usize);
        let bytes: u64 = chunks.iter().map(|(staged, _)| u64::from(staged.entry.bytes)).sum();
        let staged_bytes = o.staged_bytes()?.saturating_add(bytes);
        if staged_bytes > terms.transactions.staged_bytes_max {
            return Err(Error::invalid(format!(
                "write to transaction {id} of stream {}: transactions would hold {staged_bytes} bytes, they may hold {}; commit or \
                 abort some first, or write less in one",
                row.name, terms.transactions.staged_bytes_max
            )));
        }
        if row.chunks + chunks.len() as u64 > TRANSACTION_CHUNKS_MAX {
            return Err(Error::invalid(format!(
                "write to transaction {id} of stream {}: it would have more than {TRANSACTION_CHUNKS_MAX} chunks; write larger batches",
                row.name
            )));
        }
        o.changes.transactions.staged_bytes = Some(staged_bytes);
        row.bytes += bytes;
        for (staged, chunk) in chunks {
            row.events += u64::from(staged.entry.events);
            o.changes.transactions.staged.insert((id, row.chunks), (staged, chunk.bytes));
            row.chunks += 1;
        }
    }
    if prepare {
        row.state = TransactionState::Prepared;
    }
    row.renewed_at_ms = terms.now_ms;
    o.changes.transactions.rows.insert(id, Some(row.clone()));
    Ok(answer(id, row, terms))
}

fn ping(o: &mut Overlay<'_>, terms: &Terms, id: TransactionId, lease_ms: Option<u64>) -> Result<Outcome> {
    let mut row = known(o, id)?;
    if expired(&row, terms).is_some() {
        return refuse(o, terms, id, row, "ping of");
    }
    if !row.holds() {
        return Err(gone(id, &row, "ping of"));
    }
    lease_ms.map(|lease_ms| check_lease(terms, lease_ms)).transpose()?;
    row.lease_ms = lease_ms.unwrap_or(row.lease_ms);
    row.renewed_at_ms = terms.now_ms;
    o.changes.transactions.rows.insert(id, Some(row.clone()));
    Ok(answer(id, row, terms))
}

fn commit(
    o: &mut Overlay<'_>,
    terms: &Terms,
    id: TransactionId,
    rest: &Staging,
    time: Option<EventTime>,
) -> Result<Outcome> {
    let mut row = known(o, id)?;
    if expired(&row, terms).is_some() {
        return refuse(o, terms, id, row, "commit of");
    }
    let adds = rest.chunks() > 0;
    let known = match (row.state, staged_before(o, id, &row, rest)?) {
        (TransactionState::Committed, _) if !adds || row.rest == Some(digest(rest)?) => {
            return Ok(answer(id, row, terms));
        }
        (TransactionState::Open | TransactionState::Prepared, _) if !adds => 0,
        (TransactionState::Open, Some(known)) => known,
        (TransactionState::Prepared, Some(known)) if known == rest.chunks() => known,
        (TransactionState::Open, None) => return Err(fenced(id, &row, rest)),
        _ => return Err(gone(id, &row, "commit of")),
    };
    let note = match (time, &row.writer) {
        (Some(time), Some(writer)) => Some((time, writer.clone())),
        (Some(_), None) => {
            return Err(Error::invalid(format!(
                "commit of transaction {id} of stream {} with a time: it was begun without a writer whose time that is; commit it without",
                row.name
            )));
        }
        (None, _) => None,
    };
    time.map(check_time).transpose()?;
    let stream = open_stream_row(o, row.stream)?;
    let mut router = Router::new(row.stream, &stream, id);
    for number in 0..row.chunks {
        let missing =
            || Error::corrupt(format!("transaction {id}: staged chunk {number} is missing; restore a backup"));
        let staged = o.staged_row(id, number)?.ok_or_else(missing)?;
        let bytes = o.staged_chunk(id, number)?.ok_or_else(missing)?;
        let StagedRow { segment, entry } = staged;
        let (events, raw_bytes) = (entry.events, entry.raw_bytes);
        router.take(
            segment,
            EncodedChunk { bytes, events, raw_bytes, min_time: entry.min_time, max_time: entry.max_time },
        )?;
    }
    let (staged_chunks, staged_bytes) = (row.chunks, row.bytes);
    for (staged, chunk) in entries(&stream, row.stream, rest)?.split_off(known as usize) {
        row.chunks += 1;
        row.events += u64::from(chunk.events);
        row.bytes += u64::from(staged.entry.bytes);
        router.take(staged.segment, chunk)?;
    }
    let mut placed: BTreeMap<SegmentId, Placed> = BTreeMap::new();
    for append in router.finish()? {
        let first = place(o, &stream, &append)?;
        let events: u64 = append.chunks.iter().map(|chunk| u64::from(chunk.events)).sum();
        placed.entry(append.segment).or_insert(Placed { segment: append.segment, first, events: 0 }).events += events;
    }
    release(o, staged_bytes)?;
    o.changes.transactions.free(id, staged_chunks);
    row.freed = row.chunks;
    row.state = TransactionState::Committed;
    row.rest = if adds { Some(digest(rest)?) } else { None };
    row.time = time;
    row.placed = placed.into_values().collect();
    let (stream, row) = (row.stream, end(o, terms, id, row)?);
    if let Some((time, writer)) = note {
        time::of_transaction(o, terms, stream, &writer, time)?;
    }
    Ok(answer(id, row, terms))
}

/// Gives back what staged chunks took of the limit.
fn release(o: &mut Overlay<'_>, bytes: u64) -> Result<()> {
    o.changes.transactions.staged_bytes = Some(o.staged_bytes()?.saturating_sub(bytes));
    Ok(())
}

/// Leads chunks to active segments, each segment's in the order in which they came.
struct Router<'a> {
    stream: StreamRef,
    row: &'a StreamRow,
    active: BTreeSet<SegmentId>,
    keyless: u64,
    /// Events of segments that were sealed since they were written.
    moving: Option<Appender>,
    out: Vec<Append>,
}

impl<'a> Router<'a> {
    fn new(stream: StreamRef, row: &'a StreamRow, id: TransactionId) -> Router<'a> {
        let active = row.segments.iter().map(|segment| segment.id).collect();
        Router { stream, row, active, keyless: keyless_hash(id), moving: None, out: Vec::new() }
    }

    fn take(&mut self, segment: SegmentId, chunk: EncodedChunk) -> Result<()> {
        if self.active.contains(&segment) {
            self.settle()?;
            self.out.push(Append { stream: self.stream, segment, chunks: vec![chunk] });
            return Ok(());
        }
        let over = || Appender::over(self.stream, &self.row.segments, Some(self.keyless));
        self.moving.get_or_insert_with(over).push(&chunk::decode_chunk(&chunk.bytes)?)
    }

    /// What moves comes before what follows it.
    fn settle(&mut self) -> Result<()> {
        if let Some(mut moving) = self.moving.take() {
            self.out.append(&mut moving.finish()?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Append>> {
        self.settle()?;
        Ok(self.out)
    }
}

fn abort(o: &mut Overlay<'_>, terms: &Terms, id: TransactionId) -> Result<Outcome> {
    let row = known(o, id)?;
    match row.state {
        TransactionState::Aborting | TransactionState::Aborted => Ok(answer(id, row, terms)),
        TransactionState::Committing | TransactionState::Committed => Err(gone(id, &row, "abort of")),
        TransactionState::Open | TransactionState::Prepared => {
            let why = expired(&row, terms).unwrap_or(AbortReason::Asked);
            let row = begin_abort(o, terms, id, row, why)?;
            Ok(answer(id, row, terms))
        }
    }
}

fn begin_abort(
    o: &mut Overlay<'_>,
    terms: &Terms,
    id: TransactionId,
    mut row: TransactionRow,
    why: AbortReason,
) -> Result<TransactionRow> {
    release(o, row.bytes)?;
    row.state = TransactionState::Aborting;
    row.why = Some(why);
    free(o, terms, id, row)
}

/// Frees staged chunks of an aborting transaction, a bounded number; with the last one it has ended.
fn free(o: &mut Overlay<'_>, terms: &Terms, id: TransactionId, mut row: TransactionRow) -> Result<TransactionRow> {
    row.freed = row.chunks.min(row.freed + FREED_CHUNKS_MAX as u64);
    o.changes.transactions.free(id, row.freed);
    if row.freed < row.chunks {
        o.changes.transactions.rows.insert(id, Some(row.clone()));
        return Ok(row);
    }
    row.state = TransactionState::Aborted;
    end(o, terms, id, row)
}

/// Nothing more will happen to it; its row is kept for a while.
fn end(o: &mut Overlay<'_>, terms: &Terms, id: TransactionId, mut row: TransactionRow) -> Result<TransactionRow> {
    row.ended_at_ms = Some(terms.now_ms);
    let number = o.last_ended()?.map_or(1, |last| last + 1);
    o.changes.transactions.live.insert((row.stream.id, id), false);
    o.changes.transactions.ended.insert(number, Some(id));
    o.changes.transactions.rows.insert(id, Some(row.clone()));
    forget(o, terms)?;
    Ok(row)
}

/// Forgets those that ended long ago, or are too many; how many. The last one is never among them.
fn forget(o: &mut Overlay<'_>, terms: &Terms) -> Result<u64> {
    let Some(last) = o.last_ended()? else { return Ok(0) };
    let mut forgotten = 0;
    for (number, id) in o.ended_transactions(FORGOTTEN_MAX)? {
        let too_many = last - number >= terms.transactions.kept_max.max(1);
        let ended = o.transaction(id)?.and_then(|row| row.ended_at_ms).unwrap_or(i64::MIN);
        if number == last || !(too_many || later(ended, terms.transactions.kept_ms) <= terms.now_ms) {
            break;
        }
        o.changes.transactions.ended.insert(number, None);
        o.changes.transactions.rows.insert(id, None);
        forgotten += 1;
    }
    Ok(forgotten)
}

/// Before a stream is sealed: what is prepared must be committed or aborted first, what is open never can be committed.
pub(super) fn before_seal(o: &mut Overlay<'_>, terms: &Terms, stream: StreamId) -> Result<()> {
    for (_, id) in o.live_transactions(Some(stream))? {
        let row = known(o, id)?;
        match row.state {
            TransactionState::Prepared => {
                return Err(Error::invalid(format!(
                    "stream {}: transaction {id} is prepared and must end first: commit or abort it",
                    row.name
                )));
            }
            TransactionState::Open => drop(begin_abort(o, terms, id, row, AbortReason::Stream)?),
            _ => {}
        }
    }
    Ok(())
}

/// What a sweep did to transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) aborted: u64,
    pub(crate) forgotten: u64,
}

/// Aborts what has expired or lost its stream, frees chunks of what was aborted, forgets what ended long ago.
pub(super) fn sweep(o: &mut Overlay<'_>, terms: &Terms) -> Result<Swept> {
    let mut swept = Swept::default();
    for (stream, id) in o.live_transactions(None)? {
        let mut part = Overlay::new(o);
        match sweep_one(&mut part, terms, stream, id) {
            Ok(aborted) => {
                let changes = part.changes;
                o.changes.absorb(changes);
                swept.aborted += u64::from(aborted);
            }
            Err(e) if matches!(e.kind(), Kind::Unavailable | Kind::Full) => return Err(e),
            Err(e) => tracing::warn!(error = %e, transaction = %id, "a transaction cannot be swept"),
        }
    }
    swept.forgotten = forget(o, terms)?;
    Ok(swept)
}

fn sweep_one(o: &mut Overlay<'_>, terms: &Terms, stream: StreamId, id: TransactionId) -> Result<bool> {
    let row = known(o, id)?;
    let why = match row.state {
        TransactionState::Aborting => {
            free(o, terms, id, row)?;
            return Ok(false);
        }
        TransactionState::Open | TransactionState::Prepared
            if o.stream(stream)?.is_none_or(|stream| stream.state == StreamState::Deleted) =>
        {
            Some(AbortReason::Stream)
        }
        _ => expired(&row, terms),
    };
    match why {
        Some(why) => begin_abort(o, terms, id, row, why).map(|_| true),
        None => Ok(false),
    }
}
