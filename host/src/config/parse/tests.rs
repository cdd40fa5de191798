//! Mistakes in pipeline files: each error's whole text, with its place and its mend; and what good files become.

use super::*;
use crate::config::pipeline::*;
use std::path::PathBuf;

const GOOD: &str = r#"[pipeline]
name = "flight-delays"
checkpoint_interval = "1s"

[sources.flights]
file = { path = "../../data/flights.csv.gz", format = "csv" }
time = { column = "scheduled", format = "%Y-%m-%dT%H:%M:%S" }
key = { column = "origin" }
watermark = { out_of_orderness = "1d", emit = "per-batch" }

[operators.stats]
component = "../../operators/flight-stats"
input = "flights"
config = { threshold_minutes = 15, names = ["a", "b"], ratio = 0.5 }
limits = { memory = "32MiB", call_deadline = "2s" }

[sinks.daily]
input = "stats.daily"
stream = "flights/daily"
"#;

/// Parses as if the file were `/p/q/pipeline.toml`; errors name it `pipeline.toml`.
fn read(text: &str, set: &[&str]) -> Result<Pipeline, String> {
    let run = || {
        let mut document = Document::parse("pipeline.toml".to_string(), text.to_string())?;
        let set = set.iter().map(|text| Overrides::split(text)).collect::<Result<Vec<_>, _>>()?;
        overrides::apply(&mut document, &set)?;
        pipeline(&document, Path::new("/p/q/pipeline.toml"))
    };
    run().map_err(|e: ConfigError| e.to_string())
}

