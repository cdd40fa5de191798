//! The redb handle that all threads of a store share: reads and commits go through it, an I/O error latches it, and
//! only [`Shared::reopen_if_failed`] brings it back. Sole owner of `redb::Database`.
//!
//! Invariant: nobody holds the database outside a call in here, so that the write lock alone lets it be dropped (a
//! file's lock is free again) and opened anew.

use crate::backend::BackendFactory;
use crate::debt::StateDebt;
use crate::error::{Error, Kind, Result};
use crate::flush;
use crate::format::{check_format, initialise, upgrade};
use crate::guard::guarded;
use crate::overlay::Snapshot;
use crate::pressure::Pressure;
use crate::queue::closed;
use crate::redb_io::{RedbSnapshot, redb_error};
use crate::schema::FORMAT_VERSION;
use crate::sealed::Tier;
use crate::space::{MeasuredDisk, Space};
use crate::state::run::RunCache;
use crate::state::{RunCell, StateBudget};
use crate::store::StoreOptions;
use redb::{Builder, Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

/// A factory with its backend's type forgotten.
pub(crate) trait OpenDatabase: MeasuredDisk {
    fn exists(&self) -> io::Result<bool>;
    fn make(&self, builder: &Builder) -> Result<()>;
    fn writable(&self, builder: &Builder) -> Result<Database, DatabaseError>;
    fn read_only(&self, builder: &Builder) -> Result<ReadOnlyDatabase, DatabaseError>;
    fn size(&self) -> io::Result<u64>;
}

impl<F: BackendFactory> OpenDatabase for F {
    fn exists(&self) -> io::Result<bool> {
        BackendFactory::exists(self)
    }

    fn make(&self, builder: &Builder) -> Result<()> {
        let error = |e: redb::Error| redb_error("making the store", e);
        let backend = self.aside().map_err(|e| error(e.into()))?;
        let database = builder.create_with_backend(backend).map_err(|e| error(e.into()))?;
        initialise(&database)?;
        database.close().map_err(|e| error(e.into()))?;
        self.publish().map_err(|e| error(e.into()))
    }

    fn writable(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        builder.create_with_backend(self.backend()?)
    }

    fn read_only(&self, builder: &Builder) -> Result<ReadOnlyDatabase, DatabaseError> {
        builder.open_read_only_with_backend(self.backend()?)
    }

    fn size(&self) -> io::Result<u64> {
        BackendFactory::size(self)
    }
}

impl<F: BackendFactory> MeasuredDisk for F {
    fn free(&self) -> io::Result<Option<u64>> {
        self.free_bytes()
    }

    fn path(&self) -> PathBuf {
        self.place()
    }
}

pub(crate) struct Shared {
    factory: Arc<dyn OpenDatabase>,
    cache_bytes: usize,
    /// Where the sealed files lie.
    pub(crate) tier: Arc<dyn Tier>,
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) debt: Arc<StateDebt>,
    /// Parts of runs that were read lately.
    pub(crate) run_cache: Arc<RunCache>,
    /// Memory for committed state.
    pub(crate) state_budget: Arc<StateBudget>,
    /// The newest runs of operators that have views.
    cells: Mutex<BTreeMap<(String, String), Weak<RunCell>>>,
    /// The greatest number of a sealed file that was given out.
    last_file: Mutex<u64>,
    /// Files of state that are on their way, or put and not yet named by a row.
    puts: Mutex<BTreeSet<String>>,
    pub(crate) space: Arc<Space>,
    /// None once closed.
    database: RwLock<Option<Database>>,
    /// Why nothing goes any more until it is reopened.
    failed: Mutex<Option<Error>>,
    /// How often that was a full disk.
    times_full: AtomicU64,
}

