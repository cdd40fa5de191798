//! Windows kept one by one: sessions, global windows, counts, early results, discarding, processing time.
//!
//! ```text
//! state windows  key, window start -> entry (entry.rs)
//! timer 0        look at the windows of the key (on the windows' clock, or on that of early results)
//! timer 1        end of input, for processing-time windows: they give what they have and go
//! ```
//!
//! A timer says "look", not which window: it looks at all windows of its key, does what is due at its time, and arms what
//! has nothing armed. So a session that grows moves no timer; the old one finds nothing due and arms the new end.
//!
//! Sessions: an event's [t, t + gap) and the sessions that it overlaps or touches become one; contents merge in time order.

use super::assign::Aligned;
use super::batch::{Firing, Keys};
use super::entry::{Entry, NEVER, Rules, next_multiple};
use super::{Call, Kind};
use crate::config::builtin::{Clock, Gap, WindowSpec, Windows};
use crate::operator::builtin::aggregate::Window;
use crate::operator::builtin::fields::Fields;
use crate::operator::builtin::state_access::{Puts, scan, time_key, time_of};
use crate::operator::{Failure, TimeDomain, TimerBatch, TimerOp};
use crate::state::ScanRange;
use tidemill_storage::{Column, EventTime, OptionalColumn};

const WINDOWS: u32 = 0;
const LOOK: u32 = 0;
const DRAIN: u32 = 1;

/// See the module's words.
pub(super) struct Entries {
    assigner: Assigner,
    rules: Rules,
    discard: bool,
}

enum Assigner {
    Aligned(Aligned),
    Session(i64),
    SessionBy(Fields),
    Global,
}

/// A window of the call.
struct Slot {
    key: u32,
    start: i64,
    entry: Entry,
    /// Under which start it lies in state.
    stored: Option<i64>,
    changed: bool,
    /// Merged into another.
    into: Option<usize>,
    /// Contents of sessions that were merged into it, with their starts.
    absorbed: Vec<(i64, Vec<u8>)>,
    /// The next window of the key.
    next: Option<usize>,
}

/// The windows of the call's keys.
#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    /// By key, the first of a chain of its windows.
    of_key: Vec<Option<usize>>,
}

impl Slots {
    /// The windows of these keys in state.
    fn load(keys: &Column, call: &mut Call<'_>) -> Result<Slots, Failure> {
        let ranges: Vec<ScanRange<'_>> = keys.iter().map(|key| ScanRange { key, start: None, end: None }).collect();
        let stored = scan(call.context, WINDOWS, &ranges)?;
        let mut slots = Slots { slots: Vec::new(), of_key: vec![None; keys.len()] };
        for (i, key) in stored.range_of.iter().enumerate() {
            let start = time_of(stored.sub_keys.get(i))?;
            let slot = slots.add(*key, start, Entry::decode(stored.values.get(i))?);
            slots.slots[slot].stored = Some(start);
        }
        Ok(slots)
    }

    fn add(&mut self, key: u32, start: i64, entry: Entry) -> usize {
        let slot = self.slots.len();
        let next = self.of_key[key as usize].replace(slot);
        self.slots.push(Slot {
            key,
            start,
            entry,
            stored: None,
            changed: false,
            into: None,
            absorbed: Vec::new(),
            next,
        });
        slot
    }

    /// The windows of a key that are none of another's.
    fn of(&self, key: u32) -> impl Iterator<Item = usize> {
        let chain = std::iter::successors(self.of_key[key as usize], |slot| self.slots[*slot].next);
        chain.filter(|slot| self.slots[*slot].into.is_none())
    }

    /// The window of a key that starts there, made if need be.
    fn at(&mut self, key: u32, start: i64, end: i64) -> usize {
        let known = self.of(key).find(|slot| self.slots[*slot].start == start);
        known.unwrap_or_else(|| self.add(key, start, Entry::new(end)))
    }

