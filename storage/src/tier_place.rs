//! `DIR/TIER`: where the sealed files of a data directory lie when they are not beside it, and the mark in that place that
//! says whose they are. Without the note they lie in `DIR/sealed`. `store.rs` asks when it opens a directory.
//!
//! ```text
//! s3://bucket/prefix
//! 1d0f6c...           the same as in the place's OWNER
//! asking              only until that is known to be so; the files still lie in DIR/sealed
//! ```
//!
//! An answer may get lost: the id of a mark that may be there already is kept, and asked for again.

use crate::directory::write_aside;
use crate::error::{Error, Kind, Result};
use crate::schema::TIER_FILE;
use crate::sealed::reader::tier_error;
use crate::sealed::{LocalTier, SEALED_FOLDER, Tier, is_file_name};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

/// A place for sealed files apart from the data directory.
#[derive(Clone, Debug)]
pub struct RemoteTier {
    /// What it is called: kept in the data directory, and compared when that is opened again.
    pub url: String,
    /// The place.
    pub tier: Arc<dyn Tier>,
}

/// The third line of a note.
const ASKING: &str = "asking";

/// What the note says.
struct Note {
    url: String,
    owner: String,
    /// The place has not said yet that it is this directory's.
    asking: bool,
}

/// The place of a directory's sealed files. Those that lie beside it are carried to `remote`.
pub(crate) fn tier(dir: &Path, remote: Option<&RemoteTier>) -> Result<Arc<dyn Tier>> {
    let local = LocalTier::new(dir).map_err(|e| note_error("looking into", dir, &e))?;
    let Some(remote) = remote else {
        return match read(dir)? {
            None | Some(Note { asking: true, .. }) => Ok(Arc::new(local)),
            Some(note) => Err(Error::invalid(format!(
                "the sealed files of data directory {} lie in {}: set store.tier to that",
                dir.display(),
                note.url
            ))),
        };
    };
    let mut note = match read(dir)? {
        Some(note) if !note.asking && note.url != remote.url => {
            return Err(Error::invalid(format!(
                "the sealed files of data directory {} lie in {}, store.tier says {}: set it to the first, or, if somebody has \
                 carried them over, write the second into {}",
                dir.display(),
                note.url,
                remote.url,
                dir.join(TIER_FILE).display()
            )));
        }
        Some(note) => note,
        None => Note { url: String::new(), owner: new_owner(), asking: true },
    };
    if note.url != remote.url {
        // Before the mark: a crash in between must not leave a mark that this directory does not know as its own.
        note.url.clone_from(&remote.url);
        write(dir, &note)?;
    }
    match claim(dir, remote, &note) {
        Ok(()) if note.asking => {
            note.asking = false;
            write(dir, &note)?;
        }
        Ok(()) => {}
        // A place that is away slows a store that knows it down. One that nobody has seen yet may be a slip of the pen.
        Err(e) if !note.asking && e.kind() == Kind::Unavailable => {
            tracing::warn!("{e}; sealed files cannot be read or written meanwhile");
            return Ok(remote.tier.clone());
        }
        Err(e) => return Err(e),
    }
    carry_over(&local, remote)?;
    Ok(remote.tier.clone())
}

fn claim(dir: &Path, remote: &RemoteTier, note: &Note) -> Result<()> {
    let owner = remote.tier.claim(&note.owner).map_err(|e| match e.kind() {
        ErrorKind::PermissionDenied => Error::invalid(format!("{}: {e}: correct the keys", remote.url)),
        _ => Error::unavailable(format!("asking {} whose files lie there: {e}", remote.url)),
    })?;
    if owner == note.owner {
        return Ok(());
    }
    Err(Error::refused(format!(
        "{} holds the sealed files of another data directory ({owner}), not of {} ({}): use another prefix",
        remote.url,
        dir.display(),
        note.owner
    )))
}

/// A name is made of a number that is given out once and of the file's crc, so that a file of the same name is the same.
fn carry_over(local: &LocalTier, remote: &RemoteTier) -> Result<()> {
    let names = match local.list() {
        Ok(names) => names.into_iter().filter(|name| is_file_name(name)),
        Err(e) => return Err(tier_error("listing", ".", &e)),
    };
    for name in names {
        let size = local.size(&name).map_err(|e| tier_error("reading", &name, &e))?.unwrap_or(0);
        let bytes = local.read(&name, 0..size).map_err(|e| tier_error("reading", &name, &e))?;
        remote.tier.put(&name, bytes).map_err(|e| tier_error("carrying over", &name, &e))?;
        local.delete(&name).map_err(|e| tier_error("deleting", &name, &e))?;
        tracing::info!("carried {SEALED_FOLDER}/{name} ({size} bytes) over to {}", remote.url);
    }
    Ok(())
}

/// Not a secret: it only has to differ from directory to directory.
fn new_owner() -> String {
    let mut id = String::new();
    for _ in 0..2 {
        id.push_str(&format!("{:016x}", RandomState::new().hash_one(std::process::id())));
    }
    id
}

fn note_error(doing: &str, path: &Path, error: &io::Error) -> Error {
    Error::unavailable(format!("{doing} {}: {error}", path.display()))
}

fn read(dir: &Path) -> Result<Option<Note>> {
    let path = dir.join(TIER_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(note_error("reading", &path, &e)),
    };
    let mut lines = text.lines().map(str::trim);
    match (lines.next(), lines.next()) {
        (Some(url), Some(owner)) if !url.is_empty() && !owner.is_empty() => {
            let asking = lines.next() == Some(ASKING);
            Ok(Some(Note { url: url.to_string(), owner: owner.to_string(), asking }))
        }
        _ => Err(Error::corrupt(format!(
            "{} does not tell where the sealed files lie: it must have two lines, the place and the content of the place's OWNER",
            path.display()
        ))),
    }
}

fn write(dir: &Path, note: &Note) -> Result<()> {
    let path = dir.join(TIER_FILE);
    let asking = if note.asking { format!("{ASKING}\n") } else { String::new() };
    let text = format!("{}\n{}\n{asking}", note.url, note.owner);
    write_aside(&path, &text).map_err(|e| note_error("writing", &path, &e))
}
