//! The format of a store: made with it, checked before anything else is touched, and brought up to date. `shared.rs`
//! calls this on every opening; the names are `schema.rs`'s.

use crate::codec::{decode_row, encode_row, manifest_key_pipeline, text_key};
use crate::error::{Error, Kind, Result};
use crate::hash::HASH_NAME;
use crate::ids::Epoch;
use crate::manifest::{BlobEntry, Manifest};
use crate::redb_io::{begin_write, read_error, write_error};
use crate::row::{PipelineRow, StreamRow, before_3};
use crate::schema;
use crate::stream::StreamState;
use redb::{Database, ReadTransaction, ReadableTable, WriteTransaction};

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
        let entries: [(&str, &[u8]); 9] = [
            (schema::META_FORMAT, &schema::FORMAT_VERSION.to_le_bytes()),
            (schema::META_HASH, HASH_NAME.as_bytes()),
            (schema::META_DIRECTORY_ID, id.as_flattened()),
            (schema::META_NEXT_STREAM, &1u64.to_le_bytes()),
            (schema::META_NEXT_BLOB, &1u64.to_le_bytes()),
            (schema::META_NEXT_FILE, &1u64.to_le_bytes()),
            (schema::META_NEXT_SCOPED, &1u64.to_le_bytes()),
            (schema::META_NEXT_TRANSACTION, &1u64.to_le_bytes()),
            (schema::META_STAGED_BYTES, &0u64.to_le_bytes()),
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

/// Brings a store of an older format to this one, in one transaction: either all of it is done or nothing is changed.
pub(crate) fn upgrade(db: &Database, from: u32) -> Result<()> {
    let txn = begin_write(db)?;
    for table in schema::ALL {
        txn.open_table(table).map_err(write_error)?;
    }
    if from < 2 {
        put_meta(&txn, schema::META_NEXT_FILE, &1u64.to_le_bytes())?;
    }
    if from < 3 {
        rewrite(&txn, schema::MANIFESTS, |key, row| manifest_of_2(&txn, key, row))?;
        rewrite(&txn, schema::PIPELINES, pipeline_of_2)?;
        rewrite(&txn, schema::STREAMS, stream_of_2)?;
        put_meta(&txn, schema::META_NEXT_SCOPED, &1u64.to_le_bytes())?;
        put_meta(&txn, schema::META_NEXT_TRANSACTION, &1u64.to_le_bytes())?;
        put_meta(&txn, schema::META_STAGED_BYTES, &0u64.to_le_bytes())?;
    }
    put_meta(&txn, schema::META_FORMAT, &schema::FORMAT_VERSION.to_le_bytes())?;
    txn.commit().map_err(write_error)
}

fn put_meta(txn: &WriteTransaction, key: &str, value: &[u8]) -> Result<()> {
    let mut meta = txn.open_table(schema::META).map_err(write_error)?;
    meta.insert(key, value).map_err(write_error)?;
    Ok(())
}

/// Gives every row of a table its new form. Tables whose rows change are small: rows, not events.
fn rewrite(
    txn: &WriteTransaction,
    table: schema::BytesTable,
    new: impl Fn(&[u8], &[u8]) -> Result<Vec<u8>>,
) -> Result<()> {
    let mut table = txn.open_table(table).map_err(write_error)?;
    let mut rows = Vec::new();
    for item in table.iter().map_err(read_error)? {
        let (key, row) = item.map_err(read_error)?;
        // A damaged row stays as it is, to be named when it is read: it must not keep the rest from being opened.
        match new(key.value(), row.value()) {
            Ok(new) => rows.push((key.value().to_vec(), new)),
            Err(e) if e.kind() == Kind::Corrupt => tracing::warn!(error = %e, "a row stays in its old form"),
            Err(e) => return Err(e),
        }
    }
    for (key, row) in rows {
        table.insert(&key[..], &row[..]).map_err(write_error)?;
    }
    Ok(())
}

fn stream_of_2(_key: &[u8], row: &[u8]) -> Result<Vec<u8>> {
    let old: before_3::StreamRow = decode_row(row, || "the row of a stream".to_string())?;
    let before_3::StreamRow { name, generation, created_at_ms, watermark, segments } = old;
    let (state, epoch, next_segment) = (StreamState::Active, 0, segments.len() as u32);
    encode_row(&StreamRow { name, generation, created_at_ms, watermark, state, epoch, next_segment, segments })
}

/// All blobs of a format-2 manifest go through the pipeline's last epoch, as far as anybody can tell.
fn manifest_of_2(txn: &WriteTransaction, key: &[u8], row: &[u8]) -> Result<Vec<u8>> {
    let pipeline = manifest_key_pipeline(key)?;
    let what = || format!("a manifest of pipeline {pipeline}");
    let old: before_3::Manifest = decode_row(row, what)?;
    let pipelines = txn.open_table(schema::PIPELINES).map_err(write_error)?;
    let through = match pipelines.get(&text_key(&pipeline)[..]).map_err(read_error)? {
        Some(row) => {
            decode_row::<before_3::PipelineRow>(row.value(), || format!("the row of pipeline {pipeline}"))?.last_epoch
        }
        None => Epoch(0),
    };
    let blobs = old.blobs.iter().map(|b| BlobEntry { id: b.id, bytes: b.bytes, crc: b.crc, through }).collect();
    encode_row(&Manifest { runs: Vec::new(), blobs })
}

fn pipeline_of_2(_key: &[u8], row: &[u8]) -> Result<Vec<u8>> {
    let old: before_3::PipelineRow = decode_row(row, || "the row of a pipeline".to_string())?;
    let before_3::PipelineRow { incarnation, max_parallelism, last_epoch } = old;
    encode_row(&PipelineRow { incarnation, max_parallelism, last_epoch, deleted: false })
}
