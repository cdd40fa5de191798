//! Fetches chunks from sealed files. Outside of any read transaction: `stream/read.rs` looks up what it needs first.

use super::tier::{SEALED_FOLDER, Tier};
use crate::error::{Error, Kind, Result};
use crate::row::FileRow;
use bytes::Bytes;
use std::io;

/// Why a chunk could not be fetched.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such file: it was unlinked after the look-up, or it was lost. Only a new look-up tells.
    Missing(Error),
    Other(Error),
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Failure::Missing(e) | Failure::Other(e) => e,
        }
    }
}

pub(crate) fn tier_error(doing: &str, name: &str, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
        _ => Kind::Unavailable,
    };
    Error::new(kind, format!("{doing} {SEALED_FOLDER}/{name}: {error}"))
}

pub(crate) fn missing(name: &str) -> Error {
    Error::corrupt(format!("the sealed file {SEALED_FOLDER}/{name} is missing"))
}

/// The bytes of a chunk as they lie there, unchecked but for their length.
pub(crate) fn fetch(tier: &dyn Tier, row: &FileRow, start: u64, len: u64) -> Result<Bytes, Failure> {
    let name = &row.name;
    let end = start.checked_add(len).filter(|end| *end <= row.bytes).ok_or_else(|| {
        Failure::Other(Error::corrupt(format!("the index names bytes past the end of {SEALED_FOLDER}/{name}")))
    })?;
    match tier.read(name, start..end) {
        Ok(bytes) if bytes.len() as u64 == len => Ok(bytes),
        Ok(bytes) => Err(Failure::Other(Error::corrupt(format!(
            "the sealed file {SEALED_FOLDER}/{name} was cut off: of {len} bytes from {start} on, {} are there",
            bytes.len()
        )))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Failure::Missing(missing(name))),
        Err(e) => Err(Failure::Other(tier_error("reading", name, &e))),
    }
}
