//! Alerts of delayed flights, by rules that come as a stream of their own. Every subtask sees all rules, as broadcast state; a
//! flight waits for its time to come, when all rules from before it are there, so that the result does not depend on
//! which of the two streams is read faster.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tidemill_sdk::prelude::*;

/// The `config` table of the pipeline file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Rules ask for at least so many minutes, so that most flights need not wait.
    least_minutes: i64,
}

/// What an event of `rules` says; it holds from the event's time on, until the rule of that name says something else.
#[derive(Deserialize)]
struct Change {
    rule: String,
    /// Delay from which on there is an alert; null: the rule holds no more.
    minutes: Option<i64>,
    carrier: Option<String>,
    origin: Option<String>,
}

/// What a rule says from a time on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Version {
    from: i64,
    minutes: Option<i64>,
    carrier: Option<String>,
    origin: Option<String>,
}

/// The columns that matter here; the event's time is the scheduled departure, its key the origin.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    dep_delay_min: Cow<'a, str>,
    #[serde(borrow)]
    carrier: Cow<'a, str>,
    #[serde(borrow)]
    flight: Cow<'a, str>,
}

/// A flight that waits for its time to come.
#[derive(Serialize, Deserialize)]
struct Delayed {
    minutes: i64,
    carrier: String,
    flight: String,
}

/// What goes out.
#[derive(Serialize)]
struct Alert<'a> {
    rule: &'a str,
    carrier: &'a str,
    flight: &'a str,
    minutes: i64,
}

/// Rules by name, with all that they said and say, and flights by time.
#[derive(Declare)]
pub struct FlightAlerts {
    flights: Input,
    rules: Input,
    config: Config<Settings>,
    versions: BroadcastMap<String, Vec<Version>>,
    delayed: Map<i64, Vec<Delayed>>,
    departure: EventTimer,
    alerts: Output,
}

impl Version {
    fn asks_for(&self, origin: &str, flight: &Delayed) -> bool {
        self.minutes.is_some_and(|minutes| flight.minutes >= minutes)
            && self.carrier.as_ref().is_none_or(|carrier| *carrier == flight.carrier)
            && self.origin.as_ref().is_none_or(|only| only == origin)
    }
}

impl FlightAlerts {
    /// Every subtask does the same here: what it does follows from the event and the rules so far, and from nothing else.
    fn change(&self, event: &Event<'_>) -> Result<()> {
        let Change { rule, minutes, carrier, origin } = event.json()?;
        let least = self.config.least_minutes;
        if minutes.is_some_and(|minutes| minutes < least) {
            reject!("rule {rule}: it asks for less than {least} minutes");
        }
        let version = Version { from: event.timestamp(), minutes, carrier, origin };
        let with_it = |mut versions: Vec<Version>| {
            let at = versions.partition_point(|earlier| earlier.from <= version.from);
            versions.insert(at, version);
            versions
        };
        self.versions.update(&rule, with_it).map(drop)
    }

    fn wait(&self, event: &Event<'_>) -> Result<()> {
        let row: Row<'_> = event.json()?;
        let minutes: i64 = match row.dep_delay_min.trim() {
            "" => return Ok(()), // cancelled
            text => text.parse()?,
        };
        if minutes < self.config.least_minutes {
            return Ok(());
        }
        let flight = Delayed { minutes, carrier: row.carrier.into_owned(), flight: row.flight.into_owned() };
        self.delayed.update(&event.timestamp(), |mut flights| {
            flights.push(flight);
            flights
        })?;
        self.departure.register(event.timestamp())
    }
}

impl Operator for FlightAlerts {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            _ if event.is_from(&self.rules) => self.change(event),
            _ if event.is_from(&self.flights) => self.wait(event),
            _ => Err(Error::fatal("there is no third input")),
        }
    }

    fn on_timer(&mut self, timer: &Timer<'_>) -> Result<()> {
        let origin = timer.key_text()?;
        let rules = self.versions.entries()?;
        for flight in self.delayed.take(&timer.time())?.unwrap_or_default() {
            for (rule, versions) in &rules {
                let version = versions.iter().rev().find(|version| version.from <= timer.time());
                if version.is_some_and(|version| version.asks_for(origin, &flight)) {
                    let Delayed { minutes, carrier, flight } = &flight;
                    self.alerts.emit_json(timer.key(), &Alert { rule, carrier, flight, minutes: *minutes })?;
                }
            }
        }
        Ok(())
    }
}

tidemill_sdk::export!(FlightAlerts);

#[cfg(test)]
mod tests;
