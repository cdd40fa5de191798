//! `validate`, `run` and `checkpoint list` from outside: what a pipeline file's mistakes look like, what a run sums up, what
//! is resumed.

mod tidemill;

use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tidemill::{DataDir, root, tidemill};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A pipeline without a component: lines of a file into a stream.
const COPY: &str = r#"[pipeline]
name = "copy"

[sources.lines]
file = { path = "lines.jsonl", format = "json" }
time = { pointer = "/at", format = "ms" }
key = { pointer = "/who" }

[sinks.out]
input = "lines"
stream = "copy/out"
"#;

struct Pipeline {
    data: DataDir,
    file: PathBuf,
}

fn pipeline(toml: &str) -> Pipeline {
    let data = DataDir::new();
    let file = data.path().with_file_name("pipeline.toml");
    let lines: String = (0..100).map(|i| format!("{{\"at\": {}, \"who\": \"w{}\"}}\n", i * 1000, i % 7)).collect();
    std::fs::write(file.with_file_name("lines.jsonl"), lines + "not JSON\n").expect("written");
    std::fs::write(&file, toml).expect("written");
    Pipeline { data, file }
}

#[test]
fn a_run_sums_up_and_a_second_run_has_nothing_to_do() {
    let Pipeline { data, file } = pipeline(COPY);
    let summary = data.run(&["run", text(&file), "--json"]).json();
    assert_eq!((&summary["pipeline"], &summary["finished"]), (&json!("copy"), &json!(true)));
    let source = &summary["nodes"][0];
    assert_eq!(
        (&source["name"], &source["kind"], &source["events_out"]),
        (&json!("lines"), &json!("source"), &json!(100))
    );
    assert_eq!(source["rejected"], 1);
    assert_eq!(data.run(&["stream", "cat", "copy/out"]).json_lines().len(), 100);
    let dead = data.run(&["stream", "cat", "copy/dead-letters"]).json_lines();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["value"], "not JSON");
    assert!(dead[0]["headers"].to_string().contains("lines.jsonl"), "the header says where it stood: {}", dead[0]);

    let again = data.run(&["run", text(&file)]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(again.stdout, "", "stdout is for data");
    assert!(again.stderr.contains("copy finished"), "{}", again.stderr);
    assert_eq!(data.run(&["stream", "cat", "copy/out"]).json_lines().len(), 100);
}

#[test]
fn checkpoints_are_listed_newest_first_by_name_or_file() {
    let Pipeline { data, file } = pipeline(COPY);
    data.run(&["run", text(&file)]).ok();
    let list = data.run(&["checkpoint", "list", "copy", "--json"]).json();
    let checkpoints = list.as_array().expect("a list");
    assert_eq!(checkpoints[0]["finished"], true);
    assert_eq!(checkpoints[0]["events_read"], 101);
    let epochs: Vec<_> = checkpoints.iter().map(|checkpoint| checkpoint["epoch"].as_u64()).collect();
    assert!(epochs.is_sorted_by(|newer, older| newer > older), "{epochs:?}");
    let human = data.run(&["checkpoint", "list", text(&file)]).ok();
    assert!(human.contains("events read") && human.contains("finished"), "{human}");
}

#[test]
fn what_is_set_from_outside_replaces_the_file() {
    let Pipeline { data, file } = pipeline(COPY);
    std::fs::write(file.with_file_name("other.jsonl"), "{\"at\": 5, \"who\": \"x\"}\n").expect("written");
    let other = file.with_file_name("other.jsonl");
    let set = format!("sources.lines.file.path={}", other.display());
    data.run(&["run", text(&file), "--set", &set, "--set", "sinks.out.stream=copy/elsewhere"]).ok();
    let events = data.run(&["stream", "cat", "copy/elsewhere"]).json_lines();
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["key"], &events[0]["timestamp"]), (&json!("x"), &json!(5)));
}

#[test]
fn mistakes_in_the_file_are_named_with_their_line() {
    for (from, to, line, word) in [
        ("input = \"lines\"", "input = \"lnies\"", 10, "lnies"),
        ("format = \"json\"", "format = \"jsn\"", 5, "jsn"),
        ("key = {", "kye = {", 7, "kye"),
        ("[sinks.out]", "[sinks.out", 9, "not valid TOML"),
    ] {
        let Pipeline { file, data: _kept } = pipeline(&COPY.replace(from, to));
        let error = tidemill(["validate", text(&file)]).error();
        assert!(error.contains(&format!("pipeline.toml:{line}:")), "{to}: {error}");
        assert!(error.contains(word), "{to}: {error}");
    }
    let Pipeline { file, data } = pipeline(&COPY.replace("lines.jsonl", "nothing.jsonl"));
    let error = tidemill(["validate", text(&file)]).error();
    assert!(error.contains("nothing.jsonl"), "{error}");
    let error = data.run(&["run", text(&file)]).error();
    assert!(error.contains("nothing.jsonl"), "{error}");
    let error = tidemill(["validate", text(&file.with_file_name("missing.toml"))]).error();
    assert!(error.contains("missing.toml"), "{error}");
}

