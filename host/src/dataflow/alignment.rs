//! Watermark alignment: source partitions of one group wait for each other in event time, so that what stands between a
//! fast and a slow one does not pile up in state. Source tasks note their partitions' watermarks and ask before they read.
//!
//! A partition may read while its watermark is at most its source's drift above the least of the group. Partitions that are idle,
//! have ended, or have no watermark yet hold nobody back; what a partition notes counts at once, there is no announcement
//! interval.
//!
//! W-16 of the reference (FLINK-31632, FLINK-32496, FLINK-25982): "idle" was the end of time, the drift was added to it, the sum
//! overflowed, and the source never went on. Here idle is a flag and the sum stops at the end of time
//! (`idle_and_ended_partitions_hold_nobody_back_and_count_again_when_they_return`, `a_drift_without_end_stops_nobody`).

use std::sync::{Mutex, PoisonError};
use tidemill_storage::EventTime;

/// A group, shared by the source tasks of a run.
#[derive(Debug, Default)]
pub struct AlignmentGroup {
    /// Watermarks, ms; `None` = holds nobody back.
    members: Mutex<Vec<Option<i64>>>,
}

/// A partition's place in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member(usize);

impl AlignmentGroup {
    /// A place for a partition.
    pub fn join(&self) -> Member {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.push(None);
        Member(members.len() - 1)
    }

    /// Notes a partition's watermark, and whether it is idle.
    pub fn note(&self, member: Member, watermark: EventTime, idle: bool) {
        let counts = !idle && watermark != EventTime::MIN && watermark != EventTime::MAX;
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members[member.0] = counts.then_some(watermark.0);
    }

    /// Whether a partition with this watermark may read. Saturating: no drift is too large.
    pub fn may_read(&self, watermark: EventTime, drift_ms: u64) -> bool {
        let drift = i64::try_from(drift_ms).unwrap_or(i64::MAX);
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let least = members.iter().flatten().min();
        watermark == EventTime::MIN || least.is_none_or(|least| watermark.0 <= least.saturating_add(drift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_partition_waits_for_the_slowest_and_goes_on_with_it() {
        let group = AlignmentGroup::default();
        let (fast, slow) = (group.join(), group.join());
        assert!(
            group.may_read(EventTime::MIN, 30) && group.may_read(EventTime(1_000), 30),
            "nobody has a watermark yet"
        );
        group.note(fast, EventTime(100), false);
        group.note(slow, EventTime(60), false);
        assert!(!group.may_read(EventTime(100), 30));
        group.note(slow, EventTime(70), false);
        assert!(group.may_read(EventTime(100), 30), "exactly the drift ahead");
    }

    #[test]
    fn idle_and_ended_partitions_hold_nobody_back_and_count_again_when_they_return() {
        let group = AlignmentGroup::default();
        let (fast, slow) = (group.join(), group.join());
        group.note(fast, EventTime(100), false);
        group.note(slow, EventTime(10), true);
        assert!(group.may_read(EventTime(100), 30));
        group.note(slow, EventTime(10), false);
        assert!(!group.may_read(EventTime(100), 30));
        group.note(slow, EventTime::MAX, false);
        assert!(group.may_read(EventTime(100), 30));
    }

    #[test]
    fn a_drift_without_end_stops_nobody() {
        let group = AlignmentGroup::default();
        let slow = group.join();
        group.note(slow, EventTime(5), false);
        assert!(group.may_read(EventTime(EventTime::LIMIT_MS), u64::MAX));
    }
}
