//! The stream verbs beside a running pipeline: the process that owns the data directory does them, and its pipeline goes on.

mod tidemill;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use tidemill::DataDir;
use tidemill::running::{Running, live};

fn values(events: &[Value]) -> Vec<Value> {
    events.iter().map(|event| event["value"].clone()).collect()
}

#[test]
fn what_is_appended_beside_a_run_comes_out_of_it() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let mut run = Running::start(&data, &[file.to_str().expect("UTF-8")], &["--json"]);
    let created = data.run(&["stream", "create", "demo/new", "--segments", "2", "--json"]).json();
    assert_eq!(created, json!({ "name": "demo/new", "segments": 2 }));
    let appended = data.run_with(&["stream", "append", "copy/in", "--key", "k", "--json"], b"one\ntwo\n");
    assert_eq!(appended.json(), json!({ "stream": "copy/in", "events": 2 }));
    run.wait_for_events("copy/out", 2);
    assert_eq!(values(&data.run(&["stream", "cat", "copy/out"]).json_lines()), ["one", "two"]);
    assert_eq!(values(&data.run(&["stream", "tail", "copy/out", "-n", "1"]).json_lines()), ["two"]);
    let described = data.run(&["stream", "describe", "copy/out", "--json"]).json();
    assert_eq!(described["events"], 2);
    let text = data.run(&["stream", "describe", "copy/out"]).ok();
    assert!(text.contains("2 events"), "{text}");
    let checkpoints = data.run(&["checkpoint", "list", "copy", "--json"]).json();
    assert!(checkpoints.as_array().expect("a list").iter().any(|checkpoint| checkpoint["output_events"] != 0));
    // Failures say the same as without an owner, and name the directory as it was given.
    let error = data.run(&["stream", "cat", "copy/wrods"]).error();
    assert!(error.contains("no stream copy/wrods") && error.contains(&*data.path().to_string_lossy()), "{error}");
    let error = data.run_with(&["stream", "append", "copy/in", "--json-lines"], b"{\"value\":1}\nnonsense\n").error();
    assert!(error.contains("line 2 of stdin") && error.contains("1 events were appended"), "{error}");
    run.wait_for_events("copy/out", 3);
    data.run(&["stop", "copy"]).ok();
    let summary = run.end().json();
    assert_eq!((&summary["pipeline"], &summary["finished"]), (&json!("copy"), &json!(false)));
}

#[test]
fn a_followed_tail_shows_what_a_run_commits_until_one_of_both_ends() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let mut run = Running::start(&data, &[file.to_str().expect("UTF-8")], &[]);
    data.run_with(&["stream", "append", "copy/in"], b"1\n").ok();
    run.wait_for_events("copy/out", 1);
    let follow = || {
        let mut tail = data.command(&["stream", "tail", "copy/out", "--follow"]);
        let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let lines = BufReader::new(tail.stdout.take().expect("stdout")).lines();
        (tail, lines.map(|line| serde_json::from_str::<Value>(&line.expect("read")).expect("JSON")["value"].clone()))
    };
    let (mut interrupted, mut its_lines) = follow();
    let (mut kept, mut kept_lines) = follow();
    assert_eq!((its_lines.next(), kept_lines.next()), (Some(json!(1)), Some(json!(1))));
    data.run_with(&["stream", "append", "copy/in"], b"2\n").ok();
    assert_eq!((its_lines.next(), kept_lines.next()), (Some(json!(2)), Some(json!(2))));
    // Ctrl-C in the client ends the command in the owner, in order.
    interrupt(interrupted.id());
    assert!(interrupted.wait().expect("an end").success());
    assert_eq!(its_lines.next(), None);
    data.run_with(&["stream", "append", "copy/in"], b"3\n").ok();
    assert_eq!(kept_lines.next(), Some(json!(3)), "the other one goes on");
    // The owner's end ends the tail.
    interrupt(run.id());
    assert_eq!(run.end().code, 0);
    assert_eq!(kept_lines.next(), None);
    assert!(kept.wait().expect("an end").success());
}

fn interrupt(process: u32) {
    let sent = std::process::Command::new("kill").args(["-INT", &process.to_string()]).status().expect("kill");
    assert!(sent.success());
}

#[test]
fn a_hundred_thousand_lines_through_the_socket_are_complete_and_durable() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let run = Running::start(&data, &[file.to_str().expect("UTF-8")], &[]);
    data.run(&["stream", "create", "demo/many", "--segments", "3"]).ok();
    let lines: String = (0..100_000).map(|i| format!("{{\"key\":\"k{}\",\"value\":{i}}}\n", i % 100)).collect();
    let appended = data.run_with(&["stream", "append", "demo/many", "--json-lines", "--json"], lines.as_bytes()).json();
    assert_eq!(appended["events"], 100_000);
    run.kill(); // what was acknowledged is there whatever happens to the owner
    let events = data.run(&["stream", "cat", "demo/many"]).json_lines();
    let mut seen: Vec<u64> = events.iter().map(|event| event["value"].as_u64().expect("a number")).collect();
    for key in 0..100 {
        let own = events.iter().filter(|event| event["key"] == format!("k{key}"));
        assert!(own.map(|event| event["value"].as_u64()).is_sorted(), "the order of key k{key}");
    }
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..100_000), "{} events", seen.len());
}

#[test]
fn lines_of_a_slow_pipe_are_durable_one_by_one() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let mut run = Running::start(&data, &[file.to_str().expect("UTF-8")], &[]);
    let mut append = data.command(&["stream", "append", "copy/in"]);
    let mut append = append.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let mut pipe = append.stdin.take().expect("stdin");
    for line in 1..4 {
        pipe.write_all(format!("{line}\n").as_bytes()).expect("written");
        run.wait_for_events("copy/out", line);
    }
    pipe.write_all(b"half a li").expect("written");
    append.kill().expect("killed");
    append.wait().expect("an end");
    drop(pipe);
    data.run_with(&["stream", "append", "copy/in"], b"5\n").ok();
    run.wait_for_events("copy/out", 4);
    let out = values(&data.run(&["stream", "cat", "copy/out"]).json_lines());
    assert_eq!(out, [1, 2, 3, 5], "half a line of a client that was killed is no event");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure_and_no_burden() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let mut run = Running::start(&data, &[file.to_str().expect("UTF-8")], &[]);
    let lines = "x".repeat(200) + "\n";
    data.run_with(&["stream", "append", "copy/in"], lines.repeat(20_000).as_bytes()).ok();
    run.wait_for_events("copy/out", 20_000);
    let mut cat = data.command(&["stream", "cat", "copy/out"]);
    let mut cat = cat.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(cat.stdout.take());
    let done = cat.wait_with_output().expect("an end");
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    assert_eq!(data.run(&["stream", "cat", "copy/out"]).json_lines().len(), 20_000);
}
