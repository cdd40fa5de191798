//! Names of what stands beside streams in a scope: tables, logs, reader groups. Each is its own type, so that one is never
//! taken for another; the rules are those of stream names (`ids.rs`).

use crate::error::{Error, Result};
use crate::ids::check_scoped;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! scoped_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and takes it: parts of ASCII letters, digits, `.`, `_` and `-`, at least two, 255 bytes at most.
            pub fn new(name: impl Into<String>) -> Result<$name> {
                let name = name.into();
                check_scoped($what, &name)?;
                Ok($name(name))
            }

            /// The whole name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(name: String) -> Result<$name> {
                $name::new(name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

scoped_name!(
    /// `scope/table`, of a key-value table.
    TableName,
    "table"
);
scoped_name!(
    /// `scope/log`, of a revisioned log.
    LogName,
    "log"
);
scoped_name!(
    /// `scope/group`, of a reader group.
    GroupName,
    "group"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_scope_is_refused_with_the_form_to_write() {
        assert_eq!(TableName::new("a/b.c-d_1").unwrap().as_str(), "a/b.c-d_1");
        for bad in ["", "a", "/a", "a/", "a//b", "a/b c", "a/\u{e4}"] {
            let error = GroupName::new(bad).unwrap_err();
            assert!(error.to_string().contains("write scope/group"), "{error}");
        }
    }
}
