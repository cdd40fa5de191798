//! A flood of timers due at one watermark holds up neither a barrier nor a stop (which is a barrier).
//!
//! W-34 of the reference (FLINK-20217; FLINK-31370, PR 22134): elsewhere all timers of a watermark fired in one go, so that
//! checkpoints timed out and a job could not be cancelled for minutes. Here a call has at most 4,096 timers, and between two calls
//! the task lets a barrier pass that nothing but timers is in front of. What is left is in the state; the checkpoint has the
//! watermark that has begun, so that what is late stays late, and the next run fires the rest before it takes any input, each timer
//! once. A barrier never passes events: those behind the watermark are after its timers. Counted in calls, not in time.

use std::sync::{Arc, Mutex};
use tidemill::clock::Clock;
use tidemill::config::pipeline::{Emit, WatermarkKind, WatermarkSpec};
use tidemill::connector::{ConnectorError, PartitionReader, Progress, ReadStatus, SourceBatch};
use tidemill::dataflow::chain::{ChainParts, ChainTask, Head, Node, Route};
use tidemill::dataflow::control::{Handover, Pressure, RunControl, TaskEvent};
use tidemill::dataflow::dead_letter::DeadLetters;
use tidemill::dataflow::element::{Element, EventBatch};
use tidemill::dataflow::input_gate::InputGate;
use tidemill::dataflow::operator_task::{OperatorNode, TIMERS_PER_CALL_MAX};
use tidemill::dataflow::queue::{Capacity, Sender, queue};
use tidemill::dataflow::source_task::{ReadLimits, SourceHead, SourcePartition};
use tidemill::dataflow::task::Task;
use tidemill::dataflow::worker::Executor;
use tidemill::operator::descriptor::*;
use tidemill::operator::*;
use tidemill::state::KeyedState;
use tidemill_storage::checkpoint::PartitionPosition;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::state::Memory;
use tidemill_storage::stream::{Appender, StreamConfig};
use tidemill_storage::{Batch, Column, Epoch, EventTime, Store, StoreOptions, StreamName};

const TIMERS: u32 = 1_000_000;
const DUE: i64 = 5_000_000;
/// Events of one read.
const READ: u32 = 50_000;

/// What was fired: keys as numbers, and after how many of them an event without a timer came.
#[derive(Default)]
struct Seen {
    fired: Vec<u32>,
    calls: usize,
    plain_after: Option<usize>,
    /// Under which watermark events came last, and after how many timers.
    events_under: Option<(EventTime, usize)>,
}

/// Registers a timer for each event before it is due.
struct Flood(Arc<Mutex<Seen>>);

impl Operator for Flood {
    fn process(
        &mut self,
        _: u32,
        watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let mut seen = self.0.lock().unwrap();
        seen.events_under = Some((watermark, seen.fired.len()));
        drop(seen);
        for i in 0..events.len() {
            if events.timestamps[i] > DUE {
                let mut seen = self.0.lock().unwrap();
                seen.plain_after = Some(seen.fired.len());
                continue;
            }
            let (domain, key) = (TimeDomain::EventTime, events.keys.get(i).unwrap().to_vec());
            context.timers.push(TimerOp { register: true, domain, timer: 0, key, time: DUE });
        }
        Ok(Vec::new())
    }

    fn on_timers(&mut self, fired: &TimerBatch, _: EventTime, _: &mut Context) -> Result<Vec<Rejection>, Failure> {
        assert!(fired.times.len() <= TIMERS_PER_CALL_MAX);
        let mut seen = self.0.lock().unwrap();
        seen.calls += 1;
        seen.fired.extend(fired.keys.iter().map(|key| u32::from_be_bytes(key.try_into().unwrap())));
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}

/// Gives on what it gets. With a count it works outside of its calls, too: it has no room, and an answer for whoever asks.
struct Pass(Option<Arc<Mutex<usize>>>);

impl Operator for Pass {
    fn process(
        &mut self,
        _: u32,
        _: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        context.output.push((0, events.clone()));
        Ok(Vec::new())
    }

