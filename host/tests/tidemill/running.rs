//! A `tidemill run` in the background of a test, over pipelines that never end by themselves.

use super::{DataDir, Done};
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// A live pipeline: what is appended to `NAME/in` comes out in `NAME/out`.
pub(crate) fn live(data: &DataDir, name: &str) -> PathBuf {
    data.run(&["stream", "create", &format!("{name}/in")]).ok();
    let file = data.path().with_file_name(format!("{name}.toml"));
    let toml = format!(
        "[pipeline]\nname = \"{name}\"\nmin_commit_interval = \"10ms\"\n\n[sources.lines]\nstream = \"{name}/in\"\n\n\
         [sinks.out]\ninput = \"lines\"\nstream = \"{name}/out\"\n"
    );
    std::fs::write(&file, toml).expect("written");
    file
}

/// A `tidemill run`; killed when the test ends before it.
pub(crate) struct Running<'a> {
    data: &'a DataDir,
    child: Option<Child>,
}

impl Running<'_> {
    /// Starts it and waits until all its pipelines run.
    pub(crate) fn start<'a>(data: &'a DataDir, files: &[&str], more: &[&str]) -> Running<'a> {
        let mut command = data.command(&[&["run"], files, more].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut running = Running { data, child: Some(child) };
        running.wait_until(|| {
            let socket = data.path().join("control.sock");
            let there = match UnixStream::connect(&socket) {
                Ok(_) => true,
                Err(error) if error.kind() == ErrorKind::InvalidInput => socket.exists(), // too long for this way
                Err(_) => false, // not yet, or left by a killed owner
            };
            let list = if there { data.run(&["ls", "--json"]).json() } else { serde_json::json!([]) };
            list.as_array().expect("a list").iter().filter(|pipeline| pipeline["state"] == "running").count()
                == files.len()
        });
        running
    }

    /// Looks again and again, for as long as it lives.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, mut is_so: impl FnMut() -> bool) {
        while !is_so() {
            let child = self.child.as_mut().expect("it runs");
            assert_eq!(child.try_wait().expect("asked"), None, "it ended");
            std::thread::yield_now();
        }
    }

    /// Waits until a stream has so many events.
    #[track_caller]
    pub(crate) fn wait_for_events(&mut self, stream: &str, events: u64) {
        let data = self.data;
        self.wait_until(|| {
            let streams = data.run(&["stream", "list", "--json"]).json();
            let stream = streams.as_array().expect("a list").iter().find(|found| found["name"] == stream);
            stream.and_then(|stream| stream["events"].as_u64()) == Some(events)
        });
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Done {
        Done::new(&self.child.take().expect("it runs").wait_with_output().expect("an end"))
    }

    /// As `kill -9` does.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("an end");
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The test has failed already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
