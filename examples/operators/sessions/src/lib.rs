//! Sessions per key: a run of events without a gap comes out as one result, when the watermark says that nothing can join
//! it any more. Events may come out of order, so a key has several open sessions, which grow and grow together.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

/// The `config` table of the pipeline file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// So long without an event ends a session.
    gap_minutes: i64,
}

/// A run of events; also the row that goes out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    start: i64,
    end: i64,
    count: u64,
}

/// The open sessions of a key, in order of time, and a timer for the end of each.
#[derive(Declare)]
pub struct Sessions {
    config: Config<Settings>,
    open: Value<Vec<Session>>,
    over: EventTimer,
    sessions: Output,
}

impl Sessions {
    fn gap_ms(&self) -> i64 {
        self.config.gap_minutes * 60_000
    }

    /// The last moment at which an event could still join.
    fn last_ms(&self, session: &Session) -> i64 {
        session.end + self.gap_ms() - 1
    }
}

impl Operator for Sessions {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let time = event.timestamp();
        let mut session = Session { start: time, end: time, count: 1 };
        let mut apart = Vec::new();
        for other in self.open.get_or_default()? {
            if other.end + self.gap_ms() <= time || time + self.gap_ms() <= other.start {
                apart.push(other);
                continue;
            }
            self.over.cancel(self.last_ms(&other))?;
            session.start = session.start.min(other.start);
            session.end = session.end.max(other.end);
            session.count += other.count;
        }
        if self.last_ms(&session) <= event.watermark() {
            reject!("late: the session that it belongs to is over; allow more out_of_orderness");
        }
        self.over.register(self.last_ms(&session))?;
        let at = apart.partition_point(|other| other.start < session.start);
        apart.insert(at, session);
        self.open.set(&apart)
    }

    fn on_timer(&mut self, timer: &Timer<'_>) -> Result<()> {
        let (over, open): (Vec<_>, Vec<_>) =
            self.open.take()?.unwrap_or_default().into_iter().partition(|s| self.last_ms(s) <= timer.time());
        for session in over {
            self.sessions.emit_json(timer.key(), &session)?;
        }
        if !open.is_empty() {
            self.open.set(&open)?;
        }
        Ok(())
    }
}

tidemill_sdk::export!(Sessions);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};
    use tidemill_sdk::testing::{Harness, Record};

    const MINUTE_MS: i64 = 60_000;

    fn harness() -> Harness<Sessions> {
        Harness::with_config(&json!({"gap_minutes": 10})).unwrap()
    }

    fn at(minutes: &[i64]) -> Vec<Record> {
        minutes.iter().map(|minute| Record::new("k", "x").at(minute * MINUTE_MS)).collect()
    }

    /// (start, end, count) in minutes.
    fn results(harness: &mut Harness<Sessions>) -> Vec<(i64, i64, u64)> {
        let minute = |json: &Json| json.as_i64().unwrap() / MINUTE_MS;
        let row = |json: Json| (minute(&json["start"]), minute(&json["end"]), json["count"].as_u64().unwrap());
        harness.output("sessions").iter().map(Record::json).map(row).collect()
    }

    #[test]
    fn a_gap_ends_a_session_and_one_ms_less_does_not() {
        let mut harness = harness();
        harness.send(at(&[0, 5, 15])).unwrap();
        harness.send([Record::new("k", "x").at(25 * MINUTE_MS - 1)]).unwrap();
        harness.watermark(25 * MINUTE_MS).unwrap();
        assert_eq!(results(&mut harness), [(0, 5, 2)]);
        harness.watermark(35 * MINUTE_MS - 2).unwrap();
        assert_eq!(results(&mut harness), [(15, 24, 2)]);
        assert_eq!((harness.state_entries("open"), harness.timers().len()), (0, 0));
    }

    #[test]
    fn sessions_grow_together_in_whatever_order_the_events_come() {
        for order in [[0, 8, 16, 40], [16, 40, 0, 8], [40, 16, 8, 0]] {
            let mut harness = harness();
            for minute in order {
                harness.send(at(&[minute])).unwrap();
                harness.replace_instance().unwrap();
            }
            assert_eq!(harness.timers().len(), 2, "one for each open session");
            harness.end().unwrap();
            assert_eq!(results(&mut harness), [(0, 16, 3), (40, 40, 1)], "{order:?}");
        }
    }

    #[test]
    fn late_is_what_no_open_session_could_hold() {
        let mut harness = harness();
        harness.send(at(&[20])).unwrap();
        harness.watermark(25 * MINUTE_MS).unwrap();
        harness.send(at(&[12, 1])).unwrap();
        harness.end().unwrap();
        assert_eq!(results(&mut harness), [(12, 20, 2)]);
        assert!(harness.dead_letters()[0].reason.starts_with("late: "));
    }
}
