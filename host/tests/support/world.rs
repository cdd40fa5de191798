//! A folder with input, pipeline files and a data directory, and the binary run on them. The tests of bad input use it.
#![allow(dead_code, reason = "each test program uses its own part")]

use crate::tidemill::{Done, command, root, tidemill};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The event time and the key of flights.
pub(crate) const TIME: &str = r#"time = { column = "scheduled", format = "%Y-%m-%dT%H:%M:%S" }"#;
pub(crate) const KEY: &str = r#"key = { column = "origin" }"#;

/// An example operator, built once.
pub(crate) fn operator(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let folder = root().join("examples/operators").join(name);
    let mut built = BUILT.lock().expect("no build panicked");
    if built.insert(name.to_owned()) && !folder.join("component.wasm").exists() {
        tidemill(["build".as_ref(), folder.as_os_str()]).ok();
    }
    folder
}

/// What a pipeline is made of.
pub(crate) struct Spec<'a> {
    /// Of `[pipeline]`, after the name.
    pub(crate) pipeline: &'a str,
    /// Of `[sources.in]`.
    pub(crate) source: &'a str,
    pub(crate) component: &'a Path,
    /// Of `[operators.op]`, after component and input.
    pub(crate) operator: &'a str,
    /// The operator's port.
    pub(crate) port: &'a str,
}

pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> World {
        World { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("written");
    }

    /// Writes `pipeline.toml`: source `in`, operator `op`, sink `out` to stream `test/out`.
    pub(crate) fn pipeline(&self, spec: &Spec<'_>) {
        let Spec { pipeline, source, component, operator, port } = spec;
        let component = component.display();
        self.write(
            "pipeline.toml",
            format!(
                "[pipeline]\nname = \"test\"\n{pipeline}\n\n[sources.in]\n{source}\n\n\
                 [operators.op]\ncomponent = \"{component}\"\ninput = \"in\"\n{operator}\n\n\
                 [sinks.out]\ninput = \"op.{port}\"\nstream = \"test/out\"\n"
            ),
        );
    }

    /// flight-stats over a CSV file.
    pub(crate) fn flight_stats(&self, file: &str, time: &str, key: &str, operator_lines: &str) {
        self.pipeline(&Spec {
            pipeline: "",
            source: &format!(
                "file = {{ path = \"{file}\", format = \"csv\" }}\n{time}\n{key}\nwatermark = {{ out_of_orderness = \"1d\" }}"
            ),
            component: &operator("flight-stats"),
            operator: operator_lines,
            port: "daily",
        });
    }

    pub(crate) fn run_command(&self) -> Command {
        let mut command = command(["run"]);
        command.arg(self.path("pipeline.toml")).arg("--data-dir").arg(self.data());
        command
    }

    pub(crate) fn run(&self) -> Done {
        Done::of(self.run_command())
    }

    /// The text of a run that fails: said once, and without the workings.
    #[track_caller]
    pub(crate) fn run_fails(&self) -> String {
        plain(self.run())
    }

    pub(crate) fn command(&self, args: &[&str]) -> Done {
        let mut command = command(args);
        command.arg("--data-dir").arg(self.data());
        Done::of(command)
    }

    /// The committed events of a stream.
    #[track_caller]
    pub(crate) fn cat(&self, stream: &str) -> Vec<Value> {
        self.command(&["stream", "cat", stream]).json_lines()
    }

    /// The values of a stream's committed events.
    #[track_caller]
    pub(crate) fn values(&self, stream: &str) -> Vec<Value> {
        self.cat(stream).into_iter().map(|mut event| event["value"].take()).collect()
    }
}

/// The error of a command that fails: exit code 1, nothing on stdout, said once, no panic, no `Debug` print.
#[track_caller]
pub(crate) fn plain(done: Done) -> String {
    let stderr = done.error();
    let stderr = format!("\n{stderr}");
    assert_eq!(stderr.matches("\nerror: ").count(), 1, "{stderr}");
    let (_, error) = stderr.split_once("\nerror: ").expect("an error");
    for word in ["panicked at", "RUST_BACKTRACE", "Some(", "Err(", "Kind::", "Error {"] {
        assert!(!stderr.contains(word), "{word}: {stderr}");
    }
    error.trim_end().to_owned()
}
