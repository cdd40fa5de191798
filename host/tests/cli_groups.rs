//! `tidemill group list | describe | reset` on groups that a program made with the storage crate: alone, and beside a running
//! pipeline through its control socket.

mod tidemill;

use serde_json::json;
use tidemill::DataDir;
use tidemill::running::{Running, live};
use tidemill_storage::stream::reader_group::{GroupConfig, GroupRead, GroupStream};
use tidemill_storage::{GroupName, Store, StoreOptions, StreamName};

fn stream() -> StreamName {
    StreamName::new("demo/s").expect("a name")
}

/// Five events; a group that has read three of them when it took checkpoint `cp`, and has a reader online.
fn prepare(data: &DataDir) {
    data.run(&["stream", "create", "demo/s"]).ok();
    data.run_with(&["stream", "append", "demo/s"], b"1\n2\n3\n").ok();
    let store = Store::open(&data.path(), StoreOptions::default()).expect("it opens");
    let config = GroupConfig::new([GroupStream::from_head(stream())]);
    let name = GroupName::new("demo/readers").expect("a name");
    let group = store.create_reader_group(&name, &config).expect("a group");
    let mut reader = group.reader("worker-1").expect("a reader");
    while let GroupRead::Events(_) = reader.read(1 << 16).expect("events") {}
    group.begin_checkpoint("cp").expect("begun");
    assert_eq!(reader.read(1 << 16).expect("a marker"), GroupRead::Checkpoint("cp".into()));
    assert_eq!(reader.read(1 << 16).expect("nothing more"), GroupRead::Idle);
    store.close();
    data.run_with(&["stream", "append", "demo/s"], b"4\n5\n").ok();
}

fn check(data: &DataDir) {
    let list = data.run(&["group", "list", "--json"]).json();
    assert_eq!(
        list,
        json!([{
            "name": "demo/readers", "streams": ["demo/s"], "readers": 1, "unassigned_segments": 0, "unread_events": 2,
            "last_checkpoint": "cp", "at_end": false,
        }])
    );
    let text = data.run(&["group", "list"]).ok();
    assert!(text.contains("demo/readers") && text.contains("cp"), "{text}");
    let described = data.run(&["group", "describe", "demo/readers", "--json"]).json();
    assert_eq!(described["readers"][0]["id"], "worker-1");
    assert_eq!(described["readers"][0]["segments"], json!([{ "stream": "demo/s", "segment": 0, "offset": 3 }]));
    assert_eq!((&described["generation"], &described["streams"][0]["unread_events"]), (&json!(1), &json!(2)));
    let text = data.run(&["group", "describe", "demo/readers"]).ok();
    for part in ["last checkpoint cp", "demo/s: 2 unread", "worker-1", "0 resets"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let error = data.run(&["group", "describe", "demo/none"]).error();
    assert!(error.contains("no reader group demo/none") && error.contains("group list"), "{error}");

    let reset = data.run(&["group", "reset", "demo/readers", "--to-head", "--json"]).json();
    assert_eq!((&reset["group"], &reset["generation"]), (&json!("demo/readers"), &json!(2)));
    let list = data.run(&["group", "list", "--json"]).json();
    assert_eq!((&list[0]["unread_events"], &list[0]["readers"]), (&json!(5), &json!(0)));
    // A cut that describe printed is one that reset takes.
    let cut = described["streams"][0]["cut"].as_str().expect("a cut");
    data.run(&["group", "reset", "demo/readers", "--to-cut", cut]).ok();
    assert_eq!(data.run(&["group", "list", "--json"]).json()[0]["unread_events"], 2);
    let text = data.run(&["group", "reset", "demo/readers", "--to-tail"]).ok();
    assert!(text.contains("demo/readers starts anew") && text.contains("demo/s at "), "{text}");
    assert_eq!(data.run(&["group", "list", "--json"]).json()[0]["unread_events"], 0);
    let error = data.run(&["group", "reset", "demo/readers", "--to-checkpoint"]).error();
    assert!(error.contains("no checkpoint has completed"), "{error}");
    let stranger = cut.replacen("1.1:", "77.1:", 1);
    let error = data.run(&["group", "reset", "demo/readers", "--to-cut", &stranger]).error();
    assert!(error.contains("belongs to no stream of reader group demo/readers"), "{error}");
}

#[test]
fn groups_are_listed_described_and_reset() {
    let data = DataDir::new();
    data.run(&["stream", "create", "demo/other"]).ok();
    assert_eq!(data.run(&["group", "list"]).ok(), "no reader groups\n");
    prepare(&data);
    let cut = data.run(&["group", "describe", "demo/readers", "--json"]).json()["streams"][0]["cut"].clone();
    assert!(cut.as_str().expect("a cut").starts_with("2.1:"), "the second stream of this directory: {cut}");
    let store = data.run(&["store", "describe", "--json"]).json();
    assert_eq!(store["reader_groups"], json!(["demo/readers"]));
    let report = data.run(&["store", "check", "--json"]).json();
    assert_eq!((&report["whole"], &report["reader_groups"]), (&json!(true), &json!(1)));
    let back = data.run(&["group", "reset", "demo/readers", "--to-checkpoint"]).ok();
    assert!(back.contains("1 readers were put out"), "{back}");
    assert_eq!(data.run(&["group", "list", "--json"]).json()[0]["unread_events"], 2);
}

#[test]
fn it_is_the_same_beside_a_running_pipeline() {
    let data = DataDir::new();
    prepare(&data);
    let file = live(&data, "copy");
    let run = Running::start(&data, &[file.to_str().expect("UTF-8")], &["--json"]);
    check(&data);
    data.run(&["stop", "copy"]).ok();
    assert_eq!(run.end().code, 0);
}
