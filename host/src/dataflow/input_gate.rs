//! The gate of a multi-input task: aligns barriers, joins watermarks, and gives one element at a time to the chain.
//!
//! Invariants:
//! 1. after channel c gave barrier n, nothing of c is taken until every channel gave barrier n;
//! 2. barriers of one channel come in order without gaps; anything else is a bug, not data;
//! 3. the watermark given out never regresses, and an ended channel holds nobody back;
//! 4. ended channels still carry barriers: a task takes part in checkpoints until the run is over.

use crate::dataflow::element::{Element, EventBatch};
use crate::dataflow::queue::Receiver;
use crate::dataflow::task::{FailureKind, TaskFailure};
use crate::dataflow::watermark::{Valve, ValveChange};
use std::collections::VecDeque;
use tidemill_storage::{Epoch, EventTime};

struct Channel {
    input: u32,
    receiver: Receiver,
    at_barrier: bool,
    ended: bool,
}

/// What the gate gives to the chain.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one step: a box would cost an allocation per batch"
)]
pub enum GateEvent {
    /// Events of one input, from one channel.
    Batch {
        /// The operator's input.
        input: u32,
        /// Index of the channel at this gate.
        channel: u32,
        /// The events.
        batch: EventBatch,
    },
    /// The joined watermark moved.
    Watermark(EventTime),
    /// Every channel gave this barrier.
    Barrier(Epoch),
    /// Every channel is idle.
    Idle,
    /// At least one channel is active again.
    Active,
    /// Every channel ended.
    End,
}

/// The gate.
pub struct InputGate {
    channels: Vec<Channel>,
    valve: Valve,
    epoch: Epoch,
    next: usize,
    ended: usize,
    aligned: usize,
    ready: VecDeque<GateEvent>,
}

impl InputGate {
    /// Channels as (operator input, receiver); `epoch` = the epoch that runs now; `floor` = the restored watermark.
    pub fn new(channels: Vec<(u32, Receiver)>, epoch: Epoch, floor: EventTime) -> InputGate {
        let valve = Valve::new(channels.len(), floor);
        let channels = channels
            .into_iter()
            .map(|(input, receiver)| Channel { input, receiver, at_barrier: false, ended: false })
            .collect();
        InputGate { channels, valve, epoch, next: 0, ended: 0, aligned: 0, ready: VecDeque::new() }
    }

