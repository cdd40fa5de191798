//! `call` of an operator into a [`CallSpec`]: an address with fields in it, headers, and how much patience there is.

use super::super::super::builtin::{CallSpec, HeaderValue, Method, OnError, UrlPart};
use super::super::super::error::ConfigError;
use super::super::super::table::Item;
use super::{check_fields, is_pointer};

/// Events under way of one subtask, at most: each is in memory.
const CAPACITY_MAX: u32 = 100_000;
const CAPACITY: u32 = 64;
const TIMEOUT_MS: u64 = 10_000;
const RETRIES_MAX: u32 = 1_000;
const RETRIES: u32 = 3;
const BACKOFF_MS: u64 = 100;
const BACKOFF_MAX_MS: u64 = 10_000;
const ANSWER_BYTES: u64 = 1 << 20;
/// A value is at most so long.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

const METHODS: [(&str, Method); 5] = [
    ("GET", Method::Get),
    ("POST", Method::Post),
    ("PUT", Method::Put),
    ("PATCH", Method::Patch),
    ("DELETE", Method::Delete),
];

const KEYS: [&str; 12] = [
    "url",
    "method",
    "headers",
    "timeout",
    "capacity",
    "order",
    "retries",
    "backoff",
    "backoff_max",
    "answer",
    "answer_limit",
    "on_error",
];

pub(super) fn read(item: &Item<'_>) -> Result<CallSpec, ConfigError> {
    let table = item.table(&KEYS)?;
    let url = url(&table.need("url", "write url = \"https://host/path\"")?)?;
    let fields = url.iter().filter_map(|part| match part {
        UrlPart::Field(pointer) => Some(pointer),
        UrlPart::Text(_) | UrlPart::Key => None,
    });
    check_fields(item, fields)?;
    let some_ms = |key: &str, default: u64| table.get(key).map_or(Ok(default), |item| item.some_duration_ms());
    let backoff_ms = some_ms("backoff", BACKOFF_MS)?;
    let backoff_max_ms = some_ms("backoff_max", BACKOFF_MAX_MS.max(backoff_ms))?;
    if let Some(longest) = table.get("backoff_max").filter(|_| backoff_max_ms < backoff_ms) {
        return Err(longest.error(format!("{} is less than backoff; write at least \"{backoff_ms}ms\"", longest.path)));
    }
    let answer_bytes_max = match table.get("answer_limit") {
        None => ANSWER_BYTES,
        Some(limit) => {
            let bytes = limit.size_bytes(1)?;
            if bytes > ANSWER_BYTES_MAX {
                return Err(limit.error(format!("{} is over 16 MiB; write \"16MiB\" or less", limit.path)));
            }
            bytes
        }
    };
    Ok(CallSpec {
        url,
        method: table.get("method").map_or(Ok(Method::Post), |item| item.word(&METHODS))?,
        headers: table.get("headers").map_or(Ok(Vec::new()), |item| headers(&item))?,
        timeout_ms: some_ms("timeout", TIMEOUT_MS)?,
        capacity: table.get("capacity").map_or(Ok(CAPACITY), |item| item.count(1..=CAPACITY_MAX))?,
        ordered: table.get("order").map_or(Ok(true), |item| item.word(&[("ordered", true), ("unordered", false)]))?,
        retries: table.get("retries").map_or(Ok(RETRIES), |item| item.count(0..=RETRIES_MAX))?,
        backoff_ms,
        backoff_max_ms,
        member: table.get("answer").map_or(Ok(None), |item| member(&item))?,
        answer_bytes_max,
        on_error: table.get("on_error").map_or(Ok(OnError::DeadLetter), |item| {
            item.word(&[("dead-letter", OnError::DeadLetter), ("restart", OnError::Restart)])
        })?,
    })
}

/// `"value"`, or a member at the top of the event's value, as a pointer.
fn member(item: &Item<'_>) -> Result<Option<String>, ConfigError> {
    match item.text()? {
        "value" => Ok(None),
        text if is_pointer(text) && text.len() > 1 && !text[1..].contains(['/', '~']) => Ok(Some(text[1..].to_string())),
        text => Err(item.error(format!(
            "{} is {text:?}; write \"value\" (the answer becomes the event's value) or a member of it, as in \"/answer\"",
            item.path
        ))),
    }
}

/// Takes an address apart at its `{...}`.
fn url(item: &Item<'_>) -> Result<Vec<UrlPart>, ConfigError> {
    let text = item.text()?;
    let wrong = |what: String| item.error(format!("{}: {what}", item.path));
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(wrong(format!(
            "{text:?} is no address of a service; write \"https://host/path\" or \"http://...\""
        )));
    }
    let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, from)) = rest.split_once('{') {
        let Some((name, after)) = from.split_once('}') else {
            return Err(wrong("a '{' without its '}'; write \"{/field}\", or %7B for the sign itself".into()));
        };
        plain.push_str(before);
        let host = plain.split_once("://").map_or("", |(_, host)| host);
        if parts.is_empty() && !host.contains(['/', '?']) {
            return Err(wrong(format!("{{{name}}} is in the host; fields may stand in the path and the query only")));
        }
        if !before.is_empty() {
            parts.push(UrlPart::Text(before.to_string()));
        }
        parts.push(match name {
            "key" => UrlPart::Key,
            pointer if is_pointer(pointer) => UrlPart::Field(pointer.to_string()),
            _ => return Err(wrong(format!("{{{name}}} is no field; write \"{{/field}}\" or \"{{key}}\""))),
        });
        plain.push('x');
        rest = after;
    }
    plain.push_str(rest);
    if !rest.is_empty() {
        parts.push(UrlPart::Text(rest.to_string()));
    }
    let host = plain.split_once("://").map_or("", |(_, host)| host);
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err(wrong(
            "a name and password do not belong into an address; write a header with { env = \"NAME\" }".into(),
        ));
    }
    if plain.contains('#') {
        return Err(wrong("a '#' and what is behind it never reach a service; leave it out".into()));
    }
    match reqwest::Url::parse(&plain) {
        Ok(_) if !plain.contains(char::is_whitespace) => Ok(parts),
        Ok(_) => Err(wrong("it has white space in it; write %20".into())),
        Err(error) => Err(wrong(format!("{text:?} is no address: {error}; write \"https://host/path\""))),
    }
}

fn headers(item: &Item<'_>) -> Result<Vec<(String, HeaderValue)>, ConfigError> {
    let table = item.open_table()?;
    let mut headers: Vec<(String, HeaderValue)> = Vec::new();
    for (name, origin, value) in table.entries() {
        if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
            let message = format!("{name:?} is no name of a header; write letters, digits and '-'");
            return Err(table.source.error(origin, message));
        }
        if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Err(table.source.error(origin, format!("header {name:?} is there twice; keep one")));
        }
        let value = match value.open_table() {
            Ok(_) => {
                let env = value.table(&["env"])?.need("env", "write { env = \"NAME\" }")?;
                let name = env.text()?;
                if name.is_empty() || name.contains(['=', '\0']) {
                    return Err(env.error(format!("{name:?} is no name of an environment variable")));
                }
                HeaderValue::Env(name.to_string())
            }
            Err(_) => {
                let text = value.text()?;
                if reqwest::header::HeaderValue::from_str(text).is_err() {
                    return Err(
                        value.error(format!("{} has signs that no header may hold; write plain text", value.path))
                    );
                }
                HeaderValue::Text(text.to_string())
            }
        };
        headers.push((name.to_string(), value));
    }
    Ok(headers)
}
