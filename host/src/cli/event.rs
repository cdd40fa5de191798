//! An event as a line of JSON, and back: what `stream cat` and `tail` print and `stream append --json-lines` reads.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tidemill_storage::headers::Header;
use tidemill_storage::{EventTime, Offset, SegmentId};

/// Where an event lies.
pub(crate) struct Place {
    pub(crate) segment: SegmentId,
    pub(crate) offset: Offset,
}

/// Appends `{"segment", "offset", "timestamp", "key", "value"}` and, when there are any, `"headers"`, as one line.
pub(crate) fn write_line(
    out: &mut Vec<u8>,
    place: &Place,
    time: EventTime,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header<'_>],
) {
    let start = format!(r#"{{"segment":{},"offset":{},"timestamp":{},"key":"#, place.segment, place.offset, time.0);
    out.extend_from_slice(start.as_bytes());
    write_text(out, key);
    out.extend_from_slice(br#","value":"#);
    match value {
        Some(bytes) if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() => {
            // As it stands, so that numbers and the order of keys are kept. A raw line end can only be white space here.
            out.extend(bytes.trim_ascii().iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
        }
        value => write_text(out, value),
    }
    if !headers.is_empty() {
        out.extend_from_slice(br#","headers":"#);
        out.extend_from_slice(headers_object(headers).to_string().as_bytes());
    }
    out.extend_from_slice(b"}\n");
}

/// A string; bytes that are none are `{"base64": ...}`; absent is null.
fn text(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => serde_json::json!({ "base64": base64(bytes) }),
    }
}

fn write_text(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.extend_from_slice(text(bytes).to_string().as_bytes());
}

/// By name; a name given more than once has a list.
fn headers_object(headers: &[Header<'_>]) -> Value {
    let mut object = serde_json::Map::new();
    for (name, value) in headers {
        let value = text(Some(value));
        match object.get_mut(*name) {
            None => drop(object.insert((*name).to_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(object)
}

/// An event to append.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewEvent {
    pub(crate) time: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

/// Reads `{"key", "value", "timestamp"}`; what `stream cat` adds (segment, offset) is passed over.
pub(crate) fn read_line(line: &str) -> Result<NewEvent> {
    let Value::Object(mut object) = serde_json::from_str(line).context("not JSON")? else {
        bail!("not a JSON object");
    };
    for name in object.keys() {
        if !matches!(name.as_str(), "key" | "value" | "timestamp" | "segment" | "offset") {
            bail!("unknown member {name:?}: an event has \"key\", \"value\" and \"timestamp\"");
        }
    }
    let time = match object.remove("timestamp") {
        None | Some(Value::Null) => None,
        Some(Value::Number(ms)) if ms.is_i64() => {
            Some(super::time::parse(&ms.to_string()).map_err(anyhow::Error::msg)?)
        }
        Some(Value::String(text)) => Some(super::time::parse(&text).map_err(anyhow::Error::msg)?),
        Some(other) => bail!("timestamp {other}: write ms since 1970 as an integer, or RFC 3339 as a string"),
    };
    let key = match bytes(object.remove("key")).context("key")? {
        Bytes::Plain(key) => key,
        Bytes::Json(other) => bail!("key {other}: write a string, {{\"base64\": ...}} or null"),
    };
    let value = match bytes(object.remove("value")).context("value")? {
        Bytes::Plain(value) => value,
        Bytes::Json(value) => Some(value.to_string().into_bytes()),
    };
    Ok(NewEvent { time, key, value })
}

enum Bytes {
    Plain(Option<Vec<u8>>),
    Json(Value),
}

fn bytes(value: Option<Value>) -> Result<Bytes> {
    Ok(match value {
        None | Some(Value::Null) => Bytes::Plain(None),
        Some(Value::String(text)) => Bytes::Plain(Some(text.into_bytes())),
        Some(Value::Object(object)) if object.len() == 1 && object.get("base64").is_some_and(Value::is_string) => {
            Bytes::Plain(Some(from_base64(object["base64"].as_str().unwrap_or_default())?))
        }
        Some(other) => Bytes::Json(other),
    })
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= group.len() { digit as char } else { '=' });
        }
    }
    out
}

fn from_base64(text: &str) -> Result<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if digits.len() % 4 == 1 {
        bail!("base64 of {} digits is cut off", digits.len());
    }
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            let value = ALPHABET.iter().position(|d| d == digit).context("not base64")?;
            bits = bits << 6 | value as u32;
        }
        bits <<= 6 * (4 - group.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> String {
        let mut out = Vec::new();
        let place = Place { segment: SegmentId(1), offset: Offset(7) };
        write_line(&mut out, &place, EventTime(5), key, value, headers);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_values_are_embedded_as_they_stand_on_one_line() {
        assert_eq!(
            line(Some(b"k"), Some(b"{\"b\": 1.0,\n \"a\": 12345678901234567890123}\n"), &[]),
            "{\"segment\":1,\"offset\":7,\"timestamp\":5,\"key\":\"k\",\"value\":{\"b\": 1.0,  \"a\": 12345678901234567890123}}\n"
        );
    }

    #[test]
    fn text_bytes_and_absence_are_told_apart() {
        assert!(line(None, Some(b"two words"), &[]).contains(r#""key":null,"value":"two words""#));
        assert!(line(Some(&[255]), None, &[]).contains(r#""key":{"base64":"/w=="},"value":null"#));
        assert!(line(None, Some(b""), &[]).contains(r#""value":"""#));
    }

    #[test]
    fn headers_are_an_object_and_repeated_names_a_list() {
        let headers: &[Header<'_>] = &[("reason", b"bad"), ("n", b"1"), ("n", &[255]), ("n", b"3")];
        let parsed: Value = serde_json::from_str(&line(None, None, headers)).unwrap();
        assert_eq!(parsed["headers"], serde_json::json!({"reason": "bad", "n": ["1", {"base64": "/w=="}, "3"]}));
    }

    #[test]
    fn what_cat_prints_append_reads() {
        let values: [Option<&[u8]>; 5] =
            [None, Some(b""), Some(b"two words"), Some(&[0, 255, 128, 7]), Some(b"{\"a\":1}")];
        for value in values {
            let event = read_line(&line(Some(b"k"), value, &[])).unwrap();
            assert_eq!(event, NewEvent { time: Some(5), key: Some(b"k".to_vec()), value: value.map(<[u8]>::to_vec) });
        }
    }

    #[test]
    fn wrong_lines_say_what_is_wrong() {
        for (line, word) in [
            ("nonsense", "not JSON"),
            ("[]", "not a JSON object"),
            (r#"{"vlaue":1}"#, "unknown member \"vlaue\""),
            (r#"{"key":1}"#, "key 1"),
            (r#"{"timestamp":1.5}"#, "timestamp 1.5"),
            (r#"{"value":{"base64":"A"}}"#, "cut off"),
        ] {
            let error = format!("{:#}", read_line(line).unwrap_err());
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(from_base64(coded).unwrap(), plain.as_bytes());
        }
    }
}
