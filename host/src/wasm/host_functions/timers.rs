//! Interface `timers`: registrations and cancellations go to the call's context; the dataflow applies them when the call
//! is committed.

use super::{Answer, HostState, answer, entry};
use crate::operator::{Subtask, TimerOp};
use crate::wasm::bindings::wit::timers::{Columns, Host, S64Buffer, TimeDomain};
use crate::wasm::convert;
use tidemill_storage::{EventTime, hash};

impl Host for HostState {
    fn register(&mut self, domain: TimeDomain, timer: u32, keys: Columns, times: S64Buffer) -> wasmtime::Result<()> {
        answer("timers.register", self.timer_ops(true, domain, timer, &keys, &times))
    }

    fn cancel(&mut self, domain: TimeDomain, timer: u32, keys: Columns, times: S64Buffer) -> wasmtime::Result<()> {
        answer("timers.cancel", self.timer_ops(false, domain, timer, &keys, &times))
    }
}

impl HostState {
    fn timer_ops(
        &mut self,
        register: bool,
        domain: TimeDomain,
        timer: u32,
        keys: &Columns,
        times: &[u8],
    ) -> Answer<()> {
        self.needs_run()?;
        let name = &entry(&self.descriptor.timers, "timer", timer)?.name;
        let ends = convert::ends(&keys.data, &keys.ends, "keys")?;
        let times = convert::view::<i64>(times, "times")?;
        if ends.len() != times.len() {
            return Err(format!("timer {name}: {} keys and {} times; give one time per key", ends.len(), times.len()));
        }
        if let Some(time) = times.iter().find(|t| !EventTime(**t).is_real()) {
            return Err(format!("timer {name}: time {time} is outside +-(2^53 - 1) ms"));
        }
        self.budget.take_output(convert::column_bytes(keys) + size_of_val(&*times))?;
        let domain = convert::domain(domain);
        let subtask = self.context.subtask;
        let kept = self.context.timers.len();
        let mut start = 0;
        for (&end, &time) in ends.iter().zip(times.iter()) {
            let key = &keys.data[start..end as usize];
            start = end as usize;
            if let Some(subtask) = subtask
                && let Err(why) = owned(key, subtask)
            {
                self.context.timers.truncate(kept);
                return Err(format!("timer {name}: {why}"));
            }
            self.context.timers.push(TimerOp { register, domain, timer, key: key.to_vec(), time });
        }
        Ok(())
    }
}

/// Whether a key belongs to the subtask: a timer of another's key would never fire where its state is.
fn owned(key: &[u8], subtask: Subtask) -> Answer<()> {
    let Subtask { index, parallelism, max_parallelism } = subtask;
    let group = hash::key_group(hash::hash_key(key), max_parallelism);
    let groups = hash::key_group_range(index, parallelism, max_parallelism);
    if groups.contains(&group.0) {
        return Ok(());
    }
    Err(format!(
        "key {} is in key group {}, and subtask {index} of {parallelism} has {}..{}; use keys of the events (or timers) \
         of this call",
        key.escape_ascii(),
        group.0,
        groups.start,
        groups.end
    ))
}
