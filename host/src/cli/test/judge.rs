//! Compares what a case did with what it expects, and says the differences so that one sees them: line by line, `-` for
//! what is missing, `+` for what is there instead.

use super::case::{Case, Entry as ExpectedEntry, Event, ExpectedFailure};
use super::rig::{Emitted, Entry, Refused, Waiting};
use super::run::{Outcome, of_port};
use tidemill::operator::descriptor::StateKind;
use tidemill::operator::{Descriptor, Failure};

/// The most events or entries of a side that are compared line by line.
const LINES_MAX: usize = 2_000;

/// What is wrong with an outcome; nothing when it is as expected.
pub(super) fn judge(case: &Case, outcome: &Outcome) -> Vec<String> {
    let (mut problems, descriptor) = (Vec::new(), &outcome.descriptor);
    failure(case, outcome, &mut problems);
    output(case, outcome, descriptor, &mut problems);
    let refused = |expected: &super::case::DeadLetter, got: &Refused| {
        got.reason.contains(&expected.reason)
            && expected.key.as_ref().is_none_or(|key| got.key.as_deref().is_some_and(|got| key.fits(got)))
    };
    let expected: Vec<_> = case.expect.dead_letters.iter().collect();
    let show = |letter: &super::case::DeadLetter| {
        let key = letter.key.as_ref().map_or(String::new(), |key| format!("key {}  ", shown_bytes(key)));
        format!("{key}reason ...{}...", letter.reason)
    };
    let shown = |refused: &Refused| {
        format!("key {}  time {}  reason {}", text(refused.key.as_deref()), refused.time, refused.reason)
    };
    let got: Vec<_> = outcome.done.refused.iter().collect();
    compare("dead letters", &expected, &got, |a, b| refused(a, b), |a| show(a), |b| shown(b), &mut problems);
    state(case, outcome, descriptor, &mut problems);
    timers(case, outcome, descriptor, &mut problems);
    problems
}

fn failure(case: &Case, outcome: &Outcome, problems: &mut Vec<String>) {
    let got = outcome.failure.as_ref().map(|(step, failure)| (*step, failure));
    let place = |step: usize| if step == 0 { "opening".to_owned() } else { format!("step {step}") };
    let fits = match (&case.expect.failure, got) {
        (None, None) => true,
        (Some(ExpectedFailure::Retry(ms)), Some((_, Failure::Retry(after)))) => *ms == after.map_or(-1, i64::from),
        (Some(ExpectedFailure::Fatal(part)), Some((_, Failure::Fatal(reason)))) => reason.contains(part),
        (Some(ExpectedFailure::Trap(part)), Some((_, Failure::Trap { message, backtrace }))) => {
            message.contains(part) || backtrace.contains(part)
        }
        _ => false,
    };
    if fits {
        return;
    }
    let got = got.map_or("no failure".to_owned(), |(step, failure)| {
        format!("{} fails: {}", place(step), shown_failure(failure))
    });
    problems.push(match &case.expect.failure {
        None => got,
        Some(expected) => format!("failure\n- {expected:?}\n+ {got}"),
    });
}

fn shown_failure(failure: &Failure) -> String {
    match failure {
        Failure::Retry(after) => format!("retry, after {after:?} ms"),
        Failure::Fatal(reason) => format!("fatal, {reason}"),
        Failure::Trap { message, backtrace } => format!("trap, {message}\n{backtrace}").trim_end().to_owned(),
        Failure::Bug(what) => format!("a bug of Tidemill, {what}"),
    }
}

