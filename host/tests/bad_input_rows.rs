//! Input that does not fit: rows, columns, files. The good rows go through, the bad ones are kept with their place, and
//! whatever stops a run is said once, so that after the mend the same command ends with the right output.

mod tidemill;
#[path = "support/world.rs"]
mod world;

use serde_json::{Value, json};
use std::io::Read;
use world::{KEY, Spec, TIME, World, operator};

const GOOD: &str = "scheduled,dep_delay_min,origin\n\
    2013-01-01T05:00:00,5,EWR\n\
    2013-01-01T05:04:00,20,EWR\n\
    2013-01-01T05:06:00,30,JFK\n";

fn daily(origin: &str, count: u64, mean: f64, worst: i64, over15: f64) -> Value {
    json!({ "origin": origin, "day": "2013-01-01", "count": count, "cancelled": 0, "mean": mean, "worst": worst, "over15": over15 })
}

fn assert_good(world: &World) {
    assert_eq!(world.values("test/out"), [daily("EWR", 2, 12.5, 20, 0.5), daily("JFK", 1, 30.0, 30, 1.0)]);
}

fn headers(letters: &[Value], name: &str) -> Vec<String> {
    letters.iter().map(|letter| letter["headers"][name].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn bad_csv_rows_and_refused_events_become_dead_letters_and_the_rest_is_processed() {
    let world = World::new();
    world.write(
        "flights.csv",
        "scheduled,dep_delay_min,origin\n\
         2013-01-01T05:00:00,5,EWR\n\
         2013-01-01T05:01:00,5\n\
         2013-01-01T05:02:00,5,EWR,extra\n\
         yesterday,5,EWR\n\
         2013-01-01T05:03:00,late,EWR\n\
         2013-01-01T05:04:00,20,EWR\n\
         2013-01-01T05:05:00,\"7,EWR\n\
         2013-01-01T05:06:00,30,JFK\n",
    );
    world.flight_stats("flights.csv", TIME, KEY, "");
    let done = world.run();
    assert!(done.stderr.contains("5 rejected events are in stream test/dead-letters"), "{}", done.stderr);
    done.ok();
    assert_good(&world);

    let letters = world.cat("test/dead-letters");
    let file = world.path("flights.csv").display().to_string();
    assert_eq!(
        headers(&letters, "tidemill-reason"),
        [
            format!("{file}:3: the row has 2 columns, the header row 3"),
            format!("{file}:4: the row has 4 columns, the header row 3"),
            format!("{file}:5: time \"yesterday\" is not of the form %Y-%m-%dT%H:%M:%S"),
            format!("{file}:8: a quote is opened and not closed; only this line is left out"),
            "dep_delay_min `late` is no whole number of minutes: invalid digit found in string".to_owned(),
        ]
    );
    assert_eq!(headers(&letters, "tidemill-node"), ["in", "in", "in", "in", "op"]);
    assert_eq!(letters[4]["headers"]["tidemill-origin"], format!("in[{file}] events 0..8"));
    assert_eq!(letters[0]["value"], "2013-01-01T05:01:00,5", "the row as it stands");
    assert_eq!((&letters[4]["key"], &letters[4]["value"]["dep_delay_min"]), (&json!("EWR"), &json!("late")));

    // A second run has nothing to do and doubles nothing.
    world.run().ok();
    assert_eq!(world.cat("test/dead-letters").len(), 5);
    assert_good(&world);
}

#[test]
fn bad_json_lines_and_fields_that_are_not_there_become_dead_letters() {
    let world = World::new();
    world.write(
        "flights.jsonl",
        "{\"at\": \"2013-01-01T05:00:00\", \"origin\": \"EWR\", \"dep_delay_min\": \"5\"}\n\
         {\"at\": \"2013-01-01T05:01:00\", \"origin\": \"EWR\", \"dep_delay_min\":\n\
         [1, 2]\n\
         {\"origin\": \"EWR\", \"dep_delay_min\": \"5\"}\n\
         {\"at\": \"2013-01-01T05:04:00\", \"dep_delay_min\": \"5\"}\n\
         {\"at\": \"2013-01-01T05:04:00\", \"origin\": \"EWR\", \"dep_delay_min\": \"20\"}\n\
         {\"at\": \"2013-01-01T05:06:00\", \"origin\": \"JFK\", \"dep_delay_min\": \"30\"}\n",
    );
    let pipeline = |time: &str| {
        world.pipeline(&Spec {
            pipeline: "",
            source: &format!(
                "file = {{ path = \"flights.jsonl\", format = \"json\" }}\n\
                 time = {{ pointer = \"{time}\", format = \"%Y-%m-%dT%H:%M:%S\" }}\nkey = {{ pointer = \"/origin\" }}"
            ),
            component: &operator("flight-stats"),
            operator: "",
            port: "daily",
        });
    };
    pipeline("/at");
    world.run().ok();
    assert_good(&world);
    let reasons = headers(&world.cat("test/dead-letters"), "tidemill-reason");
    let file = world.path("flights.jsonl").display().to_string();
    for (reason, (line, word)) in reasons.iter().zip([
        (2, "not JSON"),
        (3, "not a JSON object"),
        (4, "there is no time where its pointer leads"),
        (5, "there is no key where its pointer leads"),
    ]) {
        assert!(reason.starts_with(&format!("{file}:{line}: ")) && reason.contains(word), "{reason}");
    }
    assert_eq!(reasons.len(), 4);

    // A pointer that is in no line: every line is kept as a dead letter, none is lost.
    std::fs::remove_dir_all(world.data()).expect("removed");
    pipeline("/when");
    let done = world.run();
    assert!(done.stderr.contains("7 rejected events are in stream test/dead-letters"), "{}", done.stderr);
    assert_eq!(world.cat("test/dead-letters").len(), 7);
    assert_eq!(world.cat("test/out").len(), 0);
}

#[test]
fn a_column_a_file_or_a_pattern_that_is_not_there_is_named_once_before_anything_runs() {
    let world = World::new();
    world.write("flights.csv", GOOD);
    let at = |name: &str| world.path(name).display().to_string();
    let columns = "its columns are: scheduled, dep_delay_min, origin";
    let cases = [
        (
            "flights.csv",
            TIME.replace("scheduled", "sched"),
            KEY.to_owned(),
            format!("source in: {} has no column \"sched\"; {columns} (asked for by time)", at("flights.csv")),
        ),
        (
            "flights.csv",
            TIME.to_owned(),
            KEY.replace("origin", "orign"),
            format!("source in: {} has no column \"orign\"; {columns} (asked for by key)", at("flights.csv")),
        ),
        (
            "flihgts.csv",
            TIME.to_owned(),
            KEY.to_owned(),
            format!("sources.in.file.path: {}: no such file; check the path", at("flihgts.csv")),
        ),
        (
            "2013-*.csv",
            TIME.to_owned(),
            KEY.to_owned(),
            format!("sources.in.file.path: no file fits {}; check the pattern", at("2013-*.csv")),
        ),
    ];
    for (file, time, key, error) in cases {
        world.flight_stats(file, &time, &key, "");
        assert_eq!(world.run_fails(), error);
    }
    world.flight_stats("flights.csv", TIME, KEY, "");
    world.run().ok();
    assert_good(&world);
}

/// The first rows of the example's flights.
fn flights(rows: usize) -> String {
    let file =
        std::fs::File::open(tidemill::root().join("examples/data/flights-2013.csv.gz")).expect("the example data");
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    text.lines().take(rows + 1).map(|line| format!("{line}\n")).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).expect("in memory");
    encoder.finish().expect("in memory")
}

fn sorted(mut values: Vec<Value>) -> Vec<String> {
    let mut lines: Vec<String> = values.drain(..).map(|value| value.to_string()).collect();
    lines.sort();
    lines
}

#[test]
fn a_gzip_file_that_is_cut_off_stops_the_run_and_the_whole_one_goes_on_from_the_checkpoint() {
    let whole = gzip(&flights(60_000));
    let straight = World::new();
    straight.write("flights.csv.gz", &whole);
    straight.flight_stats("flights.csv.gz", TIME, KEY, "");
    straight.run().ok();
    let expected = sorted(straight.values("test/out"));
    assert!(expected.len() > 100);

    let world = World::new();
    world.flight_stats("flights.csv.gz", TIME, KEY, "");
    let cut = whole.len() * 2 / 3;
    world.write("flights.csv.gz", &whole[..cut]);
    let error = world.run_fails();
    let place =
        format!("{}: the gzip file is cut off near its byte {cut} (byte ", world.path("flights.csv.gz").display());
    assert!(error.starts_with(&format!("pipeline failed: {place}")), "{error}");
    assert!(error.contains("copy it again and run again: the run goes on from the last checkpoint"), "{error}");
    assert!(error.contains("Everything committed is kept"), "{error}");
    let before = sorted(world.values("test/out"));
    assert!(before.iter().all(|value| expected.contains(value)), "what is committed is right");
    assert!(world.command(&["checkpoint", "list", "test"]).ok().lines().count() > 1, "good rows were committed");

    // Another file in its place is refused, and changes nothing.
    world.write("flights.csv.gz", gzip(GOOD));
    let error = world.run_fails();
    assert!(error.contains("flights.csv.gz is not the file that was read up to line "), "{error}");
    assert!(error.contains("put the old file back, or run under another pipeline name"), "{error}");
    assert_eq!(sorted(world.values("test/out")), before);

    world.write("flights.csv.gz", &whole);
    world.run().ok();
    assert_eq!(sorted(world.values("test/out")), expected);
    assert_eq!(world.cat("test/dead-letters").len(), 0);
}
