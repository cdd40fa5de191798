//! What a group decides, without a store: an empty snapshot below, works on top.

use super::*;
use crate::batch::Batch;
use crate::commit::StateDelta;
use crate::error::Kind;
use crate::ids::{Generation, KeyGroup, Offset, Position, SegmentId, StreamId};
use crate::manifest::Manifest;
use crate::names::GroupName;
use crate::overlay::{TimeSnapshot, TransactionSnapshot};
use crate::row::{
    CheckpointRow, ChunkKey, EntryRow, GroupRow, IndexEntry, LogEntryRow, LogRow, PastRow, RunRow, SealedSegmentRow,
    SegmentKey, SegmentRow, StreamRow, TableRow, WriterRow,
};
use crate::row::{MarkRow, StagedRow, TimeConfigRow, TransactionRow, WatermarkRow};
use crate::row::{RetentionRow, SubscriberRow};
use crate::state::{Change, DeltaBuilder};
use crate::stream::{StreamPolicy, StreamRef, encode_chunk};
use crate::time::EventTime;
use std::collections::{BTreeMap, BTreeSet};

/// Nothing was ever written.
pub(super) struct Nothing;

impl Snapshot for Nothing {
    fn stream_id(&self, _: &StreamName) -> Result<Option<StreamId>> {
        Ok(None)
    }
    fn stream(&self, _: StreamId) -> Result<Option<StreamRow>> {
        Ok(None)
    }
    fn segment(&self, _: SegmentKey) -> Result<Option<SegmentRow>> {
        Ok(None)
    }
    fn oldest_chunks(&self, _: SegmentKey, _: usize) -> Result<Vec<(Offset, IndexEntry)>> {
        Ok(Vec::new())
    }
    fn index_entry(&self, _: ChunkKey) -> Result<Option<IndexEntry>> {
        Ok(None)
    }
    fn file(&self, _: u64) -> Result<Option<FileRow>> {
        Ok(None)
    }
    fn sealed_segment(&self, _: SegmentKey) -> Result<Option<SealedSegmentRow>> {
        Ok(None)
    }
    fn past_segment(&self, _: SegmentKey) -> Result<Option<PastRow>> {
        Ok(None)
    }
    fn past_segments(&self, _: StreamId) -> Result<Vec<(SegmentId, PastRow)>> {
        Ok(Vec::new())
    }
    fn writer(&self, _: StreamId, _: &str) -> Result<Option<WriterRow>> {
        Ok(None)
    }
    fn writer_names(&self, _: StreamId) -> Result<BTreeSet<String>> {
        Ok(BTreeSet::new())
    }
    fn policy(&self, _: StreamId) -> Result<Option<StreamPolicy>> {
        Ok(None)
    }
    fn retention_cuts(&self, _: StreamId) -> Result<Vec<(u64, RetentionRow)>> {
        Ok(Vec::new())
    }
    fn subscribers(&self, _: StreamId) -> Result<BTreeMap<String, SubscriberRow>> {
        Ok(BTreeMap::new())
    }
    fn pipeline(&self, _: &str) -> Result<Option<PipelineRow>> {
        Ok(None)
    }
    fn checkpoint(&self, _: &str, _: Epoch) -> Result<Option<CheckpointRow>> {
        Ok(None)
    }
    fn checkpoint_epochs(&self, _: &str) -> Result<BTreeSet<Epoch>> {
        Ok(BTreeSet::new())
    }
    fn manifest(&self, _: &str, _: &str) -> Result<Option<Manifest>> {
        Ok(None)
    }
    fn manifests(&self, _: &str) -> Result<BTreeMap<String, Manifest>> {
        Ok(BTreeMap::new())
    }
    fn run(&self, _: BlobId) -> Result<Option<RunRow>> {
        Ok(None)
    }
    fn marker(&self, _: &str) -> Result<Option<Bytes>> {
        Ok(None)
    }
    fn next_stream(&self) -> Result<StreamId> {
        Ok(StreamId(1))
    }
    fn next_blob(&self) -> Result<BlobId> {
        Ok(BlobId(1))
    }
    fn next_file(&self) -> Result<u64> {
        Ok(1)
    }
}

impl ScopedSnapshot for Nothing {
    fn table(&self, _: &TableName) -> Result<Option<TableRow>> {
        Ok(None)
    }
    fn table_entry(&self, _: ScopedId, _: &[u8]) -> Result<Option<EntryRow>> {
        Ok(None)
    }
    fn log(&self, _: &LogName) -> Result<Option<LogRow>> {
        Ok(None)
    }
    fn log_entry(&self, _: ScopedId, _: u64) -> Result<Option<LogEntryRow>> {
        Ok(None)
    }
    fn group(&self, _: &GroupName) -> Result<Option<GroupRow>> {
        Ok(None)
    }
    fn next_scoped(&self) -> Result<ScopedId> {
        Ok(ScopedId(1))
    }
}

