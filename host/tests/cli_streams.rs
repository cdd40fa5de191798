//! The stream verbs from outside: what is created, appended, read back, described and refused.

mod tidemill;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use tidemill::DataDir;

fn created(segments: &str) -> DataDir {
    let data = DataDir::new();
    data.run(&["stream", "create", "demo/words", "--segments", segments]).ok();
    data
}

#[test]
fn lines_of_stdin_come_back_as_events_in_order() {
    let data = created("1");
    let appended = data.run_with(
        &["stream", "append", "demo/words", "--key", "k", "--time", "1970-01-01T00:00:01Z", "--json"],
        b"one\ntwo words\n{\"n\": 3}\n",
    );
    assert_eq!(appended.json(), json!({ "stream": "demo/words", "events": 3 }));
    let events = data.run(&["stream", "cat", "demo/words"]).json_lines();
    let event = |offset: u64, value: Value| json!({ "segment": events[0]["segment"], "offset": offset, "timestamp": 1000, "key": "k", "value": value });
    assert_eq!(events, [event(0, json!("one")), event(1, json!("two words")), event(2, json!({ "n": 3 }))]);
}

#[test]
fn what_cat_prints_can_be_appended_again_byte_for_byte() {
    let data = created("1");
    let lines = concat!(
        "{\"key\":\"a\",\"value\":{\"x\":1},\"timestamp\":5}\n",
        "\n",
        "{\"key\":null,\"value\":null,\"timestamp\":-7}\n",
        "{\"key\":{\"base64\":\"/w==\"},\"value\":{\"base64\":\"AP8=\"},\"timestamp\":\"1970-01-01T00:00:00.009Z\"}\n",
    );
    data.run_with(&["stream", "append", "demo/words", "--json-lines"], lines.as_bytes()).ok();
    let first = data.run(&["stream", "cat", "demo/words"]).ok();
    assert_eq!(first.lines().count(), 3);
    data.run(&["stream", "create", "demo/copy"]).ok();
    data.run_with(&["stream", "append", "demo/copy", "--json-lines"], first.as_bytes()).ok();
    let strip = |lines: String| -> Vec<Value> {
        let parsed = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        parsed
            .map(|mut event| {
                event["segment"] = Value::Null;
                event
            })
            .collect()
    };
    assert_eq!(strip(data.run(&["stream", "cat", "demo/copy"]).ok()), strip(first));
}

#[test]
fn events_of_a_key_stay_in_one_segment_in_order() {
    let data = created("4");
    let lines: String =
        (0..200).map(|i| format!("{{\"key\":\"k{}\",\"value\":{i},\"timestamp\":{i}}}\n", i % 10)).collect();
    data.run_with(&["stream", "append", "demo/words", "--json-lines"], lines.as_bytes()).ok();
    let events = data.run(&["stream", "cat", "demo/words"]).json_lines();
    assert_eq!(events.len(), 200);
    let mut segments = std::collections::BTreeSet::new();
    for key in 0..10 {
        let own: Vec<&Value> = events.iter().filter(|event| event["key"] == format!("k{key}")).collect();
        assert!(own.iter().all(|event| event["segment"] == own[0]["segment"]));
        assert!(own.is_sorted_by_key(|event| event["value"].as_u64()));
        segments.insert(own[0]["segment"].as_u64());
    }
    assert!(segments.len() > 1, "ten keys should fall into more than one of four segments");
    let places: Vec<_> = events.iter().map(|event| (event["segment"].as_u64(), event["offset"].as_u64())).collect();
    assert!(places.is_sorted(), "by segment and offset");
    let segment = places[0].0.expect("a segment").to_string();
    let only = data.run(&["stream", "cat", "demo/words", "--segment", &segment]).json_lines();
    assert_eq!(only.len(), places.iter().filter(|place| place.0 == places[0].0).count());
}

#[test]
fn cat_begins_and_ends_where_it_is_told() {
    let data = created("1");
    let lines: String = (0..50).map(|i| format!("{i}\n")).collect();
    data.run_with(&["stream", "append", "demo/words"], lines.as_bytes()).ok();
    let offsets = |args: &[&str]| -> Vec<u64> {
        let args = [&["stream", "cat", "demo/words"], args].concat();
        data.run(&args).json_lines().iter().map(|event| event["offset"].as_u64().expect("an offset")).collect()
    };
    assert_eq!(offsets(&["--from-offset", "47"]), [47, 48, 49]);
    assert_eq!(offsets(&["--limit", "2"]), [0, 1]);
    assert_eq!(offsets(&["--from-offset", "10", "--limit", "3"]), [10, 11, 12]);
    assert_eq!(offsets(&["--from-offset", "50"]), [0_u64; 0]);
    let last = data.run(&["stream", "tail", "demo/words", "-n", "2"]).json_lines();
    assert_eq!(last.iter().map(|event| event["value"].as_u64()).collect::<Vec<_>>(), [Some(48), Some(49)]);
}