impl Shared {
    pub(crate) fn open(factory: impl BackendFactory, options: &StoreOptions) -> Result<Shared> {
        let tier = factory.tier().map_err(|e| redb_error("looking for the sealed files", e))?;
        let factory = Arc::new(factory);
        let shared = Shared {
            space: Arc::new(Space::new(factory.clone(), options.reserve_bytes)),
            factory,
            cache_bytes: options.cache_bytes,
            tier,
            pressure: Arc::new(Pressure::new(options.hot_bytes_max)),
            debt: Arc::new(StateDebt::new(options.state_flush_bytes, options.state_merge_runs > 0)),
            run_cache: Arc::new(RunCache::new(options.state_cache_bytes)),
            state_budget: Arc::new(StateBudget::new(options.state_memory_bytes)),
            cells: Mutex::default(),
            last_file: Mutex::default(),
            puts: Mutex::default(),
            database: RwLock::new(None),
            failed: Mutex::new(None),
            times_full: AtomicU64::new(0),
        };
        let database = shared.open_database()?;
        shared.count_hot(&database)?;
        *shared.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(shared)
    }

    fn open_database(&self) -> Result<Database> {
        let damaged = || Error::corrupt("opening the store: it is damaged; keep the files and restore a backup");
        guarded(|| self.try_open_database()).unwrap_or_else(|| Err(damaged()))
    }

    fn try_open_database(&self) -> Result<Database> {
        let mut builder = Builder::new();
        builder.set_cache_size(self.cache_bytes);
        if !self.factory.exists().map_err(|e| redb_error("looking for the store", e))? {
            self.factory.make(&builder)?;
        }
        // First without writing a byte. Fails on an uncleanly closed file: then the check comes after.
        if let Ok(probe) = self.factory.read_only(&builder) {
            let txn = probe.begin_read().map_err(|e| redb_error("looking at the store", e))?;
            check_format(&txn)?;
        }
        let database = self.factory.writable(&builder).map_err(|e| {
            let e = redb_error("opening the store", e);
            if e.kind() == Kind::Refused { e.context("another process owns it; stop that one") } else { e }
        })?;
        let format = check_format(&database.begin_read().map_err(|e| redb_error("opening the store", e))?)?;
        if format != FORMAT_VERSION {
            upgrade(&database, format)?;
        }
        Ok(database)
    }

    fn count_hot(&self, database: &Database) -> Result<()> {
        let txn = database.begin_read().map_err(|e| redb_error("opening the store", e))?;
        // A damaged page must not keep the rest of the store from being read.
        let counted = guarded(|| RedbSnapshot::new(txn).hot_chunk_bytes());
        self.pressure.set_hot(counted.unwrap_or(Ok(0)).or_else(|e| match e.kind() {
            Kind::Corrupt => Ok(0),
            _ => Err(e),
        })?);
        Ok(())
    }

    /// A number for a sealed file, given out once.
    pub(crate) fn reserve_file(&self) -> Result<u64> {
        let next = self.read(Snapshot::next_file)?;
        let mut last = self.last_file.lock().unwrap_or_else(PoisonError::into_inner);
        *last = next.max(*last + 1);
        Ok(*last)
    }

    /// The number was not used: the next file may have it, so that what is tried again overwrites what was half done.
    pub(crate) fn release_file(&self, file: u64) {
        let mut last = self.last_file.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == file {
            *last = file - 1;
        }
    }