fn edited(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[test]
fn the_example_of_the_design_is_read_whole() {
    let pipeline = read(GOOD, &[]).unwrap();
    assert_eq!(pipeline.name, "flight-delays");
    assert_eq!((pipeline.checkpoint_interval_ms, pipeline.min_commit_interval_ms), (1_000, MIN_COMMIT_INTERVAL_MS));
    assert_eq!((pipeline.parallelism, pipeline.max_parallelism), (1, 128));
    assert_eq!(pipeline.dead_letters.as_str(), "flight-delays/dead-letters");
    assert_eq!(pipeline.restart, RESTART);
    let flights = FileSource {
        paths: vec![PathBuf::from("/p/q/../../data/flights.csv.gz")],
        format: FileFormat::Csv,
        value: ValueForm::Json,
        time: Some(TimeSpec {
            field: Field::Column("scheduled".into()),
            format: TimeFormat::Pattern("%Y-%m-%dT%H:%M:%S".into()),
        }),
        key: Some(Field::Column("origin".into())),
    };
    assert_eq!(pipeline.sources[0].kind, SourceKind::File(flights));
    assert_eq!(pipeline.sources[0].watermark.kind, WatermarkKind::OutOfOrderness { bound_ms: 86_400_000 });
    let stats = &pipeline.operators[0];
    assert_eq!(stats.kind, OperatorKind::Component(PathBuf::from("/p/q/../../operators/flight-stats")));
    assert_eq!(
        stats.inputs,
        vec![InputSpec { from: vec![PortRef { node: "flights".into(), port: None }], edge: Edge::Keyed }]
    );
    assert_eq!(stats.config, serde_json::json!({ "threshold_minutes": 15, "names": ["a", "b"], "ratio": 0.5 }));
    assert_eq!((stats.limits.memory_bytes, stats.limits.call_deadline_ms), (32 << 20, 2_000));
    assert_eq!(pipeline.sinks[0].inputs, vec![PortRef { node: "stats".into(), port: Some("daily".into()) }]);
    assert_eq!(
        pipeline.sinks[0].kind,
        SinkKind::Stream { stream: StreamName::new("flights/daily").unwrap(), segments: 1 }
    );
}

#[test]
fn unions_several_inputs_and_every_kind_of_node_are_read_in_the_order_of_the_file() {
    let text = r#"
[pipeline]
name = "p.1"
parallelism = 2
max_parallelism = 16
dead_letters = "bad/rows"
restart = { attempts = 5, backoff = "1s", backoff_max = "1m" }
[sources.z]
stream = "in/z"
bounded = true
[sources.a]
file = { path = ["x.jsonl", "/abs/*.jsonl"], format = "json", value = "raw" }
time = { pointer = "/t", format = "ms" }
key = { pointer = "/user/id" }
watermark = { out_of_orderness = "0s", idle_after = "10s" }
[sources.text]
file = { path = "t.txt", format = "lines" }
[operators.y]
component = "y.wasm"
inputs = [{ from = ["z", "text"] }, { from = "a", edge = "broadcast" }]
parallelism = 4
[operators.b]
component = "b"
input = ["y.left", "y.right"]
edge = "rebalance"
[sinks.files]
input = ["b", "z"]
file = { path = "out", roll_bytes = "1MB", roll_interval = "1m" }
[sinks.screen]
input = "y"
stdout = true
[sinks.wide]
input = "a"
stream = "out/wide"
segments = 8
"#;
    let pipeline = read(text, &[]).unwrap();
    let names = |list: Vec<&String>| list.into_iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(names(pipeline.sources.iter().map(|s| &s.name).collect()), "z a text");
    assert_eq!(names(pipeline.operators.iter().map(|s| &s.name).collect()), "y b");
    assert_eq!(names(pipeline.sinks.iter().map(|s| &s.name).collect()), "files screen wide");
    assert_eq!(pipeline.restart, Restart { attempts: 5, backoff_ms: 1_000, backoff_max_ms: 60_000 });
    assert_eq!(pipeline.dead_letters.as_str(), "bad/rows");
    assert_eq!(pipeline.sources[0].watermark.kind, WatermarkKind::FromStream);
    assert_eq!(
        pipeline.sources[1].watermark,
        WatermarkSpec {
            kind: WatermarkKind::OutOfOrderness { bound_ms: 0 },
            idle_after_ms: Some(10_000),
            emit: Emit::PerBatch,
            align: None,
        }
    );
    let SourceKind::File(a) = &pipeline.sources[1].kind else { panic!("{:?}", pipeline.sources[1]) };
    assert_eq!(a.paths, vec![PathBuf::from("/p/q/x.jsonl"), PathBuf::from("/abs/*.jsonl")]);
    assert_eq!((a.value, a.key.clone()), (ValueForm::Raw, Some(Field::Pointer("/user/id".into()))));
    let y = &pipeline.operators[0];
    assert_eq!((y.inputs.len(), y.inputs[0].from.len(), y.inputs[1].edge), (2, 2, Edge::Broadcast));
    assert_eq!(y.parallelism, Some(4));
    assert_eq!((pipeline.operators[1].inputs.len(), pipeline.operators[1].inputs[0].edge), (1, Edge::Rebalance));
    let files = FileSink { path: "/p/q/out".into(), roll_bytes: 1_000_000, roll_ms: 60_000 };
    assert_eq!(pipeline.sinks[0].kind, SinkKind::File(files));
    assert_eq!(pipeline.sinks[1].kind, SinkKind::Stdout);
}

/// (what is replaced in the good file, by what, the error)
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "[pipeline]",
        "[pipelin]",
        "1:2: unknown key \"pipelin\" in the file (did you mean \"pipeline\"?); known here: pipeline, sources, operators, sinks",
    ),
    (
        "name = \"flight-delays\"",
        "name = my-name",
        "2:8: not valid TOML: string values must be quoted, expected literal string",
    ),
    ("name = \"flight-delays\"\n", "", "1:1: [pipeline] has no \"name\"; write name = \"my-pipeline\""),
    (
        "\"flight-delays\"",
        "\"flight delays\"",
        "2:8: \"flight delays\" is not a pipeline's name: write 1 to 100 ASCII letters, digits, '-', '_', '.'",
    ),
    ("\"flight-delays\"", "17", "2:8: pipeline.name is a whole number; write text in quotes"),
    (
        "checkpoint_interval",
        "checkpoint_intervall",
        "3:1: unknown key \"checkpoint_intervall\" in [pipeline] (did you mean \"checkpoint_interval\"?); known here: name, checkpoint_interval, min_commit_interval, parallelism, max_parallelism, dead_letters, restart",
    ),
    ("\"1s\"", "1", "3:23: pipeline.checkpoint_interval: 1 has no unit; write \"1ms\" or \"1s\""),
    (
        "\"1s\"",
        "\"1 second\"",
        "3:23: pipeline.checkpoint_interval: \"1 second\" is not a duration: there is no unit \"second\"; write a number and ms, s, m, h or d, as in \"200ms\"",
    ),
    ("\"1s\"", "\"0s\"", "3:23: pipeline.checkpoint_interval must be longer than nothing; write \"1ms\" or more"),
    (
        "\"1s\"",
        "\"1s\"\nmin_commit_interval = \"2s\"",
        "4:23: min_commit_interval (2000 ms) is longer than checkpoint_interval (1000 ms); make it shorter",
    ),
    (
        "\"1s\"",
        "\"1s\"\nparallelism = 200",
        "4:15: pipeline.parallelism is 200, more than max_parallelism (128); lower it, or raise max_parallelism before the pipeline has state",
    ),
    ("\"1s\"", "\"1s\"\nmax_parallelism = 0", "4:19: pipeline.max_parallelism is 0; write a number from 1 to 32768"),
    (
        "\"1s\"",
        "\"1s\"\ndead_letters = \"bad\"",
        "4:16: stream name \"bad\": write scope/stream, in letters, digits, '.', '_' and '-', at most 255 bytes",
    ),
    (
        "\"1s\"",
        "\"1s\"\nrestart = { backoff = \"1m\", backoff_max = \"1s\" }",
        "4:43: backoff_max (1000 ms) is shorter than backoff (60000 ms); make it longer",
    ),
    (
        "[sources.flights]",
        "[sources.\"all flights\"]",
        "5:10: source \"all flights\": write 1 to 100 ASCII letters, digits, '-', '_'",
    ),
    ("file = { path", "stream = \"a/b\"\nfile = { path", "6:1: source \"flights\" has both file and stream; keep one"),
    (
        "file = { path = \"../../data/flights.csv.gz\", format = \"csv\" }\n",
        "",
        "5:1: source \"flights\" reads from nowhere; write file = { path = \"...\", format = \"csv\" } or stream = \"scope/name\"",
    ),
    (
        "file = { path = \"../../data/flights.csv.gz\", format = \"csv\" }",
        "stream = \"a/b\"",
        "7:1: \"time\" has no meaning for a stream source, whose events have their own time and key; remove it",
    ),
    (
        "file = { path",
        "bounded = true\nfile = { path",
        "6:1: \"bounded\" has no meaning for a file source, which ends by itself; remove it",
    ),
    ("path = \"../../data/flights.csv.gz\"", "path = []", "6:17: path is an empty list; name at least one file"),
    ("path = \"../../data/flights.csv.gz\"", "path = \"\"", "6:17: sources.flights.file.path is empty; write a path"),
    (
        "format = \"csv\"",
        "format = \"cvs\"",
        "6:55: sources.flights.file.format is \"cvs\" (did you mean \"csv\"?); write \"csv\" or \"json\" or \"lines\"",
    ),
    (
        "format = \"csv\"",
        "format = \"json\"",
        "7:10: \"column\" in [sources.flights.time]: JSON lines have pointers; write pointer = \"/field\"",
    ),
    (
        "format = \"csv\"",
        "format = \"lines\"",
        "7:8: [sources.flights.time]: lines of any text have no fields; remove it",
    ),
    (
        "format = \"csv\"",
        "format = \"csv\", value = \"xml\"",
        "6:70: sources.flights.file.value is \"xml\"; write \"json\" or \"raw\"",
    ),
    (
        "key = { column = \"origin\" }",
        "key = { pointer = \"/origin\" }",
        "8:9: \"pointer\" in [sources.flights.key]: a CSV file has columns; write column = \"...\"",
    ),
    (
        "key = { column = \"origin\" }",
        "key = \"origin\"",
        "8:7: sources.flights.key is text; write a table, as in { key = value }",
    ),
    (
        "%Y-%m-%dT%H:%M:%S",
        "iso",
        "7:41: \"iso\" is not a time format: it has no %; write \"ms\", \"s\", \"rfc3339\" or a strftime pattern as \"%Y-%m-%d %H:%M:%S\"",
    ),
    (
        "\"per-batch\"",
        "\"100ms\"",
        "9:47: sources.flights.watermark.emit is \"100ms\"; write \"per-batch\" or \"every-event\"",
    ),
    (
        "out_of_orderness = \"1d\"",
        "from = \"stream\"",
        "9:22: a file has no watermark of its own; write out_of_orderness = \"...\" instead",
    ),
    (
        "out_of_orderness = \"1d\"",
        "out_of_orderness = \"1d\", from = \"none\"",
        "9:40: out_of_orderness and from exclude each other; keep one",
    ),
    (
        "component = \"../../operators/flight-stats\"\n",
        "",
        "11:1: operator \"stats\" does nothing; write component = \"path/of/the/project\" or \"operator.wasm\", or one of select, window, join, lookup, distinct, call",
    ),
    (
        "\"../../operators/flight-stats\"",
        "\"oci://registry/x\"",
        "12:13: components come from a project folder or a .wasm file; write its path",
    ),
    (
        "input = \"flights\"\n",
        "",
        "11:1: operator \"stats\" has no input; write input = \"name\" with the source or operator that feeds it",
    ),
    (
        "input = \"flights\"",
        "input = \"flihgts\"",
        "13:9: there is no source or operator \"flihgts\" (did you mean \"flights\"?); there are: flights, stats",
    ),
    (
        "input = \"flights\"",
        "input = \"stats\"",
        "13:9: operator \"stats\" feeds itself; a pipeline has no cycles: name another input",
    ),
    (
        "input = \"flights\"",
        "input = \"daily\"",
        "13:9: \"daily\" is a sink and feeds nothing; name a source or an operator",
    ),
    (
        "input = \"flights\"",
        "input = \"flights.rows\"",
        "13:9: source \"flights\" has no port \"rows\"; write \"flights\"",
    ),
    (
        "input = \"flights\"",
        "input = \"a.b.c\"",
        "13:9: \"a.b.c\" is not a source or an operator; write \"name\" or \"operator.port\"",
    ),
    (
        "input = \"flights\"",
        "input = [\"flights\", \"flights\"]",
        "13:21: \"flights\" feeds this input twice; name it once",
    ),
    (
        "input = \"flights\"",
        "input = \"flights\"\nedge = \"key\"",
        "14:8: operators.stats.edge is \"key\"; write \"keyed\" or \"forward\" or \"broadcast\" or \"rebalance\"",
    ),
    (
        "input = \"flights\"",
        "input = \"flights\"\ninputs = []",
        "14:1: operator \"stats\" has both input and inputs; keep one",
    ),
    (
        "input = \"flights\"",
        "inputs = []",
        "13:10: operator \"stats\" has no input; write inputs = [{ from = \"...\" }]",
    ),
    (
        "input = \"flights\"",
        "inputs = [{ form = \"flights\" }]",
        "13:13: unknown key \"form\" in [operators.stats.inputs[0]] (did you mean \"from\"?); known here: from, edge",
    ),
    (
        "input = \"flights\"",
        "input = \"flights\"\nparallelism = 129",
        "14:15: operators.stats.parallelism is 129, more than max_parallelism (128); lower it, or raise max_parallelism before the pipeline has state",
    ),
    (
        "\"32MiB\"",
        "\"32Mb\"",
        "15:21: operators.stats.limits.memory: \"32Mb\" is not a size: there is no unit \"Mb\"; write a number and B, kB, MB, GB, KiB, MiB, GiB or TiB, as in \"64MiB\"",
    ),
    ("\"32MiB\"", "\"1KiB\"", "15:21: operators.stats.limits.memory is too small; write \"65536B\" or more"),
    ("ratio = 0.5", "ratio = inf", "14:64: operators.stats.config.ratio is inf, which JSON cannot say; write a number"),
    ("[sinks.daily]", "[sinks.stats]", "17:8: an earlier operator has the name \"stats\"; rename this sink"),
    (
        "input = \"stats.daily\"\n",
        "",
        "17:1: sink \"daily\" has no input; write input = \"operator\" or \"operator.port\"",
    ),
    (
        "input = \"stats.daily\"",
        "input = \"stat.daily\"",
        "18:9: there is no source or operator \"stat\" (did you mean \"stats\"?); there are: flights, stats",
    ),
    (
        "stream = \"flights/daily\"\n",
        "",
        "17:1: sink \"daily\" writes nowhere; write stream = \"scope/name\", file = { path = \"folder\" } or stdout = true",
    ),
    (
        "stream = \"flights/daily\"",
        "stream = \"flights\"",
        "19:10: stream name \"flights\": write scope/stream, in letters, digits, '.', '_' and '-', at most 255 bytes",
    ),
    (
        "stream = \"flights/daily\"",
        "stream = \"flights/daily\"\nstdout = true",
        "20:1: sink \"daily\" has both stream and stdout; keep one",
    ),
    ("stream = \"flights/daily\"", "stdout = true\nsegments = 2", "20:1: only a stream has segments; remove it"),
    (
        "stream = \"flights/daily\"",
        "stdout = false",
        "19:10: stdout = false writes nowhere; write stdout = true, or remove the sink",
    ),
    (
        "stream = \"flights/daily\"",
        "stream = \"flights/daily\"\n[sinks.two]\ninput = \"stats\"\nstream = \"flights/daily\"",
        "22:10: another sink writes to stream flights/daily already; give each its own, or one sink several inputs",
    ),
    (
        "stream = \"flights/daily\"",
        "stream = \"flights/daily\"\n[sources.unread]\nstream = \"a/b\"",
        "20:10: nothing reads source \"unread\"; name it as an input, or remove it",
    ),
    (
        "stream = \"flights/daily\"",
        "stream = \"flights/daily\"\n[operators.stats]",
        "20:12: not valid TOML: duplicate key",
    ),
];

