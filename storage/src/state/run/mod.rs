//! Runs: sorted, immutable files of an operator's state, beside the sealed chunks (docs/state.md).
//!
//! Map: `writer.rs` makes files of entries that come in order, `layout.rs` owns their bytes and `filter.rs` those of the
//! filter, `reader.rs` reads one file piece by piece, `set.rs` reads all runs of a manifest as one.

mod filter;
mod layout;
pub(crate) mod reader;
pub(crate) mod set;
pub(crate) mod writer;

pub(crate) use reader::{ReadError, RunCache, RunReader};
pub(crate) use set::{Below, KeyPlace, Run, RunSet};
pub(crate) use writer::RunFileWriter;