fn output(case: &Case, outcome: &Outcome, descriptor: &Descriptor, problems: &mut Vec<String>) {
    let Some(expected) = &case.expect.output else { return };
    for unknown in expected.keys().filter(|name| descriptor.outputs.iter().all(|port| port.name != **name)) {
        problems.push(format!("the operator has no output {unknown:?}"));
    }
    for (index, port) in descriptor.outputs.iter().enumerate() {
        let expected: Vec<&Event> = expected.get(&port.name).into_iter().flatten().collect();
        let got = of_port(outcome, index as u32);
        // Times and headers are shown where the case speaks of them.
        let times = expected.iter().any(|event| event.time.is_some());
        let headers = expected.iter().any(|event| event.headers.is_some());
        let show = |event: &&Event| {
            let time = event.time.map(|time| format!("{time}  ")).unwrap_or_default();
            let bytes = |bytes: &Option<super::case::Bytes>| bytes.as_ref().map_or("(none)".into(), shown_bytes);
            let headers =
                event.headers.iter().flatten().map(|(name, value)| format!("  {name}={}", shown_bytes(value)));
            format!("{time}{}  {}{}", bytes(&event.key), bytes(&event.value), headers.collect::<String>())
        };
        let shown = |event: &&Emitted| {
            let time = if times { format!("{}  ", event.time) } else { String::new() };
            let all = event.headers.iter().map(|(name, value)| format!("  {name}={}", text(Some(value))));
            let headers: String = if headers { all.collect() } else { String::new() };
            format!("{time}{}  {}{headers}", text(event.key.as_deref()), text(event.value.as_deref()))
        };
        let what = format!("output {}", port.name);
        compare(&what, &expected, &got, |a, b| event_fits(a, b), show, shown, problems);
    }
}

fn event_fits(expected: &Event, got: &Emitted) -> bool {
    let bytes = |expected: &Option<super::case::Bytes>, got: &Option<Vec<u8>>| match (expected, got) {
        (Some(expected), Some(got)) => expected.fits(got),
        (None, None) => true,
        _ => false,
    };
    let headers = expected.headers.as_ref().is_none_or(|headers| {
        let fits = |((name, value), (got, bytes)): (&(String, super::case::Bytes), &(String, Vec<u8>))| {
            name == got && value.fits(bytes)
        };
        headers.len() == got.headers.len() && headers.iter().zip(&got.headers).all(fits)
    });
    bytes(&expected.key, &got.key)
        && bytes(&expected.value, &got.value)
        && headers
        && expected.time.is_none_or(|time| time == got.time)
}

fn state(case: &Case, outcome: &Outcome, descriptor: &Descriptor, problems: &mut Vec<String>) {
    for (name, expected) in &case.expect.state {
        let Some(index) = descriptor.states.iter().position(|state| state.name == *name) else {
            problems.push(format!("the operator has no state {name:?}"));
            continue;
        };
        let kind = descriptor.states[index].kind;
        let got: Vec<&Entry> = outcome.state.iter().filter(|entry| entry.state as usize == index).collect();
        let fits = |expected: &&ExpectedEntry, got: &&Entry| {
            let sub_key = match (&expected.sub_key, kind) {
                (Some(sub_key), StateKind::Map) => sub_key.fits(&got.sub_key),
                (None, StateKind::Map) => false,
                _ => true,
            };
            expected.key.fits(&got.key) && sub_key && expected.value.fits(&got.value)
        };
        let show = |entry: &&ExpectedEntry| {
            let sub_key = entry.sub_key.as_ref().map(|sub_key| format!("{}  ", shown_bytes(sub_key)));
            format!("{}  {}{}", shown_bytes(&entry.key), sub_key.unwrap_or_default(), shown_bytes(&entry.value))
        };
        let shown = |entry: &&Entry| {
            let sub_key =
                if kind == StateKind::Map { format!("{}  ", text(Some(&entry.sub_key))) } else { String::new() };
            format!("{}  {sub_key}{}", text(Some(&entry.key)), text(Some(&entry.value)))
        };
        let expected: Vec<&ExpectedEntry> = expected.iter().collect();
        compare(&format!("state {name}"), &expected, &got, fits, show, shown, problems);
    }
}

fn timers(case: &Case, outcome: &Outcome, descriptor: &Descriptor, problems: &mut Vec<String>) {
    let Some(expected) = &case.expect.timers else { return };
    let name =
        |waiting: &Waiting| descriptor.timers.get(waiting.timer as usize).map_or("?", |timer| timer.name.as_str());
    let expected: Vec<_> = expected.iter().collect();
    let got: Vec<_> = outcome.waiting.iter().collect();
    compare(
        "timers",
        &expected,
        &got,
        |a, b| a.timer == name(b) && a.key.fits(&b.key) && a.time == b.time,
        |a| format!("{}  {}  {}", a.timer, shown_bytes(&a.key), a.time),
        |b| format!("{}  {}  {}", name(b), text(Some(&b.key)), b.time),
        problems,
    );
}