    /// The session that an event's window becomes part of; `None` when it would be over already.
    fn session(&mut self, key: u32, start: i64, end: i64, over: impl Fn(i64) -> bool) -> Option<usize> {
        let touches = |slot: &usize| self.slots[*slot].start <= end && start <= self.slots[*slot].entry.end;
        let mut touching = self.of(key).filter(touches);
        if let (one, None) = (touching.next(), touching.next()) {
            drop(touching);
            return self.session_of_one(one, key, start, end, over);
        }
        drop(touching);
        let mut touched: Vec<usize> = self.of(key).filter(touches).collect();
        let merged_end = touched.iter().map(|slot| self.slots[*slot].entry.end).fold(end, i64::max);
        if over(merged_end) {
            return None;
        }
        touched.sort_by_key(|slot| self.slots[*slot].start);
        let (&first, others) = touched.split_first()?;
        for other in others {
            let slot = &mut self.slots[*other];
            slot.into = Some(first);
            slot.changed = true;
            let (from, entry) = (slot.start, slot.entry.clone());
            let mut absorbed = std::mem::take(&mut slot.absorbed);
            absorbed.extend(entry.contents.map(|contents| (from, contents)));
            let into = &mut self.slots[first];
            into.absorbed.extend(absorbed);
            into.entry.firings = into.entry.firings.max(entry.firings);
            into.entry.pending = into.entry.pending.saturating_add(entry.pending);
            into.entry.newest = into.entry.newest.max(entry.newest);
            into.entry.armed = into.entry.armed.min(entry.armed);
            into.entry.ended |= entry.ended;
        }
        let into = &mut self.slots[first];
        into.start = into.start.min(start);
        into.entry.end = merged_end;
        Some(first)
    }

    /// The usual case: the event touches one session at most.
    fn session_of_one(
        &mut self,
        one: Option<usize>,
        key: u32,
        start: i64,
        end: i64,
        over: impl Fn(i64) -> bool,
    ) -> Option<usize> {
        let merged_end = one.map_or(end, |slot| self.slots[slot].entry.end.max(end));
        if over(merged_end) {
            return None;
        }
        let Some(slot) = one else { return Some(self.add(key, start, Entry::new(end))) };
        let into = &mut self.slots[slot];
        into.start = into.start.min(start);
        into.entry.end = merged_end;
        Some(slot)
    }

    /// Where a slot's contents are now.
    fn root(&self, mut slot: usize) -> usize {
        while let Some(into) = self.slots[slot].into {
            slot = into;
        }
        slot
    }
}

impl Entries {
    pub(super) fn new(spec: &WindowSpec) -> Entries {
        let assigner = match &spec.windows {
            Windows::Aligned { size_ms, slide_ms, offset_ms } => {
                Assigner::Aligned(Aligned::new(*size_ms, *slide_ms, *offset_ms))
            }
            Windows::Session(Gap::Fixed(ms)) => Assigner::Session(*ms),
            Windows::Session(Gap::Field(pointer)) => {
                let mut fields = Fields::default();
                fields.add(pointer);
                Assigner::SessionBy(fields)
            }
            Windows::Global => Assigner::Global,
        };
        let lateness = i64::try_from(spec.lateness_ms).unwrap_or(i64::MAX);
        let rules = Rules { trigger: spec.trigger, clock: spec.clock, lateness };
        Entries { assigner, rules, discard: spec.discard }
    }

    /// The time that places an event in windows.
    fn time_of_event(&self, event: usize, call: &Call<'_>) -> i64 {
        match self.rules.clock {
            Clock::Event => call.events.timestamps[event],
            Clock::Processing => call.context.now_ms,
        }
    }

    fn now(&self, call: &Call<'_>) -> i64 {
        match self.rules.clock {
            Clock::Event => call.watermark,
            Clock::Processing => call.context.now_ms,
        }
    }

