//! Runs the `tidemill` binary as a user does. The tests of the command line use it.
#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod running;

use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host lies in the root").to_owned()
}

/// A command that is ready to run.
pub(crate) fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(args).env_remove("RUST_LOG").env_remove("TIDEMILL_SETTINGS").stdin(Stdio::null());
    command
}

/// What it printed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    fn new(output: &Output) -> Done {
        Done {
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8(output.stdout.clone()).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(output.stderr.clone()).expect("UTF-8 on stderr"),
        }
    }

    /// What a command prints that is run to its end.
    pub(crate) fn of(mut command: Command) -> Done {
        Done::new(&command.output().expect("it starts"))
    }

    /// stdout of a command that succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// stdout of a command that succeeded, as one JSON value.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let stdout = self.ok();
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// stdout of a command that succeeded, as a JSON value per line.
    #[track_caller]
    pub(crate) fn json_lines(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// stderr of a command that failed, which says "error: " once, and leaves stdout empty.
    #[track_caller]
    pub(crate) fn error(self) -> String {
        assert_eq!(self.code, 1, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        assert_eq!(self.stdout, "");
        self.stderr
    }
}

/// Runs to the end.
pub(crate) fn tidemill<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Done {
    Done::new(&command(args).output().expect("tidemill starts"))
}

/// Runs to the end with this on stdin.
pub(crate) fn tidemill_with<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, stdin: &[u8]) -> Done {
    let mut child =
        command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    // A command that refuses to start reads nothing.
    if let Err(error) = child.stdin.take().expect("stdin").write_all(stdin) {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{error}");
    }
    Done::new(&child.wait_with_output().expect("an end"))
}

/// A data directory that goes with the test, and commands on it.
pub(crate) struct DataDir {
    folder: tempfile::TempDir,
    name: String,
}

impl DataDir {
    pub(crate) fn new() -> DataDir {
        DataDir { folder: tempfile::tempdir().expect("a temporary folder"), name: "data".into() }
    }

    /// One whose path is longer than a socket's address may be.
    pub(crate) fn long() -> DataDir {
        DataDir { name: "long-".repeat(40), ..DataDir::new() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    fn args<'a>(&self, args: &[&'a str]) -> Vec<std::borrow::Cow<'a, str>> {
        let data = self.path().to_string_lossy().into_owned();
        args.iter().map(|arg| (*arg).into()).chain(["--data-dir".into(), data.into()]).collect()
    }

    /// `tidemill ARGS --data-dir THIS`
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        tidemill(self.args(args).iter().map(AsRef::<str>::as_ref))
    }

    /// The same with this on stdin.
    pub(crate) fn run_with(&self, args: &[&str], stdin: &[u8]) -> Done {
        tidemill_with(self.args(args).iter().map(AsRef::<str>::as_ref), stdin)
    }

    /// The same, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command(self.args(args).iter().map(AsRef::<str>::as_ref))
    }
}
