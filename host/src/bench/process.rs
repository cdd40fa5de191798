//! Runs of the own executable as processes: what a user starts, what `kill -9` ends, and what the kernel says of its
//! memory. Workloads start them; how far they are, their control socket tells.

use super::error::{BenchError, io};
use super::pipelines::Spec;
use crate::clock::Clock;
use crate::config::settings::SETTINGS_VARIABLE;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longer is a fault, whatever is measured.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A committed epoch of a pipeline, as `tidemill checkpoint list` tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The run that committed it.
    pub incarnation: u64,
    /// Events read from all sources so far.
    pub events_read: u64,
    /// Events of output in this epoch.
    pub output_events: u64,
}

/// The program that runs the benchmark, as it can be started again.
pub trait Program {
    /// Its executable.
    fn executable(&self) -> &Path;
    /// The retained checkpoints of a pipeline, newest first, from the process that owns the data directory; none while
    /// nobody answers.
    fn checkpoints(&self, data_dir: &Path, pipeline: &str) -> Vec<Committed>;
    /// Whether the user wants the end.
    fn is_interrupted(&self) -> bool;
}

/// A `tidemill run`; killed when this is dropped.
pub(super) struct Process<'a> {
    program: &'a dyn Program,
    clock: &'a Clock,
    child: Child,
    started: Duration,
    data_dir: PathBuf,
    pipeline: String,
    log: PathBuf,
}

impl Process<'_> {
    /// Starts it.
    pub(super) fn start<'a>(
        program: &'a dyn Program,
        clock: &'a Clock,
        spec: &Spec,
        folder: &Path,
        data_dir: &Path,
    ) -> Result<Process<'a>, BenchError> {
        let file = spec.write(folder)?;
        let log = folder.join("process.log");
        let stderr = File::create(&log).map_err(io(format!("writing {}", log.display())))?;
        let mut command = Command::new(program.executable());
        command.arg("run").arg(file).args(["--workers", "1", "--data-dir"]).arg(data_dir);
        command.env_remove(SETTINGS_VARIABLE).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let started = clock.elapsed();
        let child = command.spawn().map_err(io(format!("starting {}", program.executable().display())))?;
        let (data_dir, pipeline) = (data_dir.to_owned(), spec.name.clone());
        Ok(Process { program, clock, child, started, data_dir, pipeline, log })
    }

    /// Waits until a committed epoch is as it should be; gives it and the time since the process was started.
    pub(super) fn wait_for(
        &mut self,
        what: &str,
        is_it: impl Fn(&Committed) -> bool,
    ) -> Result<(Committed, Duration), BenchError> {
        loop {
            let checkpoints = self.program.checkpoints(&self.data_dir, &self.pipeline);
            let since = self.clock.elapsed() - self.started;
            if let Some(found) = checkpoints.into_iter().find(|committed| is_it(committed)) {
                return Ok((found, since));
            }
            let ended = self.child.try_wait().map_err(io("asking for the end of a process"))?;
            if ended.is_some() || since > PATIENCE {
                let said = std::fs::read_to_string(&self.log).unwrap_or_default();
                let how = ended.map_or("goes on for ever".into(), |status| format!("ended ({status})"));
                return Err(BenchError::Wrong(format!(
                    "the process of pipeline {} {how} before {what}; it said:\n{said}",
                    self.pipeline
                )));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// As `kill -9` does.
    pub(super) fn kill(mut self) -> Result<(), BenchError> {
        self.child.kill().and_then(|()| self.child.wait()).map(drop).map_err(io("killing a process"))
    }

    /// Stops it at a checkpoint.
    pub(super) fn stop(mut self) -> Result<(), BenchError> {
        let mut command = Command::new(self.program.executable());
        command.args(["stop", &self.pipeline, "--data-dir"]).arg(&self.data_dir);
        let done = command.stdin(Stdio::null()).output().map_err(io("stopping a process"))?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            return Err(BenchError::Wrong(format!("pipeline {} does not stop: {said}", self.pipeline)));
        }
        self.child.wait().map(drop).map_err(io("waiting for a process"))
    }

    /// Its memory.
    pub(super) fn memory(&self) -> Result<Memory, BenchError> {
        Memory::read(&self.child.id().to_string())
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        // After `kill` or `stop` there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Memory of a process, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// Resident now.
    pub(super) resident: u64,
    /// The most that was ever resident.
    pub(super) peak: u64,
}

impl Memory {
    /// Of this process.
    pub(super) fn own() -> Result<Memory, BenchError> {
        Memory::read("self")
    }

    fn read(process: &str) -> Result<Memory, BenchError> {
        let path = format!("/proc/{process}/status");
        let text =
            std::fs::read_to_string(&path).map_err(io(format!("reading {path} (memory is measured on Linux)")))?;
        Memory::parse(&text).ok_or_else(|| BenchError::Wrong(format!("{path} does not tell the memory in use")))
    }

    fn parse(status: &str) -> Option<Memory> {
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        };
        Some(Memory { resident: kib("VmRSS")? << 10, peak: kib("VmHWM")? << 10 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let status = "Name:\ttidemill\nVmPeak:\t  900 kB\nVmHWM:\t   20 kB\nVmRSS:\t    8 kB\nThreads:\t1\n";
        assert_eq!(Memory::parse(status), Some(Memory { resident: 8 << 10, peak: 20 << 10 }));
        assert_eq!(Memory::parse("Name:\tkthreadd\n"), None);
        let own = Memory::own().unwrap();
        assert!(own.resident > 0 && own.resident <= own.peak);
    }
}
