//! A data directory that is damaged, full, owned by another process or of a newer format: a clear error, every other
//! byte kept, and the same command done once when the trouble is over.

mod tidemill;
mod wasm_support;
#[path = "support/world.rs"]
mod world;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use world::{KEY, Spec, TIME, World, operator, plain};

/// A finished run with output and a dead letter.
fn finished() -> World {
    let world = World::new();
    world.write(
        "flights.csv",
        "scheduled,dep_delay_min,origin\n2013-01-01T05:00:00,5,EWR\nthe day before,5,EWR\n2013-01-01T05:06:00,30,JFK\n",
    );
    world.flight_stats("flights.csv", TIME, KEY, "");
    world.run().ok();
    world
}

fn hot(world: &World) -> Vec<u8> {
    std::fs::read(world.data().join("hot.redb")).unwrap()
}

fn set_hot(world: &World, bytes: &[u8]) {
    std::fs::write(world.data().join("hot.redb"), bytes).unwrap();
}

#[test]
fn a_damaged_chunk_is_named_and_other_streams_stay_readable() {
    let world = finished();
    let (out, letters) = (world.cat("test/out"), world.cat("test/dead-letters"));
    assert_eq!((out.len(), letters.len()), (2, 1));
    let whole = hot(&world);
    let word = b"the day before";
    let mut damaged = whole.clone();
    let places: Vec<usize> = (0..whole.len() - word.len()).filter(|at| whole[*at..].starts_with(word)).collect();
    assert!(!places.is_empty(), "the dead letter is in the file");
    places.iter().for_each(|at| damaged[*at] ^= 0x20);
    set_hot(&world, &damaged);

    assert_eq!(
        plain(world.command(&["stream", "cat", "test/dead-letters"])),
        "stream test/dead-letters, segment 0, chunk at offset 0: chunk: the checksum does not match; keep the files and \
         restore a backup: what lies before this chunk and in other segments can be read"
    );
    assert_eq!(world.cat("test/out"), out);
    let mut repaired = hot(&world);
    places.iter().for_each(|at| repaired[*at] ^= 0x20);
    set_hot(&world, &repaired);
    assert_eq!((world.cat("test/out"), world.cat("test/dead-letters")), (out, letters));
}

