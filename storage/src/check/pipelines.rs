//! Checks pipelines: the record of the last epoch is there, every checkpoint, schedule, manifest and state blob is readable,
//! no blob is named twice and none lies there unnamed; and markers.

use super::{Checker, Fault, passing};
use crate::checkpoint::Schedule;
use crate::error::{Error, Result};
use crate::flush;
use crate::ids::Epoch;
use crate::manifest::{BlobId, Manifest};
use crate::overlay::Snapshot;
use crate::redb_io::RedbSnapshot;
use crate::state::Memory;
use std::collections::BTreeSet;

impl Checker<'_> {
    pub(super) fn pipelines(&mut self) -> Result<()> {
        let mut named = BTreeSet::new();
        // Blobs are made with ids that only count up: what comes after this one is none of our business.
        let next_blob = self.shared.read(Snapshot::next_blob)?;
        for pipeline in self.look("", RedbSnapshot::pipeline_names)?.unwrap_or_default() {
            self.report.pipelines += 1;
            self.checkpoints(&pipeline)?;
            for (operator, blobs) in self.look(&pipeline, |s| manifests(s, &pipeline))?.unwrap_or_default() {
                for blob in blobs {
                    self.blob(&pipeline, &operator, blob, &mut named)?;
                }
                self.runs(&pipeline, &operator)?;
            }
        }
        for what in self.look("", RedbSnapshot::bad_markers)?.unwrap_or_default() {
            self.fault(Fault { what, ..Fault::default() });
        }
        let runs = self.look("", RedbSnapshot::run_ids)?.unwrap_or_default();
        let named_runs = self.look("", all_named_runs)?;
        for id in runs.into_iter().filter(|id| *id < next_blob && !named_runs.as_ref().is_none_or(|n| n.contains(id))) {
            if self.look("", RedbSnapshot::run_ids)?.unwrap_or_default().contains(&id) {
                let what = format!("state run {} is named by no manifest; it only takes room", id.0);
                self.fault(Fault { what, ..Fault::default() });
            }
        }
        let stored = self.look("", RedbSnapshot::blob_ids)?.unwrap_or_default();
        let now: BTreeSet<BlobId> = match self.look("", all_named)? {
            Some(now) => now,
            None => return Ok(()),
        };
        for id in stored.into_iter().filter(|id| *id < next_blob && !named.contains(id) && !now.contains(id)) {
            let still = self.look("", RedbSnapshot::blob_ids)?.unwrap_or_default().contains(&id);
            if still {
                let what = format!("state blob {} is named by no manifest; it only takes room", id.0);
                self.fault(Fault { what, ..Fault::default() });
            }
        }
        Ok(())
    }

    /// Reads; what cannot be read is a fault.
    fn look<T>(&mut self, pipeline: &str, f: impl Fn(&RedbSnapshot) -> Result<T>) -> Result<Option<T>> {
        match self.shared.read(|snapshot| f(snapshot)) {
            Ok(found) => Ok(Some(found)),
            Err(e) if passing(&e) => Err(e),
            Err(e) => {
                let pipeline = (!pipeline.is_empty()).then(|| pipeline.to_string());
                self.fault(Fault { pipeline, what: e.to_string(), ..Fault::default() });
                Ok(None)
            }
        }
    }

    fn checkpoints(&mut self, pipeline: &str) -> Result<()> {
        let checked = self.look(pipeline, |snapshot| {
            let last = snapshot.pipeline(pipeline)?.map_or(Epoch(0), |row| row.last_epoch);
            let epochs = snapshot.checkpoint_epochs(pipeline)?;
            let mut faults = Vec::new();
            if last > Epoch(0) && !epochs.contains(&last) {
                faults.push(format!("the record of its last epoch {last} is missing; restore a backup"));
            }
            for epoch in epochs {
                if let Err(e) = snapshot.checkpoint(pipeline, epoch) {
                    faults.push(e.to_string());
                }
                let schedules = snapshot.schedules(pipeline, epoch).and_then(|schedules| {
                    schedules.iter().try_for_each(|(operator, subtask, bytes)| {
                        let place = || format!("input schedule of epoch {epoch}, {operator}[{subtask}]");
                        Schedule::decode(bytes).map(drop).map_err(|e| e.context(place()))
                    })
                });
                if let Err(e) = schedules {
                    faults.push(e.to_string());
                }
            }
            Ok(faults)
        })?;
        for what in checked.unwrap_or_default() {
            self.fault(Fault { pipeline: Some(pipeline.to_string()), what, ..Fault::default() });
        }
        Ok(())
    }

    fn blob(&mut self, pipeline: &str, operator: &str, blob: BlobId, named: &mut BTreeSet<BlobId>) -> Result<()> {
        let at = |what: String| Fault {
            pipeline: Some(pipeline.to_string()),
            what: format!("operator {operator}, state blob {}: {what}", blob.0),
            ..Fault::default()
        };
        if !named.insert(blob) {
            self.fault(at("two manifests name it".into()));
        }
        let looked = self.shared.read(|snapshot| {
            // Folded away since? Then its successor was checked when it was written.
            let manifest = snapshot.manifest(pipeline, operator)?.unwrap_or_default();
            let Some(entry) = manifest.blobs.iter().find(|entry| entry.id == blob) else { return Ok(None) };
            let row = snapshot.pipeline(pipeline)?;
            let max_parallelism = row.map_or(1, |row| row.max_parallelism);
            snapshot.blob(entry).map(|bytes| Some((bytes, max_parallelism)))
        });
        let decoded = looked.and_then(|found| match found {
            Some((bytes, max_parallelism)) => {
                Memory::new(0..max_parallelism, max_parallelism).apply_delta(&bytes, Epoch(0))?;
                Ok(Some(bytes.len() as u64))
            }
            None => Ok(None),
        });
        match decoded {
            Ok(bytes) => {
                self.report.state_blobs += u64::from(bytes.is_some());
                self.report.state_bytes += bytes.unwrap_or_default();
                Ok(())
            }
            Err(e) if passing(&e) => Err(e),
            Err(e) => {
                self.fault(at(e.to_string()));
                Ok(())
            }
        }
    }

    /// Every file of every run of an operator, to the last entry; and that the parts of the manifest ascend.
    fn runs(&mut self, pipeline: &str, operator: &str) -> Result<()> {
        let at = |what: String| Fault {
            pipeline: Some(pipeline.to_string()),
            what: format!("operator {operator}, {what}"),
            ..Fault::default()
        };
        let Some(manifest) = self.look(pipeline, |s| s.manifest(pipeline, operator))?.flatten() else { return Ok(()) };
        let epochs = manifest.runs.iter().map(|run| run.through).chain(manifest.blobs.iter().map(|blob| blob.through));
        if !epochs.is_sorted() {
            self.fault(at("the parts of its manifest do not ascend in epochs; restore a backup".into()));
        }
        for run in &manifest.runs {
            let alone = Manifest { runs: vec![*run], blobs: Vec::new() };
            let read = self.shared.read(|snapshot| flush::run_set(self.shared, snapshot, &alone));
            let checked = read.and_then(|set| {
                let mut files = set.runs.iter().flat_map(|run| &run.files);
                files.try_for_each(|file| file.check())
            });
            match checked {
                Ok(()) => self.report.state_runs += 1,
                Err(e) if passing(&e) => return Err(e),
                Err(e) => {
                    // Merged away since? Then what took its place was checked when it was written.
                    let now = self.look(pipeline, |s| s.manifest(pipeline, operator))?.flatten().unwrap_or_default();
                    if now.runs.iter().any(|other| other.id == run.id) {
                        self.fault(at(format!("run {}: {e}", run.id.0)));
                    }
                }
            }
        }
        Ok(())
    }
}

fn manifests(snapshot: &RedbSnapshot, pipeline: &str) -> Result<Vec<(String, Vec<BlobId>)>> {
    let operators = snapshot.operators(pipeline)?;
    let blobs = |operator: String| -> Result<(String, Vec<BlobId>), Error> {
        let manifest = snapshot.manifest(pipeline, &operator)?.unwrap_or_default();
        Ok((operator, manifest.blobs.iter().map(|entry| entry.id).collect()))
    };
    operators.into_iter().map(blobs).collect()
}

fn all_named(snapshot: &RedbSnapshot) -> Result<BTreeSet<BlobId>> {
    let mut named = BTreeSet::new();
    for pipeline in snapshot.pipeline_names()? {
        named.extend(manifests(snapshot, &pipeline)?.into_iter().flat_map(|(_, blobs)| blobs));
    }
    Ok(named)
}

fn all_named_runs(snapshot: &RedbSnapshot) -> Result<BTreeSet<BlobId>> {
    let mut named = BTreeSet::new();
    for pipeline in snapshot.pipeline_names()? {
        for manifest in snapshot.manifests(&pipeline)?.values() {
            named.extend(manifest.runs.iter().map(|run| run.id));
        }
    }
    Ok(named)
}
