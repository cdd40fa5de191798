//! Where a file reader stands, as the bytes that go into checkpoints. The reader gives and takes it.
//!
//! Layout, integers little-endian: version u8 = 1, then five u64: records read, line of the next record (from 1), its
//! offset in the uncompressed bytes, length of the file, h(first bytes of the file, at most 1 KiB).

use std::path::Path;
use tidemill_storage::hash::hash_key;

const VERSION: u8 = 1;
const BYTES: usize = 1 + 5 * 8;

/// So many bytes of the beginning stand for the file.
pub(super) const HEAD_BYTES: usize = 1_024;

/// Where the next record begins, and in which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FilePosition {
    pub(super) record: u64,
    pub(super) line: u64,
    pub(super) offset: u64,
    pub(super) file: Identity,
}

/// What a file was like when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) length: u64,
    pub(super) head: u64,
}

impl Identity {
    /// Of a file of this length that begins with `head`.
    pub(super) fn new(length: u64, head: &[u8]) -> Identity {
        let take = HEAD_BYTES.min(head.len()).min(usize::try_from(length).unwrap_or(usize::MAX));
        Identity { length, head: hash_key(&head[..take]) }
    }
}

impl FilePosition {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(VERSION);
        for number in [self.record, self.line, self.offset, self.file.length, self.file.head] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<FilePosition, String> {
        let bad = |why: &str| format!("the stored position of {} {why}", path.display());
        match bytes.first() {
            Some(&VERSION) if bytes.len() == BYTES => {}
            Some(&VERSION) | None => return Err(bad("is cut off: the checkpoint is damaged")),
            Some(other) => {
                return Err(bad(&format!("is of version {other}: run the Tidemill that wrote it, or a newer one")));
            }
        }
        let mut numbers = bytes[1..].chunks_exact(8).map(|c| {
            let mut number = [0; 8];
            number.copy_from_slice(c);
            u64::from_le_bytes(number)
        });
        let mut next = || numbers.next().unwrap_or_default();
        let (record, line, offset) = (next(), next(), next());
        Ok(FilePosition { record, line, offset, file: Identity { length: next(), head: next() } })
    }

    /// Whether the file of now (`length`, beginning with `head`) can be the one of then. It may have grown: more lines at
    /// the end, or a copy that was cut off and is whole now.
    pub(super) fn check(&self, length: u64, head: &[u8], path: &Path) -> Result<(), String> {
        let same_beginning = length >= self.file.length && Identity::new(self.file.length, head).head == self.file.head;
        if same_beginning {
            return Ok(());
        }
        Err(format!(
            "{} is not the file that was read up to line {}: {}; put the old file back, or run under another pipeline name",
            path.display(),
            self.line,
            if length < self.file.length {
                format!("it is shorter ({length} bytes, {} then)", self.file.length)
            } else {
                "it begins differently".to_string()
            }
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_and_damage_is_told() {
        let file = Identity::new(3, b"abc");
        let position = FilePosition { record: 1, line: 2, offset: 3, file };
        let bytes = position.encode();
        let path = Path::new("x.csv");
        assert_eq!(FilePosition::decode(&bytes, path), Ok(position));
        for cut in 0..bytes.len() {
            let error = FilePosition::decode(&bytes[..cut], path).unwrap_err();
            assert_eq!(error, "the stored position of x.csv is cut off: the checkpoint is damaged");
        }
        let mut newer = bytes;
        newer[0] = 9;
        assert!(FilePosition::decode(&newer, path).unwrap_err().contains("is of version 9"));
    }

    #[test]
    fn a_file_may_grow_but_neither_shrink_nor_change() {
        let position = FilePosition { record: 1, line: 2, offset: 3, file: Identity::new(3, b"abc") };
        let path = Path::new("x.csv");
        assert_eq!(position.check(3, b"abc", path), Ok(()));
        assert_eq!(position.check(5, b"abcde", path), Ok(()));
        assert!(position.check(2, b"ab", path).unwrap_err().contains("it is shorter (2 bytes, 3 then)"));
        assert!(position.check(3, b"abd", path).unwrap_err().contains("it begins differently"));
    }
}
