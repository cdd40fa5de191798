//! Replayable sources.
