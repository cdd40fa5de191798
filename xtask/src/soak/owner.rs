//! The `tidemill run` of a round: started over whatever the last one left, killed or ended in good order. `rounds.rs` drives
//! it.

use super::world::World;
use anyhow::{Context, Result, bail};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time until it listens.
const START_TIME: Duration = Duration::from_secs(60);
/// Longest time to an end in good order.
const END_TIME: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) struct Owner {
    child: Child,
}

impl Owner {
    /// Starts it and waits until it answers.
    pub(super) fn start(world: &World) -> Result<Owner> {
        let files = ["counts.toml", "hop.toml", "rows.toml"].map(|name| world.path(name).display().to_string());
        let mut command = world.command(&["run", &files[0], &files[1], &files[2]]);
        let child = command.stdout(Stdio::null()).stderr(world.log()?).spawn().context("cannot start tidemill run")?;
        let mut owner = Owner { child };
        let started = Instant::now();
        loop {
            owner.is_alive(world)?;
            // A socket that is there may be a killed owner's; then a command would open the store itself, in the way of ours.
            if UnixStream::connect(world.data().join("control.sock")).is_ok() {
                let ls = world.command(&["ls", "--json"]).output().context("cannot start tidemill ls")?;
                let answer: serde_json::Value = serde_json::from_slice(&ls.stdout).unwrap_or_default();
                let running = |state: &serde_json::Value| {
                    matches!(
                        state["state"].as_str(),
                        Some("running" | "waiting for disk space" | "starting" | "draining")
                    )
                };
                if answer.as_array().is_some_and(|all| all.iter().any(running)) {
                    world.set_owner(Some(owner.child.id()));
                    return Ok(owner);
                }
            }
            if started.elapsed() > START_TIME {
                bail!("tidemill run does not answer after {} s", START_TIME.as_secs());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// It must not end by itself.
    pub(super) fn is_alive(&mut self, world: &World) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("the owner got lost")? {
            let log = world.logged()?;
            let last: Vec<&str> = log.lines().rev().take(8).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            bail!("tidemill run ended by itself ({status}):\n{}", last.join("\n"));
        }
        Ok(())
    }

    /// As `kill -9` does.
    pub(super) fn kill(mut self, world: &World) -> Result<()> {
        world.set_owner(None);
        self.child.kill().context("cannot kill the owner")?;
        self.child.wait().context("the owner got lost")?;
        Ok(())
    }

    /// Stops it at a checkpoint.
    pub(super) fn stop(mut self, world: &World) -> Result<()> {
        world.set_owner(None);
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().context("cannot run kill")?;
        if !asked.success() {
            bail!("cannot ask process {id} to stop");
        }
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("the owner got lost")? {
                if !status.success() {
                    bail!("tidemill run was asked to stop and failed ({status}):\n{}", world.logged()?);
                }
                return Ok(());
            }
            if since.elapsed() > END_TIME {
                bail!("tidemill run was asked to stop and did not within {} s", END_TIME.as_secs());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // After a violation; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
