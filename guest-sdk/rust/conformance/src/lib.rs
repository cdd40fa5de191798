//! The operator of guest-sdk/CONFORMANCE.md in Rust, the reference: each event's value says what to do.

use serde::Deserialize;
use tidemill_sdk::log::{Level, log};
use tidemill_sdk::{END_OF_INPUT, NO_WATERMARK, prelude::*};

/// The `config` table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default = "none")]
    greeting: String,
    refuse: Option<String>,
}

fn none() -> String {
    "none".into()
}

/// Everything that an operator can declare.
#[derive(Declare)]
#[declare(name = "conformance", watermarks)]
pub struct Conformance {
    events: Input,
    #[allow(dead_code)] // what is not `events` is this one
    other: Input,
    out: Output,
    side: Output,
    count: Value<String, Raw>,
    entries: Map<Vec<u8>, Vec<u8>, Raw>,
    items: List<String, Raw>,
    #[declare(ttl = "100ms")]
    brief: Value<String, Raw>,
    #[declare(ttl = "100ms", clock = "event", refresh = "read-and-write")]
    fresh: Map<Vec<u8>, Vec<u8>, Raw>,
    #[declare(ttl = "100ms", clock = "event")]
    recent: List<String, Raw>,
    due: EventTimer,
    alarm: ProcessingTimer,
    seen: Counter,
    last: Gauge,
    sizes: Histogram,
    config: Config<Settings>,
    context: Context,
    #[declare(skip)]
    memory: u64,
}

/// Byte i is i mod 251.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T> {
    Ok(text.parse()?)
}

fn watermark(watermark: i64) -> String {
    match watermark {
        NO_WATERMARK => "none".into(),
        END_OF_INPUT => "end".into(),
        time => time.to_string(),
    }
}

impl Conformance {
    fn count_up(&self) -> Result<String> {
        Self::one_more(&self.count)
    }

    fn one_more(count: &Value<String, Raw>) -> Result<String> {
        let before: u64 = number(count.get()?.as_deref().unwrap_or("0"))?;
        let now = (before + 1).to_string();
        count.set(&now)?;
        Ok(now)
    }

    fn of_a_time(&self, event: &Event<'_>, verb: &str, argument: &str) -> Result<()> {
        let sub_key = argument.as_bytes().to_vec();
        match verb {
            "brief" => self.out.emit(event.key(), Self::one_more(&self.brief)?),
            "keep" => self.fresh.insert(&sub_key, &b"kept".to_vec()),
            "kept" => self.out.emit(event.key(), self.fresh.get(&sub_key)?.unwrap_or_else(|| b"-".to_vec())),
            "note" => {
                self.recent.push(&argument.to_owned())?;
                self.out.emit(event.key(), self.recent.get()?.join(","))
            }
            _ => reject!("unknown command {verb}"),
        }
    }

    fn listed(entries: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
        let lines: Vec<_> = entries.into_iter().map(|(sub_key, value)| [sub_key, value].join(&b'=')).collect();
        lines.join(&b',')
    }

    fn reject(&self, event: &Event<'_>, reason: &str) -> Result<()> {
        self.out.emit(event.key(), self.count_up()?)?;
        self.entries.insert(&b"rejected".to_vec(), &b"rejected".to_vec())?;
        self.items.push(&"rejected".into())?;
        self.due.register(event.timestamp() + 5)?;
        self.seen.add(100);
        reject!("{reason}")
    }

    fn headers(&self, event: &Event<'_>) -> Result<()> {
        let mut headers: Vec<(&str, &[u8])> = event.headers().collect();
        headers.reverse();
        headers.push(("x", &[0x00, 0xff]));
        self.out.emit_with_headers(event.timestamp(), event.key(), "ok", &headers)
    }

    fn bytes(&self, event: &Event<'_>) -> Result<()> {
        for byte in (0..=255).rev() {
            self.entries.insert(&vec![byte], &Vec::new())?;
        }
        let sub_keys: Vec<_> = self.entries.entries()?.into_iter().map(|(sub_key, _)| sub_key).collect();
        self.out.emit(event.key(), sub_keys.concat())
    }

