//! Deltas and their sums: what blobs hold, what damaged blobs do, and that a merged blob means what its parts meant.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tidemill_storage::hash::{hash_key, key_group, key_group_range};
use tidemill_storage::state::{Change, Delta, DeltaBuilder, Memory, merge};
use tidemill_storage::{Epoch, KeyGroup, Kind};

const MAX_PARALLELISM: u32 = 16;

/// A change, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Act {
    Clear,
    Put(Vec<u8>),
    Delete,
}

type Op = (u32, Vec<u8>, Vec<u8>, Act);

fn op() -> impl Strategy<Value = Op> {
    let state = prop_oneof![0u32..3, Just(u32::MAX)];
    let key = prop::collection::vec(0u8..4, 0..3);
    let sub_key = prop_oneof![Just(Vec::new()), prop::collection::vec(0u8..3, 0..3)];
    let act = prop_oneof![
        1 => Just(Act::Clear),
        4 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Act::Put),
        2 => Just(Act::Delete),
    ];
    (state, key, sub_key, act).prop_map(|(state, key, sub_key, act)| {
        let sub_key = if act == Act::Clear { Vec::new() } else { sub_key };
        (state, key, sub_key, act)
    })
}

fn group(key: &[u8]) -> KeyGroup {
    key_group(hash_key(key), MAX_PARALLELISM)
}

/// A blob of these changes. Its meaning: every key's ClearKey first, then the last change of each entry.
fn blob(ops: &[Op]) -> Bytes {
    let mut builder = DeltaBuilder::default();
    for (state, key, sub_key, act) in ops {
        let change = match act {
            Act::Clear => Change::ClearKey,
            Act::Put(value) => Change::Put(value),
            Act::Delete => Change::Delete,
        };
        builder.push(*state, group(key), key, sub_key, change);
    }
    builder.finish()
}

type Model = BTreeMap<(u32, Vec<u8>, Vec<u8>), Vec<u8>>;

fn apply_to_model(model: &mut Model, ops: &[Op]) {
    let cleared: BTreeSet<_> = ops.iter().filter(|op| op.3 == Act::Clear).map(|op| (op.0, op.1.clone())).collect();
    model.retain(|(state, key, _), _| !cleared.contains(&(*state, key.clone())));
    for (state, key, sub_key, act) in ops {
        let entry = (*state, key.clone(), sub_key.clone());
        match act {
            Act::Clear => {}
            Act::Put(value) => drop(model.insert(entry, value.clone())),
            Act::Delete => drop(model.remove(&entry)),
        }
    }
}

fn contents(memory: &Memory) -> Model {
    memory
        .iter()
        .map(|entry| {
            assert_eq!(entry.key_group, group(entry.key));
            ((entry.state, entry.key.to_vec(), entry.sub_key.to_vec()), entry.value.to_vec())
        })
        .collect()
}

fn loaded(blobs: &[Bytes], key_groups: std::ops::Range<u32>) -> Memory {
    let mut memory = Memory::new(key_groups, MAX_PARALLELISM);
    for blob in blobs {
        memory.apply_delta(blob, Epoch(1)).unwrap();
    }
    memory
}

