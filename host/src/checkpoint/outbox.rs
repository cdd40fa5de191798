//! Complete epochs on their way to the store: handed on in order, each when there is room for it on the disk. The
//! coordinator fills it and asks again at every tick, so that a full disk never holds its thread.

use std::collections::VecDeque;
use tidemill_storage::commit::Part;
use tidemill_storage::{OnDone, Room, Store};

struct Waiting {
    /// None = it needs none.
    room: Option<Room>,
    part: Part,
    on_done: OnDone,
}

/// The epochs that wait for room.
pub(super) struct Outbox {
    store: Store,
    waiting: VecDeque<Waiting>,
}

impl Outbox {
    pub(super) fn new(store: Store) -> Outbox {
        Outbox { store, waiting: VecDeque::new() }
    }

    /// One more; [`Outbox::hand_on`] sends it off.
    pub(super) fn add(&mut self, part: Part, on_done: OnDone) {
        self.waiting.push_back(Waiting { room: self.store.line_up(&part), part, on_done });
    }

    /// Hands on what there is room for; true = some must wait.
    pub(super) fn hand_on(&mut self) -> bool {
        while self.waiting.front_mut().is_some_and(|first| first.room.as_mut().is_none_or(Room::is_granted)) {
            if let Some(Waiting { room, part, on_done }) = self.waiting.pop_front() {
                self.store.submit_in(room, part, on_done);
            }
        }
        !self.waiting.is_empty()
    }
}
