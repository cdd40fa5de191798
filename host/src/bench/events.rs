//! Deterministic events of the workloads, the same in every run and on every machine: into streams, into files, and kept
//! in memory for the hand-written loops.

use super::error::{BenchError, io};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tidemill_storage::commit::{Append, Part};
use tidemill_storage::stream::{Appender, StreamConfig, StreamInfo};
use tidemill_storage::{Batch, EventTime, Position, Store, StreamName, encode_chunk};

/// Bytes of an event's value.
pub const VALUE_BYTES: usize = 100;
/// Events of one batch that is fed or looped over.
pub const BATCH_EVENTS: u64 = 2_048;
/// Events of one append while a stream is filled.
const APPEND_EVENTS: u64 = 16 * BATCH_EVENTS;

/// splitmix64: small, even, the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// 64 random bits.
    #[expect(clippy::should_implement_trait, reason = "it never ends, so it is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `n`, which is not 0; as even as multiplication makes it.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
}

/// A 12-byte key.
pub fn key(number: u64) -> [u8; 12] {
    let mut key = *b"key-00000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// 100 bytes of JSON, half of them random: lz4 makes about 70 of them.
fn value(random: &mut Random) -> [u8; VALUE_BYTES] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut value =
        *br#"{"id":"................","session":"................","trace":"................","page":"/items/00"}"#;
    for at in [7, 36, 63] {
        let mut bits = random.next();
        for digit in &mut value[at..at + 16] {
            *digit = HEX[(bits & 15) as usize];
            bits >>= 4;
        }
    }
    value
}

/// Events of 100-byte values with keys drawn evenly, without end, batch by batch.
#[derive(Debug)]
pub struct Events {
    random: Random,
    keys: u64,
    time: i64,
}

impl Events {
    /// Over so many keys.
    pub fn new(keys: u64) -> Events {
        Events { random: Random::new(7), keys, time: 0 }
    }

    /// The next ones, a millisecond after each other.
    pub fn batch(&mut self, events: u64) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..events {
            let key = key(self.random.below(self.keys));
            batch.push(EventTime(self.time), Some(&key), Some(&value(&mut self.random)));
            self.time += 1;
        }
        batch
    }

    /// So many events as batches.
    pub fn take(mut self, events: u64) -> impl Iterator<Item = Batch> {
        pieces(events).map(move |n| self.batch(n))
    }
}

/// Every key once, neighbours far from each other, with values of `value_bytes`, at the time 0.
pub fn every_key(keys: u64, value_bytes: usize) -> impl Iterator<Item = Batch> {
    // A prime: every key is met once unless the number of keys is a multiple of it.
    const STRIDE: u64 = 7_919;
    let mut random = Random::new(11);
    let mut next = 0;
    pieces(keys).map(move |n| {
        let mut batch = Batch::default();
        let mut bytes = vec![0; value_bytes];
        for i in next..next + n {
            bytes.chunks_mut(8).for_each(|part| part.copy_from_slice(&random.next().to_le_bytes()[..part.len()]));
            batch.push(EventTime(0), Some(&key(i * STRIDE % keys)), Some(&bytes));
        }
        next += n;
        batch
    })
}

/// Sizes of batches that sum up to so many events.
fn pieces(events: u64) -> impl Iterator<Item = u64> {
    (0..events.div_ceil(BATCH_EVENTS)).map(move |i| BATCH_EVENTS.min(events - i * BATCH_EVENTS))
}

/// A stream's name.
pub fn stream(name: &str) -> Result<StreamName, BenchError> {
    Ok(StreamName::new(name)?)
}

/// Makes a stream if need be and appends the batches to it, as a client does.
pub fn feed(
    store: &Store,
    name: &str,
    segments: u32,
    batches: impl Iterator<Item = Batch>,
) -> Result<StreamInfo, BenchError> {
    let info = store.ensure_stream(&stream(name)?, StreamConfig { segments })?;
    let mut appender = Appender::new(&info);
    let mut pushed = 0;
    let append = |appender: &mut Appender| -> Result<(), BenchError> {
        for append in appender.finish()? {
            store.commit(Part::Append(append))?;
        }
        Ok(())
    };
    for batch in batches {
        appender.push(&batch)?;
        pushed += batch.len() as u64;
        if pushed >= APPEND_EVENTS {
            append(&mut appender)?;
            pushed = 0;
        }
    }
    append(&mut appender)?;
    Ok(info)
}

