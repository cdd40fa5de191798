//! The pipeline file and the settings of the process, as plain data. `cli` loads them, `job` and the makers of the
//! other parts read them.
//!
//! A file becomes a [`document`] whose every value knows its place; [`overrides`] change it; [`table`] reads it strictly;
//! [`parse`] and [`settings`] say what it may hold; [`validate`] checks what only the whole pipeline shows.

pub mod builtin;
pub mod decimal;
mod document;
mod error;
mod overrides;
pub mod parse;
pub mod pipeline;
pub mod settings;
mod table;
pub(crate) mod time_pattern;
pub mod units;
mod validate;

pub use error::ConfigError;
pub use overrides::Overrides;
pub use units::duration_ms;
