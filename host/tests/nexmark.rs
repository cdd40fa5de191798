//! Every Nexmark pipeline, built-in and with components, writes what a plain reference computes: in order and in disorder with late
//! events, at parallelism 1 and 3, with small and large reads, and killed with SIGKILL at random moments. Real binary, real disk.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/nexmark_reference.rs"]
mod nexmark_reference;

use golden::{Running, build_operators, repository, run_to_end, tidemill};
use nexmark_generate::{Options, lines, write_files};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const QUERIES: [&str; 10] = ["q0", "q1", "q2", "q3", "q4", "q5", "q7", "q8", "q11", "q12"];
/// The pipeline without code, and the one of components.
const FILES: [&str; 2] = ["pipeline", "wasm"];

/// xorshift: the same disorder in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A minute of events.
fn minute() -> Options {
    Options { events: 9_000, rate: 150, partitions: 1 }
}

fn in_order() -> Vec<String> {
    lines(&minute()).collect::<Result<_, _>>().unwrap()
}

/// The same, every event up to 2 s late and one in 20 up to 15 s: more than the 4 s of the watermark.
fn in_disorder() -> Vec<String> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut delayed: Vec<(u64, String)> = in_order()
        .into_iter()
        .map(|line| {
            let time = serde_json::from_str::<serde_json::Value>(&line).unwrap()["date_time"].as_u64().unwrap();
            let reach = if random.next().is_multiple_of(20) { 15_000 } else { 2_000 };
            (time + random.next() % reach, line)
        })
        .collect();
    delayed.sort_by_key(|(time, _)| *time);
    delayed.into_iter().map(|(_, line)| line).collect()
}

struct World {
    folder: tempfile::TempDir,
    lines: Vec<String>,
}

impl World {
    fn new(lines: Vec<String>) -> World {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("events.jsonl"), lines.join("\n") + "\n").unwrap();
        World { folder, lines }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a query with data directory and output under a name.
    fn command(&self, query: &str, name: &str, more: &[&str]) -> Command {
        self.command_of("pipeline", query, name, more)
    }

    fn command_of(&self, file: &str, query: &str, name: &str, more: &[&str]) -> Command {
        let mut command = tidemill();
        command.arg("run").arg(repository().join(format!("examples/pipelines/nexmark-{query}/{file}.toml")));
        command.arg("--data-dir").arg(self.path(&format!("{name}-data")));
        for set in [
            format!("sources.events.file.path={}", self.path("events.jsonl").display()),
            format!("sinks.out.file.path={}", self.path(name).display()),
            "sources.events.watermark.emit=every-event".to_string(),
        ] {
            command.arg("--set").arg(set);
        }
        command.args(more);
        command
    }

    fn assert_output(&self, query: &str, name: &str, what: &str) {
        let mut expected = nexmark_reference::rows(query, &self.lines);
        let mut written = read_parts(&self.path(name));
        expected.sort();
        written.sort();
        assert!(!expected.is_empty(), "{query}: the input shows nothing");
        let missing = expected.iter().find(|row| written.binary_search(row).is_err());
        let extra = written.iter().find(|row| expected.binary_search(row).is_err());
        assert!(
            written == expected,
            "{query} {what}: {} rows instead of {}; missing {missing:?}, extra {extra:?}",
            written.len(),
            expected.len()
        );
    }
}

fn read_parts(folder: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .flat_map(|f| std::fs::read_to_string(f).unwrap().lines().map(str::to_string).collect::<Vec<_>>())
        .collect()
}

#[test]
fn every_query_equals_its_reference_in_order_and_with_late_events() {
    build_operators();
    for (order, lines) in [("in order", in_order()), ("in disorder", in_disorder())] {
        let world = World::new(lines);
        for query in QUERIES {
            for (file, parallelism) in FILES.iter().flat_map(|file| [(file, "1"), (file, "3")]) {
                let name = format!("{query}-{file}-{parallelism}");
                run_to_end(world.command_of(file, query, &name, &["--parallelism", parallelism]));
                world.assert_output(query, &name, &format!("{file}, {order}, parallelism {parallelism}"));
            }
        }
    }
}

#[test]
fn lateness_does_not_depend_on_how_much_is_read_at_once() {
    let world = World::new(in_disorder());
    for events in [3, 100] {
        let settings = world.path(&format!("settings-{events}.toml"));
        std::fs::write(&settings, format!("[dataflow]\nbatch_events = {events}\n")).unwrap();
        for query in ["q5", "q7", "q8", "q11", "q12"] {
            let name = format!("{query}-{events}");
            run_to_end(world.command(query, &name, &["--settings", settings.to_str().unwrap()]));
            world.assert_output(query, &name, &format!("{events} events a read"));
        }
    }
}

#[test]
fn files_of_one_source_are_partitions_and_give_the_same() {
    let world = World::new(in_order());
    let options = Options { partitions: 3, ..minute() };
    write_files(&options, &world.path("parts")).unwrap();
    let files = format!("sources.events.file.path={}", world.path("parts/events-*.jsonl").display());
    for query in ["q4", "q5", "q8", "q11"] {
        run_to_end(world.command(query, query, &["--set", &files, "--parallelism", "3"]));
        world.assert_output(query, query, "three partitions");
    }
}

#[test]
fn every_query_survives_kills_at_random_moments() {
    build_operators();
    let world = World::new(in_disorder());
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut kills = 0;
    for query in QUERIES {
        let often = ["--set", "pipeline.checkpoint_interval=10ms", "--set", "sinks.out.file.roll_interval=1ms"];
        let straight = format!("{query}-straight");
        let started = Instant::now();
        run_to_end(world.command(query, &straight, &often));
        // How long a run takes here decides when kills can hit; the result does not depend on it.
        let whole = started.elapsed();
        for file in FILES {
            let killed = format!("{query}-{file}-killed");
            for attempt in 0..6u64 {
                let mut more = often.to_vec();
                more.extend(["--parallelism", ["1", "3", "2"][attempt as usize % 3]]);
                let part = 15 + random.next() % 70 + attempt * 5;
                let after = whole.mul_f64(part as f64 / 100.0).max(Duration::from_millis(5));
                if Running::start(world.command_of(file, query, &killed, &more)).kill_after(after) {
                    break;
                }
                kills += 1;
            }
            run_to_end(world.command_of(file, query, &killed, &often));
            world.assert_output(query, &killed, &format!("{file}, killed"));
        }
    }
    assert!(kills >= 20, "only {kills} kills hit");
}
