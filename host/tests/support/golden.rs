//! Runs the example pipelines through the real binary and reads what they committed. The golden tests use it.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

pub(crate) fn tidemill() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidemill"))
}

/// Builds the example operators that are not built yet (`cargo xtask test` has built them before).
pub(crate) fn build_operators() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for entry in std::fs::read_dir(repository().join("examples/operators")).unwrap() {
            let folder = entry.unwrap().path();
            if folder.join("tidemill.toml").exists() && !folder.join("component.wasm").exists() {
                let output = tidemill().arg("build").arg(&folder).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
        }
    });
}

/// An example pipeline with its expected output.
pub(crate) struct Golden {
    pub(crate) name: &'static str,
    pub(crate) stream: &'static str,
}

pub(crate) const GOLDEN: [Golden; 6] = [
    Golden { name: "flight-delays", stream: "flights/daily" },
    Golden { name: "word-count", stream: "words/counts" },
    Golden { name: "keyed-chain", stream: "flights/miles" },
    Golden { name: "flight-weeks", stream: "flights/weekly" },
    Golden { name: "sessions", stream: "flights/waves" },
    Golden { name: "flight-alerts", stream: "flights/alerts" },
];

impl Golden {
    pub(crate) fn folder(&self) -> PathBuf {
        repository().join("examples/pipelines").join(self.name)
    }

    pub(crate) fn run_command(&self, data_dir: &Path, parallelism: u32) -> Command {
        let mut command = tidemill();
        command.arg("run").arg(self.folder().join("pipeline.toml")).arg("--data-dir").arg(data_dir);
        command.arg("--parallelism").arg(parallelism.to_string());
        command
    }

    /// (key, value) of every expected event, values as JSON or text.
    pub(crate) fn expected(&self) -> Vec<(String, serde_json::Value)> {
        let text = std::fs::read_to_string(self.folder().join("expected.jsonl")).unwrap();
        text.lines().map(|line| key_and_value(&serde_json::from_str(line).unwrap())).collect()
    }

    /// What is committed, in segment order.
    pub(crate) fn committed(&self, data_dir: &Path) -> Vec<(String, serde_json::Value)> {
        let output = tidemill().args(["stream", "cat", self.stream, "--data-dir"]).arg(data_dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| key_and_value(&serde_json::from_str(line).unwrap())).collect()
    }

    /// The same pipeline with a file sink in the place of the stream sink, as a new pipeline file in `folder`; the
    /// output goes to `folder/out`.
    pub(crate) fn with_file_sink(&self, folder: &Path) -> PathBuf {
        let text = std::fs::read_to_string(self.folder().join("pipeline.toml")).unwrap();
        let stream = format!("stream = \"{}\"", self.stream);
        assert!(text.contains(&stream), "{text}");
        let text = text.replace(&stream, "file = { path = \"out\", roll_interval = \"1ms\" }");
        let text = text.replace("\"../../", &format!("\"{}/", repository().join("examples").display()));
        let file = folder.join("pipeline.toml");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// Panics unless the parts in `folder`, one after the other, hold each expected value once, and nothing else.
    pub(crate) fn assert_files(&self, folder: &Path, what: &str) {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut written: Vec<String> = Vec::new();
        for file in &files {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(name.starts_with("part-") && name.ends_with(".jsonl"), "{what}: {name} was left behind");
            let text = std::fs::read_to_string(file).unwrap();
            assert!(text.ends_with('\n'), "{what}: {name} is cut off");
            let value = |line: &str| plain(serde_json::from_str(line).unwrap()).to_string();
            written.extend(text.lines().map(value));
        }
        let mut expected: Vec<String> = self.expected().into_iter().map(|(_, value)| value.to_string()).collect();
        written.sort();
        expected.sort();
        assert_eq!(written, expected, "{} {what}", self.name);
    }

    /// The committed output is the expected one: the same events for each key in the same order, keys in any order.
    pub(crate) fn assert_committed(&self, data_dir: &Path, what: &str) {
        self.assert_output(self.committed(data_dir), what);
    }

    /// The same for events read in any way.
    pub(crate) fn assert_output(&self, committed: Vec<(String, serde_json::Value)>, what: &str) {
        let by_key = |events: Vec<(String, serde_json::Value)>| {
            let mut events: Vec<_> = events.into_iter().map(|(key, value)| (key, plain(value))).collect();
            events.sort_by(|a, b| a.0.cmp(&b.0));
            events
        };
        let (expected, committed) = (by_key(self.expected()), by_key(committed));
        assert!(!expected.is_empty());
        assert_eq!(committed.len(), expected.len(), "{} {what}: events", self.name);
        for (got, wanted) in committed.iter().zip(&expected) {
            assert_eq!(got, wanted, "{} {what}", self.name);
        }
    }
}

/// A value that is given as text is meant as the bytes of the event: `stream cat` shows them as JSON where they are.
fn key_and_value(line: &serde_json::Value) -> (String, serde_json::Value) {
    let value = match &line["value"] {
        serde_json::Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        other => other.clone(),
    };
    (line["key"].as_str().unwrap_or_default().to_string(), plain(value))
}

/// 16.0 and 16 are one number of JSON; languages differ in how they write it.
fn plain(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(whole) if whole.fract() == 0.0 && whole.abs() < 9e15 => Value::from(whole as i64),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => members.into_iter().map(|(name, one)| (name, plain(one))).collect(),
        other => other,
    }
}

/// Runs to the end; panics on failure.
pub(crate) fn run_to_end(mut command: Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// A child whose end is reported on a channel, so that a test can kill it after any time without polling.
pub(crate) struct Running {
    child: Child,
    ended: Receiver<()>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, ended) = channel();
        std::thread::spawn(move || {
            // The pipe closes when the process ends, however it ends.
            BufReader::new(stderr).lines().for_each(drop);
            let _ = sender.send(());
        });
        Running { child, ended }
    }

    /// SIGKILLs it unless it ended by itself within `after`. Returns whether it ended by itself, and well.
    pub(crate) fn kill_after(mut self, after: Duration) -> bool {
        let ended = self.ended.recv_timeout(after).is_ok();
        if !ended {
            self.child.kill().unwrap();
        }
        let status = self.child.wait().unwrap();
        assert!(!ended || status.success(), "it failed by itself: {status}");
        ended
    }
}
