//! What cannot be tested on this machine is said by name: on stderr, and in the file that `cargo xtask test` names, which shows
//! at its end what was skipped and why.

use std::io::Write;

/// The file's name in the environment; xtask/src/test.rs sets it.
const VARIABLE: &str = "TIDEMILL_SKIPPED_TESTS";

/// Says that `what` was skipped.
pub(crate) fn skipped(what: &str, why: &str) {
    let line = format!("{what}: {}\n", why.split_whitespace().collect::<Vec<_>>().join(" "));
    eprint!("skipped: {line}");
    let Some(file) = std::env::var_os(VARIABLE).filter(|file| !file.is_empty()) else { return };
    // One write per line: other test programs may append at the same time.
    let appended = std::fs::OpenOptions::new().create(true).append(true).open(&file);
    appended.and_then(|mut file| file.write_all(line.as_bytes())).expect("the list of what was skipped");
}
