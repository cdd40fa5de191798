//! Files as partitions: paths and globs, plain or gzip, CSV, JSON lines or any lines. `source::build` makes it from the
//! pipeline file, `dataflow/source_task` drives its readers.
//!
//! A partition's id is the file's absolute path: positions are kept under it. Files that appear after the start of a run
//! are found by the next one. A file that was read to its end is not read again, even if it has grown since.

mod csv;
mod input;
mod position;
mod reader;
mod time;

use crate::clock::Clock;
use crate::config::pipeline::FileSource;
use crate::connector::{ConnectorError, Partition, PartitionReader, Source};
use std::path::{Component, Path, PathBuf};

/// The source of a `file = {...}` of a pipeline.
pub(super) struct Files {
    name: String,
    spec: FileSource,
    clock: Clock,
}

impl Files {
    pub(super) fn new(name: &str, spec: &FileSource, clock: Clock) -> Files {
        Files { name: name.to_string(), spec: spec.clone(), clock }
    }

    fn invalid(&self, why: impl std::fmt::Display) -> ConnectorError {
        ConnectorError::Invalid(format!("sources.{}.file.path: {why}", self.name))
    }

    fn files(&self) -> Result<Vec<PathBuf>, ConnectorError> {
        let mut files = Vec::new();
        for path in &self.spec.paths {
            let text =
                path.to_str().ok_or_else(|| self.invalid(format!("{} is not UTF-8; rename it", path.display())))?;
            // A file of exactly this name comes before a pattern.
            if path.exists() || !text.contains(['*', '?', '[']) {
                if !path.exists() {
                    return Err(self.invalid(format!("{}: no such file; check the path", path.display())));
                }
                files.push(file_id(path));
                continue;
            }
            let pattern = lexically_normal(path);
            let pattern = pattern.to_string_lossy();
            let matches = glob::glob(&pattern).map_err(|e| self.invalid(format!("{text} is not a pattern: {e}")))?;
            let before = files.len();
            for file in matches {
                let file = file.map_err(|e| self.invalid(format!("{}: {}", e.path().display(), e.error())))?;
                if !file.is_dir() {
                    files.push(file_id(&file));
                }
            }
            if files.len() == before {
                return Err(self.invalid(format!("no file fits {text}; check the pattern")));
            }
        }
        files.sort();
        files.dedup();
        Ok(files)
    }
}

impl Source for Files {
    fn partitions(&self) -> Result<Vec<Partition>, ConnectorError> {
        let mut partitions = Vec::new();
        for file in self.files()? {
            // Opening shows at once what cannot be read and which columns are not there.
            let reader =
                reader::FileReader::open(&file, &self.spec, &self.clock, None).map_err(|e| with_name(&self.name, e))?;
            let id =
                file.to_str().ok_or_else(|| self.invalid(format!("{} is not UTF-8; rename it", file.display())))?;
            partitions.push(Partition { id: id.to_string(), size: reader.progress().total });
        }
        Ok(partitions)
    }

    fn open(&self, partition: &Partition, position: Option<&[u8]>) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let reader = reader::FileReader::open(Path::new(&partition.id), &self.spec, &self.clock, position);
        Ok(Box::new(reader.map_err(|e| with_name(&self.name, e))?))
    }

    fn bounded(&self) -> bool {
        true
    }
}

fn with_name(source: &str, error: ConnectorError) -> ConnectorError {
    match error {
        ConnectorError::Invalid(why) => ConnectorError::Invalid(format!("source {source}: {why}")),
        ConnectorError::Unavailable(why) => ConnectorError::Unavailable(format!("source {source}: {why}")),
        storage => storage,
    }
}

/// The path without `.` and `..`, if that is the same file; a link before a `..` makes it another one.
fn file_id(path: &Path) -> PathBuf {
    let normal = lexically_normal(path);
    match (normal.canonicalize(), path.canonicalize()) {
        (Ok(a), Ok(b)) if a == b => normal,
        (_, Ok(real)) => real,
        _ => normal,
    }
}

fn lexically_normal(path: &Path) -> PathBuf {
    // Cannot fail for a path that is not empty; the config refuses empty ones.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut normal = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests;
