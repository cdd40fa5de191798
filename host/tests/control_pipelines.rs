//! `ls`, `describe`, `top` and `stop` beside running pipelines, several of them in one process, and what they say when
//! nothing runs.

mod tidemill;

use serde_json::{Value, json};
use tidemill::DataDir;
use tidemill::running::{Running, live};

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn states(data: &DataDir) -> Vec<(String, String)> {
    let list = data.run(&["ls", "--json"]).json();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    list.as_array().expect("a list").iter().map(|one| (word(&one["name"]), word(&one["state"]))).collect()
}

fn pair(name: &str, state: &str) -> (String, String) {
    (name.into(), state.into())
}

#[test]
fn a_pipeline_is_described_alike_while_it_runs_and_after() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let mut run = Running::start(&data, &[text(&file)], &[]);
    data.run_with(&["stream", "append", "copy/in", "--time", "1970-01-01T00:00:09Z"], b"1\n2\n3\n").ok();
    run.wait_for_events("copy/out", 3);
    let lively = data.run(&["describe", "copy", "--json"]).json();
    assert_eq!((&lively["state"], &lively["restarts"]), (&json!("running"), &json!(0)));
    let node = |name, kind| json!([name, kind, 1]);
    let nodes = lively["nodes"].as_array().expect("nodes");
    let shapes: Vec<Value> =
        nodes.iter().map(|node| json!([node["name"], node["kind"], node["parallelism"]])).collect();
    assert_eq!(shapes, [node("lines", "source"), node("out", "sink")]);
    assert_eq!(
        (&nodes[0]["events_out"], &nodes[1]["events_in"], &nodes[0]["rejected"]),
        (&json!(3), &json!(3), &json!(0))
    );
    assert_eq!(lively["sources"][0]["partitions"][0]["events"], 3);
    let names = |description: &Value| -> Vec<Value> {
        description["streams"].as_array().expect("streams").iter().map(|stream| stream["name"].clone()).collect()
    };
    assert_eq!(names(&lively), ["copy/dead-letters", "copy/out"]);
    assert_eq!(lively["checkpoints"], data.run(&["checkpoint", "list", "copy", "--json"]).json());
    let human = data.run(&["describe", text(&file)]).ok();
    assert!(human.starts_with("copy is running, epoch ") && human.contains("copy/out"), "{human}");

    assert_eq!(data.run(&["stop", "copy", "--json"]).json()["state"], "stopped");
    assert_eq!(run.end().code, 0);
    let stopped = data.run(&["describe", "copy", "--json"]).json();
    assert_eq!((&stopped["state"], &stopped["restarts"]), (&json!("stopped"), &Value::Null));
    assert!(stopped["epoch"].as_u64() >= lively["epoch"].as_u64());
    for (before, after) in nodes.iter().zip(stopped["nodes"].as_array().expect("nodes")) {
        for field in ["name", "kind", "events_in", "events_out", "rejected"] {
            assert_eq!(before[field], after[field], "{field}");
        }
        assert_eq!(after["parallelism"], Value::Null, "the records do not tell");
    }
    assert_eq!(stopped["sources"][0]["partitions"][0]["events"], 3);
    assert_eq!(names(&stopped), ["copy/dead-letters", "copy/in", "copy/out"], "those of its scope");
    let human = data.run(&["describe", "copy"]).ok();
    assert!(human.starts_with("copy is stopped, epoch "), "{human}");
}

#[test]
fn of_two_pipelines_in_one_process_one_goes_on_when_the_other_stops() {
    let data = DataDir::new();
    let (first, second) = (live(&data, "first"), live(&data, "second"));
    let mut run = Running::start(&data, &[text(&first), text(&second)], &["--json"]);
    assert_eq!(states(&data), [pair("first", "running"), pair("second", "running")]);
    let stopped = data.run(&["stop", text(&first)]).ok();
    assert!(stopped.starts_with("first stopped at epoch "), "{stopped}");
    assert_eq!(states(&data), [pair("first", "stopped"), pair("second", "running")]);
    let again = data.run(&["stop", "first"]).error();
    assert!(again.contains("first does not run") && again.contains("second"), "{again}");
    data.run_with(&["stream", "append", "second/in"], b"1\n").ok();
    run.wait_for_events("second/out", 1);
    data.run(&["stop", "second"]).ok();
    let summaries = run.end().json_lines();
    let names: Vec<_> = summaries.iter().map(|summary| (&summary["pipeline"], &summary["finished"])).collect();
    assert_eq!(names, [(&json!("first"), &json!(false)), (&json!("second"), &json!(false))]);
    assert_eq!(states(&data), [pair("first", "stopped"), pair("second", "stopped")]);
}