    /// The next event, taking from the channels in turn; `None` = nothing can be taken now.
    pub fn poll(&mut self) -> Result<Option<GateEvent>, TaskFailure> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some((index, element)) = self.take() else { return Ok(None) };
            match element {
                Element::Batch(batch) => {
                    let input = self.channels[index].input;
                    return Ok(Some(GateEvent::Batch { input, channel: index as u32, batch }));
                }
                Element::Watermark(watermark) => {
                    let change = self.valve.advance(index, watermark);
                    self.announce(change);
                }
                Element::Idle => {
                    let change = self.valve.set_idle(index, true);
                    self.announce(change);
                }
                Element::Active => {
                    let change = self.valve.set_idle(index, false);
                    self.announce(change);
                }
                Element::End => self.end(index),
                Element::Barrier(epoch) => self.barrier(index, epoch)?,
            }
        }
    }

    /// The epoch that runs now.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The next barrier, if nothing is in front of it: takes barriers, and nothing else.
    pub fn poll_barrier(&mut self) -> Result<Option<Epoch>, TaskFailure> {
        if !self.ready.is_empty() {
            return Ok(None);
        }
        for index in 0..self.channels.len() {
            let channel = &self.channels[index];
            if !channel.at_barrier
                && let Some(Element::Barrier(epoch)) = channel.receiver.pop_if(|e| matches!(e, Element::Barrier(_)))
            {
                self.barrier(index, epoch)?;
            }
        }
        match self.ready.pop_front() {
            Some(GateEvent::Barrier(epoch)) => Ok(Some(epoch)),
            _ => Ok(None),
        }
    }

    fn take(&mut self) -> Option<(usize, Element)> {
        let count = self.channels.len();
        for step in 0..count {
            let index = (self.next + step) % count;
            let channel = &self.channels[index];
            if channel.at_barrier {
                continue;
            }
            if let Some(element) = channel.receiver.pop() {
                self.next = (index + 1) % count;
                return Some((index, element));
            }
        }
        None
    }

    fn announce(&mut self, change: ValveChange) {
        if change.idle == Some(false) {
            self.ready.push_back(GateEvent::Active);
        }
        if let Some(watermark) = change.watermark {
            self.ready.push_back(GateEvent::Watermark(watermark));
        }
        if change.idle == Some(true) {
            self.ready.push_back(GateEvent::Idle);
        }
    }

    fn end(&mut self, index: usize) {
        if std::mem::replace(&mut self.channels[index].ended, true) {
            return;
        }
        self.ended += 1;
        let change = self.valve.end(index);
        self.announce(change);
        if self.ended == self.channels.len() {
            self.ready.push_back(GateEvent::End);
        }
    }

    fn barrier(&mut self, index: usize, epoch: Epoch) -> Result<(), TaskFailure> {
        if epoch != self.epoch {
            let message = format!("channel {index} gave barrier {epoch} in epoch {}", self.epoch);
            return Err(TaskFailure::new(FailureKind::Bug, message));
        }
        self.channels[index].at_barrier = true;
        self.aligned += 1;
        if self.aligned == self.channels.len() {
            self.aligned = 0;
            self.channels.iter_mut().for_each(|c| c.at_barrier = false);
            self.epoch = epoch.next();
            self.ready.push_back(GateEvent::Barrier(epoch));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::dataflow::queue::{Capacity, Sender, queue};
    use crate::dataflow::worker::Executor;

    fn gate(channels: usize) -> (Vec<Sender>, InputGate) {
        let executor = Executor::new(1, Clock::system());
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..channels)
            .map(|_| queue(Capacity { elements: 8, bytes: 1 << 20 }, executor.waker(0), executor.waker(0)))
            .unzip();
        let inputs = receivers.into_iter().map(|r| (0, r)).collect();
        (senders, InputGate::new(inputs, Epoch(1), EventTime::MIN))
    }

    fn batch(time: i64) -> Element {
        let mut batch = EventBatch::default();
        batch.events.push(EventTime(time), None, Some(b"x"));
        Element::Batch(batch)
    }

    fn drain(gate: &mut InputGate) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(event) = gate.poll().unwrap() {
            out.push(match event {
                GateEvent::Batch { channel, batch, .. } => format!("batch {channel} {}", batch.events.timestamps[0]),
                GateEvent::Watermark(w) => format!("wm {w}"),
                GateEvent::Barrier(e) => format!("barrier {e}"),
                other => format!("{other:?}"),
            });
        }
        out
    }

    #[test]
    fn a_channel_at_its_barrier_is_held_until_all_are_there() {
        let (senders, mut gate) = gate(2);
        senders[0].push(Element::Barrier(Epoch(1)));
        senders[0].push(batch(100));
        senders[1].push(batch(1));
        assert_eq!(drain(&mut gate), ["batch 1 1"]);
        senders[1].push(Element::Barrier(Epoch(1)));
        assert_eq!(drain(&mut gate), ["barrier 1", "batch 0 100"]);
    }

    #[test]
    fn an_ended_channel_frees_the_watermark_and_still_carries_barriers() {
        let (senders, mut gate) = gate(2);
        senders[0].push(Element::Watermark(EventTime(5)));
        senders[1].push(Element::End);
        assert_eq!(drain(&mut gate), ["wm 5"]);
        senders[0].push(Element::Barrier(Epoch(1)));
        assert!(drain(&mut gate).is_empty(), "the ended channel's barrier is awaited");
        senders[1].push(Element::Barrier(Epoch(1)));
        senders[0].push(Element::End);
        assert_eq!(drain(&mut gate), ["barrier 1", "wm end", "End"]);
    }

    #[test]
    fn a_barrier_alone_is_taken_when_nothing_is_in_front_of_it() {
        let (senders, mut gate) = gate(2);
        senders[0].push(Element::Barrier(Epoch(1)));
        senders[1].push(batch(1));
        senders[1].push(Element::Barrier(Epoch(1)));
        assert_eq!(gate.poll_barrier().unwrap(), None, "a batch is in front of channel 1's");
        assert_eq!(drain(&mut gate), ["batch 1 1", "barrier 1"]);
        senders.iter().for_each(|sender| sender.push(Element::Barrier(Epoch(2))));
        assert_eq!((gate.epoch(), gate.poll_barrier().unwrap()), (Epoch(2), Some(Epoch(2))));
        assert_eq!(gate.epoch(), Epoch(3));
    }

    #[test]
    fn a_barrier_out_of_order_is_a_bug() {
        let (senders, mut gate) = gate(1);
        senders[0].push(Element::Barrier(Epoch(2)));
        assert_eq!(gate.poll().unwrap_err().kind, FailureKind::Bug);
    }
}
