//! Components that cannot run, and guests that fail while they run: refused or stopped in words, with everything committed
//! kept and the rest of the input done once after the mend.

mod tidemill;
mod wasm_support;
#[path = "support/world.rs"]
mod world;

use serde_json::json;
use std::path::Path;
use world::{KEY, Spec, TIME, World, plain};

const ROWS: &str = "scheduled,dep_delay_min,origin\n2013-01-01T05:00:00,5,EWR\n";

/// A sound component of a world that is not Tidemill's.
fn greeter() -> Vec<u8> {
    let core = wasm_support::core_module("guest-wrong-world");
    wit_component::ComponentEncoder::default().module(&core).unwrap().validate(true).encode().unwrap()
}

#[test]
fn a_component_that_does_not_fit_is_refused_with_the_mend_before_anything_is_read() {
    let world = World::new();
    world.write("flights.csv", ROWS);
    world.write("greeter.wasm", greeter());
    world.write("core.wasm", wasm_support::core_module("guest-misbehave"));
    world.write("notes.wasm", "hello");
    std::fs::create_dir(world.path("project")).unwrap();
    let cases = [
        ("greeter.wasm", &["greeter.wasm", "must export tidemill:operator/operator@0.1.0", "greet"][..]),
        ("core.wasm", &["core.wasm is a core WebAssembly module", "run `tidemill build`"]),
        ("notes.wasm", &["notes.wasm is not WebAssembly"]),
        ("project", &["component not built: run `tidemill build ", "project`"]),
        ("nowhere.wasm", &["nowhere.wasm", "check the path of the component in the pipeline file"]),
    ];
    for (component, words) in cases {
        world.pipeline(&Spec {
            pipeline: "",
            source: "file = { path = \"flights.csv\", format = \"lines\" }",
            component: Path::new(component),
            operator: "",
            port: "out",
        });
        for error in [world.run_fails(), validation_error(&world)] {
            assert!(error.contains("operator op: "), "{error}");
            words.iter().for_each(|word| assert!(error.contains(word), "{component}: no {word:?} in {error}"));
        }
    }
    world.flight_stats("flights.csv", TIME, KEY, "");
    world.run().ok();
    assert_eq!(world.cat("test/out").len(), 1);
}

fn validation_error(world: &World) -> String {
    plain(tidemill::tidemill(["validate".as_ref(), world.path("pipeline.toml").as_os_str()]))
}

#[test]
fn a_config_that_the_operator_refuses_is_shown_with_the_field() {
    let world = World::new();
    world.write("flights.csv", ROWS);
    world.flight_stats("flights.csv", TIME, KEY, "config = { treshold_minutes = 3 }");
    let error = world.run_fails();
    for word in [
        "operator op did not open: the configuration of operator `flight-stats` does not fit",
        "unknown field `treshold_minutes`, expected `threshold_minutes`",
        "mend its `config` in the pipeline file",
    ] {
        assert!(error.contains(word), "{error}");
    }
    world.flight_stats("flights.csv", TIME, KEY, "config = { threshold_minutes = 3 }");
    world.run().ok();
    assert_eq!(world.values("test/out")[0]["over15"], json!(1.0));
}

/// misbehave over lines, one event a batch, so that what came before the fault can be committed.
fn misbehave(world: &World, lines: &str, operator_lines: &str) {
    world.write("misbehave.wasm", wasm_support::component_bytes("guest-misbehave"));
    world.write("events.txt", lines);
    world.pipeline(&Spec {
        pipeline: "restart = { attempts = 1, backoff = \"10ms\" }\nmin_commit_interval = \"0ms\"",
        source: "file = { path = \"events.txt\", format = \"lines\" }",
        component: Path::new("misbehave.wasm"),
        operator: operator_lines,
        port: "out",
    });
    world.write("settings.toml", "[dataflow]\nbatch_events = 1\n");
}

fn run(world: &World) -> tidemill::Done {
    let mut command = world.run_command();
    command.arg("--settings").arg(world.path("settings.toml"));
    tidemill::Done::of(command)
}

/// 400 good events, the bad one, 50 good ones: the first KiB, by which a file is known, stays as it is after the mend.
fn poisoned(bad: &str) -> String {
    format!("{}{bad}\n{}", "echo\n".repeat(400), "echo\n".repeat(50))
}

/// The pipeline stops with these words; after the mend (`echo` instead of the bad event, which is as long) it goes on.
fn stops(bad: &str, restarts: usize, operator_lines: &str, words: &[&str]) {
    let world = World::new();
    misbehave(&world, &poisoned(bad), operator_lines);
    let done = run(&world);
    let rolled_back = done.stderr.matches("rolled back to the last checkpoint, restart ").count();
    assert_eq!(rolled_back, restarts, "{}", done.stderr);
    let error = plain(done);
    let file = world.path("events.txt").display().to_string();
    let place = format!(
        "pipeline failed: operator op (subtask 0 of 1) failed in process, input 0, 1 events, from in[{file}] events 400..401"
    );
    assert!(error.starts_with(&place), "{error}");
    words.iter().for_each(|word| assert!(error.contains(word), "{bad}: no {word:?} in {error}"));
    assert!(error.contains("Everything committed is kept: run the pipeline again"), "{error}");
    let kept = world.cat("test/out").len();
    assert!(kept <= 400, "nothing of the failed call is seen");

    let mend = format!("{:<1$}", "log", bad.len());
    world.write("events.txt", poisoned(&mend));
    run(&world).ok();
    assert_eq!(world.values("test/out"), vec![json!("echo"); 450], "each good event once ({kept} before the mend)");
}

#[test]
fn a_guest_that_panics_is_told_with_the_event_and_its_own_frames_after_the_attempts() {
    stops(
        "panic",
        1,
        "",
        &[
            "process panicked: about to panic",
            "0: guest_misbehave::behaviour::apply",
            "behaviour.rs:",
            "mend the operator or the event; the restart attempts are used up",
        ],
    );
}

#[test]
fn a_guest_that_never_returns_is_ended_at_its_deadline() {
    let words =
        ["process exceeded its deadline of 200 ms", "limits.call_deadline", "guest_misbehave::behaviour::apply"];
    stops("loop", 1, "limits = { call_deadline = \"200ms\" }", &words);
}

#[test]
fn a_guest_that_takes_too_much_memory_is_refused_it() {
    let words = ["process ran out of memory", "limits.memory is 16 MiB", "guest_misbehave::behaviour::allocate"];
    stops("allocate", 1, "limits = { memory = \"16MiB\" }", &words);
}

#[test]
fn a_guest_that_says_fatal_stops_at_once() {
    stops("fatal", 0, "", &["fatal: the event asks for the end", "the operator asked to stop"]);
}

#[test]
fn a_guest_whose_open_fails_stops_the_run_with_its_words() {
    let world = World::new();
    misbehave(&world, "echo\n", "config = { mode = \"fail-open\" }");
    let error = plain(run(&world));
    assert!(error.contains("operator op did not open: open fails, as the configuration asks"), "{error}");
    misbehave(&world, "echo\n", "");
    run(&world).ok();
    assert_eq!(world.values("test/out"), [json!("echo")]);
}
