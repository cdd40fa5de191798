//! Rewrites sealed files that are mostly dead: their living chunks go to a new file, byte for byte, and the old ones are unlinked. So
//! the tier holds at most about twice what lives in it, whoever truncates what in which order. The mover runs it, one thing at a time.

use super::mover::Mover;
use super::reader::tier_error;
use super::writer::{FileWriter, SealedFile};
use super::{SEALED_FOLDER, layout};
use crate::decide::{Outcome, Work};
use crate::error::{Error, Result};
use crate::manifest::Location;
use crate::overlay::Snapshot;
use crate::redb_io::RedbSnapshot;
use crate::row::FileRow;

/// A file's number and row.
type Victim = (u64, FileRow);

impl Mover {
    /// Rewrites files of which less than half is alive, once enough of them is dead to be worth it; how many were given up.
    pub(crate) fn rewrite(&self) -> Result<u64> {
        let _busy = self.hold();
        let mut done = 0;
        loop {
            let victims = self.victims()?;
            if victims.is_empty() {
                return Ok(done);
            }
            done += self.rewrite_some(victims)?;
            self.unlink()?;
        }
    }

    /// The deadest first, as many as fill a new file.
    fn victims(&self) -> Result<Vec<Victim>> {
        let mut victims: Vec<Victim> = Vec::new();
        for (number, row) in self.shared().read(RedbSnapshot::files)? {
            // A row that cannot be read is `check`'s to name.
            let Ok(row) = row else { continue };
            if row.live_bytes.saturating_mul(2) < row.bytes && !self.is_given_up(number) {
                victims.push((number, row));
            }
        }
        let dead: u64 = victims.iter().map(|(_, row)| row.bytes.saturating_sub(row.live_bytes)).sum();
        if dead < self.file_bytes() / 4 {
            return Ok(Vec::new());
        }
        victims.sort_by_key(|(number, row)| (row.live_bytes, *number));
        let mut live = 0;
        victims.retain(|(_, row)| {
            let fits = live == 0 || live + row.live_bytes <= self.file_bytes();
            live += if fits { row.live_bytes } else { 0 };
            fits
        });
        Ok(victims)
    }

    fn rewrite_some(&self, victims: Vec<Victim>) -> Result<u64> {
        let mut writer = FileWriter::new(self.shared().reserve_file()?);
        let mut done = 0;
        for (number, row) in victims {
            match self.carry(&mut writer, number, &row) {
                Ok(()) => done += 1,
                Err(e) if matches!(e.kind(), crate::Kind::Corrupt) => {
                    // Damaged: it stays as it is, `check` and whoever reads it name the damage.
                    tracing::warn!(file = %format!("{SEALED_FOLDER}/{}", row.name), error = %e, "a file stays though it is mostly dead");
                    self.give_up(number);
                }
                Err(e) => return Err(e),
            }
        }
        let Some(SealedFile { number, row, bytes, groups }) = writer.finish()? else { return Ok(done) };
        let name = row.name.clone();
        self.shared().space.spare(row.bytes)?;
        self.shared().tier.put(&name, bytes).map_err(|e| tier_error("writing", &name, &e))?;
        match self.switch(Work::Rewrite { file: number, row, groups })? {
            // All of it was truncated meanwhile.
            Outcome::Sealed(0) => self.delete(&name)?,
            Outcome::Sealed(_) => {}
            other => return Err(Error::bug(format!("the committer answered another question: {other:?}"))),
        }
        Ok(done)
    }

    /// Takes over the chunks that the index still finds in the file.
    fn carry(&self, writer: &mut FileWriter, number: u64, row: &FileRow) -> Result<()> {
        let name = &row.name;
        let bytes = self.shared().tier.read(name, 0..row.bytes).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => super::reader::missing(name),
            _ => tier_error("reading", name, &e),
        })?;
        let entries = layout::entries(&bytes, number)?;
        let living = self.shared().read(|snapshot| {
            let mut living = Vec::new();
            for entry in &entries {
                match snapshot.index_entry(entry.key)? {
                    Some(now) if matches!(now.location, Location::Sealed { file, .. } if file == number) => {
                        living.push((entry.key, now))
                    }
                    _ => {}
                }
            }
            Ok(living)
        })?;
        if living.len() as u64 != row.live_chunks {
            // More or fewer than its row counts: truncated since, or damage. The next look tells.
            let now = self.shared().read(|snapshot| snapshot.file(number))?;
            if now.is_some_and(|now| now.live_chunks != living.len() as u64) {
                return Err(Error::corrupt("the index names other chunks of it than its row counts"));
            }
        }
        for (key, entry) in living {
            let Location::Sealed { start, len, .. } = entry.location else { continue };
            let end = start.checked_add(len).filter(|end| *end <= bytes.len() as u64);
            let end = end.ok_or_else(|| Error::corrupt("the index names bytes past its end"))?;
            writer.copy(key, entry, &bytes[start as usize..end as usize]);
        }
        Ok(())
    }
}
