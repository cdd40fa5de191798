//! A pipeline file as plain data, after parsing and checking. `config/parse/` makes it; `job` reads it.

use super::builtin::{Builtin, WindowSpec};
use std::path::PathBuf;
use tidemill_storage::StreamName;

/// A whole pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its name: letters, digits, '-', '_' and '.'; state and checkpoints are kept under it.
    pub name: String,
    /// The file it came from.
    pub file: PathBuf,
    /// The longest time between checkpoints while there is something to commit, ms.
    pub checkpoint_interval_ms: u64,
    /// The shortest time between checkpoints, ms.
    pub min_commit_interval_ms: u64,
    /// Subtasks per operator unless the operator says otherwise.
    pub parallelism: u32,
    /// Key groups; fixed once state exists.
    pub max_parallelism: u32,
    /// What to do when a task fails.
    pub restart: Restart,
    /// Where rejected events go. Default `<pipeline name>/dead-letters`.
    pub dead_letters: StreamName,
    /// In the order of the file.
    pub sources: Vec<SourceSpec>,
    /// In the order of the file.
    pub operators: Vec<OperatorSpec>,
    /// In the order of the file.
    pub sinks: Vec<SinkSpec>,
}

/// Restart policy: `attempts` restarts within a sliding window of 10 minutes, then the pipeline fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Restarts within the window; commits between them change nothing (`job/restart.rs`).
    pub attempts: u32,
    /// Wait before the first restart, ms; doubles each time.
    pub backoff_ms: u64,
    /// Longest wait, ms.
    pub backoff_max_ms: u64,
}

/// One source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSpec {
    /// Its name in the file.
    pub name: String,
    /// Where events come from.
    pub kind: SourceKind,
    /// Watermarks.
    pub watermark: WatermarkSpec,
}

/// Kinds of source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// Files.
    File(FileSource),
    /// A stream of this data directory.
    Stream(StreamSource),
}

/// Files as partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSource {
    /// Paths and globs, as resolved against the pipeline file's folder.
    pub paths: Vec<PathBuf>,
    /// Line format.
    pub format: FileFormat,
    /// What an event's value is.
    pub value: ValueForm,
    /// Event time; absent = the time of reading.
    pub time: Option<TimeSpec>,
    /// Routing key; absent = none.
    pub key: Option<Field>,
}

/// Line formats. Gzip is known by its magic bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// With a header row.
    Csv,
    /// One JSON object a line.
    JsonLines,
    /// Any text: a line is a value. No fields.
    Lines,
}

/// What an event's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueForm {
    /// CSV: a JSON object of strings by column name. JSON lines: the line.
    Json,
    /// The line as it stands.
    Raw,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// CSV column.
    Column(String),
    /// JSON pointer, RFC 6901.
    Pointer(String),
}

/// Where an event's time is and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeSpec {
    /// The field.
    pub field: Field,
    /// How it is written.
    pub format: TimeFormat,
}

/// How a time is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// Integer milliseconds since the epoch (`"ms"`).
    EpochMs,
    /// Integer seconds since the epoch (`"s"`).
    EpochSeconds,
    /// RFC 3339 (`"rfc3339"`).
    Rfc3339,
    /// A strftime pattern; without an offset in it the time is taken as UTC.
    Pattern(String),
}

/// A stream of this data directory as source.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamSource {
    /// The stream.
    pub stream: StreamName,
    /// Stop at the tails there are when the run first starts (kept in the checkpoint); otherwise follow for ever.
    pub bounded: bool,
}

/// How watermarks are made.
#[derive(Clone, Debug, PartialEq)]
pub struct WatermarkSpec {
    /// From where.
    pub kind: WatermarkKind,
    /// A partition silent for so long holds nobody back, ms. Absent = never idle.
    pub idle_after_ms: Option<u64>,
    /// When it moves.
    pub emit: Emit,
    /// Partitions wait for the slowest of their group.
    pub align: Option<AlignSpec>,
}

