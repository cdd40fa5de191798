//! The operator's configuration: the `config` table of the pipeline file, deserialised when the operator opens.

use crate::declare::{Field, Opening};
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use std::ops::Deref;

/// The configuration as a `C`. A field of this type makes the operator refuse to open with a configuration that is no `C`.
#[derive(Clone, Debug)]
pub struct Config<C>(C);

impl<C> Deref for Config<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C: DeserializeOwned> Field for Config<C> {
    fn describe(_name: &str, _descriptor: &mut Descriptor) {}

    fn open(_name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        let text = match opening.config.trim() {
            "" | "null" => "{}",
            text => text,
        };
        serde_json::from_str(text).map(Config).map_err(|e| {
            Error::fatal(format!(
                "the configuration of operator `{}` does not fit: {e}; mend its `config` in the pipeline file (it was {text})",
                opening.descriptor.name
            ))
        })
    }
}
