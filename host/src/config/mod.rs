//! The pipeline file and its settings, as plain data.

pub mod pipeline;
