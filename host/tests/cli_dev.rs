//! `tidemill dev` as one works with it: it builds and runs, a changed source changes what comes out and keeps the state, and
//! what does not build leaves the old one running.

mod tidemill;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use tidemill::{DataDir, root, tidemill};

/// Longer than anything takes here, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(300);

const PIPELINE: &str = r#"
[pipeline]
name = "my-operator"
checkpoint_interval = "100ms"

[sources.input]
stream = "my-operator/input"

[operators.longest]
component = "."
input = "input"

[sinks.output]
input = "longest.lines"
stream = "my-operator/lines"
"#;

/// A `tidemill dev` whose words come one line at a time.
struct Dev {
    child: Child,
    out: Receiver<String>,
    talk: Receiver<String>,
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = sender.send(line); // the test may be over
        }
    });
    lines
}

/// Waits for a line that holds this; gives those before it, too.
#[track_caller]
fn until(lines: &Receiver<String>, part: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => seen.push(line),
            Err(error) => panic!("no {part:?} came ({error}); seen:\n{}", seen.join("\n")),
        }
        if seen.last().is_some_and(|line| line.contains(part)) {
            return seen;
        }
    }
}

impl Dev {
    fn start(data: &DataDir, file: &Path) -> Dev {
        let mut dev = data.command(&["dev", file.to_str().expect("UTF-8")]);
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("generated-projects");
        dev.env("CARGO_TARGET_DIR", target).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = dev.spawn().expect("tidemill starts");
        let (out, talk) = (child.stdout.take().expect("stdout"), child.stderr.take().expect("stderr"));
        Dev { child, out: lines(out), talk: lines(talk) }
    }

    fn stop(mut self) {
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill starts");
        assert!(asked.success());
        assert!(self.child.wait().expect("an end").success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill(); // over already, unless the test failed
    }
}

/// The value of the next event.
#[track_caller]
fn value(dev: &Dev) -> String {
    let line = until(&dev.out, "value").pop().expect("the line");
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    event["value"].as_str().expect("text").to_owned()
}

#[test]
fn a_changed_source_changes_what_comes_out_and_keeps_the_state() {
    let data = DataDir::new();
    let folder = data.path().with_file_name("my-operator");
    tidemill(["new", "my-operator", "--path", folder.to_str().expect("UTF-8")]).ok();
    // The versions that this checkout is tested with.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");
    let (file, source) = (folder.join("dev.toml"), folder.join("src/lib.rs"));
    std::fs::write(&file, PIPELINE).expect("written");
    data.run(&["stream", "create", "my-operator/input"]).ok();
    let append = |line: &str| {
        data.run_with(&["stream", "append", "my-operator/input", "--key", "sea"], line.as_bytes()).ok();
    };
    let first = std::fs::read_to_string(&source).expect("the source");

    let dev = Dev::start(&data, &file);
    until(&dev.talk, "running my-operator after");
    append("tide\n");
    assert_eq!(value(&dev), "tide");

    // Another program, the same state: what is no longer than `tide` stays away.
    let louder = first.replace("emit(event.key(), line)", "emit(event.key(), format!(\"{line}!\"))");
    assert_ne!(louder, first);
    std::fs::write(&source, &louder).expect("written");
    until(&dev.talk, "running my-operator with what changed");
    append("ebb\nflood\n");
    assert_eq!(value(&dev), "flood!");

    // No program: the one before goes on.
    std::fs::write(&source, format!("{louder}\nthis is no Rust\n")).expect("written");
    let said = until(&dev.talk, "the one before keeps running").join("\n");
    assert!(said.contains("this is no Rust") && said.contains("error: cannot build"), "{said}");
    append("floods\n");
    assert_eq!(value(&dev), "floods!");

    // The pipeline file counts, too; a mistake in it is said and does no harm.
    std::fs::write(&source, &louder).expect("written");
    std::fs::write(&file, PIPELINE.replace("longest.lines", "longest.words")).expect("written");
    let said = until(&dev.talk, "the one before keeps running").join("\n");
    assert!(said.contains("words"), "{said}");
    std::fs::write(&file, PIPELINE.replace("my-operator/lines", "my-operator/longest")).expect("written");
    until(&dev.talk, "running my-operator with what changed");
    append("the flood\n");
    assert_eq!(value(&dev), "the flood!");

    // Other commands work beside it.
    let jobs = data.run(&["ls", "--json"]).ok();
    assert!(jobs.contains("my-operator") && jobs.contains("running"), "{jobs}");
    dev.stop();
    assert_eq!(data.run(&["stream", "cat", "my-operator/lines"]).json_lines().len(), 3);
}