    fn on_timers(&mut self, _: &TimerBatch, _: EventTime, _: &mut Context) -> Result<Vec<Rejection>, Failure> {
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn resume(&mut self, _: Wake, _: &Column, _: &mut Context) -> Result<bool, Failure> {
        Ok(self.0.is_some())
    }

    fn outside(&self) -> Outside {
        Outside { ready: true, full: true, waiting: None }
    }

    fn on_answers(&mut self, context: &mut Context) -> Result<Refused, Failure> {
        *self.0.as_ref().unwrap().lock().unwrap() += 1;
        let mut answer = Batch::default();
        answer.push(EventTime(DUE + 10), Some(b"answer"), None);
        context.output.push((0, answer));
        Ok(Refused::default())
    }
}

/// Events for all timers, then one that makes them due.
struct Reader(u32);

fn registrations(numbers: std::ops::Range<u32>, batch: &mut Batch) {
    numbers.for_each(|n| batch.push(EventTime(i64::from(n)), Some(&n.to_be_bytes()), None));
}

impl PartitionReader for Reader {
    fn read(&mut self, _: usize, _: usize, out: &mut SourceBatch) -> Result<ReadStatus, ConnectorError> {
        if self.0 < TIMERS {
            registrations(self.0..(self.0 + READ).min(TIMERS), &mut out.events);
            self.0 += READ;
            return Ok(ReadStatus::More);
        }
        if self.0 < u32::MAX {
            out.events.push(EventTime(DUE + 10), Some(b"last"), None);
            self.0 = u32::MAX;
        }
        Ok(ReadStatus::CaughtUp)
    }

