//! What the author of an operator writes. `runner` calls it.

use crate::batch::{Batch, Event, Rejection};
use crate::declare::Declare;
use crate::error::{Error, Result};
use crate::timer::Timer;

/// An operator: events in, events out, with keyed state and timers.
///
/// Each call of the host is a transaction, and within it each event is one: an error that refuses the event
/// ([`Error::Reject`], which `?` makes of any other error) undoes what that event did to states, ports, timers and
/// metrics. Fields that are no handles are memory of this instance only, and instances may be replaced at any time.
#[allow(unused_variables)]
pub trait Operator: Declare + 'static {
    /// One event.
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        Err(Error::fatal("the operator implements neither `process` nor `process_batch`"))
    }

    /// All events of a call, for operators that work on columns. By default hands them to [`Operator::process`].
    fn process_batch(&mut self, batch: &Batch<'_>) -> Result<Vec<Rejection>> {
        batch.each(|event| self.process(event))
    }

    /// A timer is due. Its key is the current key.
    fn on_timer(&mut self, timer: &Timer<'_>) -> Result<()> {
        Err(Error::fatal(format!("timer `{}` fired, but the operator implements no `on_timer`", timer.name())))
    }

    /// The watermark moved; called only with `#[declare(watermarks)]`. There is no current key.
    fn on_watermark(&mut self, watermark: i64) -> Result<()> {
        Ok(())
    }

    /// Once per instance, when the fields are ready.
    fn open(&mut self) -> Result<()> {
        Ok(())
    }

    /// When the pipeline ends or drains. There is no current key.
    fn close(&mut self) -> Result<()> {
        Ok(())
    }

    /// JSON Schema of the configuration, for tools.
    fn config_schema() -> Option<serde_json::Value> {
        None
    }
}
