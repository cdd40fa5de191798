//! The verbs that change a stream as a whole, from outside: scale, seal, truncate, delete, retention, cuts, and an append that is run
//! again; alone, and beside a running pipeline.

mod tidemill;

use serde_json::{Value, json};
use tidemill::DataDir;
use tidemill::running::{Running, live};

fn created(segments: &str) -> DataDir {
    let data = DataDir::new();
    data.run(&["stream", "create", "demo/words", "--segments", segments]).ok();
    data
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|i| format!("{{\"key\":\"k{}\",\"value\":{i},\"timestamp\":{i}}}\n", i % 10)).collect()
}

/// The values, and that those of each key are in order.
fn values(events: &[Value]) -> Vec<u64> {
    for key in 0..10 {
        let own = events.iter().filter(|e| e["key"] == format!("k{key}"));
        assert!(own.map(|e| e["value"].as_u64()).collect::<Vec<_>>().is_sorted(), "key {key}");
    }
    let mut values: Vec<u64> = events.iter().filter_map(|e| e["value"].as_u64()).collect();
    values.sort_unstable();
    values
}

fn cat(data: &DataDir) -> Vec<u64> {
    values(&data.run(&["stream", "cat", "demo/words"]).json_lines())
}

#[test]
fn an_append_that_is_run_again_appends_nothing_twice() {
    let data = created("2");
    let append = |text: &str| {
        data.run_with(
            &["stream", "append", "demo/words", "--json-lines", "--writer-id", "import", "--json"],
            text.as_bytes(),
        )
    };
    assert_eq!(append(&lines(0..60)).json(), json!({ "stream": "demo/words", "events": 60, "there_before": 0 }));
    assert_eq!(append(&lines(0..100)).json(), json!({ "stream": "demo/words", "events": 40, "there_before": 60 }));
    assert_eq!(append(&lines(0..100)).json()["events"], 0);
    assert_eq!(cat(&data), (0..100).collect::<Vec<_>>());
    let error = append(&lines(7..150)).error();
    assert!(error.contains("writer import") && error.contains("not those that it wrote before"), "{error}");
    assert_eq!(cat(&data).len(), 100);
}

#[test]
fn a_stream_is_split_and_merged_and_read_in_order() {
    let data = created("1");
    let append =
        |text: String| data.run_with(&["stream", "append", "demo/words", "--json-lines"], text.as_bytes()).ok();
    append(lines(0..50));
    let described = data.run(&["stream", "scale", "demo/words", "--segments", "3", "--json"]).json();
    assert_eq!((&described["epoch"], described["segments"].as_array().map(Vec::len)), (&json!(1), Some(4)));
    append(lines(50..100));
    let ids: Vec<String> =
        described["segments"].as_array().expect("a list")[1..3].iter().map(|s| s["id"].to_string()).collect();
    data.run(&["stream", "scale", "demo/words", "--merge", &ids.join(",")]).ok();
    append(lines(100..150));
    data.run(&["stream", "scale", "demo/words", "--split-at", "0.9"]).ok();
    let text = data.run(&["stream", "describe", "demo/words"]).ok();
    assert!(text.contains("0 (sealed)") && text.contains("150 events"), "{text}");
    assert_eq!(cat(&data), (0..150).collect::<Vec<_>>());
    let error = data.run(&["stream", "scale", "demo/words", "--split", "0"]).error();
    assert!(error.contains("stream demo/words: segment 0 is none of the active ones"), "{error}");
    let tail = data.run(&["stream", "tail", "demo/words", "-n", "1000"]).json_lines();
    assert!(!tail.is_empty() && tail.iter().all(|e| e["segment"] != 0), "the newest events are in the active segments");
    data.run(&["stream", "scale", "demo/words", "--by-events", "1000", "--parts", "4"]).ok();
    data.run(&["stream", "scale", "demo/words", "--fixed"]).ok();
}

#[test]
fn a_stream_is_truncated_retained_sealed_and_deleted() {
    let data = created("2");
    data.run_with(&["stream", "append", "demo/words", "--json-lines"], lines(0..50).as_bytes()).ok();
    let cuts = data.run(&["stream", "cuts", "demo/words", "--json"]).json();
    let cut =
        cuts["cuts"].as_array().and_then(|c| c.last()).expect("the tail")["cut"].as_str().expect("a text").to_string();
    data.run_with(&["stream", "append", "demo/words", "--json-lines"], lines(50..80).as_bytes()).ok();
    let done = data.run(&["stream", "truncate", "demo/words", "--cut", &cut, "--json"]).json();
    assert_eq!(done, json!({ "name": "demo/words", "truncated": 50, "events": 30 }));
    assert_eq!(cat(&data), (50..80).collect::<Vec<_>>());
    let error = data.run(&["stream", "truncate", "demo/words", "--cut", "nonsense"]).error();
    assert!(error.contains("is no stream cut"), "{error}");

    let kept =
        data.run(&["stream", "retention", "demo/words", "--min-size", "1MiB", "--max-size", "4MiB", "--json"]).json();
    assert_eq!(kept, json!({ "name": "demo/words", "by": "size", "min": 1_048_576, "max": 4_194_304 }));
    data.run(&["stream", "retention", "demo/words", "--min-age", "1h"]).ok();
    assert_eq!(data.run(&["stream", "retention", "demo/words", "--json"]).json()["by"], "age_ms");
    data.run(&["stream", "retention", "demo/words", "--off"]).ok();

    data.run(&["stream", "seal", "demo/words"]).ok();
    let error = data.run_with(&["stream", "append", "demo/words"], b"late\n").error();
    assert!(error.contains("stream demo/words is sealed"), "{error}");
    assert_eq!(cat(&data).len(), 30);
    data.run(&["stream", "tail", "demo/words", "--follow"]).ok(); // ends by itself: nothing more comes

    data.run(&["stream", "delete", "demo/words"]).ok();
    let error = data.run(&["stream", "cat", "demo/words"]).error();
    assert!(error.contains("no stream demo/words"), "{error}");
    data.run(&["stream", "create", "demo/words"]).ok();
    assert_eq!(data.run(&["stream", "describe", "demo/words", "--json"]).json()["generation"], 2);
}

#[test]
fn beside_a_running_pipeline_other_streams_change_and_its_own_is_refused_once_it_is_scaled() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let mut run = Running::start(&data, &[file.to_str().expect("UTF-8")], &["--json"]);
    data.run(&["stream", "create", "demo/words"]).ok();
    let append = ["stream", "append", "demo/words", "--json-lines", "--writer-id", "w", "--json"];
    data.run_with(&append, lines(0..20).as_bytes()).ok();
    data.run(&["stream", "scale", "demo/words", "--segments", "2"]).ok();
    assert_eq!(data.run_with(&append, lines(0..40).as_bytes()).json()["events"], 20);
    assert_eq!(cat(&data), (0..40).collect::<Vec<_>>());
    data.run_with(&["stream", "append", "copy/in"], b"1\n").ok();
    run.wait_for_events("copy/out", 1);
    // What the pipeline writes may be scaled under it.
    data.run(&["stream", "scale", "copy/out", "--segments", "3"]).ok();
    data.run_with(&["stream", "append", "copy/in"], b"2\n3\n").ok();
    run.wait_for_events("copy/out", 3);
    data.run(&["stop", "copy"]).ok();
    run.end().ok();
}