#[test]
fn every_mistake_is_told_with_its_place_and_its_mend() {
    for (from, to, expected) in MISTAKES {
        let error = read(&edited(from, to), &[]).expect_err(to);
        assert_eq!(error, format!("pipeline.toml:{expected}"), "{from} -> {to}");
    }
}

#[test]
fn a_cycle_is_shown_in_the_direction_of_the_flow() {
    let text = r#"[pipeline]
name = "p"
[sources.s]
stream = "a/b"
[operators.a]
component = "x"
input = ["s", "c"]
[operators.b]
component = "x"
input = "a.out"
[operators.c]
component = "x"
input = "b"
[sinks.k]
input = "c"
stdout = true
"#;
    let error = read(text, &[]).unwrap_err();
    assert_eq!(
        error,
        "pipeline.toml:10:9: a cycle: a -> b -> c -> a; a pipeline has none: take one of these inputs away"
    );
}

#[test]
fn a_pipeline_needs_a_source_and_a_sink() {
    assert!(read("", &[]).unwrap_err().contains("the file has no \"pipeline\""));
    let error = read("[pipeline]\nname = \"p\"\n", &[]).unwrap_err();
    assert!(error.starts_with("pipeline.toml:1:1: the pipeline has no source"), "{error}");
    let error = read("[pipeline]\nname = \"p\"\n[sources.s]\nstream = \"a/b\"\n", &[]).unwrap_err();
    assert!(error.starts_with("pipeline.toml:1:1: the pipeline has no sink"), "{error}");
}

