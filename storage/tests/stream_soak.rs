//! The soak of the streams for some seconds: eight writers, four readers, scaling, truncation and retention in a process that is killed
//! again and again. `cargo xtask stream-soak` runs the same code for long.

#[path = "../examples/stream_soak/soak/mod.rs"]
mod soak;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

const NAME: &str = "what_is_read_is_what_was_acknowledged_while_processes_are_killed";
/// Tells this program that it is the one to be killed, and its data directory.
const CHILD: &str = "TIDEMILL_STREAM_SOAK_CHILD";

#[test]
fn what_is_read_is_what_was_acknowledged_while_processes_are_killed() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return soak::child(Path::new(&folder)).unwrap();
    }
    let options = soak::Options {
        child: Box::new(|folder| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args([NAME, "--exact", "--nocapture"]).env(CHILD, folder);
            command
        }),
        length: Duration::from_secs(8),
        round: (Duration::from_millis(300), Duration::from_millis(2_000)),
        seed: 20_261_125,
        say: |line| eprintln!("{line}"),
    };
    match soak::run(&options) {
        Ok(summary) => assert!(summary.starts_with("stream-soak ok: seed 20261125, "), "{summary}"),
        Err(error) => panic!("{error:#}"),
    }
}