    /// The windows of an event, as slots, into `found`; none with `late` set when they are all over.
    fn assign(&mut self, event: usize, key: u32, slots: &mut Slots, found: &mut Vec<usize>, call: &mut Call<'_>) {
        let (time, rules, watermark) = (self.time_of_event(event, call), self.rules, call.watermark);
        let gap = match &mut self.assigner {
            Assigner::Global => return found.push(slots.at(key, i64::MIN, i64::MAX)),
            Assigner::Aligned(windows) => {
                let windows = *windows;
                if windows.starts(time).any(|start| start + windows.size - 1 > EventTime::LIMIT_MS) {
                    return call.reject_far(event);
                }
                let mut any = false;
                for start in windows.starts(time) {
                    any = true;
                    if !rules.is_over(start + windows.size, watermark) {
                        found.push(slots.at(key, start, start + windows.size));
                    }
                }
                if any && found.is_empty() {
                    call.late.push(event as u32);
                }
                return;
            }
            Assigner::Session(gap) => *gap,
            Assigner::SessionBy(fields) => match read_gap(fields, call.events.values.get(event)) {
                Ok(gap) => gap,
                Err(reason) => {
                    return call.rejections.push(crate::operator::Rejection { index: event as u32, reason });
                }
            },
        };
        let end = time.saturating_add(gap);
        if end - 1 > EventTime::LIMIT_MS {
            return call.reject_far(event);
        }
        match slots.session(key, time, end, |end| rules.is_over(end, watermark)) {
            Some(slot) => found.push(slot),
            None => call.late.push(event as u32),
        }
    }

    /// Folds events into their windows, in one call.
    fn fold(
        &self,
        pairs: &mut Vec<(u32, usize)>,
        keys: &Column,
        slots: &mut Slots,
        call: &mut Call<'_>,
    ) -> Result<(), Failure> {
        merge_absorbed(keys, slots, call)?;
        if pairs.is_empty() {
            return Ok(());
        }
        let mut group_of_slot = vec![u32::MAX; slots.slots.len()];
        let (mut members, mut before) = (Vec::new(), OptionalColumn::default());
        let (mut indexes, mut groups) = (Vec::new(), Vec::new());
        for (event, slot) in pairs.drain(..) {
            let slot = slots.root(slot);
            if group_of_slot[slot] == u32::MAX {
                group_of_slot[slot] = members.len() as u32;
                members.push(slot);
                before.push(slots.slots[slot].entry.contents.as_deref());
            }
            indexes.push(event);
            groups.push(group_of_slot[slot]);
        }
        let done = call.accumulate(&indexes, &groups, &before)?;
        let mut refused: Vec<u32> = done.rejections.iter().map(|r| r.index).collect();
        refused.sort_unstable();
        let mut taken = vec![false; members.len()];
        for (index, group) in indexes.iter().zip(&groups) {
            let entry = &mut slots.slots[members[*group as usize]].entry;
            if !refused.is_empty() && refused.binary_search(index).is_ok() {
                entry.pending = entry.pending.saturating_sub(1);
                continue;
            }
            entry.newest = entry.newest.max(call.events.timestamps[*index as usize]);
            taken[*group as usize] = true;
        }
        for (group, slot) in members.into_iter().enumerate().filter(|(group, _)| taken[*group]) {
            let contents = slots.slots[slot].entry.contents.get_or_insert_default();
            contents.clear();
            contents.extend_from_slice(done.accumulators.get(group));
        }
        call.rejections.extend(done.rejections);
        Ok(())
    }

    /// Gives the results of windows, in the order of their ends, then keys, then starts.
    fn fire(&self, mut due: Vec<usize>, keys: &Column, slots: &mut Slots, call: &mut Call<'_>) -> Result<(), Failure> {
        due.sort_by(|a, b| {
            let (a, b) = (&slots.slots[*a], &slots.slots[*b]);
            let key = |slot: &Slot| keys.get(slot.key as usize);
            (a.entry.end, key(a), a.start).cmp(&(b.entry.end, key(b), b.start))
        });
        let mut firing = Firing::default();
        for slot in due {
            let Slot { key, start, entry, changed, .. } = &mut slots.slots[slot];
            let Some(contents) = &entry.contents else { continue };
            let window = Window { start: *start, end: entry.end, firing: entry.firings };
            let time = if entry.end == i64::MAX { entry.newest } else { entry.last_time() };
            firing.push(keys.get(*key as usize), window, time, contents);
            entry.firings = entry.firings.saturating_add(1);
            entry.pending = 0;
            *changed = true;
            if self.discard {
                entry.contents = None;
                if entry.end == i64::MAX {
                    // Emptied, a global window is forgotten: the next event begins it anew.
                    entry.firings = 0;
                }
            }
        }
        call.fire(&firing)
    }

