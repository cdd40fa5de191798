//! A state that several holders share: each replays the same updates from a log, and writes one only on top of all that
//! came before. [`super::Log`] gives the compare-and-set.

use super::{Log, Revision};
use crate::error::{Error, Kind, Result};

/// Bytes of entries fetched at once.
const PAGE_BYTES: usize = 1 << 20;
/// How often an update is made anew because others were faster, before that is an error.
const TRIES_MAX: usize = 10_000;

/// A state that updates make.
pub trait SharedState: Sized {
    /// The state that [`SharedState::encode`] gave.
    fn decode(whole: &[u8]) -> Result<Self>;

    /// The whole state.
    fn encode(&self) -> Vec<u8>;

    /// Applies one update. Must depend on nothing but the state and the update.
    fn apply(&mut self, update: &[u8]) -> Result<()>;
}

/// One holder of a shared state.
#[derive(Debug)]
pub struct Synchroniser<S> {
    log: Log,
    /// None until the log has an initial entry.
    state: Option<S>,
    revision: Revision,
}

impl<S: SharedState> Synchroniser<S> {
    /// Over a log; knows nothing until the first fetch or update.
    pub fn new(log: Log) -> Synchroniser<S> {
        Synchroniser { log, state: None, revision: Revision(0) }
    }

    /// Writes the first state when there is none yet. False: somebody did already. Fetches in any case.
    pub fn initialise(&mut self, state: &S) -> Result<bool> {
        self.fetch()?;
        loop {
            if self.state.is_some() {
                return Ok(false);
            }
            match self.log.compact(self.revision, state.encode()) {
                Ok(_) => {
                    self.fetch()?;
                    return Ok(true);
                }
                Err(e) if e.kind() == Kind::Conflict => self.fetch()?,
                Err(e) => return Err(e),
            }
        }
    }

    /// The state as of the last fetch or update; none before the first one, or while nobody has initialised it.
    pub fn state(&self) -> Option<&S> {
        self.state.as_ref()
    }

    /// Up to where the state is known.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Takes in everything that is in the log now. A holder behind a compaction, or several, starts again from the
    /// compacted state.
    pub fn fetch(&mut self) -> Result<()> {
        loop {
            let page = match self.log.read(self.revision, PAGE_BYTES) {
                Ok(page) => page,
                Err(e) if e.kind() == Kind::Truncated => {
                    // Its oldest entry may be compacted away before it is read: then this comes round again.
                    self.revision = self.log.info()?.head;
                    self.state = None;
                    continue;
                }
                Err(e) => return Err(e),
            };
            for entry in &page.entries {
                let at = |e: Error| e.context(format!("log {}, entry {}", self.log.name(), entry.revision));
                match &mut self.state {
                    _ if entry.initial => self.state = Some(S::decode(&entry.value).map_err(at)?),
                    Some(state) => state.apply(&entry.value).map_err(at)?,
                    None => return Err(at(Error::invalid("an update of a state that nobody has initialised"))),
                }
                self.revision = entry.revision;
            }
            if self.revision >= page.tail {
                return Ok(());
            }
        }
    }

    /// Updates the state: `make` sees the newest one and gives the update, and is asked again as often as somebody else was
    /// faster. False: `make` wanted none. `Invalid` while nobody has initialised the state.
    pub fn update(&mut self, mut make: impl FnMut(&S) -> Option<Vec<u8>>) -> Result<bool> {
        for _ in 0..TRIES_MAX {
            let Some(state) = &self.state else {
                self.fetch()?;
                if self.state.is_none() {
                    return Err(Error::invalid(format!("log {}: initialise the state first", self.log.name())));
                }
                continue;
            };
            let Some(update) = make(state) else { return Ok(false) };
            match self.log.append_if(self.revision, update.clone()) {
                Ok(revision) => {
                    if let Some(Err(e)) = self.state.as_mut().map(|state| state.apply(&update)) {
                        // Half applied, perhaps: the next fetch makes it anew.
                        (self.state, self.revision) = (None, Revision(0));
                        return Err(e.context(format!("log {}, entry {revision}", self.log.name())));
                    }
                    self.revision = revision;
                    return Ok(true);
                }
                Err(e) if e.kind() == Kind::Conflict => self.fetch()?,
                Err(e) => return Err(e),
            }
        }
        Err(Error::unavailable(format!("log {}: others were faster {TRIES_MAX} times; try later", self.log.name())))
    }

    /// Writes an update whatever the state is. It shows here after the next fetch.
    pub fn update_blindly(&self, update: Vec<u8>) -> Result<()> {
        self.log.append(update).map(drop)
    }

    /// Writes the whole state in the place of all entries so far. False: somebody wrote meanwhile; nothing happened.
    pub fn compact(&mut self) -> Result<bool> {
        self.fetch()?;
        let Some(state) = &self.state else { return Ok(false) };
        match self.log.compact(self.revision, state.encode()) {
            Ok(revision) => {
                self.revision = revision;
                Ok(true)
            }
            Err(e) if e.kind() == Kind::Conflict => Ok(false),
            Err(e) => Err(e),
        }
    }
}