#[test]
fn one_that_fails_does_not_take_the_other_along() {
    let data = DataDir::new();
    let (good, bad) = (data.path().with_file_name("good.toml"), data.path().with_file_name("bad.toml"));
    let lines: String = (0..100).map(|i| format!("{{\"at\": {i}}}\n")).collect();
    std::fs::write(good.with_file_name("lines.jsonl"), lines).expect("written");
    let source = "[sources.lines]\nfile = { path = \"lines.jsonl\", format = \"json\" }\ntime = { pointer = \"/at\", format = \"ms\" }\n";
    let pipeline =
        |name, sink| format!("[pipeline]\nname = \"{name}\"\n\n{source}\n[sinks.out]\ninput = \"lines\"\n{sink}\n");
    std::fs::write(&good, pipeline("good", "stream = \"good/out\"")).expect("written");
    // A file stands where the folder of its output should be.
    std::fs::write(good.with_file_name("taken"), "").expect("written");
    std::fs::write(&bad, pipeline("bad", "file = { path = \"taken\" }")).expect("written");
    let done = data.run(&["run", text(&bad), text(&good), "--json"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    if done.stderr.contains("1 of 2 pipelines failed") {
        let summary: Value = serde_json::from_str(&done.stdout).expect("one summary");
        assert_eq!((&summary["pipeline"], &summary["finished"]), (&json!("good"), &json!(true)));
        assert!(done.stderr.contains("error: pipeline bad: "), "{}", done.stderr);
    } else {
        panic!("bad should start and fail: {}", done.stderr);
    }
    assert_eq!(data.run(&["stream", "cat", "good/out"]).json_lines().len(), 100);
}

#[test]
fn pipelines_of_one_process_have_names_of_their_own() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let twin = file.with_file_name("twin.toml");
    std::fs::copy(&file, &twin).expect("copied");
    let error = data.run(&["run", text(&file), text(&twin)]).error();
    assert!(error.contains("twin.toml") && error.contains("a pipeline copy is given already"), "{error}");
    let other = live(&data, "other");
    let error = data.run(&["run", text(&file), text(&other), "--set", "sinks.out.stream=a/b"]).error();
    assert!(error.contains("--set"), "{error}");
}

#[test]
fn top_shows_rates_and_totals_of_what_runs() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let mut run = Running::start(&data, &[text(&file)], &[]);
    data.run_with(&["stream", "append", "copy/in"], b"1\n2\n").ok();
    run.wait_for_events("copy/out", 2);
    let picture = data.run(&["top", "--once"]).ok();
    for part in ["copy running, epoch ", "last checkpoint ", "events/s", "lines", "out"] {
        assert!(picture.contains(part), "{picture}");
    }
    assert!(!picture.contains('\x1b'), "no terminal, no escapes");
    let picture = data.run(&["top", "--once", "--json"]).json();
    assert_eq!(picture[0]["name"], "copy");
    assert_eq!((&picture[0]["nodes"][0]["total"], &picture[0]["nodes"][1]["total"]), (&json!(2), &json!(2)));
    assert!(picture[0]["nodes"][0]["events_per_s"].is_u64());
}

#[test]
fn without_a_running_pipeline_the_commands_say_so() {
    let data = DataDir::new();
    live(&data, "copy");
    assert_eq!(data.run(&["ls"]).ok(), "no pipelines\n");
    let error = data.run(&["stop", "copy"]).error();
    assert!(error.contains("no pipeline copy ever ran"), "{error}");
    let error = data.run(&["top", "--once"]).error();
    assert!(error.contains("no pipeline runs") && error.contains("tidemill run"), "{error}");
    let error = data.run(&["describe", "copy"]).error();
    assert!(error.contains("no pipeline copy ever ran"), "{error}");
}
