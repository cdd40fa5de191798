//! A test case as `tests/*.toml` of a project writes it: steps in, what is expected of them. `run.rs` makes the calls,
//! `judge.rs` compares.
//!
//! Keys and values are text, or `{ hex = "00ff" }`, or `{ json = ... }`; a key or value that is left out is absent.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::path::Path;
use tidemill::config::builtin::WindowSpec;
use tidemill::config::parse;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    /// The operator's configuration.
    #[serde(default)]
    pub(super) config: BTreeMap<String, toml::Value>,
    /// Whether there is a `window`; what it says is read as in a pipeline file.
    #[serde(rename = "window")]
    has_window: Option<IgnoredAny>,
    /// The windows that an aggregate is tried over.
    #[serde(skip)]
    pub(super) window: Option<WindowSpec>,
    /// Inputs whose edge is `broadcast`: their events may write broadcast state.
    #[serde(default)]
    pub(super) broadcast: Vec<String>,
    /// What happens, in order.
    #[serde(default)]
    pub(super) step: Vec<Step>,
    #[serde(default)]
    pub(super) expect: Expect,
}

/// One thing that happens to the operator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// The input of `events`; the first unless named.
    pub(super) input: Option<String>,
    /// Events of one call.
    pub(super) events: Option<Vec<Event>>,
    /// The watermark moves to this time, ms, or to the "end" of input.
    pub(super) watermark: Option<Time>,
    /// The clock moves to this time, ms.
    pub(super) time: Option<i64>,
    /// The instance is replaced by a new one.
    #[serde(default)]
    pub(super) replace: bool,
    /// The input has ended and the operator is closed.
    #[serde(default)]
    pub(super) close: bool,
}

/// A watermark.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Time {
    Ms(i64),
    Word(String),
}

/// An event that goes in, or is expected to come out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    /// ms; going in 0 unless given, coming out not looked at unless given.
    pub(super) time: Option<i64>,
    /// Names may repeat in pairs: `[["a", "1"], ["a", "2"]]`.
    pub(super) headers: Option<Vec<(String, Bytes)>>,
}

/// Bytes as a case writes them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Bytes {
    Text(String),
    Hex(Hex),
    Json(Json),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hex {
    hex: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Json {
    json: serde_json::Value,
}

/// What is expected. Dead letters and a failure are always compared; output, state and timers where they are given.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// By port; a port that is not named is expected to be silent.
    pub(super) output: Option<BTreeMap<String, Vec<Event>>>,
    /// Refused events and timers, in order.
    #[serde(default)]
    pub(super) dead_letters: Vec<DeadLetter>,
    /// By state, of those named: everything in it at the end.
    #[serde(default)]
    pub(super) state: BTreeMap<String, Vec<Entry>>,
    /// All timers that wait at the end.
    pub(super) timers: Option<Vec<Timer>>,
    /// How the last step fails.
    pub(super) failure: Option<ExpectedFailure>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadLetter {
    pub(super) key: Option<Bytes>,
    /// Must be part of the reason.
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) key: Bytes,
    /// Of a map.
    pub(super) sub_key: Option<Bytes>,
    pub(super) value: Bytes,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timer {
    pub(super) timer: String,
    pub(super) key: Bytes,
    pub(super) time: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum ExpectedFailure {
    /// It asks for the call to be made again after so many ms; -1 = it names no time.
    Retry(i64),
    /// It stops the pipeline; the text is part of the reason.
    Fatal(String),
    /// The instance dies; the text is part of what is said.
    Trap(String),
}

impl Bytes {
    /// The bytes to send; JSON in its shortest form.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Bytes::Text(text) => Ok(text.clone().into_bytes()),
            Bytes::Json(json) => Ok(json.json.to_string().into_bytes()),
            Bytes::Hex(Hex { hex }) => {
                let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
                if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
                    bail!("hex = {hex:?}: write pairs of hexadecimal digits");
                }
                let value = |digit: u8| (digit as char).to_digit(16).unwrap_or_default() as u8;
                Ok(digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect())
            }
        }
    }

    /// Whether these bytes are meant: exactly, or the same JSON.
    pub(super) fn fits(&self, bytes: &[u8]) -> bool {
        match self {
            Bytes::Json(json) => serde_json::from_slice(bytes).is_ok_and(|value: serde_json::Value| value == json.json),
            exact => exact.bytes().is_ok_and(|exact| exact == bytes),
        }
    }
}

/// Reads a file of cases and checks what can be checked without the operator.
pub(super) fn read(file: &Path) -> Result<Vec<Case>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse_cases(&file.display().to_string(), &text)
}

