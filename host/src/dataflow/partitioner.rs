//! Splits a batch by key over the subtasks downstream. Edges use it; the rule is the frozen hash of storage/src/hash.rs.

use crate::dataflow::element::EventBatch;
use crate::dataflow::task::TaskFailure;
use tidemill_storage::hash::{hash_key, key_group, subtask_of};

/// Splits batches over `parallelism` subtasks by key group. An event without a key goes where the empty key goes, so
/// that its place is a function of the event alone.
pub struct KeyPartitioner {
    parallelism: u32,
    max_parallelism: u32,
    targets: Vec<u32>,
    /// Events by target, in their order.
    order: Vec<u32>,
}

impl KeyPartitioner {
    /// For `parallelism` subtasks downstream.
    pub fn new(parallelism: u32, max_parallelism: u32) -> KeyPartitioner {
        KeyPartitioner { parallelism, max_parallelism, targets: Vec::new(), order: Vec::new() }
    }

    /// One batch per subtask, empty ones included; events keep their order. A counting sort by target, then each column
    /// gathered by itself.
    pub fn split(&mut self, batch: EventBatch) -> Result<Vec<EventBatch>, TaskFailure> {
        let (parallelism, max_parallelism) = (self.parallelism, self.max_parallelism);
        if parallelism == 1 {
            return Ok(vec![batch]);
        }
        let events = &batch.events;
        self.targets.clear();
        self.targets.extend(events.keys.iter().map(|key| {
            subtask_of(key_group(hash_key(key.unwrap_or_default()), max_parallelism), parallelism, max_parallelism)
        }));
        // Where the next event of each target goes: at last, where its events end.
        let mut ends = vec![0usize; parallelism as usize + 1];
        self.targets.iter().for_each(|target| ends[*target as usize + 1] += 1);
        (1..ends.len()).for_each(|target| ends[target] += ends[target - 1]);
        self.order.resize(events.len(), 0);
        for (i, target) in self.targets.iter().enumerate() {
            let at = &mut ends[*target as usize];
            self.order[*at] = i as u32;
            *at += 1;
        }
        let mut start = 0;
        let part = |end: &usize| {
            let events = events.gather(&self.order[start..*end])?;
            start = *end;
            Ok(EventBatch { events, origin: batch.origin.clone() })
        };
        ends[..parallelism as usize].iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_storage::EventTime;
    use tidemill_storage::headers::{Entries, push_event};

    #[test]
    fn every_event_goes_to_the_owner_of_its_key_group_in_order_with_its_headers() {
        let mut batch = EventBatch::default();
        for i in 0..200u32 {
            let key = (i % 3 != 0).then(|| (i % 17).to_string());
            let tag = i.to_le_bytes();
            let key = key.as_ref().map(String::as_bytes);
            push_event(&mut batch.events, EventTime(i64::from(i)), key, Some(&tag), &[("n", &tag)]);
        }
        let parts = KeyPartitioner::new(4, 128).split(batch).unwrap();
        assert_eq!(parts.iter().map(|p| p.events.len()).sum::<usize>(), 200);
        for (index, part) in parts.iter().enumerate() {
            part.events.check("part").unwrap();
            assert!(part.events.timestamps.is_sorted());
            let mut headers = Entries::new(&part.events.headers);
            for i in 0..part.events.len() {
                let key = part.events.keys.get(i).unwrap_or_default();
                assert_eq!(subtask_of(key_group(hash_key(key), 128), 4, 128) as usize, index);
                assert_eq!(headers.next_event().unwrap(), vec![("n", part.events.values.get(i).unwrap())]);
            }
        }
    }
}
