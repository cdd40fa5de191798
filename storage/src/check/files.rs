//! Checks sealed files: there, whole, counted right; and nothing there that no row names.

use super::{Checker, Fault, passing};
use crate::error::{Error, Result};
use crate::ids::Offset;
use crate::manifest::Location;
use crate::overlay::Snapshot;
use crate::redb_io::RedbSnapshot;
use crate::row::FileRow;
use crate::sealed::mover::Mover;
use crate::sealed::reader::tier_error;
use crate::sealed::{Holds, SEALED_FOLDER, Tier, holds, layout};
use std::collections::BTreeMap;

/// A file's row, and what the index says of the file: chunks, bytes.
type Counted = (u64, Result<FileRow>, (u64, u64));

impl Checker<'_> {
    pub(super) fn files(&mut self, mover: &Mover) -> Result<()> {
        let files = match self.shared.read(count) {
            Ok(files) => files,
            Err(e) if passing(&e) => return Err(e),
            Err(e) => {
                self.fault(Fault { what: e.to_string(), ..Fault::default() });
                return Ok(());
            }
        };
        for (number, row, is) in files {
            match row {
                Ok(row) => self.file(number, &row, is)?,
                Err(e) => self.fault(Fault { what: e.to_string(), ..Fault::default() }),
            }
        }
        // A file that is being put has no row yet.
        let _still = mover.hold();
        match mover.orphans() {
            Ok(orphans) => {
                // A row goes a moment before the mover hears that its file is to go.
                mover.hear_all()?;
                for name in orphans.iter().filter(|name| !mover.is_to_be_unlinked(name)) {
                    let what = "nothing names this file: it is removed when the store is opened".to_string();
                    self.fault(Fault { file: Some(format!("{SEALED_FOLDER}/{name}")), what, ..Fault::default() });
                }
                Ok(())
            }
            Err(e) if passing(&e) => Err(e),
            // A row that cannot be read: told above.
            Err(_) => Ok(()),
        }
    }

    fn file(&mut self, number: u64, row: &FileRow, is: (u64, u64)) -> Result<()> {
        let path = format!("{SEALED_FOLDER}/{}", row.name);
        let at = |what: String| Fault { file: Some(path.clone()), what, ..Fault::default() };
        match whole_file(&*self.shared.tier, number, row) {
            Ok(()) => {
                self.report.sealed_files += 1;
                self.report.sealed_bytes += row.bytes;
            }
            Err(e) if passing(&e) => return Err(e),
            // Unlinked since the look-up? Then nothing is wrong.
            Err(e) => {
                if self.shared.read(|snapshot| snapshot.file(number))?.is_some() {
                    self.fault(at(e.to_string()));
                }
            }
        }
        let told = (row.live_chunks, row.live_bytes);
        if told != is {
            let what = format!(
                "its row counts {} parts of {} bytes, index and runs name {} of {}; reading is not harmed",
                told.0, told.1, is.0, is.1
            );
            self.fault(at(what));
        }
        Ok(())
    }
}

/// Rows and index compared within one snapshot: moves and truncations change both.
fn count(snapshot: &RedbSnapshot) -> Result<Vec<Counted>> {
    let mut named: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (key, _) in snapshot.segments()? {
        let sealed = snapshot.sealed_segment(key).ok().flatten().map(|sealed| sealed.until);
        snapshot.chunks_starting_at(key, Offset(0), |chunk, entry| {
            // An entry that cannot be read is told by the streams' check.
            if let Ok(Location::Sealed { file, len, .. }) = entry.map(|entry| entry.location) {
                let (chunks, bytes) = named.entry(file).or_default();
                *chunks += 1;
                *bytes += len;
            }
            Ok(sealed.is_none_or(|until| chunk.first < until))
        })?;
    }
    for pipeline in snapshot.pipeline_names()? {
        // A manifest or run that cannot be read is told by the pipelines' check.
        for manifest in snapshot.manifests(&pipeline).unwrap_or_default().values() {
            for file in
                manifest.runs.iter().filter_map(|run| snapshot.run(run.id).ok().flatten()).flat_map(|run| run.files)
            {
                let bytes = snapshot.file(file.file).ok().flatten().map_or(0, |row| row.bytes);
                let (runs, sum) = named.entry(file.file).or_default();
                *runs += 1;
                *sum += bytes;
            }
        }
    }
    let counted = |(number, row)| (number, row, named.get(&number).copied().unwrap_or_default());
    Ok(snapshot.files()?.into_iter().map(counted).collect())
}

/// The file is there, as long as its row says, and its header, footer and checksum are right.
fn whole_file(tier: &dyn Tier, number: u64, row: &FileRow) -> Result<()> {
    let size = tier.size(&row.name).map_err(|e| tier_error("looking at", &row.name, &e))?;
    let size = size.ok_or_else(|| Error::corrupt("the file is missing; restore it from a backup"))?;
    if size != row.bytes {
        return Err(Error::corrupt(format!("it has {size} bytes instead of {}; restore it from a backup", row.bytes)));
    }
    let bytes = tier.read(&row.name, 0..size).map_err(|e| tier_error("reading", &row.name, &e))?;
    if crc32c::crc32c(&bytes) != row.crc {
        return Err(Error::corrupt("the checksum of the whole file does not match; restore it from a backup"));
    }
    match holds(&row.name) {
        // What is in it is checked with its run.
        Some(Holds::State) => layout::check_header(&bytes, number, Holds::State),
        _ => layout::entries(&bytes, number).map(drop),
    }
}