    /// Writes what changed, and arms timers. `fired`: in a call of timers their times, by key, and the slots that go. The
    /// clock may have jumped far past a timer: what is due between the two comes in its own turn.
    fn store(
        &self,
        keys: &Column,
        slots: &mut Slots,
        fired: Option<(&[i64], &[bool])>,
        call: &mut Call<'_>,
    ) -> Result<(), Failure> {
        let clock_now = self.now(call);
        let (mut puts, mut bytes) = (Puts::default(), Vec::new());
        for (i, slot) in slots.slots.iter_mut().enumerate() {
            let key = keys.get(slot.key as usize);
            let entry = &mut slot.entry;
            // An empty entry is kept only for its count of results, as long as its window can get late events.
            let empty = entry.contents.is_none() && (entry.firings == 0 || entry.end == i64::MAX);
            let now = fired.map_or(clock_now, |(times, _)| times[slot.key as usize]);
            if slot.into.is_some() || empty || fired.is_some_and(|(_, removed)| removed[i]) {
                if let Some(stored) = slot.stored {
                    puts.push(key, &time_key(stored), None);
                }
                continue;
            }
            let next = self.rules.next(entry, slot.start, now);
            if next < entry.armed {
                call.register(domain(self.rules.clock), LOOK, key, next);
                entry.armed = next;
                slot.changed = true;
            }
            if let Some((every, clock)) = self.rules.trigger.every
                && clock != self.rules.clock
                && entry.pending > 0
            {
                let at =
                    if clock == Clock::Processing { call.context.now_ms } else { call.watermark.max(entry.newest) };
                let next = next_multiple(every, at);
                if next != NEVER {
                    call.register(domain(clock), LOOK, key, next);
                }
            }
            if self.rules.clock == Clock::Processing && slot.stored.is_none() {
                call.register(TimeDomain::EventTime, DRAIN, key, EventTime::LIMIT_MS);
            }
            if !slot.changed {
                continue;
            }
            if let Some(stored) = slot.stored.filter(|stored| *stored != slot.start) {
                puts.push(key, &time_key(stored), None);
            }
            bytes.clear();
            entry.encode(&mut bytes);
            puts.push(key, &time_key(slot.start), Some(&bytes));
        }
        puts.write(call.context, WINDOWS)
    }

    /// Processing-time windows: keys without windows need no drain at the end of input.
    fn disarm_drains(&self, keys: &Column, slots: &Slots, removed: &[bool], call: &mut Call<'_>) {
        if self.rules.clock != Clock::Processing {
            return;
        }
        for key in 0..keys.len() {
            if slots.of(key as u32).all(|slot| removed[slot]) {
                let (key, time) = (keys.get(key).to_vec(), EventTime::LIMIT_MS);
                let domain = TimeDomain::EventTime;
                call.context.timers.push(TimerOp { register: false, domain, timer: DRAIN, key, time });
            }
        }
    }
}

/// Merges the contents of sessions that became one, in time order, all in one call.
fn merge_absorbed(keys: &Column, slots: &mut Slots, call: &mut Call<'_>) -> Result<(), Failure> {
    let (mut into, mut groups, mut parts) = (Vec::new(), Vec::new(), Column::default());
    for i in 0..slots.slots.len() {
        let root = slots.slots[i].into.is_none();
        let slot = &mut slots.slots[i];
        if !root || slot.absorbed.is_empty() {
            continue;
        }
        // Those absorbed began after the one that absorbed them.
        let mut all: Vec<(i64, Vec<u8>)> = std::mem::take(&mut slot.absorbed);
        all.sort_by_key(|(start, _)| *start);
        for contents in slot.entry.contents.iter().chain(all.iter().map(|(_, contents)| contents)) {
            groups.push(into.len() as u32);
            parts.push(contents);
        }
        into.push(i);
    }
    if into.is_empty() {
        return Ok(());
    }
    let name = |group: u32| {
        let Slot { key, start, entry, .. } = &slots.slots[into[group as usize]];
        let key = String::from_utf8_lossy(keys.get(*key as usize));
        format!("the sessions that became [{start}, {}) of key {key:?}", entry.end)
    };
    let merged = call.merge(&groups, &parts, into.len(), &name)?;
    for (slot, contents) in into.into_iter().zip(merged.iter()) {
        slots.slots[slot].entry.contents = Some(contents.to_vec());
    }
    Ok(())
}

