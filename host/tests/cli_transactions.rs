//! Transactions and the time of streams from outside, in a directory of one's own and beside a running pipeline.

mod tidemill;

use serde_json::{Value, json};
use tidemill::DataDir;
use tidemill::running::{Running, live};
use tidemill_storage::{
    Batch, EventTime, Store, StoreOptions, StreamName, TimeNote, TransactionId, TransactionOptions,
};

/// A prepared transaction of two events on a stream, and two writers' times.
fn prepare(data: &DataDir, stream: &str) -> TransactionId {
    let store = Store::open(&data.path(), StoreOptions::default()).unwrap();
    let stream = store.stream(&StreamName::new(stream).unwrap()).unwrap().unwrap().stream;
    let mut transaction = store.begin_transaction(stream, TransactionOptions::default()).unwrap();
    let mut batch = Batch::default();
    batch.push(EventTime(1), None, Some(b"1"));
    batch.push(EventTime(2), None, Some(b"2"));
    transaction.write(&batch).unwrap();
    transaction.prepare().unwrap();
    let note = |writer: &str, time| TimeNote::time(stream, writer, EventTime(time));
    store.note_times(vec![note("a", 1_000), note("b", 2_000)]).unwrap();
    store.close();
    transaction.id()
}

#[test]
fn transactions_are_listed_and_aborted() {
    let data = DataDir::new();
    data.run(&["stream", "create", "demo/words"]).ok();
    assert_eq!(data.run(&["txn", "list"]).ok(), "no transactions\n");
    let id = prepare(&data, "demo/words").to_string();
    let listed = data.run(&["txn", "list", "--stream", "demo/words", "--json"]).json();
    let shown: Vec<&Value> =
        ["stream", "state", "events", "expires_at_ms"].iter().map(|key| &listed[0][*key]).collect();
    assert_eq!(shown, [&json!("demo/words"), &json!("prepared"), &json!(2), &Value::Null]);
    assert!(data.run(&["store", "describe"]).ok().contains("1 transactions hold"));
    assert!(data.run(&["stream", "cat", "demo/words"]).ok().is_empty());

    assert_eq!(
        data.run(&["txn", "abort", &id]).ok(),
        format!("transaction {id} of demo/words: aborted, 2 events dropped\n")
    );
    assert_eq!(data.run(&["txn", "abort", &id, "--json"]).json()["state"], "aborted");
    assert_eq!(data.run(&["txn", "list", "--json"]).json(), json!([]));
    let all = data.run(&["txn", "list", "--all"]).ok();
    assert!(all.contains("aborted (asked)"), "{all}");
    let error = data.run(&["txn", "abort", "99"]).error();
    assert!(error.contains("transaction 99 is unknown"), "{error}");
    let error = data.run(&["txn", "list", "--stream", "demo/wrods"]).error();
    assert!(error.contains("no stream demo/wrods"), "{error}");
    assert!(data.run(&["store", "check"]).ok().starts_with("the store is whole"));
}

#[test]
fn the_time_of_a_stream_is_shown_and_its_patience_set() {
    let data = DataDir::new();
    data.run(&["stream", "create", "demo/words"]).ok();
    let text = data.run(&["stream", "watermark", "demo/words"]).ok();
    assert!(text.contains("watermark none") && text.contains("waited for 30000 ms"), "{text}");
    prepare(&data, "demo/words");
    let shown = data.run(&["stream", "watermark", "demo/words", "--idle-timeout", "never", "--json"]).json();
    assert_eq!(
        (&shown["watermark"], &shown["idle_timeout_ms"], &shown["watermarks_kept"]),
        (&json!(1_000), &Value::Null, &json!(1))
    );
    let writers: Vec<_> = shown["writers"].as_array().unwrap().iter().map(|w| (&w["writer"], &w["time"])).collect();
    assert_eq!(writers, [(&json!("a"), &json!(1_000)), (&json!("b"), &json!(2_000))]);
    let newest = &shown["watermarks"][0];
    assert_eq!(
        (&newest["lower"], &newest["upper"], &newest["cut"]),
        (&json!(1_000), &json!(2_000), &json!({ "0": 0 }))
    );
    let text = data.run(&["stream", "watermark", "demo/words", "--idle-timeout", "1m"]).ok();
    assert!(text.contains("waited for 60000 ms") && text.contains("1970-01-01T00:00:02Z"), "{text}");
    let closed = data.run(&["stream", "watermark", "demo/words", "--close", "a", "--json"]).json();
    assert_eq!((&closed["watermark"], &closed["writers"][0]["writer"]), (&json!(2_000), &json!("b")));
    let wrong = data.run(&["stream", "watermark", "demo/words", "--idle-timeout", "soon"]);
    assert_eq!((wrong.code, wrong.stderr.contains("is not a duration")), (2, true), "{}", wrong.stderr);
}

#[test]
fn both_work_beside_a_running_pipeline() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    data.run(&["stream", "create", "copy/other"]).ok();
    let id = prepare(&data, "copy/other").to_string();
    let mut run = Running::start(&data, &[file.to_str().expect("UTF-8")], &["--json"]);
    data.run_with(&["stream", "append", "copy/in"], b"one\n").ok();
    run.wait_for_events("copy/out", 1);
    assert_eq!(data.run(&["txn", "list", "--json"]).json()[0]["state"], "prepared");
    assert_eq!(data.run(&["txn", "abort", &id, "--json"]).json()["state"], "aborted");
    assert_eq!(data.run(&["stream", "watermark", "copy/other", "--json"]).json()["watermark"], 1_000);
    assert_eq!(data.run(&["stream", "watermark", "copy/out", "--json"]).json()["name"], "copy/out");
    data.run(&["stop", "copy"]).ok();
    run.end();
}
