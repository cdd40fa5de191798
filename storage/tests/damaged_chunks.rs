//! Bytes on disk that fail a check are an error that names the place; they never panic, and never pass.

mod support;

use proptest::prelude::*;
use redb::ReadableTable;
use support::*;
use tidemill_storage::headers::push_event;
use tidemill_storage::schema::HOT_FILE;
use tidemill_storage::*;

fn sample() -> Batch {
    let mut sample = batch(0..40);
    push_event(&mut sample, EventTime(-5), None, None, &[("reason", b"bad"), ("n", b"")]);
    push_event(&mut sample, EventTime(99), Some(b""), Some(b""), &[]);
    sample
}

#[test]
fn every_flipped_byte_and_every_cut_of_a_chunk_is_found() {
    for batch in [sample(), batch([3])] {
        let bytes = encode_chunk(&batch).unwrap().bytes;
        assert_eq!(decode_chunk(&bytes).unwrap(), batch);
        for at in 0..bytes.len() {
            for flip in [1u8, 0x80, 0xff] {
                let mut bad = bytes.to_vec();
                bad[at] ^= flip;
                assert_eq!(decode_chunk(&bad).unwrap_err().kind(), Kind::Corrupt, "byte {at} ^ {flip}");
            }
            assert_eq!(decode_chunk(&bytes[..at]).unwrap_err().kind(), Kind::Corrupt, "cut at {at}");
        }
    }
}

/// A chunk whose crc is right and whose header lies.
fn with_crc(mut chunk: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&chunk[..40]), &chunk[44..]);
    chunk[40..44].copy_from_slice(&crc.to_le_bytes());
    chunk
}

#[test]
fn a_lying_header_with_a_right_checksum_is_found() {
    let bytes = encode_chunk(&sample()).unwrap().bytes.to_vec();
    decode_chunk(&with_crc(bytes.clone())).unwrap();
    for field in (4..40).step_by(4) {
        for lie in [0u32, 1, 41, 43, 1 << 20, 1 << 30, u32::MAX] {
            let mut bad = bytes.clone();
            bad[field..field + 4].copy_from_slice(&lie.to_le_bytes());
            if bad != bytes {
                let error = decode_chunk(&with_crc(bad)).unwrap_err();
                assert_eq!(error.kind(), Kind::Corrupt, "field {field} = {lie}");
            }
        }
    }
}

fn events() -> impl Strategy<Value = Batch> {
    let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
    let headers = prop::collection::vec(("[a-z]{0,4}", prop::collection::vec(any::<u8>(), 0..9)), 0..3);
    let event = (-1_000i64..1_000, bytes(), bytes(), headers);
    (prop::collection::vec(event, 1..60), any::<bool>()).prop_map(|(events, with_headers)| {
        let mut batch = Batch::default();
        for (time, key, value, headers) in &events {
            if with_headers {
                let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
                push_event(&mut batch, EventTime(*time), key.as_deref(), value.as_deref(), &headers);
            } else {
                batch.push(EventTime(*time), key.as_deref(), value.as_deref());
            }
        }
        batch
    })
}

proptest! {
    #[test]
    fn a_chunk_gives_back_its_batch(batch in events()) {
        let chunk = encode_chunk(&batch).unwrap();
        prop_assert_eq!(chunk.events as usize, batch.len());
        prop_assert_eq!(decode_chunk(&chunk.bytes).unwrap(), batch);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode_chunk(&bytes).is_err());
    }

    #[test]
    fn a_damaged_body_with_a_right_checksum_never_panics(
        batch in events(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode_chunk(&batch).unwrap().bytes.to_vec();
        for (at, byte) in damage {
            let at = 44 + at.index(bytes.len() - 44);
            bytes[at] = byte;
        }
        if let Ok(decoded) = decode_chunk(&with_crc(bytes)) {
            decoded.check("decoded").unwrap();
        }
    }
}

#[test]
fn a_read_of_a_damaged_chunk_names_it_and_the_rest_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig { segments: 2 }).unwrap();
    for n in 0..5 {
        append(&store, &info, n * 10..(n + 1) * 10).unwrap();
    }
    let (bad, good) = (info.segments[0].id, info.segments[1].id);
    let whole = (read_segment(&store, &info, bad).unwrap(), read_segment(&store, &info, good).unwrap());
    let first = store.read(position(&info, bad, 0), 0).unwrap().next;
    store.close();

    // The second chunk of the first segment: key (stream, segment, first offset), big-endian.
    let mut key = Vec::new();
    for part in [info.stream.id.0, bad.0, first.0] {
        key.extend_from_slice(&part.to_be_bytes());
    }
    let table = redb::TableDefinition::<&[u8], &[u8]>::new("hot_chunks");
    let database = redb::Database::open(dir.path().join(HOT_FILE)).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut table = txn.open_table(table).unwrap();
        let mut chunk = table.get(&key[..]).unwrap().unwrap().value().to_vec();
        *chunk.last_mut().unwrap() ^= 1;
        table.insert(&key[..], &chunk[..]).unwrap();
    }
    txn.commit().unwrap();
    drop(database);

    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let before = store.read(position(&info, bad, 0), 1 << 20).unwrap();
    assert_eq!(before.next, first, "what lies before the damage is read");
    let error = store.read(position(&info, bad, first.0), 1 << 20).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    for part in ["t/in".to_string(), format!("segment {bad}"), format!("offset {first}")] {
        assert!(error.to_string().contains(&part), "{error}");
    }
    assert_eq!(read_segment(&store, &info, good).unwrap(), whole.1);
    append(&store, &info, [100]).unwrap();
}
