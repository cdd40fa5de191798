//! The format of a store: made with it, checked before anything else is touched, and brought up to date. `shared.rs`
//! calls this on every opening; the names are `schema.rs`'s.

use crate::error::{Error, Result};
use crate::hash::HASH_NAME;
use crate::redb_io::{begin_write, read_error, write_error};
use crate::schema;
use redb::{Database, ReadTransaction};

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
        let entries: [(&str, &[u8]); 7] = [
            (schema::META_FORMAT, &schema::FORMAT_VERSION.to_le_bytes()),
            (schema::META_HASH, HASH_NAME.as_bytes()),
            (schema::META_DIRECTORY_ID, id.as_flattened()),
            (schema::META_NEXT_STREAM, &1u64.to_le_bytes()),
            (schema::META_NEXT_BLOB, &1u64.to_le_bytes()),
            (schema::META_NEXT_FILE, &1u64.to_le_bytes()),
            (schema::META_NEXT_SCOPED, &1u64.to_le_bytes()),
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

/// Brings a store of format 1 to this one, in one transaction: nothing that is there changes its bytes.
pub(crate) fn upgrade(db: &Database) -> Result<()> {
    let txn = begin_write(db)?;
    {
        let mut meta = txn.open_table(schema::META).map_err(write_error)?;
        meta.insert(schema::META_NEXT_FILE, &1u64.to_le_bytes()[..]).map_err(write_error)?;
        meta.insert(schema::META_FORMAT, &schema::FORMAT_VERSION.to_le_bytes()[..]).map_err(write_error)?;
        for table in schema::ALL {
            txn.open_table(table).map_err(write_error)?;
        }
    }
    txn.commit().map_err(write_error)
}
