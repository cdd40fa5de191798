//! One window of one key, where windows are kept one by one: its bytes, and what is due when. Pure.
//!
//! ```text
//! u8 flags (1 contents, 2 ended) | i64 end | i64 armed | u32 firings | u32 pending | i64 newest | accumulator
//! ```

use crate::config::builtin::{Clock, Trigger};
use crate::operator::Failure;
use crate::operator::builtin::state_access::damaged;
use tidemill_storage::EventTime;

const CONTENTS: u8 = 1;
const ENDED: u8 = 2;
/// Not armed.
pub(super) const NEVER: i64 = i64::MAX;

/// See the module's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// First time after it, ms; `i64::MAX` for a global window.
    pub(super) end: i64,
    /// It gave the result of its end.
    pub(super) ended: bool,
    /// The time of the earliest timer that will look at it on the windows' clock, ms; [`NEVER`] = none.
    pub(super) armed: i64,
    /// Results so far.
    pub(super) firings: u32,
    /// Events since the last result.
    pub(super) pending: u32,
    /// The greatest event time folded in, ms.
    pub(super) newest: i64,
    /// `None`: nothing yet, or discarded.
    pub(super) contents: Option<Vec<u8>>,
}

/// What a timer finds due at an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// A result.
    pub(super) fire: bool,
    /// Its end.
    pub(super) end: bool,
    /// Its removal.
    pub(super) remove: bool,
}

/// When windows do what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) trigger: Trigger,
    /// The clock of the windows.
    pub(super) clock: Clock,
    pub(super) lateness: i64,
}

impl Entry {
    pub(super) fn new(end: i64) -> Entry {
        Entry { end, ended: false, armed: NEVER, firings: 0, pending: 0, newest: i64::MIN, contents: None }
    }

    /// When it ends: the end of input for a global window.
    pub(super) fn last_time(&self) -> i64 {
        self.end.saturating_sub(1).min(EventTime::LIMIT_MS)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flags = if self.contents.is_some() { CONTENTS } else { 0 } | if self.ended { ENDED } else { 0 };
        out.push(flags);
        out.extend_from_slice(&self.end.to_le_bytes());
        out.extend_from_slice(&self.armed.to_le_bytes());
        out.extend_from_slice(&self.firings.to_le_bytes());
        out.extend_from_slice(&self.pending.to_le_bytes());
        out.extend_from_slice(&self.newest.to_le_bytes());
        out.extend_from_slice(self.contents.as_deref().unwrap_or_default());
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Entry, Failure> {
        fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
            let (head, tail) = rest.split_first_chunk()?;
            *rest = tail;
            Some(head)
        }
        let mut rest = bytes;
        let mut read = || {
            let rest = &mut rest;
            let [flags] = *take(rest)?;
            let end = i64::from_le_bytes(*take(rest)?);
            let armed = i64::from_le_bytes(*take(rest)?);
            let firings = u32::from_le_bytes(*take(rest)?);
            let pending = u32::from_le_bytes(*take(rest)?);
            let newest = i64::from_le_bytes(*take(rest)?);
            let contents = (flags & CONTENTS != 0).then(|| rest.to_vec());
            Some(Entry { end, ended: flags & ENDED != 0, armed, firings, pending, newest, contents })
        };
        read().ok_or_else(|| damaged("a window that is cut off"))
    }
}

impl Rules {
    /// Whether an event window takes no events any more.
    pub(super) fn is_over(&self, end: i64, watermark: i64) -> bool {
        self.clock == Clock::Event && end != i64::MAX && (end - 1).saturating_add(self.lateness) <= watermark
    }

    fn removal_time(&self, entry: &Entry) -> i64 {
        if self.clock == Clock::Processing {
            return entry.last_time();
        }
        entry.last_time().saturating_add(self.lateness).min(EventTime::LIMIT_MS)
    }

