//! The data directory of a command: its store, which the command opens itself or which the process that owns it lends,
//! and the pipelines that run there. `session.rs` holds it for every command.

use super::control::server::ControlServer;
use super::jobs::Jobs;
use anyhow::{Result, anyhow, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemill::clock::Clock;
use tidemill::config::settings::Settings;
use tidemill::job;
use tidemill_storage::stream::StreamInfo;
use tidemill_storage::{Kind, Store, StreamName};

/// How long a data directory that somebody else has open is waited for: most commands have it for a moment only.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(1);
/// Between two tries.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Tries again for a while when the data directory is refused. `attempt` must open it before it does anything else.
pub(crate) fn retry_while_refused<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let since = Instant::now();
    loop {
        match attempt() {
            Err(error) if is_refused(&error) && since.elapsed() < WAIT_FOR_OTHERS => std::thread::sleep(TRY_EVERY),
            done => return done,
        }
    }
}

fn is_refused(error: &anyhow::Error) -> bool {
    error.downcast_ref::<tidemill_storage::Error>().is_some_and(|error| error.kind() == Kind::Refused)
}

/// What the owner of a data directory lends to commands.
#[derive(Clone)]
pub(crate) struct Owned {
    pub(crate) store: Store,
    pub(crate) jobs: Arc<Jobs>,
}

/// The data directory of a command.
pub(crate) struct Access {
    /// As the user wrote it.
    data_dir: PathBuf,
    owned: Option<Owned>,
}

impl Access {
    /// For a command that is the only one there.
    pub(crate) fn own(data_dir: &Path) -> Access {
        Access { data_dir: data_dir.to_owned(), owned: None }
    }

    /// For a command that the owner runs.
    pub(crate) fn lent(data_dir: &Path, owned: Owned) -> Access {
        Access { data_dir: data_dir.to_owned(), owned: Some(owned) }
    }

    /// Where it is, as the user wrote it.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The store of a data directory that is there.
    pub(crate) fn open(&self) -> Result<Store> {
        if self.owned.is_none() && !self.data_dir.is_dir() {
            bail!(
                "no data directory {}: name another with --data-dir, or make this one with `tidemill run` or `tidemill stream create`",
                self.data_dir.display()
            );
        }
        self.create()
    }

    /// The store, making the data directory if need be.
    pub(crate) fn create(&self) -> Result<Store> {
        match &self.owned {
            Some(owned) => {
                // A pipeline reopens it after a failure, but there may be none that notices. What is still wrong, the
                // command hears in its turn.
                if let Err(error) = owned.store.reopen_if_failed() {
                    tracing::debug!("the store does not open again yet: {error}");
                }
                Ok(owned.store.clone())
            }
            None => open_store(&self.data_dir, &Settings::load(None)?),
        }
    }

    /// For a command that stays: lets others work beside it, as they do beside `run`, until what it gives is dropped. None when
    /// this is such another one, or when it cannot be: then they are told who has the data directory.
    pub(crate) fn serve(&self, store: &Store) -> Option<ControlServer> {
        if self.owned.is_some() {
            return None;
        }
        let owned = Owned { store: store.clone(), jobs: Arc::default() };
        ControlServer::start(&self.data_dir, owned)
            .inspect_err(|error| tracing::warn!("no commands beside this one: {error:#}"))
            .ok()
    }

    /// The pipelines that this process runs.
    pub(crate) fn jobs(&self) -> Option<&Jobs> {
        self.owned.as_ref().map(|owned| &*owned.jobs)
    }

    /// A stream that must exist.
    pub(crate) fn stream(&self, store: &Store, name: &StreamName) -> Result<StreamInfo> {
        store.stream(name)?.ok_or_else(|| {
            anyhow!(
                "no stream {name} in {}: `tidemill stream list` shows what there is, `tidemill stream create {name}` makes it",
                self.data_dir.display()
            )
        })
    }
}

/// Opens a data directory, making it if need be.
pub(crate) fn open_store(data_dir: &Path, settings: &Settings) -> Result<Store> {
    Ok(Store::open(data_dir, job::store_options(settings, &Clock::system())?)?)
}
