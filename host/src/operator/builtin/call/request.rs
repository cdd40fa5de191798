//! What an event asks of the service, and what becomes of the answer: the address from the event's fields, and the answer as
//! the event's value or as a member of it.

use super::super::fields::{Fields, Record, Scalar, push_json, push_string, scalar};
use crate::config::builtin::{CallSpec, UrlPart};
use std::borrow::Cow;

/// Makes addresses and results.
pub(super) struct Requests {
    fields: Fields,
    parts: Vec<Part>,
    /// '/' in the path of every address.
    slashes: usize,
    /// The member that the answer becomes, with its field.
    member: Option<(String, usize)>,
}

enum Part {
    Text(String),
    Field(usize),
    Key,
}

impl Requests {
    pub(super) fn new(spec: &CallSpec) -> Requests {
        let mut fields = Fields::default();
        let part = |part: &UrlPart| match part {
            UrlPart::Text(text) => Part::Text(text.clone()),
            UrlPart::Field(pointer) => Part::Field(fields.add(pointer)),
            UrlPart::Key => Part::Key,
        };
        let parts: Vec<Part> = spec.url.iter().map(part).collect();
        let member = spec.member.as_ref().map(|name| (name.clone(), fields.add(&format!("/{name}"))));
        let plain: String = spec.url.iter().map(|p| if let UrlPart::Text(text) = p { text } else { "x" }).collect();
        Requests { fields, parts, slashes: slashes(&plain).unwrap_or(0), member }
    }

    /// The address that an event asks for; the error says what is wrong with the event.
    pub(super) fn check(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<String, String> {
        let names: Vec<String> = self.parts.iter().map(|part| self.name(part)).collect();
        let record = self.fields.read(value)?;
        if self.member.is_some() && !value.is_some_and(is_object) {
            return Err("the value is not a JSON object, so that the answer cannot become a member of it".into());
        }
        let mut url = String::new();
        for (part, name) in self.parts.iter().zip(names) {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Key => encode(key.ok_or("the event has no key, and the address asks for it")?, &mut url),
                Part::Field(field) => encode(&text_of(&record, *field, &name)?, &mut url),
            }
        }
        match slashes(&url) {
            Some(slashes) if slashes == self.slashes => Ok(url),
            _ => Err(format!("the event's fields lead to another path than that of the pipeline file: {url:?}")),
        }
    }

    fn name(&self, part: &Part) -> String {
        match part {
            Part::Field(field) => self.fields.name(*field).to_string(),
            Part::Text(_) | Part::Key => String::new(),
        }
    }

    /// Writes an event's result over what `out` holds. The error says what is wrong with the event.
    pub(super) fn result(&mut self, value: Option<&[u8]>, answer: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        out.clear();
        let Some((name, field)) = &self.member else {
            out.extend_from_slice(answer);
            return Ok(());
        };
        let value = value.unwrap_or_default();
        let there = self.fields.read(Some(value))?.place(*field);
        let Some(there) = there else {
            let open = value.trim_ascii_end().strip_suffix(b"}").ok_or("the value is not a JSON object any more")?;
            let is_empty = open.trim_ascii() == b"{";
            out.extend_from_slice(open.trim_ascii_end());
            if !is_empty {
                out.push(b',');
            }
            push_string(name.as_bytes(), out);
            out.push(b':');
            push_answer(answer, out);
            out.push(b'}');
            return Ok(());
        };
        out.extend_from_slice(&value[..there.start]);
        push_answer(answer, out);
        out.extend_from_slice(&value[there.end..]);
        Ok(())
    }
}

/// An answer as JSON, without white space around it: as it stands if it is some, else as a string; nothing is null.
fn push_answer(answer: &[u8], out: &mut Vec<u8>) {
    match answer.trim_ascii() {
        b"" => out.extend_from_slice(b"null"),
        answer => push_json(answer, out),
    }
}

fn is_object(value: &[u8]) -> bool {
    value.trim_ascii_start().starts_with(b"{")
}

