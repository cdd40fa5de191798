//! Batched keyed state: one get and one put of 1,024 keys, as a keyed count does per call, over 1 k and 1 M keys; then the
//! same with a sealed epoch below and a fold into memory every 64 calls.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tidemill::bench::events::key;
use tidemill::operator::descriptor::StateKind;
use tidemill::state::{ColumnView, KeyedState};
use tidemill_storage::hash::{hash_key, key_group};
use tidemill_storage::state::{Change, DeltaBuilder, Memory};
use tidemill_storage::{Column, Epoch, OptionalColumn};

const MAX_PARALLELISM: u32 = 128;
const BATCH: u64 = 1_024;
const CALLS_PER_EPOCH: u64 = 64;

fn filled(keys: u64) -> KeyedState {
    let keys: Vec<[u8; 12]> = (0..keys).map(key).collect();
    let mut builder = DeltaBuilder::with_capacity(keys.len());
    for key in &keys {
        builder.push(0, key_group(hash_key(key), MAX_PARALLELISM), key, &[], Change::Put(&[0; 8]));
    }
    let mut memory = Memory::new(0..MAX_PARALLELISM, MAX_PARALLELISM);
    memory.apply_delta(&builder.finish(), Epoch(0)).expect("the builder's own blob decodes");
    KeyedState::new(memory, vec![StateKind::Value], MAX_PARALLELISM, 0..MAX_PARALLELISM)
}

/// Batches that walk over the key space in large steps, so that neighbours in a batch are strangers in memory.
fn batches(keys: u64) -> Vec<Column> {
    (0..CALLS_PER_EPOCH)
        .map(|call| {
            let mut column = Column::default();
            (0..BATCH).for_each(|i| column.push(&key((call * BATCH + i).wrapping_mul(7_919) % keys)));
            column
        })
        .collect()
}

/// Count one more for every key of the batch.
fn call(state: &mut KeyedState, keys: ColumnView<'_>, counts: &mut OptionalColumn) {
    state.get(0, keys, None, counts).expect("own keys");
    for count in counts.data.chunks_exact_mut(8) {
        let next = u64::from_le_bytes(count.try_into().expect("eight bytes")) + 1;
        count.copy_from_slice(&next.to_le_bytes());
    }
    state.put(0, keys, None, (&*counts).into()).expect("own keys");
    state.commit_call();
}

fn get_and_put(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("state/get+put");
    for keys in [1_000, 1_000_000] {
        let batches = batches(keys);
        let mut counts = OptionalColumn::default();
        group.throughput(Throughput::Elements(BATCH * CALLS_PER_EPOCH));
        let mut state = filled(keys);
        let mut epoch = Epoch(0);
        group.bench_function(format!("{keys} keys, one epoch of {CALLS_PER_EPOCH} calls, folded"), |bencher| {
            bencher.iter(|| {
                batches.iter().for_each(|batch| call(&mut state, batch.into(), &mut counts));
                epoch = epoch.next();
                drop(black_box(state.seal_epoch(epoch)));
                state.epoch_committed(epoch);
            });
        });
        group.throughput(Throughput::Elements(BATCH * CALLS_PER_EPOCH));
        group.bench_function(format!("{keys} keys, encode of such an epoch"), |bencher| {
            bencher.iter_batched(
                || {
                    batches.iter().for_each(|batch| call(&mut state, batch.into(), &mut counts));
                    epoch = epoch.next();
                    let sealed = state.seal_epoch(epoch).expect("something was written");
                    state.epoch_committed(epoch);
                    sealed
                },
                |sealed| black_box(sealed.encode()),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, get_and_put);
criterion_main!(benches);
