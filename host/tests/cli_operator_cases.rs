//! `tidemill test`: declared cases against a component. What passes, what a difference looks like, what a crash brings out,
//! and what is said of cases that cannot be meant.

mod tidemill;

use std::path::{Path, PathBuf};
use tidemill::{Done, root, tidemill};

/// A project folder with the component of guest `misbehave` or another, and these cases; nothing to build.
fn project(folder: &Path, guest: &str, cases: &str) -> PathBuf {
    let project = folder.join("project");
    std::fs::create_dir_all(project.join("tests")).expect("made");
    let of = root().join(guest);
    std::fs::copy(of.join("component.wasm"), project.join("component.wasm")).expect("the guests are built");
    std::fs::copy(of.join("tidemill.toml"), project.join("tidemill.toml")).expect("copied");
    std::fs::write(project.join("tests/cases.toml"), cases).expect("written");
    project
}

fn test(guest: &str, cases: &str, more: &[&str]) -> Done {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let project = project(folder.path(), guest, cases);
    let args = ["test", project.to_str().expect("UTF-8"), "--no-build"];
    tidemill(args.iter().chain(more))
}

const CONFORMANCE: &str = "guest-sdk/rust/conformance";

const EVERYTHING: &str = r#"
[[case]]
name = "everything that a case can say"
config = { greeting = "hello" }

[[case.step]]
time = 1000
[[case.step]]
events = [
    { key = "a", value = "greeting", time = 5 },
    { key = "a", value = "count" },
    { key = "a", value = "put x 1" },
    { key = "a", value = "push y" },
    { key = "a", value = "due 10" },
    { key = "a", value = "due 90" },
    { key = { hex = "ff" }, value = "alarm 2000" },
    { key = "a", value = "headers", time = 6, headers = [["h", "1"]] },
    { key = "b" },
    { key = "b", value = "reject no thanks" },
]
[[case.step]]
input = "other"
events = [{ key = "a", value = "input" }]
[[case.step]]
watermark = 20
[[case.step]]
replace = true
[[case.step]]
time = 2000
[[case.step]]
close = true

[case.expect]
output.out = [
    { key = "a", value = "hello", time = 5 },
    { key = "a", value = { json = 1 } },
    { key = "a", value = "ok", time = 6, headers = [["h", "1"], ["x", { hex = "00ff" }]] },
    { key = "b" },
    { key = "a", value = "other" },
    { key = "a", value = "due 10", time = 10 },
    { key = { hex = "ff" }, value = "alarm 2000", time = 2000 },
]
output.side = [{ value = "watermark 20", time = 20 }]
dead_letters = [{ key = "b", reason = "no thanks" }]
state.count = [{ key = "a", value = "1" }]
state.entries = [{ key = "a", sub_key = "x", value = "1" }]
state.items = [{ key = "a", value = "y" }]
timers = [{ timer = "due", key = "a", time = 90 }]
"#;

#[test]
fn a_case_says_everything_that_an_operator_does_and_holds_through_crashes() {
    let passed = test(CONFORMANCE, EVERYTHING, &["--crash", "--json"]).json();
    let case = &passed[0];
    assert_eq!((&case["passed"], &case["problems"]), (&true.into(), &serde_json::json!([])));
    assert!(case["crash_runs"].as_u64().is_some_and(|runs| runs >= 6), "{case}"); // a call each, and all of them
    let human = test(CONFORMANCE, EVERYTHING, &[]).ok();
    assert_eq!(human, "ok      everything that a case can say\n1 passed, 0 failed\n");
}