fn text_of<'a>(record: &Record<'a>, field: usize, name: &str) -> Result<Cow<'a, [u8]>, String> {
    let raw = record.raw(field).ok_or_else(|| format!("field {name} is absent, and the address asks for it"))?;
    match scalar(raw) {
        Scalar::Text(text) => Ok(text),
        Scalar::Number(_) | Scalar::Flag(_) => Ok(Cow::Borrowed(raw)),
        Scalar::Other => Err(format!("field {name} is no text or number, and the address asks for it")),
    }
}

/// Percent-encodes everything but the unreserved signs of RFC 3986.
fn encode(text: &[u8], url: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url.extend(['%', char::from(HEX[usize::from(byte >> 4)]), char::from(HEX[usize::from(byte & 15)])]);
        }
    }
}

/// '/' in the path of an address as it is sent: "." and ".." of an event's fields would take some away.
fn slashes(url: &str) -> Option<usize> {
    reqwest::Url::parse(url).ok().map(|url| url.path().matches('/').count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::builtin::{Method, OnError};

    fn requests(url: &[UrlPart], member: Option<&str>) -> Requests {
        Requests::new(&CallSpec {
            url: url.to_vec(),
            method: Method::Get,
            headers: Vec::new(),
            timeout_ms: 1,
            capacity: 1,
            ordered: true,
            retries: 0,
            backoff_ms: 1,
            backoff_max_ms: 1,
            member: member.map(str::to_string),
            answer_bytes_max: 1,
            on_error: OnError::DeadLetter,
        })
    }

    fn text(text: &str) -> UrlPart {
        UrlPart::Text(text.into())
    }

    #[test]
    fn fields_are_encoded_and_never_lead_to_another_path() {
        let field = UrlPart::Field("/id".into());
        let mut requests = requests(&[text("http://h/a/"), field, text("/b?k="), UrlPart::Key], None);
        let mut url = |value: &str| requests.check(Some(b"x&y"), Some(value.as_bytes()));
        assert_eq!(url(r#"{"id":"a b/\u00e9?#"}"#).unwrap(), "http://h/a/a%20b%2F%C3%A9%3F%23/b?k=x%26y");
        assert_eq!(url(r#"{"id":-2.50}"#).unwrap(), "http://h/a/-2.50/b?k=x%26y");
        assert!(url(r#"{"id":".."}"#).unwrap_err().contains("another path"));
        assert!(url(r#"{"id":"."}"#).unwrap_err().contains("another path"));
        assert!(url(r#"{"id":null}"#).unwrap_err().contains("/id is absent"));
        assert!(url(r#"{"id":[1]}"#).unwrap_err().contains("no text or number"));
        assert!(url("no json").unwrap_err().contains("not JSON"));
        assert!(requests.check(None, Some(br#"{"id":1}"#)).unwrap_err().contains("no key"));
    }

    #[test]
    fn an_answer_becomes_the_value_or_a_member_of_it() {
        let mut out = Vec::new();
        requests(&[text("http://h/")], None).result(None, b"any \xFF", &mut out).unwrap();
        assert_eq!(out, b"any \xFF");
        let mut requests = requests(&[text("http://h/")], Some("a"));
        for (value, answer, expected) in [
            ("{}", "1", r#"{"a":1}"#),
            (" { } ", " [2]\n", r#" {"a":[2]}"#),
            (r#"{"b":1}"#, "text", r#"{"b":1,"a":"text"}"#),
            (r#"{"a":null,"b":1}"#, "", r#"{"a":null,"b":1}"#),
            (r#"{"b":1, "a": {"x":2}}"#, "3", r#"{"b":1, "a": 3}"#),
        ] {
            requests.check(None, Some(value.as_bytes())).unwrap();
            requests.result(Some(value.as_bytes()), answer.as_bytes(), &mut out).unwrap();
            assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        }
        for value in [None, Some(&b"[1]"[..]), Some(b"1")] {
            assert!(requests.check(None, value).is_err(), "{value:?}");
        }
    }
}