#[test]
fn overrides_change_the_document_before_it_is_checked() {
    let pipeline = read(
        GOOD,
        &[
            "pipeline.name=17",
            "pipeline.parallelism=3",
            "pipeline.restart.attempts=9",
            "sources.flights.file.path=/data/a=b.csv",
            "sources.flights.watermark.out_of_orderness=2h",
            "operators.stats.config.threshold_minutes=30",
            "operators.stats.config.deep.er=[1, 2]",
            "operators.stats.config.word=\"30\"",
            "sinks.daily.segments=4",
        ],
    )
    .unwrap();
    assert_eq!((pipeline.name.as_str(), pipeline.parallelism, pipeline.restart.attempts), ("17", 3, 9));
    let SourceKind::File(file) = &pipeline.sources[0].kind else { panic!("{:?}", pipeline.sources) };
    assert_eq!(file.paths, vec![PathBuf::from("/data/a=b.csv")]);
    assert_eq!(pipeline.sources[0].watermark.kind, WatermarkKind::OutOfOrderness { bound_ms: 7_200_000 });
    assert_eq!(pipeline.operators[0].config["threshold_minutes"], 30);
    assert_eq!(pipeline.operators[0].config["deep"]["er"], serde_json::json!([1, 2]));
    assert_eq!(pipeline.operators[0].config["word"], "30");
    let stream = StreamName::new("flights/daily").unwrap();
    assert_eq!(pipeline.sinks[0].kind, SinkKind::Stream { stream, segments: 4 });
}

