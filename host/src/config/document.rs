//! A TOML text as a tree whose every key and value knows where it was written. `overrides` changes it, `table` reads it.

use super::error::ConfigError;
use std::path::Path;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// A parsed text.
pub(super) struct Document {
    pub(super) source: Source,
    pub(super) root: Node,
}

/// The text and its name, to turn offsets into `file:line:column`.
pub(super) struct Source {
    file: String,
    text: String,
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    /// At this byte of the text.
    File(usize),
    /// In an override: `--set path=value`, kept as typed.
    Set { path: Arc<str>, raw: Arc<str> },
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// TOML's kinds of value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key and its value, in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_origin: Origin,
    pub(super) node: Node,
}

impl Document {
    /// Reads and parses a file.
    pub(super) fn read(path: &Path) -> Result<Document, ConfigError> {
        let bytes = std::fs::read(path).map_err(|e| ConfigError::unreadable(path, &e))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            ConfigError::new(path.display().to_string(), format!("byte {at} is not UTF-8; save the file as UTF-8"))
        })?;
        Document::parse(path.display().to_string(), text)
    }

    /// Parses a text that errors call `file`.
    pub(super) fn parse(file: String, text: String) -> Result<Document, ConfigError> {
        let source = Source { file, text };
        let root = match DeTable::parse(&source.text) {
            Ok(table) => {
                let span = table.span().start;
                from_table(table.get_ref(), &|at| Origin::File(at), span)
            }
            Err(error) => {
                let at = Origin::File(error.span().map_or(0, |s| s.start));
                return Err(source.error(&at, format!("not valid TOML: {}", error.message().trim_end())));
            }
        };
        let root = root.map_err(|(at, why)| source.error(&at, why))?;
        Ok(Document { source, root })
    }
}

impl Source {
    /// The file's name as given.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// An error at a place of this text, or in an override.
    pub(super) fn error(&self, origin: &Origin, message: impl std::fmt::Display) -> ConfigError {
        match origin {
            Origin::File(at) => {
                let before = &self.text.as_bytes()[..(*at).min(self.text.len())];
                let line_start = memchr::memrchr(b'\n', before).map_or(0, |i| i + 1);
                let line = 1 + before.iter().filter(|b| **b == b'\n').count();
                // Continuation bytes of UTF-8 do not count: columns are characters.
                let column = 1 + before[line_start..].iter().filter(|b| **b & 0xC0 != 0x80).count();
                ConfigError::new(format!("{}:{line}:{column}", self.file), message)
            }
            Origin::Set { path, raw } => ConfigError::new(format!("--set {path}={raw}"), message),
        }
    }
}

/// What an override's right side means: TOML if it is, else text.
pub(super) fn override_value(path: &Arc<str>, raw: &str) -> Node {
    let origin = Origin::Set { path: path.clone(), raw: raw.into() };
    DeValue::parse(raw)
        .ok()
        .and_then(|value| from_value(value.get_ref(), &|_| origin.clone(), 0).ok())
        .unwrap_or_else(|| Node { value: Value::String(raw.to_string()), origin })
}

type Placed<T> = Result<T, (Origin, String)>;

fn from_table(table: &DeTable<'_>, place: &dyn Fn(usize) -> Origin, at: usize) -> Placed<Node> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        let key_at = key.span().start;
        let node = from_value(value.get_ref(), place, value.span().start)?;
        entries.push((key_at, Entry { key: key.get_ref().to_string(), key_origin: place(key_at), node }));
    }
    // The parser sorts keys by name; sources, operators and sinks keep the order of the file.
    entries.sort_by_key(|(key_at, _)| *key_at);
    let entries = entries.into_iter().map(|(_, entry)| entry).collect();
    Ok(Node { value: Value::Table(entries), origin: place(at) })
}

fn from_value(value: &DeValue<'_>, place: &dyn Fn(usize) -> Origin, at: usize) -> Placed<Node> {
    let value = match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => return Err((place(at), format!("{number} does not fit 64 bits; write a smaller number"))),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Value::Float(number),
            Err(_) => return Err((place(at), format!("{number} is not a number that fits 64 bits"))),
        },
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) => Value::Datetime(time.to_string()),
        DeValue::Array(items) => Value::Array(
            items.iter().map(|item| from_value(item.get_ref(), place, item.span().start)).collect::<Placed<_>>()?,
        ),
        DeValue::Table(table) => return from_table(table, place, at),
    };
    Ok(Node { value, origin: place(at) })
}

impl Value {
    /// Its kind, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "text",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "true or false",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}