#[test]
fn list_and_describe_tell_what_there_is() {
    let data = created("2");
    assert_eq!(data.run(&["stream", "list"]).ok().lines().count(), 2);
    data.run_with(&["stream", "append", "demo/words"], b"a\nb\nc\n").ok();
    let list = data.run(&["stream", "list", "--json"]).json();
    assert_eq!(
        (&list[0]["name"], &list[0]["segments"], &list[0]["events"]),
        (&json!("demo/words"), &json!(2), &json!(3))
    );
    let stream = data.run(&["stream", "describe", "demo/words", "--json"]).json();
    assert_eq!(stream["name"], "demo/words");
    assert_eq!(stream["watermark"], Value::Null);
    assert!(stream["created_at_ms"].as_i64() > Some(1_577_836_800_000));
    let segments = stream["segments"].as_array().expect("segments");
    assert_eq!(segments[0]["keys"][0], "0000000000000000");
    assert_eq!(segments[1]["keys"][1], "ffffffffffffffff");
    assert_eq!(segments.iter().map(|segment| segment["tail"].as_u64().expect("a tail")).sum::<u64>(), 3);
    let text = data.run(&["stream", "describe", "demo/words"]).ok();
    assert!(text.contains("demo/words") && text.contains("3 events"), "{text}");
}

#[test]
fn a_wrong_line_is_named_and_the_lines_before_it_are_kept() {
    let data = created("1");
    let error =
        data.run_with(&["stream", "append", "demo/words", "--json-lines"], b"{\"value\":1}\n{\"vlaue\":2}\n").error();
    assert!(
        error.contains("line 2 of stdin") && error.contains("vlaue") && error.contains("1 events were appended"),
        "{error}"
    );
    assert_eq!(data.run(&["stream", "cat", "demo/words"]).json_lines().len(), 1);
}

#[test]
fn what_is_missing_is_named_with_the_way_out() {
    let data = DataDir::new();
    let error = data.run(&["stream", "list"]).error();
    assert!(error.contains("no data directory") && error.contains("--data-dir"), "{error}");
    data.run(&["stream", "create", "demo/words"]).ok();
    for verb in [
        &["stream", "cat", "demo/wrods"][..],
        &["stream", "describe", "demo/wrods"],
        &["stream", "append", "demo/wrods"],
    ] {
        let error = data.run(verb).error();
        assert!(
            error.contains("no stream demo/wrods") && error.contains("tidemill stream create demo/wrods"),
            "{error}"
        );
    }
    let error = data.run(&["stream", "cat", "demo/words", "--segment", "99"]).error();
    assert!(error.contains("no segment 99"), "{error}");
    let error = data.run(&["checkpoint", "list", "nobody"]).error();
    assert!(error.contains("no pipeline nobody"), "{error}");
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    for args in [
        &["stream", "create", "noscope"][..],
        &["stream", "cat"],
        &["stream", "append", "demo/words", "--time", "tomorrow"],
        &["frobnicate"],
        &["run", "x.toml", "--set", "novalue"],
        &["run", "x.toml", "--parallelism", "0"],
    ] {
        let done = tidemill::tidemill(args);
        assert_eq!(done.code, 2, "{args:?}: {}", done.stderr);
        assert!(done.stdout.is_empty() && done.stderr.contains("error: "), "{}", done.stderr);
    }
}

#[test]
fn a_stream_is_not_made_twice_with_another_shape() {
    let data = created("2");
    let error = data.run(&["stream", "create", "demo/words", "--segments", "3"]).error();
    assert!(error.contains("demo/words"), "{error}");
    let error = data.run(&["stream", "create", "demo/none", "--segments", "0"]).error();
    assert!(error.contains("0 segments"), "{error}");
}

#[test]
fn a_second_owner_of_the_data_directory_is_refused_until_the_first_is_gone() {
    let data = created("1");
    data.run_with(&["stream", "append", "demo/words"], b"kept\n").ok();
    // It waits for its lines, and takes no commands meanwhile.
    let mut first = data.command(&["stream", "append", "demo/words"]);
    let mut first = first.stdin(Stdio::piped()).spawn().expect("starts");
    let refused = || data.run(&["stream", "list"]).code != 0;
    while !refused() {
        assert_eq!(first.try_wait().expect("asked"), None, "it ended");
    }
    for verb in [&["stream", "list"][..], &["stream", "cat", "demo/words"], &["stream", "create", "demo/more"]] {
        let refusal = data.run(verb).error();
        assert!(refusal.contains(&*data.path().to_string_lossy()), "it names the directory: {refusal}");
    }
    first.kill().expect("killed");
    first.wait().expect("an end");
    let events = data.run(&["stream", "cat", "demo/words"]).json_lines();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["value"], "kept");
}

#[test]
fn others_work_beside_a_followed_tail_and_it_shows_what_they_append() {
    let data = created("1");
    data.run_with(&["stream", "append", "demo/words"], b"one\n").ok();
    let mut tail = data.command(&["stream", "tail", "demo/words", "--follow"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(tail.stdout.take().expect("stdout")).lines().map(|line| line.expect("a line"));
    assert!(lines.next().expect("the first").contains("one"));
    data.run_with(&["stream", "append", "demo/words"], b"two\nthree\n").ok();
    data.run(&["stream", "create", "demo/more"]).ok();
    assert!(lines.next().expect("the second").contains("two"));
    assert!(lines.next().expect("the third").contains("three"));
    data.run(&["stream", "seal", "demo/words"]).ok();
    assert_eq!(lines.next(), None, "a sealed stream ends it");
    assert!(tail.wait().expect("an end").success());
    assert_eq!(data.run(&["stream", "cat", "demo/words"]).json_lines().len(), 3);
    assert!(!data.path().join("control.sock").exists());
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let data = created("1");
    let lines = "x".repeat(200) + "\n";
    data.run_with(&["stream", "append", "demo/words"], lines.repeat(5_000).as_bytes()).ok();
    let mut cat = data.command(&["stream", "cat", "demo/words"]);
    let mut cat = cat.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(cat.stdout.take());
    let done = cat.wait_with_output().expect("an end");
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
}