    fn position(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn describe_position(&self) -> String {
        self.0.to_string()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

/// One task, stepped by hand.
struct Rig {
    task: ChainTask,
    control: Arc<RunControl>,
    seen: Arc<Mutex<Seen>>,
    handed_over: Arc<Mutex<Option<Handover>>>,
}

/// An operator's place, on top of what a handover left, or of nothing.
fn place(name: &str, operator: Box<dyn Operator>, before: Option<&Handover>) -> Node {
    let descriptor = Descriptor {
        descriptor: DESCRIPTOR_VERSION,
        name: name.into(),
        version: String::new(),
        inputs: vec![Port { name: "in".into() }],
        outputs: vec![Port { name: "out".into() }],
        states: Vec::new(),
        timers: vec![TimerDescriptor { name: "due".into() }],
        metrics: Vec::new(),
        wants: Wants::default(),
        config: None,
    };
    let mut memory = Memory::new(0..4, 4);
    let mut watermark = EventTime::MIN;
    if let Some(before) = before {
        let state = before.state.iter().filter(|(uid, _)| &**uid == name);
        state.for_each(|(_, sealed)| memory.apply_delta(&sealed.encode(), Epoch(1)).unwrap());
        watermark = watermark_of(before, name);
    }
    let context = Context { state: KeyedState::new(memory, Vec::new(), 4, 0..4), ..Context::default() };
    let subtask = Subtask { index: 0, parallelism: 1, max_parallelism: 4 };
    let node = OperatorNode::new(name.into(), operator, &descriptor, context, subtask, watermark, Arc::default());
    Node::Operator(Box::new(node.unwrap()))
}

fn watermark_of(handover: &Handover, name: &str) -> EventTime {
    handover.watermarks.iter().find(|(uid, _)| &**uid == name).unwrap().1
}

/// A task with the operator; `behind`: another one is in front of it in its chain.
fn rig(head: Head, behind: bool, before: Option<&Handover>) -> Rig {
    rig_behind(head, behind.then(|| place("pass", Box::new(Pass(None)), before)), before)
}

fn rig_behind(head: Head, front: Option<Node>, before: Option<&Handover>) -> Rig {
    let seen = Arc::<Mutex<Seen>>::default();
    let flood = (place("flood", Box::new(Flood(seen.clone())), before), Vec::new());
    let nodes = match front {
        None => vec![flood],
        Some(front) => vec![(front, vec![vec![Route::Chained { node: 1, input: 0 }]]), flood],
    };
    let store = Store::open_with(FaultDisk::new(1), StoreOptions::default()).unwrap();
    let info = store.ensure_stream(&StreamName::new("test/dead").unwrap(), StreamConfig::default()).unwrap();
    let head_ports = match &head {
        Head::Source(_) => vec![vec![Route::Chained { node: 0, input: 0 }]],
        Head::Gate(_) => Vec::new(),
    };
    let parts = ChainParts {
        task: 0,
        head,
        head_ports,
        nodes,
        edges: Vec::new(),
        dead_letters: DeadLetters::new(Appender::new(&info)),
    };
    let control = Arc::new(RunControl::new(Epoch(0), 1 << 30, Box::new(|| ())));
    let handed_over = Arc::<Mutex<Option<Handover>>>::default();
    let told = handed_over.clone();
    let report = Arc::new(move |event| {
        let TaskEvent::HandedOver { handover, .. } = event;
        assert!(told.lock().unwrap().replace(*handover).is_none(), "one barrier, one handover");
    });
    Rig { task: ChainTask::new(parts, control.clone(), report, Clock::manual(0)), control, seen, handed_over }
}

impl Rig {
    fn step_until(&mut self, is_so: impl Fn(&Rig) -> bool) {
        for _ in 0..10_000 {
            if is_so(self) {
                return;
            }
            self.task.step().unwrap();
        }
        panic!("it does not come");
    }

    fn calls(&self) -> usize {
        self.seen.lock().unwrap().calls
    }

    fn fired(&self) -> usize {
        self.seen.lock().unwrap().fired.len()
    }

    fn is_handed_over(&self) -> bool {
        self.handed_over.lock().unwrap().is_some()
    }
}

fn source(from: Option<&PartitionPosition>) -> Head {
    let kind = WatermarkKind::OutOfOrderness { bound_ms: 0 };
    let reader = Reader(from.map_or(0, |from| u32::from_be_bytes(from.position[..].try_into().unwrap())));
    let partition = SourcePartition::new("in", "p".into(), Box::new(reader), kind, from, Arc::default());
    let spec = WatermarkSpec { kind, idle_after_ms: None, emit: Emit::PerBatch, align: None };
    let limits = ReadLimits { events: READ as usize, bytes: 1 << 30 };
    Head::Source(Box::new(SourceHead::new("in".into(), vec![partition], &spec, None, limits, Epoch(1), Arc::default())))
}

#[test]
fn a_barrier_passes_a_flood_of_a_million_timers_and_the_rest_fires_after_a_restart() {
    let mut rig1 = rig(source(None), false, None);
    rig1.step_until(|rig| rig.calls() == 1);
    rig1.control.request_barrier(Epoch(1));
    rig1.step_until(Rig::is_handed_over);
    assert_eq!(rig1.calls(), 1, "the barrier waited for no other call");
    let before = rig1.seen.lock().unwrap().fired.clone();
    assert_eq!(before.len(), TIMERS_PER_CALL_MAX);
    let handover = rig1.handed_over.lock().unwrap().take().unwrap();
    assert!(watermark_of(&handover, "flood") >= EventTime(DUE), "what is late now is late after a restart");
    // This run goes on where it was, and what it does now is worth a checkpoint.
    rig1.control.clear_dirty();
    rig1.step_until(|rig| rig.calls() == 2);
    assert!(rig1.control.is_dirty());
    rig1.step_until(|rig| rig.fired() == TIMERS as usize);
    // Another one, from the checkpoint, fires what the first had left.
    let mut rig2 = rig(source(Some(&handover.positions[0].2)), false, Some(&handover));
    rig2.step_until(|rig| rig.fired() == TIMERS as usize - before.len());
    let mut all = [before, rig2.seen.lock().unwrap().fired.clone()].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..TIMERS), "each timer fired once");
}

/// A task behind a queue that holds the registrations of some timers and what makes them due.
const SOME: u32 = 100_000;

fn behind_a_queue(executor: &Executor, floor: EventTime, epoch: Epoch) -> (Sender, Head) {
    let capacity = Capacity { elements: 64, bytes: 1 << 30 };
    let (sender, receiver) = queue(capacity, executor.waker(0), executor.waker(0));
    (sender, Head::Gate(InputGate::new(vec![(0, receiver)], epoch, floor)))
}

fn flood(sender: &Sender) {
    let mut batch = EventBatch::default();
    registrations(0..SOME, &mut batch.events);
    sender.push(Element::Batch(batch));
    sender.push(Element::Watermark(EventTime(DUE)));
}

#[test]
fn behind_a_queue_a_barrier_passes_timers_but_no_events() {
    for events_between in [false, true] {
        let executor = Executor::new(1, Clock::manual(0));
        let (sender, head) = behind_a_queue(&executor, EventTime::MIN, Epoch(1));
        let mut rig = rig(head, false, None);
        flood(&sender);
        if events_between {
            let mut batch = EventBatch::default();
            batch.events.push(EventTime(DUE + 10), Some(b"last"), None);
            sender.push(Element::Batch(batch));
        }
        rig.control.request_barrier(Epoch(1));
        sender.push(Element::Barrier(Epoch(1)));
        rig.step_until(|rig| rig.calls() == 1);
        rig.step_until(Rig::is_handed_over);
        if events_between {
            assert_eq!((rig.fired(), rig.seen.lock().unwrap().plain_after), (SOME as usize, Some(SOME as usize)));
        } else {
            assert_eq!(rig.calls(), 1);
            rig.step_until(|rig| rig.fired() == SOME as usize);
        }
    }
}

/// The node in front is done with the watermark, so that nothing upstream is news to it after the restart.
#[test]
fn a_node_in_the_middle_of_a_chain_goes_on_with_its_watermark_after_a_restart_before_any_event() {
    let executor = Executor::new(1, Clock::manual(0));
    let (sender, head) = behind_a_queue(&executor, EventTime::MIN, Epoch(1));
    let mut rig1 = rig(head, true, None);
    flood(&sender);
    rig1.control.request_barrier(Epoch(1));
    sender.push(Element::Barrier(Epoch(1)));
    rig1.step_until(Rig::is_handed_over);
    assert_eq!(rig1.calls(), 1);
    let handover = rig1.handed_over.lock().unwrap().take().unwrap();
    assert_eq!((watermark_of(&handover, "pass"), watermark_of(&handover, "flood")), (EventTime(DUE), EventTime(DUE)));
    let (sender, head) = behind_a_queue(&executor, EventTime(DUE), Epoch(2));
    let mut rig2 = rig(head, true, Some(&handover));
    // Before anything upstream says what it said before, and before its events, which are as late as they would have been.
    let mut batch = EventBatch::default();
    batch.events.push(EventTime(DUE + 10), Some(b"next"), None);
    sender.push(Element::Batch(batch));
    let rest = SOME as usize - TIMERS_PER_CALL_MAX;
    rig2.step_until(|rig| rig.seen.lock().unwrap().events_under.is_some());
    assert_eq!((rig2.fired(), rig2.seen.lock().unwrap().events_under), (rest, Some((EventTime(DUE), rest))));
}

#[test]
fn answers_of_a_node_in_front_do_not_overtake_the_flood_behind_it() {
    let executor = Executor::new(1, Clock::manual(0));
    let (sender, head) = behind_a_queue(&executor, EventTime::MIN, Epoch(1));
    let answered = Arc::<Mutex<usize>>::default();
    let Node::Operator(mut owing) = place("owing", Box::new(Pass(Some(answered.clone()))), None) else {
        panic!("it is one")
    };
    owing.resume(Arc::new(|| ()), Arc::<Pressure>::default()).unwrap();
    let mut rig = rig_behind(head, Some(Node::Operator(owing)), None);
    flood(&sender);
    // It has no room, so that it takes the flood for a barrier's sake only.
    rig.control.request_barrier(Epoch(1));
    sender.push(Element::Barrier(Epoch(1)));
    rig.step_until(|rig| rig.calls() == 1);
    let before = *answered.lock().unwrap();
    rig.step_until(|rig| rig.fired() == SOME as usize);
    assert_eq!(*answered.lock().unwrap(), before, "no answer between two calls of one watermark's timers");
    // Its turn comes.
    rig.step_until(|_| *answered.lock().unwrap() > before);
}
