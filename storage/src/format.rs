//! The format of a store: made with it, checked before anything else is touched, and brought up to date. `shared.rs`
//! calls this on every opening; the names are `schema.rs`'s.

use crate::codec::{decode_row, encode_row};
use crate::error::{Error, Result};
use crate::hash::HASH_NAME;
use crate::ids::{Generation, StreamName};
use crate::redb_io::{begin_write, read_error, write_error};
use crate::row::{SegmentRange, StreamRow};
use crate::schema;
use crate::stream::StreamState;
use crate::time::EventTime;
use redb::{Database, ReadTransaction, ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

/// Checks that this program may use the store; gives its format.
pub(crate) fn check_format(txn: &ReadTransaction) -> Result<u32> {
    let table = match txn.open_table(schema::META) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => {
            return Err(Error::refused("this redb file is not one of tidemill's: use another --data-dir"));
        }
        Err(e) => return Err(read_error(e)),
    };
    let get = |key| Ok::<_, Error>(table.get(key).map_err(read_error)?.map(|g| g.value().to_vec()));
    let version = get(schema::META_FORMAT)?.and_then(|v| v.first_chunk::<4>().map(|v| u32::from_le_bytes(*v)));
    let version = match version {
        Some(version) if is_known(version) => version,
        Some(version) => return Err(newer_format(version)),
        None => return Err(Error::corrupt("meta: the format version is missing; restore a backup")),
    };
    match get(schema::META_HASH)? {
        Some(name) if name == HASH_NAME.as_bytes() => Ok(version),
        Some(name) => Err(Error::refused(format!(
            "keys were routed by hash {}, this program knows {HASH_NAME}: use the program that wrote the data",
            String::from_utf8_lossy(&name)
        ))),
        None => Err(Error::corrupt("meta: the hash name is missing; restore a backup")),
    }
}

/// Whether this program can open it, as it is or after [`upgrade`].
pub(crate) fn is_known(version: u32) -> bool {
    (schema::FORMAT_VERSION_OLDEST..=schema::FORMAT_VERSION).contains(&version)
}

/// The refusal of another format.
pub(crate) fn newer_format(version: u32) -> Error {
    Error::refused(format!(
        "the data has format {version}, this program knows format {}: use a newer tidemill, nothing was changed",
        schema::FORMAT_VERSION
    ))
}

/// Makes the tables of an empty store.
pub(crate) fn initialise(db: &Database) -> Result<()> {
    let txn = begin_write(db)?;
    {
        let mut meta = txn.open_table(schema::META).map_err(write_error)?;
        let id = [(); 2].map(|()| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0).to_le_bytes());
        let entries: [(&str, &[u8]); 6] = [
            (schema::META_FORMAT, &schema::FORMAT_VERSION.to_le_bytes()),
            (schema::META_HASH, HASH_NAME.as_bytes()),
            (schema::META_DIRECTORY_ID, id.as_flattened()),
            (schema::META_NEXT_STREAM, &1u64.to_le_bytes()),
            (schema::META_NEXT_BLOB, &1u64.to_le_bytes()),
            (schema::META_NEXT_FILE, &1u64.to_le_bytes()),
        ];
        for (key, value) in entries {
            meta.insert(key, value).map_err(write_error)?;
        }
        for table in schema::ALL {
            txn.open_table(table).map_err(write_error)?;
        }
    }
    txn.commit().map_err(write_error)
}

/// Brings a store of an older format to this one, in one transaction.
pub(crate) fn upgrade(db: &Database, from: u32) -> Result<()> {
    let txn = begin_write(db)?;
    if from < 3 {
        streams_of_format_2(&txn)?;
    }
    {
        let mut meta = txn.open_table(schema::META).map_err(write_error)?;
        if from < 2 {
            meta.insert(schema::META_NEXT_FILE, &1u64.to_le_bytes()[..]).map_err(write_error)?;
        }
        meta.insert(schema::META_FORMAT, &schema::FORMAT_VERSION.to_le_bytes()[..]).map_err(write_error)?;
        for table in schema::ALL {
            txn.open_table(table).map_err(write_error)?;
        }
    }
    txn.commit().map_err(write_error)
}

/// A row of `streams` in formats 1 and 2, where streams had one set of segments for life.
#[derive(Serialize, Deserialize)]
struct StreamRow2 {
    name: StreamName,
    generation: Generation,
    created_at_ms: i64,
    watermark: Option<EventTime>,
    segments: Vec<SegmentRange>,
}

/// A row that cannot be read stays as it is: `check` and whoever needs the stream name the damage.
fn streams_of_format_2(txn: &WriteTransaction) -> Result<()> {
    let mut table = txn.open_table(schema::STREAMS).map_err(write_error)?;
    let mut rows = Vec::new();
    for item in table.iter().map_err(read_error)? {
        let (key, value) = item.map_err(read_error)?;
        let Ok(StreamRow2 { name, generation, created_at_ms, watermark, segments }) =
            decode_row(value.value(), || "the row of a stream".into())
        else {
            continue;
        };
        let next_segment = segments.len() as u32;
        let state = StreamState::Active;
        let row = StreamRow { name, generation, created_at_ms, watermark, state, epoch: 0, next_segment, segments };
        rows.push((key.value().to_vec(), encode_row(&row)?));
    }
    for (key, row) in rows {
        table.insert(&key[..], &row[..]).map_err(write_error)?;
    }
    Ok(())
}