    fn puts(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.puts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file of state is about to be put: it is no orphan until [`Shared::end_put`].
    pub(crate) fn begin_put(&self, name: &str) {
        self.puts().insert(name.to_string());
    }

    /// A row names it now, or it is nobody's.
    pub(crate) fn end_put(&self, name: &str) {
        self.puts().remove(name);
    }

    /// Files that are on their way. Look here before at the rows: then none is missed.
    pub(crate) fn files_under_way(&self) -> BTreeSet<String> {
        self.puts().clone()
    }

    /// The cell of an operator's runs, with the newest ones in it.
    pub(crate) fn run_cell(&self, pipeline: &str, operator: &str) -> Result<Arc<RunCell>> {
        let cell = {
            let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
            cells.retain(|_, cell| cell.strong_count() > 0);
            let place = cells.entry((pipeline.to_string(), operator.to_string())).or_default();
            match place.upgrade() {
                Some(cell) => cell,
                None => {
                    let cell = Arc::new(RunCell::default());
                    *place = Arc::downgrade(&cell);
                    cell
                }
            }
        };
        self.renew_cell(&cell, pipeline, operator)?;
        Ok(cell)
    }

    /// The runs of an operator have changed: its views are to hear of it.
    pub(crate) fn renew_runs(&self, pipeline: &str, operator: &str) -> Result<()> {
        let cell = {
            let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
            cells.get(&(pipeline.to_string(), operator.to_string())).and_then(Weak::upgrade)
        };
        cell.map_or(Ok(()), |cell| self.renew_cell(&cell, pipeline, operator))
    }

    fn renew_cell(&self, cell: &RunCell, pipeline: &str, operator: &str) -> Result<()> {
        cell.renew(|| {
            self.read(|snapshot| {
                let manifest = snapshot.manifest(pipeline, operator)?.unwrap_or_default();
                flush::run_set(self, snapshot, &manifest)
            })
        })
    }

    /// Bytes of the hot file.
    pub(crate) fn hot_file_bytes(&self) -> Result<u64> {
        self.factory.size().map_err(|e| redb_error("looking at the hot file", e))
    }

    /// Runs `f` on the database. An error that redb has latched latches us, too.
    pub(crate) fn with_database<T>(&self, f: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &*self.failed() {
            return Err(Error::new(why.kind(), format!("the store must be reopened after an error ({why})")));
        }
        let result = f(database.as_ref().ok_or_else(closed)?);
        if let Err(e) = &result
            && matches!(e.kind(), Kind::Unavailable | Kind::Full)
        {
            self.latch(e);
        }
        result
    }

    /// Runs `f` on a snapshot, which ends with the call.
    pub(crate) fn read<T>(&self, f: impl FnOnce(&RedbSnapshot) -> Result<T>) -> Result<T> {
        self.with_database(|database| {
            let txn = database.begin_read().map_err(|e| redb_error("reading the store", e))?;
            guarded(|| f(&RedbSnapshot::new(txn))).unwrap_or_else(|| {
                Err(Error::corrupt("a page of the store cannot be read; keep the files and restore a backup"))
            })
        })
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing goes any more; none = it works.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failed().clone()
    }

    /// Waits for the calls under way: one of them may be the commit that is just meeting the full disk.
    pub(crate) fn times_full(&self) -> u64 {
        drop(self.database.write().unwrap_or_else(PoisonError::into_inner));
        self.times_full.load(Ordering::SeqCst)
    }

    /// Lets nothing through until it is reopened.
    pub(crate) fn latch(&self, why: &Error) {
        let mut failed = self.failed();
        match &*failed {
            None => {
                tracing::warn!(error = %why, "the store is latched until it is reopened");
                *failed = Some(why.clone());
            }
            // A reader may hear first, and only, that redb's handle is of no use any more.
            Some(first) if first.kind() != Kind::Full && why.kind() == Kind::Full => *failed = Some(why.clone()),
            Some(_) => return,
        }
        if why.kind() == Kind::Full {
            self.times_full.fetch_add(1, Ordering::SeqCst);
        }
        // The mover stands still: whoever waits for it must hear why.
        self.pressure.set_latched(true);
        self.debt.set_latched(true);
        self.space.set_latched(true);
    }

    pub(crate) fn reopen_if_failed(&self) -> Result<bool> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if self.failed().is_none() {
            return Ok(false);
        }
        // Dropped before the new one opens: it holds the file's lock.
        let old = database.take();
        let _ = guarded(|| drop(old));
        let reopened = self.open_database()?;
        self.count_hot(&reopened)?;
        *database = Some(reopened);
        *self.failed() = None;
        self.pressure.set_latched(false);
        self.debt.set_latched(false);
        self.space.set_latched(false);
        Ok(true)
    }

    pub(crate) fn close(&self) {
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        match database.map(|database| guarded(|| database.close())) {
            Some(Some(Err(e))) => tracing::warn!(error = %e, "closing the store; the next opening repairs it"),
            Some(None) => tracing::warn!("closing the store: it is damaged; keep the files and restore a backup"),
            Some(Some(Ok(()))) | None => {}
        }
    }
}