#[test]
fn damage_anywhere_in_the_file_is_an_error_or_harmless_and_never_a_panic_or_another_event() {
    let world = finished();
    let whole = hot(&world);
    let out = world.cat("test/out");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let mut refused = 0;
    for round in 0..80 {
        let mut damaged = whole.clone();
        match round % 8 {
            7 => damaged.truncate(next(whole.len())),
            flips => (0..=flips * 8).for_each(|_| damaged[next(whole.len())] ^= 1 << next(8)),
        }
        set_hot(&world, &damaged);
        let done = world.command(&["stream", "cat", "test/out"]);
        assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
        if done.code == 0 {
            let events: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(events, out);
        } else {
            assert_eq!(done.code, 1, "{}", done.stderr);
            assert!(done.stderr.contains("restore a backup"), "{}", done.stderr);
            refused += 1;
        }
    }
    assert!(refused > 10, "only {refused} were refused");
    set_hot(&world, &whole);
    assert_eq!(world.cat("test/out"), out);
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    // LOCK names who looked last.
    entries
        .filter(|entry| entry.file_type().unwrap().is_file() && entry.file_name() != "LOCK")
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn a_newer_format_is_refused_by_every_command_and_no_byte_is_changed() {
    let world = finished();
    let out = world.cat("test/out");
    let format = world.data().join("FORMAT");
    let ours = std::fs::read_to_string(&format).unwrap();
    std::fs::write(&format, "tidemill data directory, format 9\n").unwrap();
    let before = files(&world.data());
    let error = format!(
        "data directory {}: the data has format 9, this program knows format 3: use a newer tidemill, nothing was changed",
        world.data().display()
    );
    assert_eq!(world.run_fails(), error);
    for args in [&["stream", "list"][..], &["stream", "cat", "test/out"], &["checkpoint", "list", "test"]] {
        assert_eq!(plain(world.command(args)), error);
    }
    assert!(files(&world.data()) == before, "a byte was changed");
    std::fs::write(&format, "a shopping list\n").unwrap();
    assert!(world.run_fails().contains("does not tell a format of tidemill: is this a data directory?"));
    std::fs::write(&format, ours).unwrap();
    assert_eq!(world.cat("test/out"), out);
}

#[test]
fn what_is_no_data_directory_is_said() {
    let world = finished();
    let (data, aside) = (world.data(), world.path("aside"));
    std::fs::rename(&data, &aside).unwrap();
    std::fs::write(&data, "text").unwrap();
    assert_eq!(world.run_fails(), format!("{} is a file, not a folder: use another --data-dir", data.display()));
    assert_eq!(std::fs::read(&data).unwrap(), b"text");
    std::fs::remove_file(&data).unwrap();
    std::fs::rename(&aside, &data).unwrap();
    set_hot(&world, b"this is another program's file");
    let error = world.run_fails();
    assert!(error.starts_with(&format!("data directory {}: opening the store: ", data.display())), "{error}");
    assert!(error.ends_with("keep the files and restore a backup"), "{error}");
    assert_eq!(hot(&world), b"this is another program's file");
}

#[test]
fn a_second_owner_is_refused_with_the_firsts_process_and_takes_over_when_it_is_gone() {
    let world = World::new();
    world.write("misbehave.wasm", wasm_support::component_bytes("guest-misbehave"));
    let pipeline = |source: &str| {
        world.pipeline(&Spec {
            pipeline: "",
            source: &format!("stream = \"test/in\"\n{source}"),
            component: Path::new("misbehave.wasm"),
            operator: "",
            port: "out",
        });
    };
    let append = |text: &str| {
        let data = world.data();
        let args = ["stream", "append", "test/in", "--data-dir"].map(AsRef::as_ref);
        tidemill::tidemill_with(args.into_iter().chain([data.as_os_str()]), text.as_bytes())
    };
    world.command(&["stream", "create", "test/in", "--segments", "1"]).ok();
    append("echo\nlog\n").ok();
    pipeline("bounded = false");
    let mut first = world.run_command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // The guest's log line shows that the first owner is at work; it waits for more input then.
    let mut stderr = BufReader::new(first.stderr.take().unwrap()).lines();
    assert!(stderr.by_ref().any(|line| line.unwrap().contains("a line")), "the first run ended");

    let error = format!(
        "data directory {} is in use by process {}: stop it, or use another --data-dir",
        world.data().display(),
        first.id()
    );
    assert_eq!(world.run_fails(), error);
    append("echo\n").ok(); // other commands go through the owner
    assert!(first.try_wait().unwrap().is_none(), "the owner is not disturbed");

    first.kill().unwrap();
    first.wait().unwrap();
    append("echo\n").ok();
    pipeline("bounded = true");
    world.run().ok();
    assert_eq!(world.values("test/out"), [json!("echo"), json!("echo"), json!("echo")]);
}

/// A limit on the size of files stands in for a full disk: writing fails in the middle of a commit.
#[cfg(unix)]
#[test]
fn a_file_size_limit_makes_the_run_wait_and_without_it_the_next_run_ends_exactly_once() {
    let world = World::new();
    let lines: Vec<String> = (0..120_000_u64)
        .map(|i| {
            format!(
                "event {i} {:016x}{:016x}",
                i.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                i.wrapping_mul(0xbf58_476d_1ce4_e5b9)
            )
        })
        .collect();
    world.write("lines.txt", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    world.pipeline(&Spec {
        pipeline: "restart = { attempts = 1, backoff = \"10ms\" }\nmin_commit_interval = \"0ms\"\ncheckpoint_interval = \"20ms\"",
        source: "file = { path = \"lines.txt\", format = \"lines\" }",
        component: &operator("pass-through"),
        operator: "",
        port: "out",
    });
    // Little may be uncommitted, so that there are many epochs before the limit is reached.
    world.write("settings.toml", "[dataflow]\nuncommitted = \"1MiB\"\n");
    let mut run = world.run_command();
    run.arg("--settings").arg(world.path("settings.toml"));
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 4000; exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args());
    // It waits, and uses up no attempt; a second run ends it at its last checkpoint.
    let mut child = limited.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().expect("stderr")).lines() {
        let line = line.expect("UTF-8");
        if line.contains("rolled back to the last checkpoint") && said.is_empty() {
            said.clone_from(&line);
            let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
            assert!(asked.success());
        }
    }
    assert!(child.wait().expect("an end").success(), "{said}");
    for word in [
        "pipeline test: rolled back to the last checkpoint, waits for room on the disk: epoch ",
        " was not committed: writing the store: I/O error: File too large",
        "make room on the disk of the data directory",
    ] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    let before = world.values("test/out");
    assert!(!before.is_empty() && before.len() < lines.len(), "{} events", before.len());
    assert!(before.iter().zip(&lines).all(|(value, line)| value == line), "what is committed is right");
    world.run().ok();
    let after = world.values("test/out");
    assert_eq!(after.len(), lines.len());
    assert!(after.iter().zip(&lines).all(|(value, line)| value == line), "every event once, in order");
}
