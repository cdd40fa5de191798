//! JSON fields of an event's value, found in one pass without building the value. Every built-in operator reads events
//! through it; it alone knows how JSON is searched (`connector/json.rs`).

use crate::config::decimal::Decimal;
use crate::connector::json::{self, Pointer};
use std::borrow::Cow;
use std::ops::Range;

/// The fields that one operator reads.
#[derive(Debug, Default)]
pub(super) struct Fields {
    names: Vec<String>,
    pointers: Vec<Pointer>,
    found: Vec<Option<Range<usize>>>,
}

/// The fields of one event.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    text: &'a [u8],
    found: &'a [Option<Range<usize>>],
}

/// A field's value, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Number(Decimal),
    Text(Cow<'a, [u8]>),
    Flag(bool),
    /// An object, an array, or a number that does not fit.
    Other,
}

impl Fields {
    /// The index of a field; the same pointer gives the same index.
    pub(super) fn add(&mut self, pointer: &str) -> usize {
        if let Some(index) = self.names.iter().position(|name| name == pointer) {
            return index;
        }
        self.names.push(pointer.to_string());
        self.pointers.push(Pointer::new(pointer));
        self.found.push(None);
        self.names.len() - 1
    }

    /// Finds the fields of a value; the error says what is wrong with it. Without fields any value will do.
    pub(super) fn read<'a>(&'a mut self, value: Option<&'a [u8]>) -> Result<Record<'a>, String> {
        if self.pointers.is_empty() {
            return Ok(Record { text: &[], found: &[] });
        }
        let text = value.ok_or("the event has no value, and its fields are asked for")?;
        if let Err(error) = std::str::from_utf8(text) {
            return Err(format!("the value is not JSON: byte {} is not UTF-8", error.valid_up_to()));
        }
        json::scan(text, &self.pointers, &mut self.found)
            .map_err(|e| format!("the value is not JSON: byte {}: {}", e.at, e.what))?;
        Ok(Record { text, found: &self.found })
    }

    /// What a field is called in messages.
    pub(super) fn name(&self, field: usize) -> &str {
        &self.names[field]
    }
}

impl<'a> Record<'a> {
    /// A field as it is written; `None` when it is absent or null.
    pub(super) fn raw(&self, field: usize) -> Option<&'a [u8]> {
        let range = self.found[field].clone()?;
        Some(&self.text[range]).filter(|raw| *raw != b"null")
    }

    /// Where a field lies in the value, null or not.
    pub(super) fn place(&self, field: usize) -> Option<Range<usize>> {
        self.found[field].clone()
    }

    /// Where a field that is not null lies in the value.
    pub(super) fn range(&self, field: usize) -> Option<Range<usize>> {
        self.found[field].clone().filter(|range| &self.text[range.clone()] != b"null")
    }

    /// A field taken apart.
    pub(super) fn scalar(&self, field: usize) -> Option<Scalar<'a>> {
        self.raw(field).map(scalar)
    }

    /// A field as a number; `Err` when it is something else.
    pub(super) fn number(&self, field: usize) -> Result<Option<Decimal>, ()> {
        match self.raw(field) {
            None => Ok(None),
            Some(raw) => Decimal::parse(raw).map(Some).ok_or(()),
        }
    }
}

/// A JSON value taken apart.
pub(super) fn scalar(raw: &[u8]) -> Scalar<'_> {
    match raw {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Scalar::Text(Cow::Borrowed(inner)),
        [b'"', inner @ .., b'"'] => {
            let mut text = Vec::with_capacity(inner.len());
            match json::unescape(inner, &mut text) {
                Some(()) => Scalar::Text(Cow::Owned(text)),
                None => Scalar::Other,
            }
        }
        b"true" => Scalar::Flag(true),
        b"false" => Scalar::Flag(false),
        number => Decimal::parse(number).map_or(Scalar::Other, Scalar::Number),
    }
}

/// Appends text as a JSON string; bytes that are not UTF-8 become U+FFFD.
pub(super) fn push_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    json::escape(String::from_utf8_lossy(text).as_bytes(), out);
    out.push(b'"');
}

/// Appends bytes as they stand if they are JSON, else as a JSON string.
pub(super) fn push_json(bytes: &[u8], out: &mut Vec<u8>) {
    if std::str::from_utf8(bytes).is_ok() && json::scan(bytes, &[], &mut []).is_ok() {
        out.extend_from_slice(bytes);
    } else {
        push_string(bytes, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_null_are_nothing_and_texts_are_unescaped() {
        let mut fields = Fields::default();
        let indexes = ["/a", "/b", "/c/d", "/none", "/a"].map(|pointer| fields.add(pointer));
        assert_eq!(indexes, [0, 1, 2, 3, 0]);
        let record = fields.read(Some(br#"{"a": "x\"y", "b": null, "c": {"d": 2.50}}"#)).unwrap();
        assert_eq!(record.scalar(0), Some(Scalar::Text(b"x\"y"[..].into())));
        assert_eq!((record.scalar(1), record.scalar(3)), (None, None));
        assert_eq!(record.raw(2), Some(&b"2.50"[..]));
        assert!(record.number(0).is_err());
        assert!(fields.read(None).err().unwrap().contains("no value"));
        assert!(fields.read(Some(b"{\"a\"")).err().unwrap().contains("byte 4"));
        assert!(fields.read(Some(b"\"\xFF\"")).err().unwrap().contains("UTF-8"));
        assert!(Fields::default().read(Some(b"\xFF")).is_ok(), "nothing is asked for");
    }

    #[test]
    fn keys_are_written_as_json_when_they_are() {
        for (key, json, text) in
            [(&b"12"[..], "12", "\"12\""), (b"EWR", "\"EWR\"", "\"EWR\""), (b"[1,2]", "[1,2]", "\"[1,2]\"")]
        {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            push_json(key, &mut a);
            push_string(key, &mut b);
            assert_eq!((String::from_utf8(a).unwrap().as_str(), String::from_utf8(b).unwrap().as_str()), (json, text));
        }
    }
}