/// Alignment of watermarks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlignSpec {
    /// Sources of the same group wait for each other.
    pub group: String,
    /// How far a partition may be ahead of the slowest, ms.
    pub drift_ms: u64,
}

/// When a partition's watermark moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emit {
    /// After each read.
    #[default]
    PerBatch,
    /// An event is processed under the watermark of the events before it, wherever that matters: lateness is a function
    /// of the partition's events alone.
    EveryEvent,
}

/// Watermark generators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatermarkKind {
    /// Greatest time seen per partition minus this many ms (- 1: an event of exactly that time is not late).
    OutOfOrderness {
        /// Bound, ms.
        bound_ms: u64,
    },
    /// The stream's own watermark (stream sources; their default).
    FromStream,
    /// None until the end.
    None,
}

/// One operator.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorSpec {
    /// Its name in the file; also its uid: state is kept under it.
    pub name: String,
    /// What it is.
    pub kind: OperatorKind,
    /// Inputs, in the order of the operator's own inputs.
    pub inputs: Vec<InputSpec>,
    /// Handed to `open` as JSON.
    pub config: serde_json::Value,
    /// Subtasks; absent = the pipeline's.
    pub parallelism: Option<u32>,
    /// Limits of one instance and call.
    pub limits: Limits,
}

/// Kinds of operator.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorKind {
    /// A guest: project folder or .wasm file, resolved against the pipeline file's folder.
    Component(PathBuf),
    /// Declared without code.
    Builtin(Box<Builtin>),
    /// Windows over a guest's aggregate.
    Aggregator {
        /// The windows; without what a built-in aggregate would compute.
        window: Box<WindowSpec>,
        /// Project folder or .wasm file of world aggregator, resolved against the pipeline file's folder.
        component: PathBuf,
    },
}

impl OperatorSpec {
    /// Whether it looks at events one by one, so that it may run wherever they are.
    pub fn is_stateless(&self) -> bool {
        matches!(&self.kind, OperatorKind::Builtin(builtin) if matches!(**builtin, Builtin::Select(_)))
    }
}

/// One input of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// Every upstream that feeds it (a union).
    pub from: Vec<PortRef>,
    /// How events travel.
    pub edge: Edge,
}

/// `node` or `node.port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortRef {
    /// Source or operator.
    pub node: String,
    /// Output port; absent = the only one.
    pub port: Option<String>,
}

/// How events travel to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// By the event's key (the default).
    Keyed,
    /// To the subtask of the same index, chained where it can be.
    Forward,
    /// To every subtask.
    Broadcast,
    /// Round robin, batch by batch.
    Rebalance,
}

/// Limits of one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, bytes.
    pub memory_bytes: u64,
    /// One call, ms.
    pub call_deadline_ms: u64,
    /// Output bytes of one call.
    pub output_bytes: u64,
}

/// One sink.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkSpec {
    /// Its name in the file.
    pub name: String,
    /// Every upstream that feeds it.
    pub inputs: Vec<PortRef>,
    /// Where events go.
    pub kind: SinkKind,
}

/// Kinds of sink. All but `Stream` are an egress of an internal stream, `<pipeline name>/<sink name>.egress`.
#[derive(Clone, Debug, PartialEq)]
pub enum SinkKind {
    /// A stream of this data directory.
    Stream {
        /// The stream, created if need be.
        stream: StreamName,
        /// Segments when it is created.
        segments: u32,
    },
    /// JSON lines in a folder, exactly once.
    File(FileSink),
    /// Lines on standard output, at least once after a crash.
    Stdout,
}

/// The internal stream that the egress of a file or stdout sink reads.
pub fn egress_stream(pipeline: &str, sink: &str) -> Result<StreamName, tidemill_storage::Error> {
    StreamName::new(format!("{pipeline}/{sink}.egress"))
}

/// A folder of JSON lines.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSink {
    /// The folder.
    pub path: PathBuf,
    /// A new file at the latest after so many bytes.
    pub roll_bytes: u64,
    /// And after so many ms, when there is anything.
    pub roll_ms: u64,
}
