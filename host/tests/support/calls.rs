//! Pipelines with a `call` over any store, and an operator that writes down what it is given, watermarks included.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tidemill::clock::Clock;
use tidemill::config::Overrides;
use tidemill::config::parse;
use tidemill::config::pipeline::{OperatorKind, Pipeline};
use tidemill::config::settings::Settings;
use tidemill::job::lifecycle::start_with;
use tidemill::job::{JobError, RunHandle, RunOptions};
use tidemill::operator::descriptor::*;
use tidemill::operator::*;
use tidemill_storage::commit::Part;
use tidemill_storage::stream::{Appender, StreamConfig};
use tidemill_storage::{Batch, EventTime, Store, StreamName};

/// What an operator was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Event(i64, String, String),
    Watermark(i64),
}

/// Everything that a recorder was given, in order.
pub(crate) type Record = Arc<Mutex<Vec<Item>>>;

struct Recorder(Record);

struct RecorderFactory(Descriptor, Record);

fn recorder(inputs: usize, record: Record) -> SharedFactory {
    Arc::new(RecorderFactory(
        Descriptor {
            descriptor: DESCRIPTOR_VERSION,
            name: "recorder".into(),
            version: String::new(),
            inputs: (0..inputs).map(|i| Port { name: format!("in{i}") }).collect(),
            outputs: Vec::new(),
            states: Vec::new(),
            timers: Vec::new(),
            metrics: Vec::new(),
            wants: Wants { watermarks: true },
            config: None,
        },
        record,
    ))
}

impl OperatorFactory for RecorderFactory {
    fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    fn create(&self, _context: &mut Context) -> Result<Box<dyn Operator>, Failure> {
        Ok(Box::new(Recorder(self.1.clone())))
    }
}

impl Operator for Recorder {
    fn process(&mut self, _: u32, _: EventTime, events: &Batch, _: &mut Context) -> Result<Vec<Rejection>, Failure> {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
        let items = (0..events.len())
            .map(|i| Item::Event(events.timestamps[i], text(events.keys.get(i)), text(events.values.get(i))));
        self.0.lock().unwrap().extend(items);
        Ok(Vec::new())
    }

    fn on_timers(&mut self, _: &TimerBatch, _: EventTime, _: &mut Context) -> Result<Vec<Rejection>, Failure> {
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, watermark: EventTime, _: &mut Context) -> Result<(), Failure> {
        self.0.lock().unwrap().push(Item::Watermark(watermark.0));
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}

/// Reads a pipeline file.
pub(crate) fn pipeline(toml: &str) -> Pipeline {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.toml");
    std::fs::write(&file, toml).unwrap();
    parse::load(&file, &Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// Starts a pipeline file whose components, if it names any, are recorders: their records come back by their order.
pub(crate) fn start(store: &Store, toml: &str) -> Result<(RunHandle, Vec<Record>), JobError> {
    let pipeline = pipeline(toml);
    let mut records = Vec::new();
    let factories = pipeline.operators.iter().map(|operator| match &operator.kind {
        OperatorKind::Builtin(builtin) => builtin::factory(builtin),
        _ => {
            records.push(Record::default());
            recorder(operator.inputs.len(), records[records.len() - 1].clone())
        }
    });
    let factories = factories.collect();
    let mut settings = Settings::default();
    settings.dataflow.batch_events = 7;
    let options = RunOptions { data_dir: PathBuf::new(), workers: 2, settings };
    Ok((start_with(pipeline, factories, store.clone(), options, Clock::system())?, records))
}

/// Appends events (time, key, value) to a stream, in their order per key.
pub(crate) fn feed(store: &Store, stream: &str, segments: u32, events: &[(i64, String, String)]) {
    let info = store.ensure_stream(&StreamName::new(stream).unwrap(), StreamConfig { segments }).unwrap();
    for part in events.chunks(100) {
        let mut batch = Batch::default();
        for (time, key, value) in part {
            batch.push(EventTime(*time), Some(key.as_bytes()), Some(value.as_bytes()));
        }
        for append in Appender::new(&info).append(&batch).unwrap() {
            store.commit(Part::Append(append)).unwrap();
        }
    }
}

/// `count` events of 13 keys with their number as `/id`, in order of time.
pub(crate) fn numbered(count: usize) -> Vec<(i64, String, String)> {
    (0..count).map(|i| (i as i64 * 10, format!("k{}", (i * 31) % 13), format!("{{\"id\":{i}}}"))).collect()
}

/// Waits for something that must come, while the job lives.
#[track_caller]
pub(crate) fn wait_until(handle: &RunHandle, mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        assert!(!handle.is_done(), "the job ended");
        std::thread::yield_now();
    }
}