    /// What is due at `time` on `clock` in a window from `start`. A global window is removed when input ends.
    pub(super) fn due(&self, entry: &Entry, start: i64, clock: Clock, time: i64) -> Due {
        let mut due = Due::default();
        if clock == self.clock {
            due.end = !entry.ended && self.trigger.at_end && entry.last_time() <= time;
            due.remove = self.removal_time(entry) <= time;
        }
        // On their own clock windows give early results at multiples within them, neither before nor after.
        let within = clock != self.clock || (time > start && time <= entry.last_time());
        let early = within && self.trigger.every.is_some_and(|(every, of)| of == clock && time.rem_euclid(every) == 0);
        due.fire = entry.contents.is_some() && (due.end || (early && entry.pending > 0));
        due
    }

    /// When something is due next after `now` on the windows' clock; [`NEVER`] = no timer is needed.
    pub(super) fn next(&self, entry: &Entry, start: i64, now: i64) -> i64 {
        let end = if entry.ended || !self.trigger.at_end {
            // A global window without a result at its end has nothing to do then.
            if entry.end == i64::MAX && !entry.ended { NEVER } else { self.removal_time(entry) }
        } else {
            entry.last_time()
        };
        let early = match self.trigger.every {
            Some((every, clock)) if clock == self.clock && entry.pending > 0 => {
                next_multiple(every, now.max(if start == i64::MIN { entry.newest } else { start }))
            }
            _ => NEVER,
        };
        if early <= entry.last_time() { end.min(early) } else { end }
    }
}

/// The first multiple of `every` after a time; [`NEVER`] beyond real time.
pub(super) fn next_multiple(every: i64, time: i64) -> i64 {
    match time.checked_sub(time.rem_euclid(every)).and_then(|floor| floor.checked_add(every)) {
        Some(next) if EventTime(next).is_real() => next,
        _ => NEVER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_their_bytes_and_cut_ones_are_refused() {
        let full = Entry {
            end: -5,
            ended: true,
            armed: 7,
            firings: 3,
            pending: 2,
            newest: i64::MIN,
            contents: Some(b"abc".to_vec()),
        };
        for entry in [full, Entry::new(i64::MAX), Entry { contents: Some(Vec::new()), ..Entry::new(0) }] {
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            assert_eq!(Entry::decode(&bytes).unwrap(), entry);
            assert!(Entry::decode(&bytes[..20]).is_err());
        }
    }

    #[test]
    fn ends_removals_and_early_results_are_due_at_their_times() {
        let every = |every, clock| Trigger { at_end: true, count: None, every: Some((every, clock)) };
        let rules = Rules { trigger: every(5, Clock::Event), clock: Clock::Event, lateness: 10 };
        let mut entry = Entry { pending: 1, contents: Some(vec![1]), ..Entry::new(20) };
        assert_eq!(rules.next(&entry, 0, i64::MIN), 5, "the first multiple after the window's start");
        assert_eq!(rules.due(&entry, 0, Clock::Event, 5), Due { fire: true, ..Due::default() });
        assert_eq!(rules.due(&entry, 0, Clock::Processing, 5), Due::default());
        assert_eq!(rules.due(&entry, 5, Clock::Event, 5), Due::default(), "it has not begun");
        entry.pending = 0;
        assert_eq!(rules.due(&entry, 0, Clock::Event, 10), Due::default(), "nothing new");
        assert_eq!(rules.next(&entry, 0, 10), 19);
        assert_eq!(rules.due(&entry, 0, Clock::Event, 19), Due { fire: true, end: true, remove: false });
        entry.ended = true;
        assert_eq!(rules.next(&entry, 0, 19), 29);
        assert_eq!(rules.due(&entry, 0, Clock::Event, 29), Due { fire: false, end: false, remove: true });
        assert!(!rules.is_over(20, 28) && rules.is_over(20, 29));
    }

    #[test]
    fn a_huge_lateness_stops_at_the_end_of_time() {
        let rules = Rules { trigger: Trigger::END, clock: Clock::Event, lateness: i64::MAX };
        let entry = Entry { ended: true, ..Entry::new(20) };
        assert_eq!(rules.next(&entry, 0, 50), EventTime::LIMIT_MS);
        assert!(!rules.is_over(20, EventTime::LIMIT_MS) && rules.is_over(20, i64::MAX));
        assert_eq!(next_multiple(10, i64::MIN), NEVER);
        assert_eq!(next_multiple(10, -1), 0);
        assert_eq!(next_multiple(10, EventTime::LIMIT_MS), NEVER);
    }
}