#[test]
fn a_difference_is_shown_line_by_line() {
    let wrong = EVERYTHING
        .replace(r#"value = "hello", time = 5"#, r#"value = "goodbye", time = 5"#)
        .replace("reason = \"no thanks\"", "reason = \"thanks\"")
        .replace(r#"sub_key = "x", value = "1""#, r#"sub_key = "x", value = "2""#)
        .replace("time = 90 }]", "time = 91 }]");
    let done = test(CONFORMANCE, &wrong, &[]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("1 of 1 cases failed"), "{}", done.stderr);
    for line in [
        "FAILED  everything that a case can say",
        "- 5  \"a\"  \"goodbye\"",
        "+ 5  \"a\"  \"hello\"",
        "- \"a\"  \"x\"  \"2\"",
        "+ \"a\"  \"x\"  \"1\"",
        "- due  \"a\"  91",
        "+ due  \"a\"  90",
        "0 passed, 1 failed",
    ] {
        assert!(done.stdout.contains(line), "{line}: {}", done.stdout);
    }
    // `thanks` is part of the reason.
    assert!(!done.stdout.contains("dead letters"), "{}", done.stdout);
}

#[test]
fn memory_that_passes_for_state_is_found_by_a_crash() {
    let cases = r#"
[[case]]
name = "two calls"
step = [{ events = [{ key = "a", value = "memory" }] }, { events = [{ key = "a", value = "memory" }] }]
expect.output.out = [{ key = "a", value = "1" }, { key = "a", value = "2" }]
"#;
    assert_eq!(test(CONFORMANCE, cases, &[]).code, 0);
    let crashed = test(CONFORMANCE, cases, &["--crash"]);
    assert_eq!(crashed.code, 1);
    let text = &crashed.stdout;
    assert!(
        text.contains("not the same again, broken off at call 2 of 2") && text.contains("- \"a\"  \"2\""),
        "{text}"
    );
}

#[test]
fn state_ages_by_the_clock_of_the_case() {
    let cases = r#"
[[case]]
name = "a hundred milliseconds"
step = [
    { time = 1000 },
    { events = [{ key = "a", value = "brief" }] },
    { time = 1099 },
    { events = [{ key = "a", value = "brief" }, { key = "b", value = "brief" }] },
    { time = 1199 },
    { events = [{ key = "a", value = "brief" }] },
]
[case.expect]
output.out = [
    { key = "a", value = "1" },
    { key = "a", value = "2" },
    { key = "b", value = "1" },
    { key = "a", value = "1" },
]
state.brief = [{ key = "a", value = "1" }, { key = "b", value = "1" }]
timers = []
"#;
    // The host frees what is over an eighth of its time later; until then it is there and nobody reads it.
    test(CONFORMANCE, cases, &["--crash"]).ok();
    let later = cases.replace("    { time = 1199 },\n", "    { time = 1300 },\n");
    let later = later.replace(r#", { key = "b", value = "1" }]"#, "]");
    test(CONFORMANCE, &later, &["--crash"]).ok();
}

#[test]
fn every_way_to_fail_can_be_expected() {
    let case = |command: &str, expected: &str| {
        format!(
            "[[case]]\nname = '{command}'\nstep = [{{ events = [{{ key = 'a', value = '{command}' }}] }}]\n{expected}\n"
        )
    };
    let cases = [
        case("retry 7", "expect.failure.retry = 7"),
        case("retry", "expect.failure.retry = -1"),
        case("fatal low tide", "expect.failure.fatal = 'low tide'"),
        case("raise", "expect.failure.trap = 'raised on purpose'"),
    ];
    test(CONFORMANCE, &cases.concat(), &[]).ok();
    let done = test(CONFORMANCE, &case("fatal low tide", ""), &[]);
    assert!(done.stdout.contains("step 1 fails: fatal, low tide"), "{}", done.stdout);
    let done = test(CONFORMANCE, &case("count", "expect.failure.fatal = 'x'"), &["--json"]);
    assert_eq!(done.code, 1);
    let refused = "[[case]]\nname = 'x'\nconfig = { refuse = 'closed today' }\nexpect.failure.fatal = 'closed today'\n";
    test(CONFORMANCE, refused, &[]).ok();
}

/// Windows over a component, as the host keeps them: sliding ones of panes that are merged, late events, poison.
const WINDOWS: &str = r#"
[[case]]
name = "windows of an aggregate"
window = { sliding = "20ms", slide = "10ms", late_output = true }

[[case.step]]
events = [
    { key = "a", value = "x", time = 11 },
    { key = "a", value = "y", time = 25 },
    { key = "b", value = "reject", time = 12 },
    { key = "b", value = "panic", time = 13 },
    { key = "b", value = "z", time = 14 },
]
[[case.step]]
watermark = 30
[[case.step]]
replace = true
[[case.step]]
events = [{ key = "a", value = "late", time = 5 }]
[[case.step]]
watermark = "end"
[[case.step]]
close = true

[case.expect]
output.results = [
    { key = "a", value = "1", time = 19 },
    { key = "a+", value = "again" },
    { key = "b", value = "1", time = 19 },
    { key = "b+", value = "again" },
    { key = "a", value = "2", time = 29 },
    { key = "a+", value = "again" },
    { key = "b", value = "1", time = 29 },
    { key = "b+", value = "again" },
    { key = "a", value = "1", time = 39 },
    { key = "a+", value = "again" },
]
output.late = [{ key = "a", value = "late", time = 5 }]
dead_letters = [{ key = "b", reason = "told so" }, { key = "b", reason = "poison" }]
"#;

const MISFOLD: &str = "host/tests/guests/misfold";

#[test]
fn an_aggregate_is_tried_over_the_windows_of_its_case_and_holds_through_crashes() {
    let passed = test(MISFOLD, WINDOWS, &["--crash", "--json"]).json();
    let case = &passed[0];
    assert_eq!((&case["passed"], &case["problems"]), (&true.into(), &serde_json::json!([])));
    assert!(case["crash_runs"].as_u64().is_some_and(|runs| runs >= 6), "{case}");
    let wrong = WINDOWS.replace(r#"value = "2", time = 29"#, r#"value = "3", time = 29"#);
    let done = test(MISFOLD, &wrong, &[]);
    assert_eq!(done.code, 1);
    for line in ["output results", "- 29  \"a\"  \"3\"", "+ 29  \"a\"  \"2\"", "0 passed, 1 failed"] {
        assert!(done.stdout.contains(line), "{line}: {}", done.stdout);
    }
}

#[test]
fn memory_that_passes_for_an_accumulator_is_found_by_a_crash() {
    let cases = r#"
[[case]]
name = "two calls"
window = { tumbling = "1s" }
step = [
    { events = [{ key = "a", value = "memory" }] },
    { events = [{ key = "a", value = "memory" }] },
    { watermark = "end" },
]
expect.output.results = [{ key = "a", value = "3" }, { key = "a+", value = "again" }]
"#;
    test(MISFOLD, cases, &[]).ok();
    let crashed = test(MISFOLD, cases, &["--crash"]);
    assert_eq!(crashed.code, 1);
    let text = &crashed.stdout;
    assert!(text.contains("not the same again, broken off at call 2") && text.contains("- \"a\"  \"3\""), "{text}");
}

#[test]
fn how_an_aggregate_fails_can_be_expected() {
    let case = |value: &str, expected: &str| {
        format!(
            "[[case]]\nname = '{value}'\nwindow = {{ tumbling = '1s' }}\n\
             step = [{{ events = [{{ key = 'a', value = '{value}' }}] }}, {{ watermark = 'end' }}]\n{expected}\n"
        )
    };
    let cases = [
        case("retry", "expect.failure.retry = 5"),
        case("fatal", "expect.failure.fatal = 'told so'"),
        case("panic-finish", "expect.failure.trap = 'it finished the window [0, 1000) of key \"a\"'"),
    ];
    test(MISFOLD, &cases.concat(), &[]).ok();
}

#[test]
fn windows_that_cannot_be_meant_are_said() {
    let case = |rest: &str| format!("[[case]]\nname = 'x'\n{rest}\n");
    for (guest, rest, words) in [
        (MISFOLD, "", ["case \"x\"", "window = { tumbling = \"10s\" }"]),
        (MISFOLD, "window = { tumbling = '10' }", ["cases.toml:3:23", "tumbling"]),
        (MISFOLD, "window = { tumbling = '1s', slide = '1s' }", ["cases.toml:3:29", "only sliding windows"]),
        (MISFOLD, "window = { tumbling = '1s' }\nexpect.timers = []", ["case \"x\"", "are the host's"]),
        (CONFORMANCE, "window = { tumbling = '1s' }", ["case \"x\"", "world aggregator"]),
    ] {
        let error = test(guest, &case(rest), &[]).error();
        assert!(words.iter().all(|word| error.contains(word)), "{rest}: {error}");
    }
}

#[test]
fn a_case_says_which_inputs_are_broadcast_and_shows_state_that_is_no_keys() {
    const SCOPES: &str = "host/tests/guests/scopes";
    let cases = r#"
[[case]]
name = "rules"
broadcast = ["rules"]
step = [
    { input = "rules", events = [{ value = "add k 2" }, { value = "poison k" }, { value = "mode on" }] },
    { events = [{ key = "a", value = "keep x" }, { value = "keep y" }, { key = "b", value = "show" }] },
]
[case.expect]
output.out = [{ key = "b", value = "on k=2" }]
dead_letters = [{ reason = "poison" }]
state.mode = [{ key = "", value = { hex = "026f6e" } }]
state.totals = [{ key = "", sub_key = "k", value = { hex = "04" } }]
state.list = [{ key = "", value = { hex = "0178" } }, { key = "", value = { hex = "0179" } }]

[[case]]
name = "a write from elsewhere"
broadcast = ["rules"]
step = [{ events = [{ value = "write k" }] }]
expect.failure.trap = "only a call with events of a broadcast input may write it"
"#;
    test(SCOPES, cases, &["--crash"]).ok();
    let unknown = "[[case]]\nname = 'x'\nbroadcast = ['rule']\n";
    let error = test(SCOPES, unknown, &[]).error();
    assert!(error.contains("no input \"rule\": it has events, rules"), "{error}");
}

#[test]
fn what_cannot_be_meant_is_said() {
    let unknown = "[[case]]\nname = 'x'\nstep = [{ input = 'nowhere', events = [] }]\n";
    let error = test(CONFORMANCE, unknown, &[]).error();
    assert!(error.contains("cases.toml") && error.contains("no input \"nowhere\": it has events, other"), "{error}");
    let port = "[[case]]\nname = 'x'\nexpect.output.nowhere = []\nexpect.state.nothing = []\n";
    let text = test(CONFORMANCE, port, &[]).stdout;
    assert!(text.contains("no output \"nowhere\"") && text.contains("no state \"nothing\""), "{text}");
    let error = test(CONFORMANCE, "[[case]]\nname = 'x'\nexpects = 1\n", &[]).error();
    assert!(error.contains("cases.toml") && error.contains("expects"), "{error}");
    let error = test(CONFORMANCE, "[[case]]\nname = 'x'\n", &["--case", "y"]).error();
    assert!(error.contains("no case"), "{error}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = tidemill(["test", folder.path().to_str().expect("UTF-8")]).error();
    assert!(error.contains("tidemill.toml"), "{error}");
}
