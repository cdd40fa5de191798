//! Result rows as JSON objects, member by member in the order of the pipeline file. Select, windows and joins write with
//! it.

use super::aggregate::Window;
use super::fields::{push_json, push_string};
use crate::config::builtin::WindowColumn;

/// Names of members, written once: `"name":`, the first one behind `{`, the others behind `,`.
#[derive(Debug)]
pub(super) struct Members(Vec<Vec<u8>>);

impl Members {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Members {
        let member = |(i, name): (usize, &str)| {
            let mut text = vec![if i == 0 { b'{' } else { b',' }];
            push_string(name.as_bytes(), &mut text);
            text.push(b':');
            text
        };
        Members(names.enumerate().map(member).collect())
    }

    /// Writes what comes before member i's value.
    pub(super) fn begin(&self, i: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0[i]);
    }

    /// Writes what comes after the last value.
    pub(super) fn end(&self, out: &mut Vec<u8>) {
        if self.0.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
    }
}

/// Writes a raw value, or null.
pub(super) fn push_raw(value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(value.unwrap_or(b"null"));
}

/// Writes a number.
pub(super) fn push_number(number: impl std::fmt::Display, out: &mut Vec<u8>) {
    use std::io::Write;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{number}");
}

/// Writes what is known of a window without its events: bounds, number of results before, key. Anything else is null.
pub(super) fn push_of_window(column: &WindowColumn, key: &[u8], window: &Window, out: &mut Vec<u8>) {
    let bound = |time: i64| (time != i64::MIN && time != i64::MAX).then_some(time);
    let time = match column {
        WindowColumn::Firing => return push_number(window.firing, out),
        // The empty key stands for no key.
        WindowColumn::Key if !key.is_empty() => return push_string(key, out),
        WindowColumn::KeyJson if !key.is_empty() => return push_json(key, out),
        WindowColumn::Start => bound(window.start),
        WindowColumn::End => bound(window.end),
        _ => None,
    };
    match time {
        Some(time) => push_number(time, out),
        None => push_raw(None, out),
    }
}
