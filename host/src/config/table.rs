//! Strict reading of a document's tables: every key is known or refused with its place and a proposal. `parse` and
//! `settings` read with it.

use super::document::{Entry, Node, Origin, Source, Value};
use super::error::{ConfigError, did_you_mean};
use super::units;
use std::fmt::Display;

/// A value with its path, ready to be read as what the reader needs.
#[derive(Clone)]
pub(super) struct Item<'a> {
    pub(super) source: &'a Source,
    pub(super) path: String,
    pub(super) node: &'a Node,
}

/// A table whose keys have been checked.
pub(super) struct Table<'a> {
    pub(super) source: &'a Source,
    pub(super) path: String,
    pub(super) origin: &'a Origin,
    entries: &'a [Entry],
}

impl<'a> Table<'a> {
    /// The entry of a key.
    pub(super) fn get(&self, key: &str) -> Option<Item<'a>> {
        let entry = self.entries.iter().find(|e| e.key == key)?;
        Some(Item { source: self.source, path: self.path_of(key), node: &entry.node })
    }

    /// The entry of a key that must be there; `mend` says what to write.
    pub(super) fn need(&self, key: &str, mend: &str) -> Result<Item<'a>, ConfigError> {
        self.get(key).ok_or_else(|| {
            let place = if self.path.is_empty() { "the file".to_string() } else { format!("[{}]", self.path) };
            self.error(format!("{place} has no {key:?}; {mend}"))
        })
    }

    /// Entries in the order of the file, with the places of their keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Origin, Item<'a>)> {
        self.entries.iter().map(|e| {
            (e.key.as_str(), &e.key_origin, Item { source: self.source, path: self.path_of(&e.key), node: &e.node })
        })
    }

    /// The places of those of these keys that are there, in the order of `keys`.
    pub(super) fn present(&self, keys: &[&'static str]) -> Vec<(&'static str, &'a Origin)> {
        keys.iter()
            .filter_map(|key| self.entries.iter().find(|e| e.key == *key).map(|e| (*key, &e.key_origin)))
            .collect()
    }

    /// An error at this table.
    pub(super) fn error(&self, message: impl Display) -> ConfigError {
        self.source.error(self.origin, message)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

impl<'a> Item<'a> {
    /// An error at this value.
    pub(super) fn error(&self, message: impl Display) -> ConfigError {
        self.source.error(&self.node.origin, message)
    }

    fn expected(&self, what: &str) -> ConfigError {
        self.error(format!("{} is {}; write {what}", self.path, self.node.value.kind()))
    }

    /// As a table with no other keys than these.
    pub(super) fn table(&self, known: &[&str]) -> Result<Table<'a>, ConfigError> {
        let table = self.open_table()?;
        match table.entries.iter().find(|e| !known.contains(&e.key.as_str())) {
            Some(unknown) => Err(self.source.error(
                &unknown.key_origin,
                format!(
                    "unknown key {:?} in {}{}; known here: {}",
                    unknown.key,
                    if self.path.is_empty() { "the file".to_string() } else { format!("[{}]", self.path) },
                    did_you_mean(&unknown.key, known.iter().copied()),
                    known.join(", ")
                ),
            )),
            None => Ok(table),
        }
    }

    /// As a table of names that the file chooses.
    pub(super) fn open_table(&self) -> Result<Table<'a>, ConfigError> {
        match &self.node.value {
            Value::Table(entries) => {
                Ok(Table { source: self.source, path: self.path.clone(), origin: &self.node.origin, entries })
            }
            _ => Err(self.expected("a table, as in { key = value }")),
        }
    }

    /// As text. An override's unquoted number or date is the text that was typed.
    pub(super) fn text(&self) -> Result<&'a str, ConfigError> {
        match (&self.node.value, &self.node.origin) {
            (Value::String(text), _) => Ok(text),
            (Value::Array(_) | Value::Table(_), _) => Err(self.expected("text in quotes")),
            (_, Origin::Set { raw, .. }) => Ok(raw),
            _ => Err(self.expected("text in quotes")),
        }
    }

    /// As true or false.
    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        match self.node.value {
            Value::Boolean(flag) => Ok(flag),
            _ => Err(self.expected("true or false")),
        }
    }

    /// As a whole number in a range.
    pub(super) fn number(&self, range: std::ops::RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let Value::Integer(number) = self.node.value else { return Err(self.expected("a whole number")) };
        let bounds = || match *range.end() {
            u64::MAX => format!("at least {}", range.start()),
            end => format!("from {} to {end}", range.start()),
        };
        u64::try_from(number)
            .ok()
            .filter(|n| range.contains(n))
            .ok_or_else(|| self.error(format!("{} is {number}; write a number {}", self.path, bounds())))
    }

    /// As a whole number that fits 32 bits, in a range.
    pub(super) fn count(&self, range: std::ops::RangeInclusive<u32>) -> Result<u32, ConfigError> {
        self.number(u64::from(*range.start())..=u64::from(*range.end())).map(|n| n as u32)
    }

    /// As a duration in ms.
    pub(super) fn duration_ms(&self) -> Result<u64, ConfigError> {
        match &self.node.value {
            Value::String(text) => units::duration_ms(text).map_err(|why| self.error(format!("{}: {why}", self.path))),
            Value::Integer(n) => {
                Err(self.error(format!("{}: {n} has no unit; write \"{n}ms\" or \"{n}s\"", self.path)))
            }
            _ => Err(self.expected("a duration, as in \"200ms\" or \"1s\"")),
        }
    }

    /// As a duration longer than nothing, in ms.
    pub(super) fn some_duration_ms(&self) -> Result<u64, ConfigError> {
        match self.duration_ms()? {
            0 => Err(self.error(format!("{} must be longer than nothing; write \"1ms\" or more", self.path))),
            ms => Ok(ms),
        }
    }

    /// As a size in bytes, at least `least`.
    pub(super) fn size_bytes(&self, least: u64) -> Result<u64, ConfigError> {
        let bytes = match &self.node.value {
            Value::String(text) => {
                units::size_bytes(text).map_err(|why| self.error(format!("{}: {why}", self.path)))?
            }
            Value::Integer(n) => {
                return Err(self.error(format!("{}: {n} has no unit; write \"{n}B\" or \"{n}MiB\"", self.path)));
            }
            _ => return Err(self.expected("a size, as in \"64MiB\"")),
        };
        if bytes < least {
            return Err(self.error(format!("{} is too small; write \"{least}B\" or more", self.path)));
        }
        Ok(bytes)
    }

    /// As one value or a list of values.
    pub(super) fn one_or_many(&self) -> Vec<Item<'a>> {
        match &self.node.value {
            Value::Array(_) => self.items().unwrap_or_default(),
            _ => vec![self.clone()],
        }
    }

    /// As a list.
    pub(super) fn items(&self) -> Result<Vec<Item<'a>>, ConfigError> {
        match &self.node.value {
            Value::Array(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(i, node)| Item { source: self.source, path: format!("{}[{i}]", self.path), node })
                .collect()),
            _ => Err(self.expected("a list, as in [a, b]")),
        }
    }

    /// As one of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let list: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.error(format!(
                "{} is {text:?}{}; write {}",
                self.path,
                did_you_mean(text, words.iter().map(|(word, _)| *word)),
                list.join(" or ")
            ))
        })
    }

    /// As JSON, for the component.
    pub(super) fn json(&self) -> Result<serde_json::Value, ConfigError> {
        Ok(match &self.node.value {
            Value::String(text) | Value::Datetime(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Boolean(flag) => (*flag).into(),
            Value::Float(number) => serde_json::Number::from_f64(*number)
                .ok_or_else(|| self.error(format!("{} is {number}, which JSON cannot say; write a number", self.path)))?
                .into(),
            Value::Array(_) => self.items()?.iter().map(Item::json).collect::<Result<Vec<_>, _>>()?.into(),
            Value::Table(_) => serde_json::Value::Object(
                self.open_table()?
                    .entries()
                    .map(|(key, _, item)| Ok((key.to_string(), item.json()?)))
                    .collect::<Result<_, ConfigError>>()?,
            ),
        })
    }
}
