//! Rejected events of one task, staged for the dead-letter stream in the same epoch as everything else.
//!
//! A dead letter keeps the event's time, key and value, and its headers with these in front: `tidemill-node` (the
//! operator or source), `tidemill-reason`, `tidemill-origin` (source partition and event numbers, when known).

use crate::dataflow::element::{EventBatch, Origin};
use crate::operator::{Rejection, TimerBatch};
use tidemill_storage::commit::Append;
use tidemill_storage::headers::{Entries, Header, push_event};
use tidemill_storage::stream::Appender;
use tidemill_storage::{Batch, EventTime, Result};

/// Header that names the node that refused the event.
pub const NODE: &str = "tidemill-node";
/// Header that says why.
pub const REASON: &str = "tidemill-reason";
/// Header that says where the event came from.
pub const ORIGIN: &str = "tidemill-origin";

/// A task's dead letters.
pub struct DeadLetters {
    appender: Appender,
    buffer: Batch,
}

fn origin_text(origin: Option<&Origin>) -> String {
    origin.map_or_else(String::new, |o| format!("{} events {}..{}", o.partition, o.first, o.end))
}

impl DeadLetters {
    /// Writes through `appender` to the pipeline's dead-letter stream.
    pub fn new(appender: Appender) -> DeadLetters {
        DeadLetters { appender, buffer: Batch::default() }
    }

    /// Events of a batch that an operator refused.
    pub fn reject_events(&mut self, node: &str, batch: &EventBatch, rejections: &[Rejection]) -> Result<()> {
        if rejections.is_empty() {
            return Ok(());
        }
        let events = &batch.events;
        let origin = origin_text(batch.origin.as_ref());
        let mut wanted: Vec<&Rejection> = rejections.iter().collect();
        wanted.sort_by_key(|r| r.index);
        let mut entries = Entries::new(&events.headers);
        let mut at = 0;
        for rejection in wanted {
            let index = rejection.index as usize;
            let mut own = entries.next_event()?;
            while at < index {
                own = entries.next_event()?;
                at += 1;
            }
            at += 1;
            let mut headers: Vec<Header<'_>> =
                vec![(NODE, node.as_bytes()), (REASON, rejection.reason.as_bytes()), (ORIGIN, origin.as_bytes())];
            headers.append(&mut own);
            let time = EventTime(events.timestamps[index]);
            push_event(&mut self.buffer, time, events.keys.get(index), events.values.get(index), &headers);
        }
        self.flush()
    }

    /// Timers that an operator refused: the key, the timer's time, no value.
    pub fn reject_timers(&mut self, node: &str, fired: &TimerBatch, rejections: &[Rejection]) -> Result<()> {
        for rejection in rejections {
            let index = rejection.index as usize;
            let timer = fired.timer.to_string();
            let headers: [Header<'_>; 3] =
                [(NODE, node.as_bytes()), (REASON, rejection.reason.as_bytes()), ("tidemill-timer", timer.as_bytes())];
            let time = EventTime(fired.times[index]);
            push_event(&mut self.buffer, time, Some(fired.keys.get(index)), None, &headers);
        }
        self.flush()
    }

    /// An event that a source refused.
    pub fn reject_input(&mut self, source: &str, time: EventTime, value: &[u8], reason: &str) -> Result<()> {
        let headers: [Header<'_>; 2] = [(NODE, source.as_bytes()), (REASON, reason.as_bytes())];
        push_event(&mut self.buffer, time, None, Some(value), &headers);
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.appender.push(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Hands over what this epoch staged.
    pub fn take(&mut self) -> Result<Vec<Append>> {
        self.appender.finish()
    }
}
