//! A small disk of its own: a file system in memory, mounted for one test. That takes root; without, the test says so and
//! does nothing.

#[path = "skipped.rs"]
mod skipped;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// None = nothing can be mounted here; said in the name of the test.
    pub(crate) fn mount(test: &str, bytes: u64) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=700"), "tidemill-test"]).arg(folder.path());
        if mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Some(SmallDisk { folder });
        }
        skipped::skipped(test, "no file system can be mounted here (that takes root)");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Fills it until at most so many bytes are free.
    pub(crate) fn fill_up_to(&self, leave: u64) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.ballast()).expect("ballast");
        let block = [0; 4_096];
        while leave == 0 || tidemill_storage::free_bytes(self.path()).expect("a disk") > leave {
            match file.write_all(&block) {
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                written => written.expect("ballast"),
            }
        }
    }

    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
