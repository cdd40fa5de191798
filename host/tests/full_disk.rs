//! A real disk that fills up under `tidemill run`: work waits in words before the reserve is used, or after the disk was
//! really full; when room returns it goes on by itself to the golden output, and other pipelines never notice.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/small_disk.rs"]
mod small_disk;
mod tidemill;

use golden::{GOLDEN, Golden, build_operators};
use serde_json::Value;
use small_disk::SmallDisk;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

const MIB: u64 = 1 << 20;

/// A `tidemill run` and what it says, line by line.
struct Talking {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Talking {
    fn start(mut command: Command) -> Talking {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Talking { child, lines, said: Vec::new() }
    }

    #[track_caller]
    fn wait_for(&mut self, words: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv() else { panic!("it ended without {words:?}: {:#?}", self.said) };
            self.said.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    #[track_caller]
    fn ends_well(mut self) -> Vec<String> {
        self.said.extend(self.lines.iter());
        let status = self.child.wait().expect("an end");
        assert!(status.success(), "{status}: {:#?}", self.said);
        self.said
    }
}

fn on(data: &Path, args: &[&str]) -> Value {
    let mut command = tidemill::command(args);
    command.arg("--json").arg("--data-dir").arg(data);
    tidemill::Done::of(command).json()
}

fn run(golden: &Golden, data: &Path, settings: &Path) -> Command {
    let mut command = golden.run_command(data, 2);
    command.arg("--settings").arg(settings);
    command
}

#[test]
fn a_run_waits_before_the_reserve_is_used_and_ends_at_the_golden_output() {
    let Some(disk) = SmallDisk::mount("a_run_waits_before_the_reserve_is_used", 48 * MIB) else { return };
    build_operators();
    let aside = tempfile::tempdir().unwrap();
    let settings = aside.path().join("settings.toml");
    std::fs::write(&settings, "[store]\nreserve = \"16MiB\"\n").unwrap();
    let data = disk.path().join("data");
    disk.fill_up_to(15 * MIB);
    let mut waiting = Talking::start(run(&GOLDEN[0], &data, &settings));
    let said = waiting.wait_for("is nearly full");
    for words in
        [data.to_str().unwrap(), "16.0 MiB are kept in reserve (store.reserve)", "make room there and they go on"]
    {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    let pipelines = on(&data, &["ls"]);
    assert_eq!(pipelines[0]["state"], "waiting for disk space", "{pipelines}");
    let store = on(&data, &["store", "describe"]);
    assert_eq!(store["disk"]["reserve"], 16 * MIB);
    assert!(store["disk"]["free"].as_u64().unwrap() < 16 * MIB && store["disk"]["waiting_parts"].as_u64().unwrap() > 0);
    let mut top = tidemill::command(["top", "--once", "--data-dir"]);
    top.arg(&data);
    let top = tidemill::Done::of(top).ok();
    assert!(top.contains("flight-delays waiting for disk space, epoch 0"), "{top}");
    assert!(top.contains("appends and epochs wait; make room there and they go on"), "{top}");

    // Another pipeline elsewhere.
    golden::run_to_end(run(&GOLDEN[1], &aside.path().join("data"), &settings));
    GOLDEN[1].assert_committed(&aside.path().join("data"), "beside a full disk");

    disk.make_room();
    let said = waiting.ends_well();
    assert!(said.iter().any(|line| line.contains("there is room") && line.contains("work goes on")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains("rolled back")), "{said:#?}");
    GOLDEN[0].assert_committed(&data, "after a full disk");
}

#[test]
fn a_run_whose_disk_is_really_full_goes_on_by_itself_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("a_run_whose_disk_is_really_full", 48 * MIB) else { return };
    let data = disk.path().join("data");
    let stream = |name: &str, verb: &str| {
        let mut command = tidemill::command(["stream", verb, name, "--data-dir"]);
        command.arg(&data);
        command
    };
    tidemill::Done::of(stream("live/in", "create")).ok();
    let aside = tempfile::tempdir().unwrap();
    let (file, settings) = (aside.path().join("live.toml"), aside.path().join("settings.toml"));
    std::fs::write(&settings, "[store]\nreserve = \"1MiB\"\n").unwrap();
    std::fs::write(
        &file,
        "[pipeline]\nname = \"live\"\nmin_commit_interval = \"5ms\"\nrestart = { attempts = 0 }\n\n[sources.lines]\n\
         stream = \"live/in\"\n\n[sinks.out]\ninput = \"lines\"\nstream = \"live/out\"\n",
    )
    .unwrap();
    let mut run = tidemill::command(["run"]);
    run.arg(&file).arg("--settings").arg(&settings).arg("--data-dir").arg(&data);
    let mut run = Talking::start(run);
    while !data.join("control.sock").exists() {
        std::thread::yield_now();
    }
    let append = |lines: &str| {
        let args = ["stream", "append", "live/in", "--data-dir", data.to_str().unwrap()];
        tidemill::tidemill_with(args, lines.as_bytes())
    };
    append("first\n").ok();
    // Somebody else takes all there is between the measuring and the writing: an append that is large enough finds out.
    let large: String = (0..200_000_u64).map(|n| format!("x{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let eaten = std::thread::scope(|scope| {
        let appended = scope.spawn(|| append(&large));
        while on(&data, &["stream", "describe", "live/in"])["events"].as_u64() < Some(20_000) {
            std::thread::yield_now();
        }
        disk.fill_up_to(0);
        run.wait_for("the disk");
        disk.make_room();
        appended.join().unwrap()
    });
    // What was acknowledged, and of the rest what is there, comes out once, in order.
    append("last\n").ok();
    let lines = |name: &str| -> Vec<String> {
        let done = tidemill::Done::of(stream(name, "cat"));
        done.json_lines().into_iter().map(|event| event["value"].to_string()).collect()
    };
    let input = lines("live/in");
    assert!(input.len() > 20_000);
    if eaten.code == 0 {
        assert_eq!(input.len(), 200_002);
    }
    let events =
        || on(&data, &["stream", "list"]).as_array().unwrap().iter().find(|s| s["name"] == "live/out").cloned();
    while events().and_then(|out| out["events"].as_u64()) != Some(input.len() as u64) {
        assert!(run.child.try_wait().unwrap().is_none(), "it ended");
        std::thread::yield_now();
    }
    assert_eq!(lines("live/out"), input);
    let stop = ["stop", "live", "--data-dir", data.to_str().unwrap()];
    tidemill::tidemill(stop).ok();
    run.ends_well();
    tidemill::tidemill(["store", "check", "--data-dir", data.to_str().unwrap()]).ok();
}
