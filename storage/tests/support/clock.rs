//! A clock that tests turn, and a store that goes by it and does nothing by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

/// Stands still until it is turned.
#[derive(Clone, Debug)]
pub struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub fn at(ms: i64) -> HandClock {
        HandClock(Arc::new(AtomicI64::new(ms)))
    }

    pub fn turn(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    pub fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn options(&self) -> StoreOptions {
        let hand = self.0.clone();
        StoreOptions {
            state_fold_blobs: 0,
            sweep_interval_ms: 0,
            hot_bytes_max: u64::MAX,
            clock: Arc::new(move || hand.load(Ordering::SeqCst)),
            ..StoreOptions::default()
        }
    }

    pub fn open(&self, disk: &FaultDisk) -> Store {
        Store::open_with(disk.clone(), self.options()).unwrap()
    }
}
