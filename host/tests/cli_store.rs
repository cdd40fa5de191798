//! `store describe` and `store check` from outside: on a finished run, beside a running pipeline, and on a damaged sealed
//! file.

#[path = "support/world.rs"]
mod world;

mod tidemill;

use serde_json::{Value, json};
use std::path::Path;
use tidemill::DataDir;
use tidemill::running::{Running, live};
use world::{KEY, TIME, World};

fn sum(of: &Value, pointer: &str) -> u64 {
    let one = |part: &Value| part.pointer(pointer).and_then(Value::as_u64).expect("a number");
    of.as_array().expect("a list").iter().map(one).sum()
}

fn find<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().expect("a list").iter().find(|one| one["name"] == name).expect("it is listed")
}

#[test]
fn a_finished_run_is_described_by_stream_state_and_tier_and_is_whole() {
    let world = World::new();
    world.write(
        "flights.csv",
        "scheduled,dep_delay_min,origin\n2013-01-01T05:00:00,5,EWR\nthe day before,5,EWR\n2013-01-01T05:06:00,30,JFK\n",
    );
    world.flight_stats("flights.csv", TIME, KEY, "");
    world.run().ok();

    let store = world.command(&["store", "describe", "--json"]).json();
    let out = find(&store["streams"], "test/out");
    assert_eq!((&out["events"], &out["sealed_chunks"]), (&json!(2), &json!(0)));
    assert_eq!(find(&store["streams"], "test/dead-letters")["events"], 1);
    assert_eq!((&store["state"][0]["pipeline"], &store["state"][0]["operator"]), (&json!("test"), &json!("op")));
    assert!(sum(&store["state"], "/bytes/hot") > 0, "{store}");
    assert_eq!(sum(&store["streams"], "/bytes/hot"), store["hot_chunk_bytes"].as_u64().expect("bytes"));
    assert_eq!((&store["sealed_files"], &store["mover"]["last_error"]), (&json!([]), &Value::Null));
    assert_eq!(store["hot_bytes_max"], 256 << 20, "the default of the settings");
    let on_disk = std::fs::metadata(world.data().join("hot.redb")).expect("the hot file").len();
    assert!(store["hot_file_bytes"].as_u64().is_some_and(|bytes| (1..=on_disk).contains(&bytes)), "{store}");
    let text = world.command(&["store", "describe"]).ok();
    for part in ["test/out", "test/dead-letters", "test/op", " hot ", " sealed ", "beyond 256.0 MiB"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }

    let check = world.command(&["store", "check", "--json"]).json();
    assert_eq!((&check["whole"], &check["faults"]), (&json!(true), &json!([])));
    assert_eq!((&check["events"], &check["pipelines"]), (&json!(3), &json!(1)));
    assert_eq!(check["state_blobs"], sum(&store["state"], "/blobs"));
    let text = world.command(&["store", "check"]).ok();
    assert!(text.starts_with("the store is whole: 3 events in ") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_store_that_is_not_there_is_named_with_the_way_out() {
    let data = DataDir::new();
    for verb in ["describe", "check"] {
        let error = data.run(&["store", verb]).error();
        assert!(error.contains("no data directory") && error.contains("--data-dir"), "{error}");
    }
    assert!(!data.path().exists(), "looking makes nothing");
}

/// Lines that compression does not make small.
fn noise(lines: usize) -> String {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut word = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        format!("{random:016x}")
    };
    (0..lines).map(|_| (0..8).map(|_| word()).collect::<String>() + "\n").collect()
}

/// Runs a pipeline with room for 128 KiB of hot chunks until some of what went through it is in sealed files. `beside` is
/// done while it runs.
fn sealed(data: &DataDir, beside: impl FnOnce(&Value)) {
    data.run(&["stream", "create", "demo/small"]).ok();
    data.run_with(&["stream", "append", "demo/small"], b"a\nb\n").ok();
    let pipeline = live(data, "copy");
    let settings = data.path().with_file_name("settings.toml");
    std::fs::write(&settings, "[store]\nhot = \"128KiB\"\nsealed_file = \"64KiB\"\n").expect("written");
    let mut run =
        Running::start(data, &[pipeline.to_str().expect("UTF-8")], &["--settings", settings.to_str().expect("UTF-8")]);
    let lines = noise(4_000);
    data.run_with(&["stream", "append", "copy/in"], lines.as_bytes()).ok();
    run.wait_for_events("copy/out", 4_000);
    let mut store = Value::Null;
    run.wait_until(|| {
        store = data.run(&["store", "describe", "--json"]).json();
        store["hot_chunk_bytes"].as_u64() <= Some(128 << 10)
    });
    beside(&store);
    data.run(&["stop", "copy"]).ok();
    assert_eq!(run.end().code, 0);
}

#[test]
fn beside_a_running_pipeline_both_verbs_see_the_sealed_files_that_its_settings_ask_for() {
    let data = DataDir::new();
    sealed(&data, |store| {
        assert_eq!(store["hot_bytes_max"], 128 << 10);
        let files = store["sealed_files"].as_array().expect("a list");
        assert!(files.len() > 1, "the files aim at 64 KiB: {store}");
        for file in files {
            let there = std::fs::metadata(data.path().join(file["path"].as_str().expect("a path"))).expect("a file");
            assert_eq!(file["bytes"], there.len());
        }
        assert_eq!(sum(&store["streams"], "/sealed_chunks"), sum(&store["sealed_files"], "/live_chunks"));
        assert_eq!(sum(&store["streams"], "/bytes/sealed"), sum(&store["sealed_files"], "/live_bytes"));
        let text = data.run(&["store", "describe"]).ok();
        assert!(text.contains("copy/out") && text.contains("beyond 128.0 KiB"), "{text}");
        let check = data.run(&["store", "check", "--json"]).json();
        assert_eq!((&check["whole"], &check["events"]), (&json!(true), &json!(8_002)));
        assert!(check["sealed_files"].as_u64() >= Some(files.len() as u64), "{check}");
        let text = data.run(&["store", "check"]).ok();
        assert!(text.starts_with("the store is whole: 8,002 events"), "{text}");
    });
    let check = data.run(&["store", "check", "--json"]).json();
    assert_eq!((&check["whole"], &check["events"]), (&json!(true), &json!(8_002)), "the same once it has ended");
}

/// Flips a bit in the middle of a file; twice makes it whole.
fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).expect("written");
}