#[test]
fn a_component_that_is_not_built_is_named_with_the_command_that_builds_it() {
    let with_operator = COPY.replace("input = \"lines\"", "input = \"op\"")
        + "\n[operators.op]\ncomponent = \"an-operator\"\ninput = \"lines\"\n";
    let Pipeline { file, data: _kept } = pipeline(&with_operator);
    std::fs::create_dir(file.with_file_name("an-operator")).expect("made");
    let error = tidemill(["validate", text(&file)]).error();
    assert!(error.contains("tidemill build") && error.contains("an-operator"), "{error}");
}

#[test]
fn validate_shows_what_would_run_and_leaves_nothing_behind() {
    let Pipeline { file, data: _kept } = pipeline(COPY);
    let folder = file.parent().expect("a folder");
    let before = std::fs::read_dir(folder).expect("listed").count();
    let plan = tidemill(["validate", text(&file), "--parallelism", "3", "--json"]).json();
    assert_eq!(plan["valid"], true);
    assert_eq!(plan["dead_letters"], "copy/dead-letters");
    let names: Vec<_> = plan["nodes"].as_array().expect("nodes").iter().map(|node| node["name"].as_str()).collect();
    assert_eq!(names, [Some("lines"), Some("out")]);
    assert_eq!(plan["nodes"][1]["inputs"], json!(["lines"]));
    let human = tidemill(["validate", text(&file)]).ok();
    assert!(human.starts_with("copy is valid") && human.contains("fed by"), "{human}");
    assert_eq!(std::fs::read_dir(folder).expect("listed").count(), before);
}

#[test]
fn the_example_pipelines_are_valid() {
    // Their components may not be built here: what is checked is that nothing else is wrong.
    for example in ["flight-delays", "word-count", "keyed-chain", "sessions"] {
        let file = root().join("examples/pipelines").join(example).join("pipeline.toml");
        let done = tidemill(["validate", text(&file)]);
        assert!(done.code == 0 || done.stderr.contains("component not built"), "{example}: {}", done.stderr);
    }
}

#[test]
fn ctrl_c_stops_an_endless_pipeline_at_a_checkpoint() {
    let follow = "[pipeline]\nname = \"follow\"\ncheckpoint_interval = \"50ms\"\n\n[sources.words]\nstream = \"demo/in\"\n\n\
                  [sinks.kept]\ninput = \"words\"\nstream = \"demo/out\"\n\n[sinks.shown]\ninput = \"words\"\nstdout = true\n";
    let Pipeline { data, file } = pipeline(follow);
    data.run(&["stream", "create", "demo/in"]).ok();
    data.run_with(&["stream", "append", "demo/in"], b"one\ntwo\n").ok();
    for _ in 0..2 {
        let mut running = data.command(&["run", text(&file)]);
        let mut running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut lines = BufReader::new(running.stdout.take().expect("stdout")).lines();
        let shown: Vec<String> = lines.by_ref().take(2).map(|line| line.expect("a line")).collect();
        assert!(shown[0].contains("one") && shown[1].contains("two"), "{shown:?}");
        let killed = Command::new("kill").args(["-INT", &running.id().to_string()]).status().expect("kill starts");
        assert!(killed.success());
        assert_eq!(lines.map(|line| line.expect("a line")).collect::<Vec<_>>(), [""; 0]);
        let done = running.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
        assert!(said.contains("follow stopped at a checkpoint"), "{said}");
        let kept = data.run(&["stream", "cat", "demo/out"]).json_lines();
        let values: Vec<_> = kept.iter().map(|event| event["value"].as_str()).collect();
        assert!(values.ends_with(&[Some("one"), Some("two")]) && values.len().is_multiple_of(2), "{values:?}");
        // What comes now is all that the second run shows: it goes on where the first stopped.
        data.run_with(&["stream", "append", "demo/in"], b"one\ntwo\n").ok();
    }
    assert_eq!(data.run(&["stream", "cat", "demo/out"]).json_lines().len(), 4);
}
