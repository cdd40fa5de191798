//! Where the control socket is: a path that fits into a socket address, whatever the data directory is called. The server
//! binds it, the client connects to it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The socket's name in the data directory.
pub(crate) const SOCKET_FILE: &str = "control.sock";
/// The name that it has until it is ready.
pub(crate) const SOCKET_FILE_NEW: &str = "control.sock.new";

/// Bytes that a socket's path may have on every system (macOS: 104 with the final zero, Linux: 108).
const PATH_MAX: usize = 103;

/// A path to a file of a folder that a socket address takes, for as long as this lives.
pub(crate) struct Address {
    path: PathBuf,
    _folder: Option<File>,
}

impl Address {
    /// Of a file in a folder that is there.
    pub(crate) fn new(folder: &Path, file: &str) -> io::Result<Address> {
        let path = folder.join(file);
        if path.as_os_str().len() <= PATH_MAX {
            return Ok(Address { path, _folder: None });
        }
        Address::through_descriptor(folder, file)
    }

    /// Linux names open folders: a short way to a long path.
    #[cfg(target_os = "linux")]
    fn through_descriptor(folder: &Path, file: &str) -> io::Result<Address> {
        use std::os::fd::AsRawFd;
        let open = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd())).join(file);
        Ok(Address { path, _folder: Some(open) })
    }

    #[cfg(not(target_os = "linux"))]
    fn through_descriptor(folder: &Path, _file: &str) -> io::Result<Address> {
        let what = format!("{} is longer than a socket's path may be: use a shorter data directory", folder.display());
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }

    /// The path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
