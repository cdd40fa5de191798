//! Watermarks: generators per source partition, and the valve that joins channels into one watermark.
//! Sources and gates own these; all of it is pure.

use crate::config::pipeline::WatermarkKind;
use tidemill_storage::EventTime;

/// Makes one partition's watermark from its events. Its state is in the partition's checkpoint.
#[derive(Clone, Debug)]
pub struct Generator {
    kind: WatermarkKind,
    max_time: EventTime,
    watermark: EventTime,
}

impl Generator {
    /// Goes on from a checkpoint's (greatest time, watermark), both `MIN` at the start.
    pub fn restore(kind: WatermarkKind, max_time: EventTime, watermark: EventTime) -> Generator {
        Generator { kind, max_time, watermark }
    }

    /// After a batch of events, and what the partition itself says of time. Returns the watermark, which never regresses.
    pub fn observe(&mut self, newest: Option<EventTime>, own: Option<EventTime>) -> EventTime {
        if let Some(newest) = newest {
            self.max_time = self.max_time.max(newest);
        }
        let next = match self.kind {
            WatermarkKind::None => EventTime::MIN,
            WatermarkKind::FromStream => own.unwrap_or(EventTime::MIN),
            // -1: an event of exactly max_time - bound may still come, and is not late.
            WatermarkKind::OutOfOrderness { bound_ms } => {
                self.max_time.minus_ms(i64::try_from(bound_ms).unwrap_or(i64::MAX).saturating_add(1))
            }
        };
        self.watermark = self.watermark.max(next);
        self.watermark
    }

    /// The partition ended: no more events.
    pub fn end(&mut self) {
        self.watermark = EventTime::MAX;
    }

    /// Greatest event time seen.
    pub fn max_time(&self) -> EventTime {
        self.max_time
    }

    /// The last watermark.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    watermark: EventTime,
    idle: bool,
    ended: bool,
    /// Counts for the least watermark. A channel that comes back from idleness below the valve's watermark does not,
    /// until it has caught up (Flink's rule).
    aligned: bool,
}

/// Joins channels: the watermark is the least of the active ones, never regresses, and an idle channel holds nobody back.
///
/// Ended channels do not count while others live. When every living channel is idle, the greatest watermark of them
/// goes out (there is nobody left to wait for), whatever the order in which they fell idle. When all have ended, it is
/// the end of time.
#[derive(Clone, Debug)]
pub struct Valve {
    channels: Vec<Channel>,
    watermark: EventTime,
    idle: bool,
}

/// What a change at a channel means for the outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValveChange {
    /// A new, greater watermark.
    pub watermark: Option<EventTime>,
    /// The whole became idle (`true`) or active (`false`).
    pub idle: Option<bool>,
}

impl Valve {
    /// `channels` channels; `floor` = a watermark that already went out (from a checkpoint), `MIN` for none.
    pub fn new(channels: usize, floor: EventTime) -> Valve {
        let channel = Channel { watermark: EventTime::MIN, idle: false, ended: false, aligned: true };
        Valve { channels: vec![channel; channels], watermark: floor, idle: false }
    }

    /// The watermark that went out last.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// A channel's watermark moved; a lesser one is ignored.
    pub fn advance(&mut self, channel: usize, watermark: EventTime) -> ValveChange {
        let floor = self.watermark;
        let c = &mut self.channels[channel];
        c.watermark = c.watermark.max(watermark);
        c.aligned |= c.watermark >= floor;
        self.settle()
    }

    /// A channel fell idle or came back.
    pub fn set_idle(&mut self, channel: usize, idle: bool) -> ValveChange {
        let floor = self.watermark;
        let c = &mut self.channels[channel];
        if c.idle && !idle {
            c.aligned = c.watermark >= floor;
        }
        c.idle = idle;
        self.settle()
    }

