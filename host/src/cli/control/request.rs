//! The first frame of a connection: which versions the client has, what it wants done and how it prints. The client makes
//! it, the owner reads it, the versions before all else.

use crate::cli::args::DataCommand;
use serde::{Deserialize, Serialize};

/// The version of everything behind the frame layout.
pub(crate) const PROTOCOL: u32 = 1;
/// The program's.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A command for the owner. Commands are those of one program version: another one may know others.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) protocol: u32,
    pub(crate) version: String,
    pub(crate) json: bool,
    /// The client's stdout is a terminal.
    pub(crate) terminal: bool,
    pub(crate) command: DataCommand,
}

/// What every version's request has.
#[derive(Deserialize)]
struct Versions {
    protocol: u32,
    version: String,
}

impl Request {
    /// This program's.
    pub(crate) fn new(command: DataCommand, json: bool, terminal: bool) -> Request {
        Request { protocol: PROTOCOL, version: VERSION.into(), json, terminal, command }
    }

    /// Reads one; the error is for the client.
    pub(crate) fn parse(payload: &[u8]) -> Result<Request, String> {
        let malformed = |error| format!("not a request of tidemill: {error}");
        let versions: Versions = serde_json::from_slice(payload).map_err(malformed)?;
        if (versions.protocol, versions.version.as_str()) != (PROTOCOL, VERSION) {
            return Err(format!(
                "the data directory is in use by tidemill {VERSION} (control protocol {PROTOCOL}), this is tidemill {} (control protocol {}): use the same version, or stop that process first",
                versions.version, versions.protocol
            ));
        }
        serde_json::from_slice(payload).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::DataDir;

    #[test]
    fn a_request_comes_back_and_another_version_is_refused_by_name() {
        let request = Request::new(DataCommand::Ls(DataDir { data_dir: "d".into() }), true, false);
        let text = serde_json::to_string(&request).unwrap();
        let read = Request::parse(text.as_bytes()).unwrap();
        assert!(read.json && !read.terminal && matches!(read.command, DataCommand::Ls(_)));
        let error = Request::parse(br#"{"protocol": 9, "version": "7.0.0", "command": {"Dance": 1}}"#).unwrap_err();
        assert!(error.contains("tidemill 7.0.0 (control protocol 9)") && error.contains(VERSION), "{error}");
        for wrong in [&b"nonsense"[..], b"{}", br#"{"protocol":1,"version":"0.1.0"}"#] {
            assert!(Request::parse(wrong).unwrap_err().contains("not a request of tidemill"));
        }
    }
}