    fn state(&self, event: &Event<'_>, verb: &str, first: &str, rest: &str) -> Result<()> {
        let (key, sub_key) = (event.key(), first.as_bytes().to_vec());
        match verb {
            "count" => self.out.emit(key, self.count_up()?),
            "clear" => {
                self.count.clear()?;
                self.out.emit(key, "cleared")
            }
            "put" => self.entries.insert(&sub_key, &rest.as_bytes().to_vec()),
            "get" => self.out.emit(key, self.entries.get(&sub_key)?.unwrap_or_else(|| b"-".to_vec())),
            "remove" => self.entries.remove(&sub_key),
            "entries" => self.out.emit(key, Self::listed(self.entries.entries()?)),
            "range" => self.out.emit(key, Self::listed(self.entries.range(sub_key..rest.as_bytes().to_vec())?)),
            "clear-entries" => self.entries.clear(),
            "bytes" => self.bytes(event),
            "blob" => {
                self.entries.insert(&b"blob".to_vec(), &pattern(number(first)?))?;
                self.out.emit(key, self.entries.get(&b"blob".to_vec())?)
            }
            "items" => self.out.emit(key, self.items.get()?.join(",")),
            "clear-items" => self.items.clear(),
            _ => self.of_a_time(event, verb, first),
        }
    }

    fn time(&self, event: &Event<'_>, verb: &str, first: &str, rest: &str) -> Result<()> {
        match verb {
            "due" => self.due.register(number(first)?),
            "cancel-due" => self.due.cancel(number(first)?),
            "alarm" => self.alarm.register(number(first)?),
            "cancel-alarm" => self.alarm.cancel(number(first)?),
            "watermark" => self.out.emit(event.key(), watermark(event.watermark())),
            "context" => {
                let subtask = self.context.subtask();
                let (index, of, most) = (subtask.index, subtask.parallelism, subtask.max_parallelism);
                self.out.emit(event.key(), format!("{index}/{of}/{most} {}", self.context.now_ms()))
            }
            _ => self.state(event, verb, first, rest),
        }
    }

    fn failure(&self, event: &Event<'_>, failure: Error) -> Result<()> {
        self.out.emit(event.key(), self.count_up()?)?;
        Err(failure)
    }
}

impl Operator for Conformance {
    fn open(&mut self) -> Result<()> {
        if let Some(reason) = &self.config.refuse {
            return Err(Error::fatal(reason));
        }
        log(Level::Info, "opened");
        Ok(())
    }

    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        if event.value().is_none() {
            return self.out.forward(event);
        }
        let Ok(text) = event.text() else { reject!("unknown command: no UTF-8") };
        let (verb, all) = text.split_once(' ').unwrap_or((text, ""));
        let (first, rest) = all.split_once(' ').unwrap_or((all, ""));
        let key = event.key();
        match verb {
            "echo" => self.out.forward(event),
            "side" => self.side.emit_at(event.timestamp() + 1, "side", all),
            "keyless" => self.out.emit((), all),
            "tombstone" => self.out.emit(key, ()),
            "headers" => self.headers(event),
            "input" => self.out.emit(key, if event.is_from(&self.events) { "events" } else { "other" }),
            "greeting" => self.out.emit(key, &*self.config.greeting),
            "many" => (0..number::<u64>(first)?).try_for_each(|i| self.out.emit(key, i.to_string())),
            "size" => self.out.emit(key, pattern(number(first)?)),
            "push" => self.items.push(&all.to_owned()),
            "metrics" => {
                self.seen.add(3);
                self.last.set(2.5);
                self.sizes.observe(1.0);
                self.sizes.observe(2.0);
                Ok(())
            }
            "log" => {
                for level in [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error] {
                    log(level, "a line");
                }
                Ok(())
            }
            "reject" => self.reject(event, all),
            "raise" => {
                self.out.emit(key, self.count_up()?)?;
                panic!("raised on purpose");
            }
            "retry" => {
                let failure = if first.is_empty() { Error::retry() } else { Error::retry_after(number(first)?) };
                self.failure(event, failure)
            }
            "fatal" => self.failure(event, Error::fatal(all)),
            "memory" => {
                self.memory += 1;
                self.out.emit(key, self.memory.to_string())
            }
            _ => self.time(event, verb, first, rest),
        }
    }

    fn on_timer(&mut self, timer: &Timer<'_>) -> Result<()> {
        self.out.emit(timer.key(), format!("{} {}", timer.name(), timer.time()))?;
        if self.entries.get(&b"refuse-timer".to_vec())?.is_some() {
            self.count_up()?;
            reject!("timer refused");
        }
        if self.entries.take(&b"again".to_vec())?.is_some() {
            self.due.register(timer.time() + 10)?;
        }
        Ok(())
    }

    fn on_watermark(&mut self, time: i64) -> Result<()> {
        let at = if time == END_OF_INPUT { 0 } else { time };
        self.side.emit_at(at, (), format!("watermark {}", watermark(time)))
    }

    fn close(&mut self) -> Result<()> {
        log(Level::Info, "closed");
        Ok(())
    }
}

tidemill_sdk::export!(Conformance);