/// Adds a problem with a diff when the two lists differ.
fn compare<A, B>(
    what: &str,
    expected: &[A],
    got: &[B],
    fits: impl Fn(&A, &B) -> bool,
    show: impl Fn(&A) -> String,
    shown: impl Fn(&B) -> String,
    problems: &mut Vec<String>,
) {
    if expected.len() == got.len() && expected.iter().zip(got).all(|(a, b)| fits(a, b)) {
        return;
    }
    let mut text = what.to_owned();
    if expected.len().max(got.len()) > LINES_MAX {
        text.push_str(&format!(": {} expected, {} came", expected.len(), got.len()));
        problems.push(text);
        return;
    }
    for line in diff(expected, got, fits) {
        text.push('\n');
        match line {
            Line::Same(j) => text.push_str(&format!("  {}", shown(&got[j]))),
            Line::Missing(i) => text.push_str(&format!("- {}", show(&expected[i]))),
            Line::Extra(j) => text.push_str(&format!("+ {}", shown(&got[j]))),
        }
    }
    problems.push(text);
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Same(usize),
    Missing(usize),
    Extra(usize),
}

/// The longest common subsequence, as lines.
fn diff<A, B>(expected: &[A], got: &[B], fits: impl Fn(&A, &B) -> bool) -> Vec<Line> {
    let (n, m) = (expected.len(), got.len());
    let mut longest = vec![vec![0_u32; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            longest[i][j] = match fits(&expected[i], &got[j]) {
                true => longest[i + 1][j + 1] + 1,
                false => longest[i + 1][j].max(longest[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < n || j < m {
        if i < n && j < m && fits(&expected[i], &got[j]) {
            lines.push(Line::Same(j));
            (i, j) = (i + 1, j + 1);
        } else if j == m || (i < n && longest[i + 1][j] >= longest[i][j + 1]) {
            lines.push(Line::Missing(i));
            i += 1;
        } else {
            lines.push(Line::Extra(j));
            j += 1;
        }
    }
    lines
}

fn shown_bytes(bytes: &super::case::Bytes) -> String {
    bytes.bytes().map_or_else(|_| "?".into(), |bytes| text(Some(&bytes)))
}

/// Text in quotes, other bytes in hexadecimal digits, shortened.
fn text(bytes: Option<&[u8]>) -> String {
    const SHOWN_MAX: usize = 200;
    let Some(bytes) = bytes else { return "(none)".into() };
    let rest = bytes.len().saturating_sub(SHOWN_MAX);
    let more = if rest > 0 { format!("... ({} bytes)", bytes.len()) } else { String::new() };
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let short: String = text.chars().take(SHOWN_MAX).collect();
            format!("{short:?}{more}")
        }
        Err(_) => {
            let hex: String = bytes.iter().take(SHOWN_MAX).map(|byte| format!("{byte:02x}")).collect();
            format!("hex {hex}{more}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_keeps_what_is_the_same() {
        let lines = diff(&["a", "b", "c"], &["a", "x", "c", "d"], |a, b| a == b);
        assert_eq!(lines, [Line::Same(0), Line::Missing(1), Line::Extra(1), Line::Same(2), Line::Extra(3)]);
        let mut problems = Vec::new();
        let own = |text: &&str| (*text).to_owned();
        compare("out", &["a", "b"], &["a"], |a, b| a == b, own, own, &mut problems);
        assert_eq!(problems, ["out\n  a\n- b"]);
    }

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        assert_eq!(text(Some(b"a\"b\n")), r#""a\"b\n""#);
        assert_eq!(text(Some(&[0xff, 0x00])), "hex ff00");
        assert_eq!(text(None), "(none)");
        assert!(text(Some(&[b'x'; 300])).ends_with("... (300 bytes)"));
    }
}