/// `name` is what errors call the text.
fn parse_cases(name: &str, text: &str) -> Result<Vec<Case>> {
    let file: File = toml::from_str(text).with_context(|| name.to_owned())?;
    let mut cases = file.case;
    for (i, case) in cases.iter_mut().enumerate() {
        check(case).with_context(|| format!("{name}: case {:?}", case.name))?;
        if case.has_window.is_some() {
            case.window = Some(parse::window_of_component(name, text, &["case", &i.to_string(), "window"])?);
        }
    }
    Ok(cases)
}

/// What can be said against it without the operator.
fn check(case: &Case) -> Result<()> {
    for (i, step) in case.step.iter().enumerate() {
        let things = [step.events.is_some(), step.watermark.is_some(), step.time.is_some(), step.replace, step.close];
        if things.iter().filter(|thing| **thing).count() != 1 {
            bail!("step {}: a step has one of events, watermark, time, replace = true, close = true", i + 1);
        }
        if step.input.is_some() && step.events.is_none() {
            bail!("step {}: input goes with events", i + 1);
        }
        if let Some(Time::Word(word)) = step.watermark.as_ref().filter(|at| !matches!(at, Time::Ms(_)))
            && word != "end"
        {
            bail!("step {}: watermark {word:?}: write ms, or \"end\"", i + 1);
        }
    }
    bytes_of(case).try_for_each(|bytes| bytes.bytes().map(drop))
}

/// Every byte string of a case.
fn bytes_of(case: &Case) -> impl Iterator<Item = &Bytes> {
    let sent = case.step.iter().filter_map(|step| step.events.as_ref()).flatten();
    let expected = case.expect.output.iter().flat_map(|ports| ports.values()).flatten();
    let events = sent.chain(expected).flat_map(|event| {
        let headers = event.headers.iter().flatten().map(|(_, value)| value);
        event.key.iter().chain(&event.value).chain(headers)
    });
    let entries = case.expect.state.values().flatten();
    let entries = entries.flat_map(|entry| [&entry.key, &entry.value].into_iter().chain(&entry.sub_key));
    let letters = case.expect.dead_letters.iter().flat_map(|letter| &letter.key);
    let timers = case.expect.timers.iter().flatten().map(|timer| &timer.key);
    events.chain(entries).chain(letters).chain(timers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read_with_bytes_of_every_form() {
        let text = r#"
            [[case]]
            name = "x"
            config = { limit = 3 }
            [[case.step]]
            events = [{ key = "a", value = { json = { b = [1, 2.5] } }, time = 5, headers = [["h", { hex = "00 ff" }]] }, {}]
            [[case.step]]
            watermark = "end"
            [case.expect]
            output.out = [{ key = { hex = "61" }, value = "v" }]
            state.s = [{ key = "a", value = "1" }]
            failure = { retry = 5 }
        "#;
        let case = parse_cases("cases", text).unwrap().remove(0);
        let event = &case.step[0].events.as_ref().unwrap()[0];
        assert_eq!(event.value.as_ref().unwrap().bytes().unwrap(), br#"{"b":[1,2.5]}"#);
        assert!(event.value.as_ref().unwrap().fits(br#" { "b" : [1, 2.5] } "#));
        assert_eq!(event.headers.as_ref().unwrap()[0].1.bytes().unwrap(), [0, 0xff]);
        assert!(case.expect.output.unwrap()["out"][0].key.as_ref().unwrap().fits(b"a"));
        assert!(matches!(case.expect.failure, Some(ExpectedFailure::Retry(5))));
    }

    #[test]
    fn the_cases_in_the_documents_are_read() {
        let text = include_str!("../../../../docs/operator-projects.md");
        let blocks = text.split("```toml\n").filter(|block| block.starts_with("[[case]]"));
        let cases = blocks.map(|block| parse_cases("docs", block.split("```").next().unwrap()).unwrap());
        let cases: Vec<Case> = cases.flatten().collect();
        let steps: Vec<(usize, bool)> = cases.iter().map(|case| (case.step.len(), case.window.is_some())).collect();
        assert_eq!(steps, [(5, false), (4, true)]);
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (text, word) in [
            ("[[case]]\nname = 'x'\nstep = [{ events = [], time = 5 }]", "step 1: a step has one of"),
            ("[[case]]\nname = 'x'\nstep = [{ }]", "step 1: a step has one of"),
            ("[[case]]\nname = 'x'\nstep = [{ watermark = 'soon' }]", "write ms, or \"end\""),
            ("[[case]]\nname = 'x'\nstep = [{ watermark = 5, input = 'a' }]", "input goes with events"),
            ("[[case]]\nname = 'x'\nstep = [{ events = [{ key = { hex = '0' } }] }]", "pairs of hexadecimal digits"),
            ("[[case]]\nname = 'x'\nexpects = {}", "unknown field `expects`"),
        ] {
            let error = format!("{:#}", parse_cases("cases", text).unwrap_err());
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
