//! Egresses: readers of committed streams.
use tidemill_storage::StreamName;

/// The internal stream that an egress reads.
pub fn egress_stream(pipeline: &str, sink: &str) -> Result<StreamName, tidemill_storage::Error> {
    StreamName::new(format!("{pipeline}/{sink}.egress"))
}