#[test]
fn an_overrides_relative_path_starts_at_the_current_folder_and_the_files_at_its_own() {
    let here = std::env::current_dir().unwrap();
    let pipeline = read(GOOD, &["sources.flights.file.path=data/x.csv"]).unwrap();
    let SourceKind::File(file) = &pipeline.sources[0].kind else { panic!("{:?}", pipeline.sources) };
    assert_eq!(file.paths, vec![here.join("data/x.csv")]);
    let pipeline = read(GOOD, &["sources.flights.file.path=[\"x.csv\", \"/y.csv\"]"]).unwrap();
    let SourceKind::File(file) = &pipeline.sources[0].kind else { panic!("{:?}", pipeline.sources) };
    assert_eq!(file.paths, vec![here.join("x.csv"), PathBuf::from("/y.csv")]);
    let OperatorKind::Component(component) = &pipeline.operators[0].kind else { panic!("{:?}", pipeline.operators) };
    assert!(component.starts_with("/p/q"));
}

#[test]
fn a_bad_override_names_itself() {
    for (set, expected) in [
        (
            "pipeline.parallelism=many",
            "--set pipeline.parallelism=many: pipeline.parallelism is text; write a whole number",
        ),
        (
            "pipeline.paralelism=2",
            "--set pipeline.paralelism=2: unknown key \"paralelism\" in [pipeline] (did you mean \"parallelism\"?); known here: name, checkpoint_interval, min_commit_interval, parallelism, max_parallelism, dead_letters, restart",
        ),
        (
            "sources.flihgts.file.path=x",
            "--set sources.flihgts.file.path=x: pipeline.toml has no [sources.flihgts] (did you mean \"flights\"?); sources there: flights",
        ),
        (
            "sources.flights.fil.path=x",
            "--set sources.flights.fil.path=x: unknown key \"fil\" in [sources.flights] (did you mean \"file\"?); known here: file, stream, bounded, time, key, watermark",
        ),
        (
            "source.flights.file.path=x",
            "--set source.flights.file.path=x: unknown key \"source\" in the file (did you mean \"sources\"?); known here: pipeline, sources, operators, sinks",
        ),
        ("pipeline.name.first=x", "--set pipeline.name.first=x: pipeline.name is text; nothing can be set in it"),
        ("sources=1", "--set sources=1: a whole section cannot be set; write --set sources.NAME.KEY=VALUE"),
        (
            "pipeline..name=x",
            "--set pipeline..name=x: the path has an empty part; write names with one '.' between them",
        ),
        ("pipeline.name", "--set pipeline.name: it needs a path and a value; write --set sources.NAME.file.path=VALUE"),
        (
            "sinks.daily.stdout=true",
            "--set sinks.daily.stdout=true: sink \"daily\" has both stream and stdout; keep one",
        ),
    ] {
        assert_eq!(read(GOOD, &[set]).unwrap_err(), expected);
    }
}

