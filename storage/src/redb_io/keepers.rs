//! Rows kept beside the events of streams, one after the other and each by itself: for the check.

use super::RedbSnapshot;
use crate::codec::{decode_file_key, decode_row, decode_text_key};
use crate::error::{Error, Result};
use crate::ids::StreamId;
use crate::row::{RetentionRow, SubscriberRow, WriterRow};
use crate::schema::{self, BytesTable};
use crate::stream::StreamPolicy;

/// The tables.
pub(crate) const KEEPERS: [BytesTable; 5] =
    [schema::WRITERS, schema::POLICIES, schema::RETENTION_CUTS, schema::SUBSCRIBERS, schema::MARKERS];

/// A row of one of them, or why it cannot be read.
pub(crate) enum Keeper {
    Writer(StreamId, String, Result<WriterRow>),
    Policy(StreamId, Result<StreamPolicy>),
    Retention(StreamId, u64, Result<RetentionRow>),
    Subscriber(StreamId, String, Result<SubscriberRow>),
    Marker(Result<Vec<u8>>),
}

fn keeper(table: BytesTable, key: &[u8], value: &[u8]) -> Result<Keeper> {
    use redb::TableHandle;
    let stream = || decode_file_key(key.get(..8).unwrap_or(key)).map(StreamId);
    let rest = key.get(8..).unwrap_or_default();
    let name = |bytes| decode_text_key(bytes).map(str::to_string);
    Ok(match table.name() {
        name_of if name_of == schema::WRITERS.name() => {
            let (stream, writer) = (stream()?, name(rest)?);
            let row = decode_row(value, || format!("writer {writer} of stream {stream}"));
            Keeper::Writer(stream, writer, row)
        }
        name_of if name_of == schema::POLICIES.name() => {
            let stream = stream()?;
            Keeper::Policy(stream, decode_row(value, || format!("the policy of stream {stream}")))
        }
        name_of if name_of == schema::RETENTION_CUTS.name() => {
            let (stream, number) = (stream()?, decode_file_key(rest)?);
            let row = decode_row(value, || format!("retention cut {number} of stream {stream}"));
            Keeper::Retention(stream, number, row)
        }
        name_of if name_of == schema::SUBSCRIBERS.name() => {
            let (stream, subscriber) = (stream()?, name(rest)?);
            let row = decode_row(value, || format!("subscriber {subscriber} of stream {stream}"));
            Keeper::Subscriber(stream, subscriber, row)
        }
        _ => {
            let marker = name(key)?;
            Keeper::Marker(decode_row(value, || format!("marker {marker}")))
        }
    })
}

impl RedbSnapshot {
    /// Rows of a table from a key on, at most `limit`, and the key to go on from. A key that cannot be read is an error of the whole: keys
    /// are the database's own.
    pub(crate) fn keepers(
        &self,
        table: BytesTable,
        from: &[u8],
        limit: usize,
    ) -> Result<(Vec<Keeper>, Option<Vec<u8>>)> {
        let (mut out, mut next) = (Vec::new(), None);
        self.scan(table, from, None, |(key, value)| {
            if out.len() == limit {
                next = Some(key.to_vec());
                return Ok(false);
            }
            out.push(keeper(table, key, value).map_err(|e| Error::corrupt(format!("a row's key: {e}")))?);
            Ok(true)
        })?;
        Ok((out, next))
    }
}
