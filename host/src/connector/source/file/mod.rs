//! Files as partitions.
mod time;
pub(crate) use time::check_time_pattern;
