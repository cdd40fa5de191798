//! A task's way out to the subtasks of one node downstream. Chains push elements here; queues carry them on.

use crate::config::pipeline::Edge;
use crate::dataflow::element::{Element, EventBatch};
use crate::dataflow::partitioner::KeyPartitioner;
use crate::dataflow::queue::Sender;
use crate::dataflow::task::TaskFailure;

/// All channels of one edge that begin at one upstream subtask.
pub struct OutputEdge {
    kind: Edge,
    partitioner: KeyPartitioner,
    channels: Vec<Sender>,
    next: usize,
}

impl OutputEdge {
    /// `channels` in the order of the subtasks downstream; a forward edge has exactly one.
    pub fn new(kind: Edge, channels: Vec<Sender>, max_parallelism: u32) -> OutputEdge {
        let partitioner = KeyPartitioner::new(channels.len() as u32, max_parallelism);
        OutputEdge { kind, partitioner, channels, next: 0 }
    }

    /// Whether every channel is below its bound.
    pub fn has_room(&self) -> bool {
        self.channels.iter().all(Sender::has_room)
    }

    /// Sends an element on: a batch where it belongs, everything else to all.
    pub fn push(&mut self, element: Element) -> Result<(), TaskFailure> {
        let Element::Batch(batch) = element else {
            self.channels.iter().for_each(|c| c.push(element.clone()));
            return Ok(());
        };
        match self.kind {
            Edge::Keyed => {
                let parts = self.partitioner.split(batch)?;
                let filled = self.channels.iter().zip(parts).filter(|(_, part)| !part.events.is_empty());
                filled.for_each(|(channel, part)| channel.push(Element::Batch(part)));
            }
            Edge::Broadcast => self.broadcast(batch),
            Edge::Forward | Edge::Rebalance => {
                self.channels[self.next].push(Element::Batch(batch));
                self.next = (self.next + 1) % self.channels.len();
            }
        }
        Ok(())
    }

    fn broadcast(&self, batch: EventBatch) {
        let Some((last, others)) = self.channels.split_last() else { return };
        others.iter().for_each(|c| c.push(Element::Batch(batch.clone())));
        last.push(Element::Batch(batch));
    }
}