#[test]
fn parallelism_from_the_command_line_reaches_every_operator() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.toml");
    std::fs::write(&file, edited("input = \"flights\"", "input = \"flights\"\nparallelism = 2")).unwrap();
    let overrides = |n| Overrides { set: Vec::new(), parallelism: Some(n) };
    let pipeline = load(&file, &overrides(3)).unwrap();
    assert_eq!((pipeline.parallelism, pipeline.operators[0].parallelism), (3, Some(3)));
    assert_eq!(pipeline.file, file);
    for n in [0, 129] {
        let error = load(&file, &overrides(n)).unwrap_err().to_string();
        assert_eq!(error, format!("--parallelism {n}: write a number from 1 to the pipeline's max_parallelism, 128"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let none = Overrides::default();
    let error = load(Path::new("/nonexistent/pipeline.toml"), &none).unwrap_err();
    assert_eq!(error.to_string(), "/nonexistent/pipeline.toml: no such file; check the path");
    let folder = tempfile::tempdir().unwrap();
    let error = load(folder.path(), &none).unwrap_err().to_string();
    assert_eq!(error, format!("{}: this is a folder; name the pipeline file in it", folder.path().display()));
    let latin = folder.path().join("latin1.toml");
    std::fs::write(&latin, b"[pipeline]\nname = \"caf\xe9\"").unwrap();
    let error = load(&latin, &none).unwrap_err().to_string();
    assert_eq!(error, format!("{}: byte 22 is not UTF-8; save the file as UTF-8", latin.display()));
}