#[test]
fn a_flipped_bit_in_a_sealed_file_is_named_by_file_stream_and_offset_and_harms_nothing_else() {
    let data = DataDir::new();
    sealed(&data, |_| {});
    let store = data.run(&["store", "describe", "--json"]).json();
    let path = store["sealed_files"][0]["path"].as_str().expect("a path").to_owned();
    let whole = |name: &str| data.run(&["stream", "cat", name]).ok();
    let streams = ["copy/in", "copy/out", "demo/small"];
    let before = streams.map(whole);
    flip(&data.path().join(&path));

    let done = data.run(&["store", "check", "--json"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("is not whole: 2 faults") && done.stderr.contains(&*data.path().to_string_lossy()));
    let report: Value = serde_json::from_str(&done.stdout).expect("JSON");
    let faults = report["faults"].as_array().expect("a list");
    assert_eq!((&report["whole"], faults.len()), (&json!(false), 2), "the chunk and the file: {report}");
    assert!(faults.iter().all(|fault| fault["file"] == path.as_str()), "{report}");
    let chunk = faults.iter().find(|fault| !fault["stream"].is_null()).expect("a chunk's fault");
    let name = chunk["stream"].as_str().expect("a name");
    let offset = chunk["offset"].as_u64().expect("an offset");

    let done = data.run(&["store", "check"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert_eq!(done.stdout.lines().count(), 2, "a line each:\n{}", done.stdout);
    let place = format!("stream {name}, segment {}, offset {offset}, file {path}, ", chunk["segment"]);
    assert!(done.stdout.lines().any(|line| line.starts_with(&place)), "{place} is not in:\n{}", done.stdout);

    for (stream, before) in streams.iter().zip(&before) {
        let done = data.run(&["stream", "cat", stream]);
        if *stream == name {
            assert_eq!(done.code, 1);
            assert!(
                done.stderr.contains(&path) && done.stderr.contains(&format!("offset {offset}")),
                "{}",
                done.stderr
            );
            assert_eq!(done.stdout.lines().count() as u64, offset, "what lies before it can be read");
            assert!(before.starts_with(&done.stdout));
        } else {
            assert_eq!(&done.ok(), before);
        }
    }
    flip(&data.path().join(&path));
    assert_eq!(data.run(&["store", "check", "--json"]).json()["whole"], true);
    assert_eq!(streams.map(whole), before);
}
