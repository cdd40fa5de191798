//! The uncompressed bytes of a file, plain or gzip (known by its magic bytes), through a window. The record reader walks
//! over it.
//!
//! Resuming: a plain file is sought to the offset; a gzip file cannot be, so that it is inflated again from its start and
//! the bytes before the offset are thrown away (about 1 s per GB of text). Files that must resume fast are better plain.

use super::position::{HEAD_BYTES, Identity};
use crate::connector::ConnectorError;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
/// Asked of the file at once, bytes.
const READ_BYTES: usize = 128 << 10;

/// Where the bytes come from.
enum Bytes {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<Counted>>>),
}

struct Counted {
    file: File,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(buf)?;
        self.read += n as u64;
        Ok(n)
    }
}

/// A window over the bytes: `available` is what is read and not yet consumed.
pub(super) struct Input {
    path: PathBuf,
    bytes: Bytes,
    length: u64,
    head: Vec<u8>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Uncompressed offset of `buffer[start]`.
    offset: u64,
    ended: bool,
}

impl Input {
    pub(super) fn open(path: &Path) -> Result<Input, ConnectorError> {
        let fail = |e: &std::io::Error| unreadable(path, e);
        let mut file = File::open(path).map_err(|e| fail(&e))?;
        let meta = file.metadata().map_err(|e| fail(&e))?;
        if meta.is_dir() {
            return Err(ConnectorError::Invalid(format!(
                "{} is a folder; name files, as in \"{0}/*.csv\"",
                path.display()
            )));
        }
        let mut head = Vec::with_capacity(HEAD_BYTES);
        (&mut file).take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(|e| fail(&e))?;
        file.seek(SeekFrom::Start(0)).map_err(|e| fail(&e))?;
        let bytes = if head.starts_with(&GZIP_MAGIC) {
            let file = BufReader::with_capacity(READ_BYTES, Counted { file, read: 0 });
            Bytes::Gzip(Box::new(MultiGzDecoder::new(file)))
        } else {
            Bytes::Plain(file)
        };
        Ok(Input {
            path: path.to_path_buf(),
            bytes,
            length: meta.len(),
            head,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
        })
    }

    /// The length and the first bytes of the file as it lies on disk.
    pub(super) fn raw(&self) -> (u64, &[u8]) {
        (self.length, &self.head)
    }

    pub(super) fn identity(&self) -> Identity {
        Identity::new(self.length, &self.head)
    }

    /// What is read and not yet consumed.
    #[inline]
    pub(super) fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Uncompressed offset of the first available byte.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    #[inline]
    pub(super) fn consume(&mut self, n: usize) {
        self.start += n;
        self.offset += n as u64;
    }

    /// Makes more available. False = there is no more.
    pub(super) fn fill(&mut self) -> Result<bool, ConnectorError> {
        if self.ended {
            return Ok(false);
        }
        if self.start > 0 && self.buffer.len() - self.end < READ_BYTES {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < READ_BYTES {
            let wanted = (self.end + READ_BYTES).max(self.buffer.len() * 2);
            self.buffer.resize(wanted, 0);
        }
        let free = &mut self.buffer[self.end..];
        let n = loop {
            let read = match &mut self.bytes {
                Bytes::Plain(file) => file.read(free),
                Bytes::Gzip(decoder) => decoder.read(free),
            };
            match read {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let n = n.map_err(|e| self.read_error(&e))?;
        self.end += n;
        self.ended = n == 0;
        Ok(n > 0)
    }

    /// Goes to an uncompressed offset at or after the current one.
    pub(super) fn skip_to(&mut self, offset: u64) -> Result<(), ConnectorError> {
        if let Bytes::Plain(file) = &mut self.bytes {
            if offset > self.length {
                return Err(self.ends_before(offset));
            }
            file.seek(SeekFrom::Start(offset)).map_err(|e| unreadable(&self.path, &e))?;
            (self.start, self.end, self.offset, self.ended) = (0, 0, offset, false);
            return Ok(());
        }
        while self.offset < offset {
            let wanted = usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
            let n = wanted.min(self.available().len());
            self.consume(n);
            if n < wanted && self.available().is_empty() && !self.fill()? {
                return Err(self.ends_before(offset));
            }
        }
        Ok(())
    }

    /// Bytes of the file as it lies on disk that are used up.
    pub(super) fn used_bytes(&self) -> u64 {
        match &self.bytes {
            Bytes::Plain(_) => self.offset,
            Bytes::Gzip(_) if self.ended && self.available().is_empty() => self.length,
            Bytes::Gzip(decoder) => {
                let file = decoder.get_ref();
                file.get_ref().read - file.buffer().len() as u64
            }
        }
    }

    fn ends_before(&self, offset: u64) -> ConnectorError {
        ConnectorError::Invalid(format!(
            "{} ends before byte {offset}, where the last run stood; put the old file back, or run under another pipeline name",
            self.path.display()
        ))
    }

    fn read_error(&self, error: &std::io::Error) -> ConnectorError {
        let Bytes::Gzip(decoder) = &self.bytes else { return unreadable(&self.path, error) };
        let (text_at, file_at) = (self.offset + self.available().len() as u64, decoder.get_ref().get_ref().read);
        let what = match error.kind() {
            ErrorKind::UnexpectedEof => "is cut off",
            ErrorKind::InvalidData | ErrorKind::InvalidInput => "is damaged",
            _ => return unreadable(&self.path, error),
        };
        ConnectorError::Invalid(format!(
            "{}: the gzip file {what} near its byte {file_at} (byte {text_at} of the text): {error}; copy it again and run \
             again: the run goes on from the last checkpoint",
            self.path.display()
        ))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConnectorError {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => ConnectorError::Invalid(format!("{path}: no such file; check the path")),
        ErrorKind::PermissionDenied => {
            ConnectorError::Invalid(format!("{path}: permission denied; let this user read the file"))
        }
        _ => ConnectorError::Unavailable(format!("{path}: reading failed: {error}")),
    }
}
