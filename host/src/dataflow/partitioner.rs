//! Splits a batch by key over the subtasks downstream. Edges use it; the rule is the frozen hash of storage/src/hash.rs.

use crate::dataflow::element::EventBatch;
use crate::dataflow::task::TaskFailure;
use tidemill_storage::hash::{hash_key, key_group, subtask_of};
use tidemill_storage::headers::Entries;

/// Splits batches over `parallelism` subtasks by key group. An event without a key goes where the empty key goes, so
/// that its place is a function of the event alone.
pub struct KeyPartitioner {
    parallelism: u32,
    max_parallelism: u32,
    targets: Vec<u32>,
}

impl KeyPartitioner {
    /// For `parallelism` subtasks downstream.
    pub fn new(parallelism: u32, max_parallelism: u32) -> KeyPartitioner {
        KeyPartitioner { parallelism, max_parallelism, targets: Vec::new() }
    }

    /// One batch per subtask, empty ones included; events keep their order.
    pub fn split(&mut self, batch: EventBatch) -> Result<Vec<EventBatch>, TaskFailure> {
        if self.parallelism == 1 {
            return Ok(vec![batch]);
        }
        let events = &batch.events;
        self.targets.clear();
        let mut sizes = vec![(0usize, 0usize, 0usize); self.parallelism as usize];
        for i in 0..events.len() {
            let key = events.keys.get(i).unwrap_or_default();
            let target =
                subtask_of(key_group(hash_key(key), self.max_parallelism), self.parallelism, self.max_parallelism);
            self.targets.push(target);
            let size = &mut sizes[target as usize];
            size.0 += 1;
            size.1 += key.len();
            size.2 += events.values.get(i).map_or(0, <[u8]>::len);
        }
        let mut out: Vec<EventBatch> = sizes
            .iter()
            .map(|&(count, key_bytes, value_bytes)| {
                let mut part = EventBatch { origin: batch.origin.clone(), ..EventBatch::default() };
                part.events.timestamps.reserve_exact(count);
                part.events.keys.ends.reserve_exact(count);
                part.events.keys.data.reserve_exact(key_bytes);
                part.events.values.ends.reserve_exact(count);
                part.events.values.data.reserve_exact(value_bytes);
                part
            })
            .collect();
        let mut headers = Entries::new(&events.headers);
        for (i, target) in self.targets.iter().enumerate() {
            let part = &mut out[*target as usize].events;
            part.timestamps.push(events.timestamps[i]);
            part.keys.push(events.keys.get(i));
            part.values.push(events.values.get(i));
            if !events.headers.is_empty() {
                part.headers.extend_from_slice(headers.next_raw()?);
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_storage::EventTime;
    use tidemill_storage::headers::push_event;

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
