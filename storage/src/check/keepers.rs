//! Checks what is kept beside the events of streams: idempotent writers, policies, noted places of retention, subscribers; and markers.
//! Every row can be read, belongs to a stream that is there, and says what its rules allow.

use super::{Checker, Fault, passing};
use crate::error::Result;
use crate::ids::StreamId;
use crate::overlay::Snapshot;
use crate::redb_io::{KEEPERS, Keeper, RedbSnapshot};
use crate::row::{RetentionRow, StreamRow, WriterRow};
use crate::stream::StreamCut;

/// Rows that one snapshot gives.
const ROWS_MAX: usize = 1_024;

impl Checker<'_> {
    pub(super) fn keepers(&mut self) -> Result<()> {
        for table in KEEPERS {
            let mut from = Some(Vec::new());
            let mut before: Option<(StreamId, u64, RetentionRow)> = None;
            while let Some(start) = from.take() {
                let piece = self.shared.read(|snapshot| {
                    let (rows, next) = snapshot.keepers(table, &start, ROWS_MAX)?;
                    let judged: Vec<_> = rows.into_iter().map(|row| judge(snapshot, row, &mut before)).collect();
                    Ok((judged, next))
                });
                let (judged, next) = match piece {
                    Ok(piece) => piece,
                    Err(e) if passing(&e) => return Err(e),
                    Err(e) => {
                        self.fault(Fault { what: e.to_string(), ..Fault::default() });
                        break;
                    }
                };
                for fault in judged {
                    match fault {
                        Ok(Judged { kind, fault }) => {
                            match kind {
                                Kind::Writer => self.report.writers += 1,
                                Kind::Retention => self.report.retention_rows += 1,
                                Kind::Marker => self.report.markers += 1,
                                Kind::Policy => {}
                            }
                            fault.into_iter().for_each(|fault| self.fault(fault));
                        }
                        Err(e) if passing(&e) => return Err(e),
                        Err(e) => self.fault(Fault { what: e.to_string(), ..Fault::default() }),
                    }
                }
                from = next;
            }
        }
        Ok(())
    }
}

enum Kind {
    Writer,
    Policy,
    Retention,
    Marker,
}

struct Judged {
    kind: Kind,
    fault: Option<Fault>,
}

fn judge(
    snapshot: &RedbSnapshot,
    keeper: Keeper,
    before: &mut Option<(StreamId, u64, RetentionRow)>,
) -> Result<Judged> {
    let (kind, id, what) = match keeper {
        Keeper::Writer(stream, name, row) => {
            (Kind::Writer, Some(stream), row.map(|row| bad_writer(&row).map(|why| format!("writer {name}: {why}"))))
        }
        Keeper::Policy(stream, row) => {
            (Kind::Policy, Some(stream), row.map(|row| row.check().err().map(|e| format!("its policy: {e}"))))
        }
        Keeper::Retention(stream, number, row) => {
            let why = row.and_then(|row| {
                let why = bad_place(snapshot, stream, number, &row, before.as_ref())?;
                *before = Some((stream, number, row));
                Ok(why.map(|why| format!("place {number} that retention noted: {why}")))
            });
            (Kind::Retention, Some(stream), why)
        }
        Keeper::Subscriber(stream, name, row) => {
            let why = row.and_then(|row| bad_cut(snapshot, stream, &row.cut));
            (Kind::Retention, Some(stream), why.map(|why| why.map(|why| format!("subscriber {name}: {why}"))))
        }
        Keeper::Marker(row) => (Kind::Marker, None, row.map(|_| None)),
    };
    let stream = id.map(|id| snapshot.stream(id).map(|row| (id, row))).transpose();
    let name = match &stream {
        Ok(Some((_, Some(row)))) => Some(row.name.to_string()),
        _ => id.map(|id| format!("#{id}")),
    };
    let what = match (what, stream) {
        (Err(e), _) if passing(&e) => return Err(e),
        (Err(e), _) => Some(e.to_string()),
        (Ok(Some(why)), _) => Some(format!("{why}; restore a backup")),
        (Ok(None), Ok(Some((_, None)))) => Some("a row of a stream that does not exist".to_string()),
        // A row of a stream that cannot be read is told by the check of streams.
        (Ok(None), _) => None,
    };
    Ok(Judged { kind, fault: what.map(|what| Fault { stream: name, what, ..Fault::default() }) })
}

fn bad_writer(row: &WriterRow) -> Option<String> {
    let ends = row.recent.windows(2).all(|w| w[0].0 < w[1].0)
        && match row.recent.last() {
            Some(newest) => *newest == (row.last, row.digest),
            None => row.last == 0,
        };
    (!ends || row.handle == 0).then(|| format!("its newest parts do not end with event {}", row.last))
}

/// A cut covers the key space once and names segments that the stream has had.
fn bad_cut(snapshot: &RedbSnapshot, stream: StreamId, cut: &StreamCut) -> Result<Option<String>> {
    let Some(row) = snapshot.stream(stream)? else { return Ok(None) };
    let covers = StreamCut::new(cut.stream(), cut.tiles().to_vec()).is_ok_and(|same| same == *cut);
    let known = |row: &StreamRow| cut.tiles().iter().all(|tile| row.was_made(tile.segment));
    Ok(if cut.stream().id != stream || cut.stream().generation != row.generation {
        Some("its cut is one of another stream".to_string())
    } else if !covers {
        Some("its cut does not cover the key space once".to_string())
    } else if !known(&row) {
        Some("its cut names a segment that the stream never had".to_string())
    } else {
        None
    })
}

fn bad_place(
    snapshot: &RedbSnapshot,
    stream: StreamId,
    number: u64,
    row: &RetentionRow,
    before: Option<&(StreamId, u64, RetentionRow)>,
) -> Result<Option<String>> {
    if let Some(why) = bad_cut(snapshot, stream, &row.cut)? {
        return Ok(Some(why));
    }
    let Some((_, last, old)) = before.filter(|(id, last, _)| *id == stream && *last < number) else { return Ok(None) };
    let goes_on = row.bytes_before >= old.bytes_before && row.cut.is_at_or_after(&old.cut)?;
    Ok((!goes_on).then(|| format!("it lies before place {last}")))
}