impl TimeSnapshot for Nothing {
    fn marks(&self, _: StreamId) -> Result<BTreeMap<String, MarkRow>> {
        Ok(BTreeMap::new())
    }
    fn mark(&self, _: StreamId, _: &str) -> Result<Option<MarkRow>> {
        Ok(None)
    }
    fn timed_streams(&self) -> Result<BTreeSet<StreamId>> {
        Ok(BTreeSet::new())
    }
    fn last_watermark(&self, _: StreamId) -> Result<Option<(u64, WatermarkRow)>> {
        Ok(None)
    }
    fn oldest_watermarks(&self, _: StreamId, _: usize) -> Result<Vec<(u64, WatermarkRow)>> {
        Ok(Vec::new())
    }
    fn time_config(&self, _: StreamId) -> Result<Option<TimeConfigRow>> {
        Ok(None)
    }
}

impl TransactionSnapshot for Nothing {
    fn transaction(&self, _: TransactionId) -> Result<Option<TransactionRow>> {
        Ok(None)
    }
    fn live_transactions(&self, _: Option<StreamId>) -> Result<BTreeSet<(StreamId, TransactionId)>> {
        Ok(BTreeSet::new())
    }
    fn ended_transactions(&self, _: usize) -> Result<Vec<(u64, TransactionId)>> {
        Ok(Vec::new())
    }
    fn last_ended(&self) -> Result<Option<u64>> {
        Ok(None)
    }
    fn staged_row(&self, _: TransactionId, _: u64) -> Result<Option<StagedRow>> {
        Ok(None)
    }
    fn staged_chunk(&self, _: TransactionId, _: u64) -> Result<Option<Bytes>> {
        Ok(None)
    }
    fn next_transaction(&self) -> Result<TransactionId> {
        Ok(TransactionId(1))
    }
    fn staged_bytes(&self) -> Result<u64> {
        Ok(0)
    }
}

pub(super) const STREAM: StreamRef = StreamRef { id: StreamId(1), generation: Generation(1) };
pub(super) const SEGMENT: SegmentKey = SegmentKey { stream: StreamId(1), segment: SegmentId(0) };

pub(super) fn create() -> Work {
    let name = StreamName::new("t/s").unwrap();
    Work::CreateStream { name, config: StreamConfig { segments: 1 }, exact: true, now_ms: 5 }
}

pub(super) fn append_of(events: i64) -> Append {
    let mut batch = Batch::default();
    for i in 0..events {
        batch.push(EventTime(i), None, Some(b"v"));
    }
    Append { stream: STREAM, segment: SegmentId(0), chunks: vec![encode_chunk(&batch).unwrap()] }
}

pub(super) fn truncate_at(name: &str, offset: u64) -> Work {
    let at =
        Position { stream: STREAM.id, generation: STREAM.generation, segment: SegmentId(0), offset: Offset(offset) };
    Work::Part(Part::Marker(MarkerSwap { name: name.into(), expected: None, value: "v".into(), truncate: vec![at] }))
}

fn epoch_of(n: u64) -> EpochCommit {
    let mut delta = DeltaBuilder::default();
    delta.push(0, KeyGroup(0), b"k", b"", Change::Put(b"v"));
    let incarnation = Incarnation(1);
    EpochCommit {
        pipeline: "p".into(),
        incarnation,
        epoch: Epoch(n),
        record: CheckpointRecord { epoch: Epoch(n), incarnation, max_parallelism: 4, ..CheckpointRecord::default() },
        state: vec![StateDelta { operator: "o".into(), blob: delta.finish() }],
        outputs: vec![append_of(2)],
        stream_watermarks: Vec::new(),
        schedules: vec![("o".into(), 0, Bytes::from_static(b"s"))],
    }
}

fn epoch_part(n: u64) -> Work {
    Work::Part(Part::Epoch(Box::new(epoch_of(n))))
}

fn start() -> Work {
    Work::StartPipeline { name: "p".into(), max_parallelism: 4 }
}

