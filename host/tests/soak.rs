//! The soak for some seconds: three pipelines, appends and open cursors through the socket, kill -9, a disk that fills and
//! empties. `cargo xtask soak` runs the same code for half an hour.

#[path = "../../xtask/src/soak/mod.rs"]
mod soak;

use soak::Options;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[test]
fn nothing_is_lost_or_doubled_while_owners_are_killed_and_the_disk_fills_up() {
    let options = Options {
        tidemill: PathBuf::from(env!("CARGO_BIN_EXE_tidemill")),
        root: Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host lies in the root").to_owned(),
        length: Duration::from_secs(8),
        round: (Duration::from_millis(300), Duration::from_millis(2_500)),
        seed: 20_261_125,
        say: |line| eprintln!("{line}"),
    };
    match soak::run(&options) {
        Ok(summary) => assert!(summary.starts_with("soak ok: seed 20261125, "), "{summary}"),
        Err(error) => panic!("{error:#}"),
    }
}
