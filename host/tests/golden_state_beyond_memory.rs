//! The golden pipelines with memory for a small part of their state: it is flushed, merged and read back from runs all the
//! time, straight and after SIGKILL at many moments, and the output is the same. Afterwards the store is whole, and
//! `tidemill delete` leaves nothing of a pipeline but the streams that it wrote.

#[path = "support/golden.rs"]
mod golden;

use golden::{GOLDEN, Running, build_operators, run_to_end, tidemill};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SETTINGS: &str =
    "[state]\nflush = \"2KiB\"\nmemory = \"32KiB\"\ncache = \"64KiB\"\n\n[store]\nsealed_file = \"64KiB\"\n";

fn json(data: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = tidemill().args(arguments).arg("--json").arg("--data-dir").arg(data).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn state_that_does_not_fit_in_memory_gives_the_same_output() {
    build_operators();
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.toml");
    std::fs::write(&settings, SETTINGS).unwrap();
    let with_settings = |mut command: Command| {
        command.arg("--settings").arg(&settings);
        command
    };
    let mut runs_seen = 0;
    for pipeline in &GOLDEN {
        let straight = folder.path().join(format!("{}-straight", pipeline.name));
        let started = Instant::now();
        run_to_end(with_settings(pipeline.run_command(&straight, 2)));
        let whole = started.elapsed();
        pipeline.assert_committed(&straight, "straight, with little memory");

        let killed = folder.path().join(format!("{}-killed", pipeline.name));
        for (attempt, part) in [10, 25, 40, 60, 75, 90, 95, 100, 110, 130].into_iter().enumerate() {
            let command = with_settings(pipeline.run_command(&killed, [1, 3, 2][attempt % 3]));
            let after = whole.mul_f64(f64::from(part) / 100.0).max(Duration::from_millis(5));
            if Running::start(command).kill_after(after) {
                break;
            }
        }
        run_to_end(with_settings(pipeline.run_command(&killed, 1)));
        pipeline.assert_committed(&killed, "killed, with little memory");

        for data in [&straight, &killed] {
            assert_eq!(json(data, &["store", "check"])["faults"], serde_json::json!([]), "{}", pipeline.name);
            let described = json(data, &["store", "describe"]);
            runs_seen += described["state"].as_array().unwrap().iter().filter(|s| s["runs"].as_u64() > Some(0)).count();
        }
        json(&straight, &["delete", pipeline.name]);
        let described = json(&straight, &["store", "describe"]);
        assert_eq!(described["state"], serde_json::json!([]), "{}", pipeline.name);
        pipeline.assert_committed(&straight, "after the pipeline was deleted");
        assert_eq!(json(&straight, &["store", "check"])["faults"], serde_json::json!([]));
        // It starts from nothing.
        assert_eq!(json(&straight, &["ls"])["pipelines"].as_array().map(Vec::len).unwrap_or(0), 0);
    }
    assert!(runs_seen >= 3, "state went to runs in {runs_seen} directories");
}
