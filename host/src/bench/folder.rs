//! Where a benchmark's data lie: a folder whose file system is a disk. A file system in memory makes every durable figure
//! worthless, so one is never taken unasked, and named when it is asked for.

use super::error::BenchError;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder that the user named, or the first of the usual places that lies on a disk.
pub fn choose(named: Option<&Path>) -> Result<PathBuf, BenchError> {
    let usable = |path: &Path| path.is_dir().then(|| fs::canonicalize(path).ok()).flatten();
    if let Some(path) = named {
        return usable(path)
            .ok_or_else(|| BenchError::Invalid(format!("{} is no folder: make it first", path.display())));
    }
    let places = [std::env::temp_dir(), PathBuf::from("/var/tmp"), PathBuf::from(".")];
    let mut places = places.iter().filter_map(|path| usable(path));
    places.find(|path| !is_in_memory(&file_system(path))).ok_or_else(|| {
        BenchError::Invalid(
            "the temporary folders and this one lie in memory: name a folder on a disk with --dir".into(),
        )
    })
}

/// The type of the file system that holds a path, as the kernel names it; `unknown` where it does not tell.
pub(super) fn file_system(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    type_of(&mounts, &path).unwrap_or_else(|| "unknown".into())
}

/// Whether a crash of the machine loses what it holds.
pub(super) fn is_in_memory(file_system: &str) -> bool {
    matches!(file_system, "tmpfs" | "ramfs")
}

/// The type of the mount with the longest path above; of several on one path the last covers the others.
fn type_of(mounts: &str, path: &Path) -> Option<String> {
    let mount = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (unescape(words.next()?), words.next()?.to_owned());
        path.starts_with(&at).then_some((at.components().count(), kind))
    };
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// The kernel writes spaces and the like as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let digits = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match digits {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out.into()
}

/// Bytes of all files below a folder. Files that go while it is walked do not count.
pub(super) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "proc /proc proc rw 0 0\n/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n\
                          /dev/sdb /tmp/big\\040disk xfs rw 0 0\ntmpfs /twice tmpfs rw 0 0\n/dev/sdc /twice btrfs rw 0 0\n";

    #[test]
    fn the_innermost_mount_decides() {
        for (path, kind) in [
            ("/home/me", "ext4"),
            ("/tmp/x", "tmpfs"),
            ("/tmpfoo", "ext4"),
            ("/tmp/big disk/data", "xfs"),
            ("/twice/a", "btrfs"),
        ] {
            assert_eq!(type_of(MOUNTS, Path::new(path)).as_deref(), Some(kind), "{path}");
        }
        assert_eq!(type_of("nonsense\n", Path::new("/")), None);
        assert!(is_in_memory("tmpfs") && !is_in_memory("ext4"));
    }

    #[test]
    fn a_named_folder_must_be_there() {
        let error = choose(Some(Path::new("/nonexistent/folder"))).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/folder is no folder: make it first");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), [0; 10]).unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("b/c"), [0; 5]).unwrap();
        assert_eq!(bytes_below(&choose(Some(folder.path())).unwrap()), 15);
    }
}
