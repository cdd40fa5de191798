//! `tidemill bench` in its short form: every workload runs to its end, and what it prints is a line of plausible figures for
//! each case. Nothing is asserted about how fast anything is.

#[path = "support/world.rs"]
mod world;

mod tidemill;
#[path = "support/tools.rs"]
mod tools;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tidemill::{root, tidemill};
use world::operator;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} of {value}"))
}

/// The figures of a line.
fn figures(line: &Value) -> BTreeMap<&str, f64> {
    let figures = line["figures"].as_object().expect("figures");
    figures.iter().map(|(name, figure)| (name.as_str(), figure.as_f64().expect("a number"))).collect()
}

#[test]
fn every_workload_gives_plausible_figures_and_leaves_nothing() {
    let nexmark = ["nexmark-select", "nexmark-join", "nexmark-window"];
    ["pass-through", "keyed-count", "count"].iter().chain(&nexmark).for_each(|name| drop(operator(name)));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let dir = folder.path().to_string_lossy().into_owned();
    let components = root().join("examples/operators").to_string_lossy().into_owned();
    let bench = ["bench", "--scale", "small", "--json", "--dir", &dir, "--components", &components];
    let lines = tidemill(bench).json_lines();

    let listed = tidemill(["bench", "--list", "--json"]).json();
    let listed: BTreeSet<&str> = listed.as_array().expect("a list").iter().map(|one| text(one, "name")).collect();
    assert!(listed.len() >= 12, "{listed:?}");
    let ran: BTreeSet<&str> =
        lines.iter().map(|line| text(line, "workload")).filter(|name| *name != "machine").collect();
    assert_eq!(ran, listed);
    assert_eq!(text(&lines[0], "workload"), "machine");
    for raw in ["sync_p50_ms", "sync_p95_ms", "sync_p99_ms", "sequential_bytes_per_s", "memcpy_bytes_per_s"] {
        assert!(figures(&lines[0]).contains_key(raw), "{}", lines[0]);
    }

    let mut cases = BTreeSet::new();
    for line in &lines {
        assert!(cases.insert((text(line, "workload"), text(line, "case"))), "twice: {line}");
        let figures = figures(line);
        assert!(!figures.is_empty(), "{line}");
        for (name, figure) in &figures {
            // Differences may be nothing on so small a scale.
            let may_be_nothing = text(line, "case") == "idle operator" || *name == "directory_per_event_bytes";
            assert!(figure.is_finite() && (*figure > 0.0 || (may_be_nothing && *figure == 0.0)), "{name} of {line}");
        }
        let in_order = |names: &[&str]| {
            let found: Vec<f64> = names.iter().filter_map(|name| figures.get(name).copied()).collect();
            assert!(found.is_sorted(), "{names:?} of {line}");
        };
        in_order(&["p50_ms", "p95_ms", "p99_ms", "max_ms"]);
        in_order(&["resident_bytes", "peak_bytes"]);
        if let (Some(throughput), Some(cost)) = (figures.get("throughput_events_per_s"), figures.get("cost_ns")) {
            assert!((throughput * cost - 1e9).abs() < 1e3, "{line}");
        }
    }
    let of = |workload: &str| cases.iter().filter(|case| case.0 == workload).count();
    let counts = ["pass-through", "keyed-count", "json", "append", "latency", "restart", "start-up"].map(of);
    assert_eq!(counts, [2, 7, 3, 3, 3, 2, 3], "{cases:?}");
    assert_eq!(["stream-append", "stream-read", "stream-time"].map(of), [18, 6, 2], "{cases:?}");
    assert_eq!(["nexmark", "window-slide", "sessions"].map(of), [20, 4, 1], "{cases:?}");
    assert!(of("memory") >= 6 && of("sustained") >= 3, "{cases:?}");

    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_selected_workload_runs_alone_and_is_read_as_text() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let dir = folder.path().to_string_lossy().into_owned();
    let text = tidemill(["bench", "app", "--scale", "small", "--dir", &dir]).ok();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(names, ["machine, raw", "append, 1 writer", "append, 16 writers", "append, 100 writers"]);
    assert!(text.lines().skip(1).all(|line| line.contains("  p50 ") && line.contains("against sync ")), "{text}");
}

/// Builds word-count's operator in every language whose tools are here; gives these languages.
fn languages() -> BTreeSet<&'static str> {
    let folders = [
        ("rust", "count"),
        ("c", "count/c"),
        ("go", "count/go"),
        ("python", "count/python"),
        ("javascript", "count/javascript"),
        ("typescript", "count/typescript"),
    ];
    let mut built = BTreeSet::new();
    for (language, name) in folders {
        let folder = root().join("examples/operators").join(name);
        if !folder.join("component.wasm").exists() {
            let done = tidemill(["build".as_ref(), folder.as_os_str()]);
            if done.code != 0 && tools::are_missing(&done.stderr) {
                tools::skipped(&format!("bench languages: {language}"), &done.stderr);
                continue;
            }
            done.ok();
        }
        built.insert(language);
    }
    built
}

#[test]
fn languages_are_measured_side_by_side_with_what_is_native() {
    let built = languages();
    let rows = tidemill(["bench", "languages", "--scale", "small", "--json"]).json();
    let rows = rows.as_array().expect("a row for each");
    let measured: BTreeSet<&str> = rows.iter().map(|row| text(row, "language")).collect();
    assert_eq!(measured, built.iter().copied().chain(["native"]).collect());
    for row in rows {
        let native = text(row, "language") == "native";
        let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name} of {row}"));
        for name in ["open_ms", "events_per_s", "events_per_cpu_s", "against_native"] {
            assert!(number(name) > 0.0, "{name} of {row}");
        }
        assert!(number("instance_bytes") >= 0.0, "{row}");
        for name in ["component_bytes", "compiled_bytes", "cold_start_ms", "cached_start_ms"] {
            assert_eq!(row[name].is_null(), native, "{name} of {row}");
            assert!(native || number(name) > 0.0, "{name} of {row}");
        }
    }
    let nowhere = tempfile::tempdir().expect("a folder");
    let only = nowhere.path().to_string_lossy().into_owned();
    let done = tidemill(["bench", "languages", "--scale", "small", "--components", &only]);
    assert!(done.stderr.contains("python: skipped, ") && done.stderr.contains("count/python"), "{}", done.stderr);
    let table = done.ok();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "a head and the native one: {table}");
    assert!(lines[0].contains("per instance") && lines[1].contains("native") && lines[1].contains("1.00x"), "{table}");
}

#[test]
fn what_cannot_be_run_is_said_before_anything_runs() {
    let error = tidemill(["bench", "nonsense"]).error();
    assert!(error.contains("no workload \"nonsense\"; there are: pass-through, "), "{error}");
    let error = tidemill(["bench", "latency", "--components", "/nonexistent"]).error();
    assert!(error.contains("/nonexistent/keyed-count/component.wasm: run `cargo xtask guests`"), "{error}");
    let error = tidemill(["bench", "append", "--dir", "/nonexistent"]).error();
    assert!(error.contains("/nonexistent is no folder"), "{error}");
    assert!(Path::new("/nonexistent").metadata().is_err());
}