    /// A channel ended.
    pub fn end(&mut self, channel: usize) -> ValveChange {
        self.channels[channel].ended = true;
        self.settle()
    }

    fn settle(&mut self) -> ValveChange {
        let living = || self.channels.iter().filter(|c| !c.ended);
        let all_ended = living().next().is_none();
        let all_idle = !all_ended && living().all(|c| c.idle);
        let candidate = if all_ended {
            Some(EventTime::MAX)
        } else if all_idle {
            living().map(|c| c.watermark).max()
        } else {
            living().filter(|c| !c.idle && c.aligned).map(|c| c.watermark).min()
        };
        let mut change = ValveChange::default();
        if let Some(next) = candidate.filter(|w| *w > self.watermark) {
            self.watermark = next;
            change.watermark = Some(next);
        }
        if all_idle != self.idle {
            self.idle = all_idle;
            change.idle = Some(all_idle);
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(ms: i64) -> EventTime {
        EventTime(ms)
    }

    #[test]
    fn bounded_out_of_orderness_trails_the_greatest_time_and_never_regresses() {
        let mut g = Generator::restore(WatermarkKind::OutOfOrderness { bound_ms: 2 }, EventTime::MIN, EventTime::MIN);
        assert_eq!(g.observe(None, None), EventTime::MIN, "none before the first event");
        assert_eq!(g.observe(Some(t(5)), None), t(2));
        assert_eq!(g.observe(Some(t(3)), None), t(2));
        assert_eq!(g.observe(Some(t(9)), None), t(6));
        let mut restored =
            Generator::restore(WatermarkKind::OutOfOrderness { bound_ms: 2 }, g.max_time(), g.watermark());
        assert_eq!(restored.observe(Some(t(4)), None), t(6));
    }

    #[test]
    fn the_valve_gives_the_least_of_the_active_channels() {
        let mut valve = Valve::new(2, EventTime::MIN);
        assert_eq!(valve.advance(0, t(10)).watermark, None);
        assert_eq!(valve.advance(1, t(3)).watermark, Some(t(3)));
        assert_eq!(valve.set_idle(1, true).watermark, Some(t(10)));
        assert_eq!(valve.set_idle(1, false), ValveChange::default());
        assert_eq!(valve.advance(1, t(5)).watermark, None, "no regress");
        assert_eq!(valve.watermark(), t(10));
        assert_eq!(valve.advance(0, t(11)).watermark, Some(t(11)), "channel 1 is behind and not waited for");
        assert_eq!(valve.advance(1, t(12)).watermark, None, "caught up: counts again, and channel 0 stands at 11");
        assert_eq!(valve.advance(0, t(20)).watermark, Some(t(12)));
    }

    #[test]
    fn all_idle_gives_the_greatest_in_either_order() {
        for order in [[0, 1], [1, 0]] {
            let mut valve = Valve::new(2, EventTime::MIN);
            valve.advance(0, t(7));
            valve.advance(1, t(4));
            valve.set_idle(order[0], true);
            let change = valve.set_idle(order[1], true);
            assert_eq!(valve.watermark(), t(7));
            assert_eq!(change.idle, Some(true));
            assert_eq!(valve.set_idle(0, false).idle, Some(false));
        }
    }

    #[test]
    fn an_ended_channel_does_not_speak_for_an_idle_one() {
        let mut valve = Valve::new(2, EventTime::MIN);
        valve.advance(0, t(7));
        valve.advance(1, t(4));
        valve.set_idle(1, true);
        assert_eq!(valve.end(0).watermark, None, "not the end of time: channel 1 may come back");
        assert_eq!(valve.end(1).watermark, Some(EventTime::MAX));
    }

    #[test]
    fn a_restored_floor_is_not_undercut() {
        let mut valve = Valve::new(1, t(50));
        assert_eq!(valve.advance(0, t(20)).watermark, None);
        assert_eq!(valve.advance(0, t(51)).watermark, Some(t(51)));
    }
}
