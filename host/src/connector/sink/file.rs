//! Committed events as JSON lines in a folder, exactly once. `sink::build` makes it, `job` drives it on a thread.
//!
//! A file `part-<n>.jsonl` is put in place in five steps, each of which a crash may follow:
//!
//! 1. write and fsync the lines under a temporary name `.part-<n>.tmp` in the same folder;
//! 2. record the intent in the marker: names, range of events per segment, size and crc;
//! 3. rename to the final name;
//! 4. fsync the folder;
//! 5. mark it done in the marker: next positions, no intent; the stream's events before them are freed.
//!
//! After a crash ([`decide`]): an intent whose final file is there needs only 4 and 5; one whose temporary file is whole,
//! 3 to 5; else the file is written again from the stream, which keeps its events until 5. Without an intent temporary
//! files are removed. The files of a finished run, one after the other by name, are all output, once.
//!
//! Invariants: only this egress makes `part-*.jsonl` in the folder (a foreign one stops it before anything is written
//! over); the marker's `next` and the finished files always tell of the same events, but for one intent.

use super::line::write_json_line;
use super::marker::{Cut, Intent, Marker, Place, Progress};
use crate::clock::Clock;
use crate::config::pipeline::FileSink;
use crate::connector::{ConnectorError, Egress};
use flate2::Crc;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;
use tidemill_storage::{Offset, SegmentId, Store, free_bytes};

/// Names keep their order up to here.
const FILES_MAX: u32 = 100_000_000;

/// Room for the lines of one read.
const READ_BYTES: u64 = 1 << 20;

/// Where a crash may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    LinesWritten,
    TemporarySynced,
    IntentRecorded,
    Renamed,
    FolderSynced,
    MarkedDone,
}

/// The egress.
pub(super) struct FileEgress {
    place: Place,
    spec: FileSink,
    clock: Clock,
    state: Option<State>,
    lines: Vec<u8>,
    /// Tests stop here, as a crash would.
    #[cfg(test)]
    pub(super) crash_after: Option<Step>,
}

struct State {
    progress: Progress,
    part: Option<OpenPart>,
}

/// A file being written under its temporary name.
struct OpenPart {
    file: File,
    temporary: String,
    /// Where it began and where it stands.
    from: Cut,
    to: Cut,
    bytes: u64,
    crc: Crc,
    opened: Duration,
}

/// What is to be done for an intent after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recovery {
    MarkDone,
    Rename,
    WriteAgain,
}

fn decide(final_is_there: bool, temporary_is_whole: bool) -> Recovery {
    match (final_is_there, temporary_is_whole) {
        (true, _) => Recovery::MarkDone,
        (false, true) => Recovery::Rename,
        (false, false) => Recovery::WriteAgain,
    }
}

fn final_name(number: u32) -> String {
    format!("part-{number:08}.jsonl")
}

fn temporary_name(number: u32) -> String {
    format!(".part-{number:08}.tmp")
}

/// Whether a name is `prefix`, eight digits, `suffix`.
fn is_part(name: &str, prefix: &str, suffix: &str) -> bool {
    let digits = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
    digits.is_some_and(|d| d.len() == 8 && d.bytes().all(|b| b.is_ascii_digit()))
}

impl FileEgress {
    pub(super) fn new(place: Place, spec: &FileSink, clock: Clock) -> FileEgress {
        FileEgress {
            place,
            spec: spec.clone(),
            clock,
            state: None,
            lines: Vec::new(),
            #[cfg(test)]
            crash_after: None,
        }
    }