fn read_gap(fields: &mut Fields, value: Option<&[u8]>) -> Result<i64, String> {
    let gap = fields.read(value)?.number(0);
    let gap = gap.ok().flatten().and_then(|gap| gap.whole()).filter(|gap| *gap > 0 && EventTime(*gap).is_real());
    gap.ok_or_else(|| format!("{} is not a whole number of milliseconds above 0: the session's gap", fields.name(0)))
}

fn domain(clock: Clock) -> TimeDomain {
    match clock {
        Clock::Event => TimeDomain::EventTime,
        Clock::Processing => TimeDomain::ProcessingTime,
    }
}

impl Kind for Entries {
    fn process(&mut self, call: &mut Call<'_>) -> Result<(), Failure> {
        let taken = call.admit()?;
        let mut keys = Keys::default();
        let mut events = Vec::with_capacity(call.events.len());
        for i in (0..call.events.len()).filter(|i| taken.is_empty() || taken[*i]) {
            events.push((i, keys.number(call.events.keys.get(i).unwrap_or_default())));
        }
        if events.is_empty() {
            return Ok(());
        }
        let keys = keys.keys;
        let mut slots = Slots::load(&keys, call)?;
        let mut pairs: Vec<(u32, usize)> = Vec::with_capacity(events.len());
        let (mut touched, mut found) = (Vec::new(), Vec::new());
        for (event, key) in events {
            let mut full = Vec::new();
            self.assign(event, key, &mut slots, &mut found, call);
            for slot in found.drain(..) {
                pairs.push((event as u32, slot));
                touched.push(slot);
                slots.slots[slot].changed = true;
                let entry = &mut slots.slots[slot].entry;
                entry.pending = entry.pending.saturating_add(1);
                if self.rules.trigger.count.is_some_and(|count| entry.pending >= count) {
                    full.push(slot);
                }
            }
            if !full.is_empty() {
                self.fold(&mut pairs, &keys, &mut slots, call)?;
                self.fire(full, &keys, &mut slots, call)?;
            }
        }
        self.fold(&mut pairs, &keys, &mut slots, call)?;
        // Windows whose end has passed give a result for their late events at once.
        let mut again = Vec::new();
        touched.iter_mut().for_each(|slot| *slot = slots.root(*slot));
        touched.sort_unstable();
        touched.dedup();
        for slot in touched {
            let entry = &mut slots.slots[slot].entry;
            let passed = self.rules.clock == Clock::Event && entry.end != i64::MAX && entry.end - 1 <= call.watermark;
            if passed && self.rules.trigger.at_end && entry.pending > 0 {
                again.push(slot);
            }
            // A session that grew past the watermark has its end before it again.
            entry.ended = passed && self.rules.trigger.at_end;
        }
        self.fire(again, &keys, &mut slots, call)?;
        self.store(&keys, &mut slots, None, call)
    }

    fn on_timers(&mut self, fired: &TimerBatch, call: &mut Call<'_>) -> Result<(), Failure> {
        let mut slots = Slots::load(&fired.keys, call)?;
        let drain = fired.timer == DRAIN;
        let clock = match fired.domain {
            _ if drain => self.rules.clock,
            TimeDomain::EventTime => Clock::Event,
            TimeDomain::ProcessingTime => Clock::Processing,
        };
        let (mut due, mut removed) = (Vec::new(), vec![false; slots.slots.len()]);
        for (i, slot) in slots.slots.iter_mut().enumerate() {
            let time = fired.times[slot.key as usize];
            let found = self.rules.due(&slot.entry, slot.start, clock, if drain { i64::MAX - 1 } else { time });
            if clock == self.rules.clock && slot.entry.armed <= time {
                slot.entry.armed = NEVER;
                slot.changed = true;
            }
            if found.end {
                slot.entry.ended = true;
                slot.changed = true;
            }
            removed[i] = found.remove || drain;
            if found.fire {
                due.push(i);
            }
        }
        self.fire(due, &fired.keys, &mut slots, call)?;
        self.disarm_drains(&fired.keys, &slots, &removed, call);
        self.store(&fired.keys, &mut slots, Some((&fired.times, &removed)), call)
    }
}
