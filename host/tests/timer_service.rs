//! Timers against a sorted list: what is due comes earliest first and once, dropped calls bring it back, and a reload after
//! a crash finds the timers of the last committed epoch.
//!
//! W-33 of the reference (InternalTimerServiceImpl): a timer earlier than the one that was armed did not move the alarm, and what a
//! callback registered left alarms behind that nobody took away. Here the alarm is always the front of the queue
//! (`an_earlier_registration_moves_the_next_deadline`, `a_call_of_a_drain_may_register_and_cancel_what_comes_later_in_it`).
//! W-34, floods: `timer_flood.rs`.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeSet;
use tidemill::dataflow::timer_service::TimerService;
use tidemill::operator::{Context, TimeDomain, TimerBatch, TimerOp};
use tidemill::state::KeyedState;
use tidemill_storage::hash::{hash_key, key_group, key_group_range};
use tidemill_storage::state::{Change, DeltaBuilder, Memory};
use tidemill_storage::{Epoch, Kind, timer};

const MAX_PARALLELISM: u32 = 4;
use TimeDomain::{EventTime, ProcessingTime};

/// In firing order per clock.
type Model = BTreeSet<(TimeDomain, i64, u32, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Action {
    Call {
        ops: Vec<TimerOp>,
        keep: bool,
    },
    /// At most `rounds` rounds: a barrier interrupts the rest. A dropped round is tried again by the next.
    Drain {
        domain: TimeDomain,
        up_to: i64,
        max: usize,
        rounds: Vec<(Vec<TimerOp>, bool)>,
    },
    Commit,
    Crash,
}

fn op() -> impl Strategy<Value = TimerOp> {
    (prop::bool::weighted(0.75), any::<bool>(), 0u32..2, prop::collection::vec(0u8..4, 0..2), -5i64..20).prop_map(
        |(register, event, timer, key, time)| TimerOp {
            register,
            domain: if event { EventTime } else { ProcessingTime },
            timer,
            key,
            time,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let ops = || prop::collection::vec(op(), 0..6);
    let keep = || prop::bool::weighted(0.75);
    prop_oneof![
        4 => (ops(), keep()).prop_map(|(ops, keep)| Action::Call { ops, keep }),
        3 => (any::<bool>(), -5i64..20, 1usize..5, prop::collection::vec((ops(), keep()), 1..6)).prop_map(
            |(event, up_to, max, rounds)| {
                let domain = if event { EventTime } else { ProcessingTime };
                Action::Drain { domain, up_to, max, rounds }
            }
        ),
        2 => Just(Action::Commit),
        1 => Just(Action::Crash),
    ]
}

struct Rig {
    service: TimerService,
    context: Context,
    deltas: Vec<Bytes>,
    epoch: Epoch,
    live: Model,
    committed: Model,
}

impl Rig {
    fn new() -> Rig {
        let context = Context { state: state(&[], 0, 1), ..Context::default() };
        let (live, committed) = (Model::new(), Model::new());
        Rig { service: TimerService::default(), context, deltas: Vec::new(), epoch: Epoch(1), live, committed }
    }

    fn end_call(&mut self, delivered: Option<&TimerBatch>, ops: &[TimerOp], keep: bool) {
        self.context.timers.extend_from_slice(ops);
        if !keep {
            self.service.roll_back_call(&mut self.context);
            return;
        }
        self.service.commit_call(&mut self.context).unwrap();
        for (domain, timer, key, time) in delivered.into_iter().flat_map(entries) {
            assert!(self.live.remove(&(domain, time, timer, key)), "a timer fired that was not registered");
        }
        for op in ops {
            let entry = (op.domain, op.time, op.timer, op.key.clone());
            match op.register {
                true => self.live.insert(entry),
                false => self.live.remove(&entry),
            };
        }
    }

    /// The batch that must come next.
    fn expected(&self, domain: TimeDomain, up_to: i64, max: usize) -> Vec<(i64, u32, Vec<u8>)> {
        let due = self.live.iter().filter(|entry| entry.0 == domain && entry.1 <= up_to);
        let mut batch: Vec<(i64, u32, Vec<u8>)> = Vec::new();
        for (_, time, timer, key) in due {
            let other_timer = batch.first().is_some_and(|first| first.1 != *timer);
            if batch.len() == max || other_timer || batch.iter().any(|before| before.2 == *key) {
                break;
            }
            batch.push((*time, *timer, key.clone()));
        }
        batch
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Call { ops, keep } => self.end_call(None, ops, *keep),
            Action::Drain { domain, up_to, max, rounds } => {
                for (ops, keep) in rounds {
                    let expected = self.expected(*domain, *up_to, *max);
                    let batch = self.service.due(*domain, *up_to, *max);
                    let read: Vec<_> = batch.iter().flat_map(entries).map(|(_, t, k, time)| (time, t, k)).collect();
                    assert_eq!(read, expected);
                    let Some(batch) = batch else { return };
                    self.end_call(Some(&batch), ops, *keep);
                }
            }
            Action::Commit => {
                let sealed = self.context.state.seal_epoch(self.epoch);
                self.deltas.extend(sealed.map(|sealed| sealed.encode()));
                self.context.state.epoch_committed(self.epoch);
                self.epoch = self.epoch.next();
                self.committed = self.live.clone();
            }
            Action::Crash => {
                self.context = Context { state: state(&self.deltas, 0, 1), ..Context::default() };
                self.service = TimerService::load(&self.context.state).unwrap();
                self.live = self.committed.clone();
            }
        }
        for domain in [EventTime, ProcessingTime] {
            let waiting = self.live.iter().filter(|entry| entry.0 == domain);
            assert_eq!(self.service.pending(domain), waiting.clone().count());
            let next = match domain {
                EventTime => self.service.next_event_time(),
                ProcessingTime => self.service.next_processing_time(),
            };
            assert_eq!(next, waiting.map(|entry| entry.1).next());
        }
    }
}

fn entries(batch: &TimerBatch) -> impl Iterator<Item = (TimeDomain, u32, Vec<u8>, i64)> {
    let TimerBatch { domain, timer, keys, times } = batch.clone();
    assert_eq!(keys.len(), times.len());
    times.into_iter().enumerate().map(move |(i, time)| (domain, timer, keys.get(i).to_vec(), time))
}

fn state(deltas: &[Bytes], index: u32, parallelism: u32) -> KeyedState {
    let key_groups = key_group_range(index, parallelism, MAX_PARALLELISM);
    let mut memory = Memory::new(key_groups.clone(), MAX_PARALLELISM);
    deltas.iter().for_each(|delta| memory.apply_delta(delta, Epoch(0)).unwrap());
    KeyedState::new(memory, Vec::new(), MAX_PARALLELISM, key_groups)
}

fn register(domain: TimeDomain, key: &[u8], time: i64) -> TimerOp {
    TimerOp { register: true, domain, timer: 0, key: key.to_vec(), time }
}

fn cancel(domain: TimeDomain, key: &[u8], time: i64) -> TimerOp {
    TimerOp { register: false, ..register(domain, key, time) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn timers_fire_as_a_sorted_list_says(actions in prop::collection::vec(action(), 1..40)) {
        let mut rig = Rig::new();
        actions.iter().for_each(|action| rig.act(action));
        // At another parallelism, the subtasks hold the committed timers between them.
        let mut loaded = Model::new();
        for index in 0..3 {
            let mut service = TimerService::load(&state(&rig.deltas, index, 3)).unwrap();
            for domain in [EventTime, ProcessingTime] {
                let mut context = Context { state: state(&rig.deltas, index, 3), ..Context::default() };
                while let Some(batch) = service.due(domain, i64::MAX, 3) {
                    for (domain, timer, key, time) in entries(&batch) {
                        prop_assert!(loaded.insert((domain, time, timer, key)), "a timer in two subtasks");
                    }
                    service.commit_call(&mut context).unwrap();
                }
            }
        }
        prop_assert_eq!(loaded, rig.committed);
    }
}

/// Drains event time, a timer a call; `on_fire` gives each call's operations.
fn drain(rig: &mut Rig, watermark: i64, mut on_fire: impl FnMut(i64) -> Vec<TimerOp>) -> Vec<i64> {
    let mut fired = Vec::new();
    while let Some(batch) = rig.service.due(EventTime, watermark, 1) {
        fired.push(batch.times[0]);
        let ops = on_fire(batch.times[0]);
        rig.end_call(Some(&batch), &ops, true);
    }
    fired
}

#[test]
fn the_same_timer_registered_twice_fires_once_and_only_when_due() {
    let mut rig = Rig::new();
    let ops = [5, 3, 3, 6].map(|time| register(EventTime, b"k", time));
    rig.end_call(None, &ops, true);
    assert_eq!(drain(&mut rig, 5, |_| Vec::new()), [3, 5]);
    assert_eq!(rig.service.next_event_time(), Some(6));
}

#[test]
fn a_call_of_a_drain_may_register_and_cancel_what_comes_later_in_it() {
    let mut rig = Rig::new();
    rig.end_call(None, &[3, 5].map(|time| register(EventTime, b"k", time)), true);
    let fired = drain(&mut rig, 5, |time| match time {
        3 => vec![register(EventTime, b"k", 4), register(EventTime, b"j", 1), cancel(EventTime, b"k", 5)],
        _ => Vec::new(),
    });
    assert_eq!(fired, [3, 1, 4], "1 and 4 were registered at or before the watermark, 5 was cancelled");
    assert_eq!(rig.service.pending(EventTime), 0);
}

#[test]
fn a_timer_that_registers_itself_again_stays() {
    let mut rig = Rig::new();
    rig.end_call(None, &[register(ProcessingTime, b"k", 10)], true);
    let batch = rig.service.due(ProcessingTime, 10, 8).unwrap();
    rig.end_call(Some(&batch), &[register(ProcessingTime, b"k", 10)], true);
    rig.act(&Action::Commit);
    rig.act(&Action::Crash);
    assert_eq!(rig.service.next_processing_time(), Some(10));
}

#[test]
fn a_dropped_call_leaves_its_timers_due_and_its_registrations_undone() {
    let mut rig = Rig::new();
    rig.end_call(None, &[register(EventTime, b"a", 1), register(EventTime, b"b", 2)], true);
    let batch = rig.service.due(EventTime, 9, 8).unwrap();
    assert_eq!(batch.times, [1, 2]);
    rig.end_call(Some(&batch), &[register(EventTime, b"c", 3)], false);
    // The first half alone, as isolation of a poison event asks for it.
    assert_eq!(rig.service.due(EventTime, 9, 1).unwrap().times, [1]);
    rig.service.roll_back_call(&mut rig.context);
    assert_eq!(drain(&mut rig, 9, |_| Vec::new()), [1, 2]);
}

#[test]
fn an_earlier_registration_moves_the_next_deadline() {
    let mut rig = Rig::new();
    rig.end_call(None, &[register(ProcessingTime, b"k", 100)], true);
    rig.end_call(None, &[register(ProcessingTime, b"k", 50)], true);
    assert_eq!(rig.service.next_processing_time(), Some(50));
}

#[test]
fn a_timer_of_another_subtasks_key_or_an_unreal_time_is_refused_whole() {
    let foreign = (0..u8::MAX).find(|k| key_group(hash_key(&[*k]), MAX_PARALLELISM).0 >= 2).unwrap();
    let mine = (0..u8::MAX).find(|k| key_group(hash_key(&[*k]), MAX_PARALLELISM).0 < 2).unwrap();
    let mut context = Context { state: state(&[], 0, 2), ..Context::default() };
    let mut service = TimerService::default();
    for bad in [register(EventTime, &[foreign], 1), register(EventTime, &[mine], i64::MAX)] {
        context.timers = vec![register(EventTime, &[mine], 1), bad];
        service.commit_call(&mut context).unwrap_err();
        service.roll_back_call(&mut context);
        assert_eq!(service.pending(EventTime), 0);
        assert!(context.state.seal_epoch(Epoch(1)).is_none());
    }
}

#[test]
fn a_damaged_timer_entry_stops_the_load() {
    let mut builder = DeltaBuilder::default();
    let group = key_group(hash_key(b"k"), MAX_PARALLELISM);
    builder.push(timer::EVENT_TIME, group, b"k", b"short", Change::Put(b""));
    let error = TimerService::load(&state(&[builder.finish()], 0, 1)).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
}
