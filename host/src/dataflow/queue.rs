//! A bounded queue of elements between two tasks: one lock per batch, never per event. The bound is soft: a producer
//! asks [`Sender::has_room`] before it works, and what that work makes is always taken.

use crate::dataflow::element::Element;
use crate::dataflow::worker::Waker;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

struct Inner {
    elements: VecDeque<Element>,
    bytes: usize,
    producer_waits: bool,
}

struct Shared {
    inner: Mutex<Inner>,
    capacity_elements: usize,
    capacity_bytes: usize,
    producer: Waker,
    consumer: Waker,
}

/// The producer's end.
pub struct Sender(Arc<Shared>);

/// The consumer's end.
pub struct Receiver(Arc<Shared>);

/// How much a queue takes before its producer has to wait.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Elements.
    pub elements: usize,
    /// Bytes of batches.
    pub bytes: usize,
}

fn weight(element: &Element) -> usize {
    match element {
        Element::Batch(batch) => batch.events.bytes(),
        _ => 0,
    }
}

/// A new queue between two tasks.
pub fn queue(capacity: Capacity, producer: Waker, consumer: Waker) -> (Sender, Receiver) {
    let shared = Arc::new(Shared {
        inner: Mutex::new(Inner { elements: VecDeque::new(), bytes: 0, producer_waits: false }),
        capacity_elements: capacity.elements.max(1),
        capacity_bytes: capacity.bytes.max(1),
        producer,
        consumer,
    });
    (Sender(shared.clone()), Receiver(shared))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// Whether the queue is below its bound. If not, the producer is woken when it is again.
    pub fn has_room(&self) -> bool {
        let mut inner = self.0.lock();
        let room = inner.elements.len() < self.0.capacity_elements && inner.bytes < self.0.capacity_bytes;
        inner.producer_waits = !room;
        room
    }

    /// Adds an element.
    pub fn push(&self, element: Element) {
        let mut inner = self.0.lock();
        let was_empty = inner.elements.is_empty();
        inner.bytes += weight(&element);
        inner.elements.push_back(element);
        drop(inner);
        if was_empty {
            self.0.consumer.wake();
        }
    }
}

impl Receiver {
    /// Takes the oldest element.
    pub fn pop(&self) -> Option<Element> {
        self.pop_if(|_| true)
    }

    /// Takes the oldest element if it is one of these.
    pub fn pop_if(&self, is_wanted: impl FnOnce(&Element) -> bool) -> Option<Element> {
        let mut inner = self.0.lock();
        let element = inner.elements.pop_front_if(|element| is_wanted(element))?;
        inner.bytes -= weight(&element);
        let wake = inner.producer_waits
            && inner.elements.len() * 2 <= self.0.capacity_elements
            && inner.bytes * 2 <= self.0.capacity_bytes;
        if wake {
            inner.producer_waits = false;
        }
        drop(inner);
        if wake {
            self.0.producer.wake();
        }
        Some(element)
    }
}
