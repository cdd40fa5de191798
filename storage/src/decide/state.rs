//! Decides what happens to manifests of operators' state: a fold puts a blob in the place of blobs, a flush a run in the
//! place of blobs, a merge a run in the place of runs; and what goes with a pipeline that is deleted.
//!
//! Folds, flushes and merges were planned on an older snapshot. Each goes in only if what it replaces is still there, side by
//! side; blobs that epochs have added since are after it.

use super::RunSwitch;
use super::seal;
use crate::decide::{Outcome, check_name};
use crate::error::{Error, Result};
use crate::ids::Epoch;
use crate::manifest::{BlobEntry, BlobId, Manifest, RunEntry};
use crate::overlay::{Overlay, Snapshot};
use crate::row::{FileRow, RunRow};
use bytes::Bytes;

fn next_blob(o: &mut Overlay<'_>) -> Result<BlobId> {
    let id = o.next_blob()?;
    o.changes.next_blob = Some(BlobId(id.0 + 1));
    Ok(id)
}

pub(super) fn store_blob(o: &mut Overlay<'_>, blob: &Bytes, through: Epoch) -> Result<BlobEntry> {
    let id = next_blob(o)?;
    o.changes.blobs.insert(id, blob.clone());
    Ok(BlobEntry { id, bytes: blob.len() as u64, crc: crc32c::crc32c(blob), through })
}

fn put_manifest(o: &mut Overlay<'_>, pipeline: &str, operator: &str, manifest: Manifest) {
    o.changes.manifests.insert((pipeline.to_string(), operator.to_string()), manifest);
}

/// Where `wanted` lies side by side in `ids`.
fn find(ids: impl Iterator<Item = BlobId>, wanted: &[BlobId]) -> Option<usize> {
    let ids: Vec<BlobId> = ids.collect();
    ids.windows(wanted.len().max(1)).position(|window| window == wanted)
}

pub(super) fn fold(
    o: &mut Overlay<'_>,
    pipeline: &str,
    operator: &str,
    folded: &[BlobId],
    blob: &Bytes,
) -> Result<Outcome> {
    let Some(mut manifest) = o.manifest(pipeline, operator)? else { return Ok(Outcome::Folded(false)) };
    let Some(at) = find(manifest.blobs.iter().map(|b| b.id), folded) else { return Ok(Outcome::Folded(false)) };
    let end = at + folded.len();
    let through = manifest.blobs[at..end].last().map_or(Epoch(0), |newest| newest.through);
    let entry = store_blob(o, blob, through)?;
    manifest.blobs.splice(at..end, [entry]);
    put_manifest(o, pipeline, operator, manifest);
    o.changes.dropped_blobs.extend(folded);
    Ok(Outcome::Folded(true))
}

/// A flush or a merge. `Folded(false)`: the files are nobody's.
pub(super) fn runs(o: &mut Overlay<'_>, switch: &RunSwitch) -> Result<Outcome> {
    let RunSwitch { pipeline, operator, blobs, runs, files } = switch;
    if blobs.is_empty() == runs.is_empty() {
        return Err(Error::bug("a switch of runs takes either blobs or runs"));
    }
    let Some(mut manifest) = o.manifest(pipeline, operator)? else { return Ok(Outcome::Folded(false)) };
    let (at, replaced, through) = if runs.is_empty() {
        if !manifest.blobs.iter().map(|b| b.id).take(blobs.len()).eq(blobs.iter().copied()) {
            return Ok(Outcome::Folded(false));
        }
        let flushed = manifest.blobs.drain(..blobs.len()).last();
        (manifest.runs.len(), 0, flushed.map_or(Epoch(0), |newest| newest.through))
    } else {
        let Some(at) = find(manifest.runs.iter().map(|r| r.id), runs) else { return Ok(Outcome::Folded(false)) };
        (at, runs.len(), manifest.runs[at + runs.len() - 1].through)
    };
    // Even a run of nothing is one: it says through which epoch everything is flushed.
    let id = next_blob(o)?;
    let (mut bytes, mut entries) = (0, 0);
    for (file, row) in files {
        if o.file(file.file)?.is_some() {
            return Err(Error::fenced(format!("sealed file {}: the number was used meanwhile; plan anew", file.file)));
        }
        o.changes.next_file = Some(o.next_file()?.max(file.file + 1));
        o.changes.files.insert(file.file, FileRow { live_chunks: 1, live_bytes: row.bytes, ..row.clone() });
        bytes += row.bytes;
        entries += file.entries;
    }
    o.changes.runs.insert(id, RunRow { files: files.iter().map(|(file, _)| file.clone()).collect() });
    manifest.runs.splice(at..at + replaced, [RunEntry { id, bytes, entries, through }]);
    put_manifest(o, pipeline, operator, manifest);
    o.changes.dropped_blobs.extend(blobs);
    for run in runs {
        drop_run(o, *run)?;
    }
    Ok(Outcome::Folded(true))
}

/// Takes a run away, and its files when no other run names them.
fn drop_run(o: &mut Overlay<'_>, id: BlobId) -> Result<()> {
    // No row, or a damaged one: `check` tells of it and of the files that it should name.
    if let Some(row) = o.run(id)? {
        for file in &row.files {
            seal::one_less(o, file.file, u64::MAX)?;
        }
    }
    o.changes.runs.remove(&id);
    o.changes.dropped_runs.insert(id);
    Ok(())
}

pub(super) fn delete_pipeline(o: &mut Overlay<'_>, name: &str) -> Result<Outcome> {
    check_name("pipeline", name)?;
    let row = o.pipeline(name)?.filter(|row| !row.deleted);
    let mut row = row.ok_or_else(|| Error::not_found(format!("pipeline {name} was never started here")))?;
    for (_, manifest) in o.manifests(name)? {
        o.changes.dropped_blobs.extend(manifest.blobs.iter().map(|blob| blob.id));
        for run in &manifest.runs {
            drop_run(o, run.id)?;
        }
    }
    o.changes.forget_pipeline(name);
    row.deleted = true;
    row.last_epoch = Epoch(0);
    row.incarnation.0 += 1;
    o.changes.pipelines.insert(name.to_string(), row);
    Ok(Outcome::Accepted(Default::default()))
}
