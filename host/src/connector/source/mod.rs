//! Replayable sources.

mod file;
pub(crate) use file::check_time_pattern;