/// Fills a stream that nobody reads with `bytes` of full chunks that do not compress; `go_on` may end it.
pub(super) fn fill(
    store: &Store,
    name: &str,
    bytes: u64,
    go_on: impl Fn() -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    const CHUNKS: usize = 64;
    /// With 100-byte values that do not compress: just below a full chunk.
    const CHUNK_EVENTS: usize = 550;
    let info = store.ensure_stream(&stream(name)?, StreamConfig { segments: 1 })?;
    let Some(segment) = info.segments.first() else { return Ok(()) };
    let mut random = Random::new(13);
    let mut chunks = Vec::with_capacity(CHUNKS);
    for _ in 0..CHUNKS {
        let mut batch = Batch::default();
        for _ in 0..CHUNK_EVENTS {
            let noise: Vec<u8> = (0..VALUE_BYTES.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
            batch.push(EventTime(0), None, Some(&noise[..VALUE_BYTES]));
        }
        chunks.push(encode_chunk(&batch)?);
    }
    let append_bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
    for _ in 0..bytes.div_ceil(append_bytes as u64) {
        go_on()?;
        let append = Append { stream: info.stream, segment: segment.id, chunks: chunks.clone() };
        store.commit(Part::Append(append))?;
    }
    // What the mover has still to do, it would do while something is measured.
    store.seal(store.describe()?.hot_bytes_max / 2)?;
    Ok(())
}

/// The stream as it is now.
pub(super) fn look(store: &Store, name: &str) -> Result<StreamInfo, BenchError> {
    let name = stream(name)?;
    store.stream(&name)?.ok_or_else(|| BenchError::Wrong(format!("stream {name} is not there")))
}

/// Events committed to a stream so far.
pub(super) fn events_of(info: &StreamInfo) -> u64 {
    info.segments.iter().map(|segment| segment.tail.0).sum()
}

/// Bytes of a stream as stored.
pub(super) fn bytes_of(info: &StreamInfo) -> u64 {
    info.segments.iter().map(|segment| segment.bytes).sum()
}

/// The tail of a stream's first segment.
pub(super) fn tail(info: &StreamInfo) -> Result<Position, BenchError> {
    let segment = info.segments.first().ok_or_else(|| BenchError::Wrong(format!("{} has no segment", info.name)))?;
    let (stream, generation) = (info.stream.id, info.stream.generation);
    Ok(Position { stream, generation, segment: segment.id, offset: segment.tail })
}

/// Writes bids of an auction as JSON lines, about 200 bytes each, bidders drawn evenly; gives the bytes.
pub(super) fn write_bids(path: &Path, events: u64, bidders: u64) -> Result<u64, BenchError> {
    const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
    let mut random = Random::new(17);
    let mut bytes = 0;
    let mut write = || {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for i in 0..events {
            let channel = CHANNELS[random.below(4) as usize];
            let line = format!(
                "{{\"auction\":{},\"bidder\":{},\"price\":{},\"channel\":\"{channel}\",\"url\":\"https://www.nexmark.com/{}/item.htm?query=1\",\"dateTime\":{},\"extra\":\"{:016x}{:016x}\"}}\n",
                1_000 + random.below(100_000),
                1_000 + random.below(bidders),
                random.below(10_000_000),
                random.below(1_000_000),
                1_436_918_400_000 + i / 10,
                random.next(),
                random.next(),
            );
            bytes += line.len() as u64;
            out.write_all(line.as_bytes())?;
        }
        out.flush()
    };
    write().map_err(io(format!("writing {}", path.display())))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn events_are_as_many_as_asked_for_and_always_the_same() {
        let take = || Events::new(50).take(BATCH_EVENTS + 1).collect::<Vec<_>>();
        let (once, again) = (take(), take());
        assert_eq!(once, again);
        assert_eq!(once.iter().map(Batch::len).collect::<Vec<_>>(), [2_048, 1]);
        let keys: BTreeSet<&[u8]> = once[0].keys.iter().flatten().collect();
        assert_eq!(keys.len(), 50);
        assert!(once[0].values.iter().all(|value| value.is_some_and(|value| value.len() == VALUE_BYTES)));
        assert!(serde_json::from_slice::<serde_json::Value>(once[0].values.get(0).unwrap()).is_ok());
    }

    #[test]
    fn a_stream_is_filled_with_full_chunks() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), tidemill_storage::StoreOptions::default()).unwrap();
        fill(&store, "bench/history", 5_000_000, || Ok(())).unwrap();
        let segment = look(&store, "bench/history").unwrap().segments[0];
        let (full, chunk) = (tidemill_storage::stream::CHUNK_TARGET_BYTES as u64, segment.bytes / segment.chunks);
        assert!((full * 9 / 10..=full).contains(&chunk), "{chunk}");
        assert!((5_000_000..10_000_000).contains(&segment.bytes), "{segment:?}");
        assert!(fill(&store, "bench/history", 1, || Err(BenchError::Interrupted)).is_err());
    }

    #[test]
    fn every_key_comes_once() {
        let batches: Vec<Batch> = every_key(10_000, 20).collect();
        let keys: BTreeSet<Vec<u8>> =
            batches.iter().flat_map(|b| b.keys.iter().flatten().map(<[u8]>::to_vec)).collect();
        assert_eq!((keys.len(), batches.iter().map(Batch::len).sum::<usize>()), (10_000, 10_000));
        assert!(keys.contains(&key(0)[..]) && keys.contains(&key(9_999)[..]));
        assert_eq!(&key(12_345), b"key-00012345");
    }

    #[test]
    fn a_bid_is_json_with_a_key_and_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bids");
        let bytes = write_bids(&path, 10, 5).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!((text.len() as u64, text.lines().count()), (bytes, 10));
        for line in text.lines() {
            let bid: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!((1_000..1_005).contains(&bid["bidder"].as_u64().unwrap()) && bid["dateTime"].is_u64(), "{line}");
        }
    }
}