    #[cfg(test)]
    fn reached(&self, step: Step) -> Result<(), ConnectorError> {
        if self.crash_after == Some(step) {
            return Err(ConnectorError::Unavailable(format!("crash after {step:?}")));
        }
        Ok(())
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests crash here")]
    fn reached(&self, _step: Step) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Copies at most one chunk per segment, and puts the file in place when it is time.
    fn copy(&mut self, store: &Store, last: bool) -> Result<bool, ConnectorError> {
        let mut state = match self.state.take() {
            Some(state) => state,
            None => match self.recover(store)? {
                Some(progress) => State { progress, part: None },
                None => return Ok(false),
            },
        };
        let info = state.progress.look(store)?;
        let (mut moved, mut caught_up, mut full) = (false, true, None);
        for segment in info.all_segments() {
            let reached = match &state.part {
                Some(part) => part.to.get(&segment.id),
                None => state.progress.marker.next.get(&segment.id),
            };
            let from = reached.copied().unwrap_or(segment.head);
            if from >= segment.tail {
                continue;
            }
            if let Err(error) = self.check_room(store) {
                full = Some(error);
                break;
            }
            self.lines.clear();
            let to = state.progress.read(store, segment.id, from, segment.tail, |batch, i| {
                write_json_line(batch.values.get(i), &mut self.lines);
            })?;
            let part = match &mut state.part {
                Some(part) => part,
                None => state.part.insert(self.open_part(&state.progress.marker)?),
            };
            part.write(&self.lines, &self.spec.path)?;
            part.from.entry(segment.id).or_insert(from);
            part.to.insert(segment.id, to);
            moved = true;
            caught_up &= to >= segment.tail;
        }
        if let Some(part) = &state.part {
            let age_ms = self.clock.elapsed().saturating_sub(part.opened).as_millis();
            // On a disk without room what is written is finished: then its events in the stream are free to go.
            let is_due = part.bytes >= self.spec.roll_bytes || age_ms >= u128::from(self.spec.roll_ms);
            if is_due || full.is_some() || (last && caught_up) {
                self.reached(Step::LinesWritten)?;
                if let Some(part) = state.part.take() {
                    self.finish(store, &mut state.progress, part)?;
                }
                moved = true;
            }
        }
        self.state = Some(state);
        match full {
            Some(error) if !moved => Err(error),
            _ => Ok(moved),
        }
    }

    /// The disk of the folder, which may be the data directory's, keeps the same reserve.
    fn check_room(&self, store: &Store) -> Result<(), ConnectorError> {
        let reserve = store.reserve_bytes();
        match free_bytes(&self.spec.path) {
            Ok(free) if reserve > 0 && free < reserve.saturating_add(READ_BYTES) => Err(ConnectorError::Full(format!(
                "{}: the disk is full down to its reserve (store.reserve); make room",
                self.spec.path.display()
            ))),
            // Writing tells, if there is something wrong.
            _ => Ok(()),
        }
    }

    fn open_part(&self, marker: &Marker) -> Result<OpenPart, ConnectorError> {
        if marker.files >= FILES_MAX {
            return Err(ConnectorError::Invalid(format!(
                "{} holds {FILES_MAX} files; give the sink another folder and a larger roll_bytes",
                self.spec.path.display()
            )));
        }
        let temporary = temporary_name(marker.files);
        Ok(OpenPart {
            file: create(&self.spec.path.join(&temporary))?,
            temporary,
            from: Cut::new(),
            to: marker.next.clone(),
            bytes: 0,
            crc: Crc::new(),
            opened: self.clock.elapsed(),
        })
    }

    /// Steps 1 to 5.
    fn finish(&self, store: &Store, progress: &mut Progress, part: OpenPart) -> Result<(), ConnectorError> {
        let number = progress.marker.files;
        part.file.sync_all().map_err(|e| failed(&self.spec.path.join(&part.temporary), &e))?;
        self.reached(Step::TemporarySynced)?;
        self.refuse_foreign(&final_name(number))?;
        let folder = self.spec.path.to_str().ok_or_else(|| {
            ConnectorError::Invalid(format!("{} is not UTF-8; rename the folder", self.spec.path.display()))
        })?;
        let range = |(segment, from): (&SegmentId, &Offset)| part.to.get(segment).map(|to| (*segment, *from, *to));
        let intent = Intent {
            folder: folder.to_string(),
            temporary: part.temporary.clone(),
            name: final_name(number),
            ranges: part.from.iter().filter_map(range).collect(),
            bytes: part.bytes,
            crc32: part.crc.sum(),
        };
        let marker = Marker { intent: Some(intent.clone()), ..progress.marker.clone() };
        progress.swap(store, marker, false)?;
        self.reached(Step::IntentRecorded)?;
        self.put_in_place(store, progress, &intent, Recovery::Rename)
    }

    /// Steps 3 to 5, from where `from` says.
    fn put_in_place(
        &self,
        store: &Store,
        progress: &mut Progress,
        intent: &Intent,
        from: Recovery,
    ) -> Result<(), ConnectorError> {
        let folder = Path::new(&intent.folder);
        let (temporary, name) = (folder.join(&intent.temporary), folder.join(&intent.name));
        if from == Recovery::WriteAgain {
            self.write_again(store, progress, intent, &temporary)?;
        }
        if from != Recovery::MarkDone {
            fs::rename(&temporary, &name).map_err(|e| failed(&name, &e))?;
            self.reached(Step::Renamed)?;
        }
        sync_folder(folder)?;
        self.reached(Step::FolderSynced)?;
        let mut marker = Marker { files: progress.marker.files + 1, intent: None, ..progress.marker.clone() };
        marker.next.extend(intent.ranges.iter().map(|(segment, _, to)| (*segment, *to)));
        progress.swap(store, marker, true)?;
        self.reached(Step::MarkedDone)
    }

    /// The lines of an intent from the stream. Their order between segments may differ from the first time; within a
    /// segment it is the stream's.
    fn write_again(
        &self,
        store: &Store,
        progress: &Progress,
        intent: &Intent,
        temporary: &Path,
    ) -> Result<(), ConnectorError> {
        fs::create_dir_all(&intent.folder).map_err(|e| failed(Path::new(&intent.folder), &e))?;
        let mut file = create(temporary)?;
        let mut lines = Vec::new();
        for (segment, from, to) in &intent.ranges {
            let mut at = *from;
            while at < *to {
                lines.clear();
                at = progress
                    .read(store, *segment, at, *to, |batch, i| write_json_line(batch.values.get(i), &mut lines))?;
                file.write_all(&lines).map_err(|e| failed(temporary, &e))?;
            }
        }
        file.sync_all().map_err(|e| failed(temporary, &e))
    }

    /// Brings folder and marker to one state. `None` = the stream is not there yet.
    fn recover(&self, store: &Store) -> Result<Option<Progress>, ConnectorError> {
        let Some(mut progress) = self.place.open(store)? else { return Ok(None) };
        fs::create_dir_all(&self.spec.path).map_err(|e| failed(&self.spec.path, &e))?;
        if let Some(intent) = progress.marker.intent.clone() {
            let folder = Path::new(&intent.folder);
            let is_there = folder.join(&intent.name).try_exists().map_err(|e| failed(folder, &e))?;
            let is_whole = !is_there && is_whole(&folder.join(&intent.temporary), &intent)?;
            self.put_in_place(store, &mut progress, &intent, decide(is_there, is_whole))?;
        }
        for entry in fs::read_dir(&self.spec.path).map_err(|e| failed(&self.spec.path, &e))? {
            let name = entry.map_err(|e| failed(&self.spec.path, &e))?.file_name();
            let Some(name) = name.to_str() else { continue };
            if is_part(name, ".part-", ".tmp") {
                let path = self.spec.path.join(name);
                fs::remove_file(&path).map_err(|e| failed(&path, &e))?;
            } else if progress.is_new() && is_part(name, "part-", ".jsonl") {
                return Err(self.foreign(name));
            }
        }
        self.refuse_foreign(&final_name(progress.marker.files))?;
        Ok(Some(progress))
    }

    fn refuse_foreign(&self, name: &str) -> Result<(), ConnectorError> {
        match self.spec.path.join(name).try_exists() {
            Ok(false) => Ok(()),
            Ok(true) => Err(self.foreign(name)),
            Err(e) => Err(failed(&self.spec.path.join(name), &e)),
        }
    }

    fn foreign(&self, name: &str) -> ConnectorError {
        ConnectorError::Invalid(format!(
            "{} was not written by this pipeline in this data directory; move it away, or give the sink another folder",
            self.spec.path.join(name).display()
        ))
    }
}

impl OpenPart {
    fn write(&mut self, lines: &[u8], folder: &Path) -> Result<(), ConnectorError> {
        self.file.write_all(lines).map_err(|e| failed(&folder.join(&self.temporary), &e))?;
        self.crc.update(lines);
        self.bytes += lines.len() as u64;
        Ok(())
    }
}

impl Egress for FileEgress {
    fn step(&mut self, store: &Store, last: bool) -> Result<bool, ConnectorError> {
        // After an error the state is gone: the next step looks at the store and the folder again, as after a crash.
        self.copy(store, last)
    }
}

/// Whether the temporary file is all there.
fn is_whole(path: &Path, intent: &Intent) -> Result<bool, ConnectorError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failed(path, &e)),
    };
    let mut crc = Crc::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer).map_err(|e| failed(path, &e))? {
            0 => break,
            n => {
                crc.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
    Ok(bytes == intent.bytes && crc.sum() == intent.crc32)
}

fn create(path: &Path) -> Result<File, ConnectorError> {
    File::create(path).map_err(|e| failed(path, &e))
}

fn sync_folder(folder: &Path) -> Result<(), ConnectorError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| failed(folder, &e))
}

fn failed(path: &Path, error: &io::Error) -> ConnectorError {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => ConnectorError::Invalid(format!("{path}: its folder is not there; make it")),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            ConnectorError::Invalid(format!("{path}: permission denied; let this user write there"))
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists | ErrorKind::IsADirectory => {
            ConnectorError::Invalid(format!("{path}: {error}; the sink's path must be a folder"))
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            ConnectorError::Full(format!("{path}: the disk is full; make room"))
        }
        _ => ConnectorError::Unavailable(format!("{path}: {error}")),
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
