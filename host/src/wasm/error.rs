//! Why a component cannot be used. `component.rs` and `instance.rs` make it; `job` and `cli` show it.

use std::path::Path;

/// A component is missing, is none, or does not fit. Every message names the component and the mend.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ComponentError {
    /// There is no such file, or it cannot be read.
    #[error("{0}")]
    Missing(String),
    /// The bytes are no component: a core module, another kind of file, or damaged.
    #[error("{0}")]
    NotAComponent(String),
    /// It asks for something that is not granted, or does not export what an operator must.
    #[error("{0}")]
    WrongWorld(String),
    /// Its `describe` failed or said something that this host does not accept.
    #[error("{0}")]
    Descriptor(String),
    /// A limit of the pipeline file that no component could run under.
    #[error("{0}")]
    Limits(String),
    /// wasmtime cannot run here, or its thread or cache folder cannot be made.
    #[error("{0}")]
    Engine(String),
}

impl ComponentError {
    /// A file that cannot be read.
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> ComponentError {
        let mend = match error.kind() {
            std::io::ErrorKind::NotFound => "check the path of the component in the pipeline file",
            _ => "check its permissions",
        };
        ComponentError::Missing(format!("component {}: {error}; {mend}", path.display()))
    }
}
