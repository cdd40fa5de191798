//! Opens the data directory of a command. The streams' and checkpoint commands call it; `run` leaves it to the job.

use anyhow::{Result, anyhow, bail};
use std::path::Path;
use std::sync::Arc;
use tidemill::clock::Clock;
use tidemill_storage::stream::StreamInfo;
use tidemill_storage::{Store, StoreOptions, StreamName};

/// Opens a data directory that is there.
pub(crate) fn open(data_dir: &Path) -> Result<Store> {
    if !data_dir.is_dir() {
        bail!(
            "no data directory {}: name another with --data-dir, or make this one with `tidemill run` or `tidemill stream create`",
            data_dir.display()
        );
    }
    create(data_dir)
}

/// Opens a data directory, making it if need be.
pub(crate) fn create(data_dir: &Path) -> Result<Store> {
    let clock = Clock::system();
    let options = StoreOptions { clock: Arc::new(move || clock.now_ms()), ..StoreOptions::default() };
    Ok(Store::open(data_dir, options)?)
}

/// A stream that must exist.
pub(crate) fn stream(store: &Store, name: &StreamName, data_dir: &Path) -> Result<StreamInfo> {
    store.stream(name)?.ok_or_else(|| {
        anyhow!(
            "no stream {name} in {}: `tidemill stream list` shows what there is, `tidemill stream create {name}` makes it",
            data_dir.display()
        )
    })
}