proptest! {
    #[test]
    fn a_blob_gives_back_its_changes_in_order(ops in prop::collection::vec(op(), 0..60)) {
        let blob = blob(&ops);
        let delta = Delta::decode(&blob).unwrap();
        let mut expected = BTreeMap::new();
        for (state, key, sub_key, act) in &ops {
            expected.insert((*state, group(key), key.clone(), *act != Act::Clear, sub_key.clone()), act.clone());
        }
        let read: Vec<_> = delta.iter().map(|entry| {
            let act = match entry.change {
                Change::ClearKey => Act::Clear,
                Change::Put(value) => Act::Put(value.to_vec()),
                Change::Delete => Act::Delete,
            };
            ((entry.state, entry.key_group, entry.key.to_vec(), act != Act::Clear, entry.sub_key.to_vec()), act)
        }).collect();
        prop_assert_eq!(delta.len(), read.len() as u64);
        prop_assert_eq!(read, expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn memory_is_the_sum_of_its_deltas_whole_or_split(
        deltas in prop::collection::vec(prop::collection::vec(op(), 0..30), 0..6),
        parallelism in 1u32..5,
    ) {
        let blobs: Vec<Bytes> = deltas.iter().map(|ops| blob(ops)).collect();
        let mut model = Model::new();
        deltas.iter().for_each(|ops| apply_to_model(&mut model, ops));
        let whole = loaded(&blobs, 0..MAX_PARALLELISM);
        prop_assert_eq!(&contents(&whole), &model);
        prop_assert_eq!(whole.len(), model.len());
        let mut parts = Model::new();
        for index in 0..parallelism {
            let part = loaded(&blobs, key_group_range(index, parallelism, MAX_PARALLELISM));
            for (entry, value) in contents(&part) {
                prop_assert!(parts.insert(entry, value).is_none(), "an entry in two subtasks");
            }
        }
        prop_assert_eq!(&parts, &model);
        for ((state, key, sub_key), value) in &model {
            prop_assert_eq!(whole.get(hash_key(key), *state, key, sub_key), Some(&value[..]));
        }
    }

    #[test]
    fn a_merged_blob_means_what_its_parts_meant(
        deltas in prop::collection::vec(prop::collection::vec(op(), 0..30), 0..6),
        split in 0usize..6,
    ) {
        let blobs: Vec<Bytes> = deltas.iter().map(|ops| blob(ops)).collect();
        let expected = contents(&loaded(&blobs, 0..MAX_PARALLELISM));
        let from_the_bottom = merge(&blobs, true).unwrap();
        for entry in &Delta::decode(&from_the_bottom).unwrap() {
            prop_assert!(matches!(entry.change, Change::Put(_)), "a tombstone with nothing below it");
        }
        prop_assert_eq!(&contents(&loaded(&[from_the_bottom], 0..MAX_PARALLELISM)), &expected);
        // The newer part merged alone keeps what removes entries of the older part.
        let (older, newer) = blobs.split_at(split.min(blobs.len()));
        let mut stack = older.to_vec();
        stack.push(merge(newer, false).unwrap());
        prop_assert_eq!(&contents(&loaded(&stack, 0..MAX_PARALLELISM)), &expected);
    }

    #[test]
    fn a_scan_gives_a_keys_entries_between_its_bounds(
        ops in prop::collection::vec(op(), 0..60),
        start in prop::collection::vec(0u8..3, 0..3),
        end in prop::option::of(prop::collection::vec(0u8..3, 0..3)),
    ) {
        let mut model = Model::new();
        apply_to_model(&mut model, &ops);
        let memory = loaded(&[blob(&ops)], 0..MAX_PARALLELISM);
        for (state, key, ..) in &ops {
            let hash = hash_key(key);
            let subs: Vec<&[u8]> =
                model.keys().filter(|entry| entry.0 == *state && entry.1 == *key).map(|entry| &entry.2[..]).collect();
            let expected: Vec<&[u8]> = subs.iter().copied()
                .filter(|sub| *sub >= &start[..] && end.as_ref().is_none_or(|end| *sub < &end[..])).collect();
            let read: Vec<&[u8]> = memory.scan(hash, *state, key, &start, end.as_deref()).filter(|(_, value)| value.is_some()).map(|(sub, _)| sub).collect();
            prop_assert_eq!(read, expected);
            prop_assert_eq!(memory.last_sub_key(hash, *state, key), subs.last().copied());
        }
    }

    #[test]
    fn counted_bytes_come_back_to_nothing(ops in prop::collection::vec(op(), 0..80)) {
        let mut memory = loaded(&[], 0..MAX_PARALLELISM);
        ops.iter().for_each(|op| memory.apply_delta(&blob(std::slice::from_ref(op)), Epoch(1)).unwrap());
        prop_assert_eq!(memory.bytes() == 0, memory.is_empty());
        for (state, key, _) in contents(&memory).into_keys() {
            memory.apply(Epoch(1), hash_key(&key), state, &key, &[], Change::ClearKey);
        }
        prop_assert_eq!((memory.bytes(), memory.len()), (0, 0));
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(Delta::decode(&bytes).unwrap_err().kind(), Kind::Corrupt);
    }

    #[test]
    fn a_turned_bit_or_a_lost_tail_is_noticed(
        ops in prop::collection::vec(op(), 1..60),
        at: prop::sample::Index,
        bit in 0u8..8,
    ) {
        let good = blob(&ops);
        let mut bytes = good.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(Delta::decode(&bytes).unwrap_err().kind(), Kind::Corrupt);
        prop_assert_eq!(Delta::decode(&good[..at]).unwrap_err().kind(), Kind::Corrupt);
    }

    /// The checksum out of the way, the entries themselves are looked at: whatever decodes obeys the order.
    #[test]
    fn a_damaged_body_with_a_good_checksum_never_panics(
        ops in prop::collection::vec(op(), 0..60),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = blob(&ops).to_vec();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        match Delta::decode(&with_checksum(bytes)) {
            Err(error) => prop_assert_eq!(error.kind(), Kind::Corrupt),
            Ok(delta) => {
                let places: Vec<_> = delta.iter()
                    .map(|e| (e.state, e.key_group, e.key.to_vec(), e.change != Change::ClearKey, e.sub_key.to_vec()))
                    .collect();
                prop_assert!(places.is_sorted_by(|a, b| a < b));
                prop_assert_eq!(places.len() as u64, delta.len());
            }
        }
    }
}

fn with_checksum(mut blob: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&blob[..24]), &blob[28..]);
    blob[24..28].copy_from_slice(&crc.to_le_bytes());
    blob
}