#[test]
fn parts_see_those_accepted_before_them() {
    let works = [create(), Work::Part(Part::Append(append_of(3))), Work::Part(Part::Append(append_of(2)))];
    let (changes, answers) = decide_group(&Nothing, &works, &Terms::default()).unwrap();
    let first = |i: usize| match &answers[i] {
        Ok(Outcome::Accepted(accepted)) => accepted.first_offsets.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((first(1), first(2)), (vec![Offset(0)], vec![Offset(3)]));
    assert_eq!(changes.segments[&SEGMENT].tail, Offset(5));
    assert_eq!(changes.next_stream, Some(StreamId(2)));
}

#[test]
fn what_is_put_and_dropped_in_one_group_is_never_written() {
    let works = [
        create(),
        Work::Part(Part::Append(append_of(3))),
        Work::Part(Part::Append(append_of(3))),
        truncate_at("a", 4),
        truncate_at("b", 5),
    ];
    let (changes, answers) = decide_group(&Nothing, &works, &Terms::default()).unwrap();
    assert!(answers.iter().all(Result::is_ok));
    let row = changes.segments[&SEGMENT];
    assert_eq!((row.head, row.tail, row.chunks), (Offset(5), Offset(6), 1));
    assert_eq!(changes.chunks.keys().map(|k| k.first).collect::<Vec<_>>(), [Offset(3)]);
    assert!(changes.dropped_chunks.is_empty());
}

#[test]
fn a_part_that_fails_half_way_leaves_nothing() {
    let mut bad = epoch_of(1);
    bad.outputs.push(Append { segment: SegmentId(3), ..append_of(1) });
    let works = [create(), start(), Work::Part(Part::Epoch(Box::new(bad))), epoch_part(1)];
    let (changes, answers) = decide_group(&Nothing, &works, &Terms::default()).unwrap();
    assert_eq!(answers[2].as_ref().unwrap_err().kind(), Kind::Invalid);
    assert!(answers[3].is_ok());
    assert_eq!((changes.blobs.len(), changes.chunks.len(), changes.segments[&SEGMENT].tail), (1, 1, Offset(2)));
    assert_eq!(changes.manifests[&("p".to_string(), "o".to_string())].blobs[0].id, BlobId(1));
}

#[test]
fn only_the_retained_records_of_a_group_are_written() {
    let works: Vec<Work> = [create(), start()].into_iter().chain((1..=5).map(epoch_part)).collect();
    let (changes, answers) =
        decide_group(&Nothing, &works, &Terms { checkpoints_retained: 2, ..Terms::default() }).unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let epochs: Vec<u64> = changes.checkpoints.keys().map(|(_, epoch)| epoch.0).collect();
    assert_eq!(epochs, [4, 5]);
    assert_eq!(changes.schedules.keys().map(|key| key.1.0).collect::<Vec<_>>(), [4, 5]);
    assert!(changes.dropped_checkpoints.is_empty());
}

#[test]
fn a_fold_goes_in_only_while_its_blobs_lie_side_by_side() {
    let fold = |ids: &[u64]| Work::Fold {
        pipeline: "p".into(),
        operator: "o".into(),
        folded: ids.iter().map(|id| BlobId(*id)).collect(),
        blob: Bytes::from_static(b"folded"),
    };
    let epochs = (1..=4).map(epoch_part);
    let works: Vec<Work> = [create(), start()]
        .into_iter()
        .chain(epochs)
        .chain([fold(&[1, 3]), fold(&[2, 3]), fold(&[2, 3]), fold(&[])])
        .collect();
    let (changes, answers) = decide_group(&Nothing, &works, &Terms::default()).unwrap();
    let folded: Vec<&Outcome> = answers[6..].iter().map(|a| a.as_ref().unwrap()).collect();
    assert_eq!(
        folded,
        [&Outcome::Folded(false), &Outcome::Folded(true), &Outcome::Folded(false), &Outcome::Folded(false)]
    );
    let manifest = &changes.manifests[&("p".to_string(), "o".to_string())];
    let ids: Vec<u64> = manifest.blobs.iter().map(|b| b.id.0).collect();
    assert_eq!(ids, [1, 5, 4]);
    assert_eq!(changes.blobs.keys().map(|id| id.0).collect::<Vec<_>>(), [1, 4, 5]);
}

#[test]
fn a_chunk_that_lies_about_itself_is_refused() {
    let mut lying = append_of(2);
    lying.chunks[0].events = 200;
    let mut noise = append_of(2);
    noise.chunks[0].bytes = Bytes::from_static(b"noise");
    let works = [create(), Work::Part(Part::Append(lying)), Work::Part(Part::Append(noise))];
    let (changes, answers) = decide_group(&Nothing, &works, &Terms::default()).unwrap();
    assert_eq!(answers[1].as_ref().unwrap_err().kind(), Kind::Invalid);
    assert_eq!(answers[2].as_ref().unwrap_err().kind(), Kind::Invalid);
    assert!(changes.chunks.is_empty());
}