#[test]
fn large_deltas_are_compressed_and_come_back() {
    let keys: Vec<Vec<u8>> = (0..5_000).map(|i| format!("customer-{i:08}").into_bytes()).collect();
    let mut builder = DeltaBuilder::with_capacity(keys.len());
    keys.iter().rev().for_each(|key| builder.push(0, group(key), key, &[], Change::Put(b"some value that repeats")));
    let blob = builder.finish();
    let raw: usize = keys.iter().map(|key| 12 + key.len() + 23).sum();
    assert_eq!(blob[5], 1, "codec");
    assert!(blob.len() < raw / 2, "{} of {raw} bytes", blob.len());
    assert_eq!(loaded(&[blob], 0..MAX_PARALLELISM).len(), keys.len());
}

#[test]
fn a_claim_of_a_huge_body_allocates_nothing() {
    let mut blob = blob(&[(0, b"k".to_vec(), Vec::new(), Act::Put(vec![0; 4_096]))]).to_vec();
    assert_eq!(blob[5], 1, "codec");
    blob[16..24].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
    let blob = with_checksum(blob);
    let error = Delta::decode(&blob).unwrap_err();
    assert!(error.to_string().contains("beyond what lz4 could have made"), "{error}");
}

#[test]
fn a_delta_of_another_max_parallelism_is_refused_with_the_key_named() {
    let key = b"LGA";
    assert_ne!(group(key), key_group(hash_key(key), 1_000));
    let blob = blob(&[(0, key.to_vec(), Vec::new(), Act::Put(b"1".to_vec()))]);
    let error = Memory::new(0..1_000, 1_000).apply_delta(&blob, Epoch(1)).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains("LGA") && error.to_string().contains("max parallelism 1000"), "{error}");
}

#[test]
fn the_layout_is_frozen() {
    let key = b"k".to_vec();
    let blob = blob(&[(7, key.clone(), Vec::new(), Act::Put(b"v".to_vec())), (7, key, Vec::new(), Act::Clear)]);
    let group = key_group(hash_key(b"k"), MAX_PARALLELISM).0.to_le_bytes();
    let mut expected = b"TMSD\x01\x00\x00\x00".to_vec();
    expected.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0, 27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (kind, lengths, rest) in [(0u8, [1, 0, 0], &b"k"[..]), (1, [1, 0, 1], &b"kv"[..])] {
        expected.push(kind);
        expected.extend_from_slice(&7u32.to_le_bytes());
        expected.extend_from_slice(&group);
        expected.extend_from_slice(&lengths);
        expected.extend_from_slice(rest);
    }
    assert_eq!(&blob[..], with_checksum(expected));
}
