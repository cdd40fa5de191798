//! What one instance and one call may use: time, memory, output, log lines. `instance.rs` arms it before each call,
//! wasmtime asks the memory limiter, host functions draw on the rest.

use super::engine::TICK_MS;
use super::error::ComponentError;
use crate::config::pipeline::Limits;
use crate::operator::LogLevel;
use wasmtime::ResourceLimiter;

/// Starting an instance (its own initialisation, `open`, `describe`) gets at least so long, ms: interpreters set
/// themselves up then.
pub(super) const START_DEADLINE_MS: u64 = 10_000;

/// What `describe` runs under: nobody has set limits yet.
pub(super) const DESCRIBE_LIMITS: Limits =
    Limits { memory_bytes: 512 << 20, call_deadline_ms: START_DEADLINE_MS, output_bytes: 1 << 20 };

/// A host call may pass this much more than the output quota, so that the quota, whose message says more, speaks first.
const HOSTCALL_SLACK_BYTES: u64 = 1 << 20;

/// Counted against the output quota for every host call that leaves something with the host, besides its bytes: what
/// many tiny calls cost the host.
const CALL_OVERHEAD_BYTES: u64 = 64;

/// Log lines of one call.
const LOG_LINES_MAX: u32 = 1_000;
/// Bytes of log lines of one call.
const LOG_BYTES_MAX: usize = 64 << 10;
/// Beyond both, so many lines of level error: the last words of a guest that talked too much before it died.
const LOG_LAST_WORDS: u32 = 8;
/// A longer line is cut.
const LOG_LINE_LEN_MAX: usize = 8 << 10;

const WASM_PAGE_BYTES: u64 = 64 << 10;

/// Refuses limits that no component could run under.
pub(super) fn check(operator: &str, limits: &Limits) -> Result<(), ComponentError> {
    let wrong = |what: String| Err(ComponentError::Limits(format!("operator {operator}: {what}")));
    if limits.memory_bytes < WASM_PAGE_BYTES {
        return wrong(format!(
            "limits.memory is {} bytes, less than one page of WebAssembly memory; give at least 64KiB (Rust operators \
             want 2MiB or more)",
            limits.memory_bytes
        ));
    }
    if limits.call_deadline_ms == 0 {
        return wrong("limits.call_deadline is 0; give at least 10ms, the grain of deadlines".into());
    }
    if limits.output_bytes == 0 {
        return wrong("limits.output is 0, so no call could write or emit; give at least a few KiB".into());
    }
    Ok(())
}

/// A deadline as epochs from now: never early, at most two ticks late.
pub(super) fn deadline_ticks(deadline_ms: u64) -> u64 {
    deadline_ms.div_ceil(TICK_MS).saturating_add(1)
}

/// wasmtime's limit on the bytes of a single host call.
pub(super) fn hostcall_bytes(limits: &Limits) -> usize {
    usize::try_from(limits.output_bytes.saturating_add(HOSTCALL_SLACK_BYTES)).unwrap_or(usize::MAX)
}

/// Bytes in the unit that fits.
pub(super) fn show_bytes(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 && b.is_multiple_of(1 << 30) => format!("{} GiB", b >> 30),
        b if b >= 1 << 20 && b.is_multiple_of(1 << 20) => format!("{} MiB", b >> 20),
        b if b >= 1 << 10 && b.is_multiple_of(1 << 10) => format!("{} KiB", b >> 10),
        b => format!("{b} bytes"),
    }
}

/// Milliseconds in the unit that fits.
pub(super) fn show_ms(ms: u64) -> String {
    if ms >= 1_000 && ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}

/// Bounds linear memories and tables of one instance, all of them together.
///
/// A refused growth fails inside the guest (`memory.grow` returns -1): runtimes that can cope, do; others abort, and
/// `trap.rs` finds here why.
pub(super) struct MemoryLimiter {
    limit: usize,
    used: usize,
    granted_last: usize,
    /// The size asked for when a growth was last refused in this call.
    pub(super) refused: Option<usize>,
}

impl MemoryLimiter {
    pub(super) fn new(limit_bytes: u64) -> MemoryLimiter {
        let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
        MemoryLimiter { limit, used: 0, granted_last: 0, refused: None }
    }

    fn grow(&mut self, by: usize) -> bool {
        let wanted = self.used.saturating_add(by);
        if wanted > self.limit {
            self.refused = Some(wanted);
            return false;
        }
        self.used = wanted;
        self.granted_last = by;
        true
    }

    /// What was granted could not be had after all.
    fn take_back(&mut self) {
        self.used -= std::mem::take(&mut self.granted_last);
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.granted_last = 0;
        // Beyond the memory's own maximum wasmtime refuses by itself.
        Ok(maximum.is_some_and(|max| desired > max) || self.grow(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.granted_last = 0;
        let bytes = desired.saturating_sub(current).saturating_mul(size_of::<usize>());
        Ok(maximum.is_some_and(|max| desired > max) || self.grow(bytes))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }
}

/// What is left for the call under way.
pub(super) struct CallBudget {
    output_limit: u64,
    output_left: u64,
    log: LogBudget,
}

impl CallBudget {
    pub(super) fn new(output_bytes: u64) -> CallBudget {
        CallBudget { output_limit: output_bytes, output_left: output_bytes, log: LogBudget::default() }
    }

    /// A new call begins.
    pub(super) fn refill(&mut self) {
        self.output_left = self.output_limit;
        self.log = LogBudget::default();
    }

    /// Takes what a host call leaves with the host; the error is the refusal.
    pub(super) fn take_output(&mut self, bytes: usize) -> Result<(), String> {
        match self.output_left.checked_sub(CALL_OVERHEAD_BYTES.saturating_add(bytes as u64)) {
            Some(left) => {
                self.output_left = left;
                Ok(())
            }
            None => Err(format!(
                "the call's output (events, state, timers, metrics and log together) would pass limits.output = {}; \
                 write less per call or raise the limit",
                show_bytes(self.output_limit)
            )),
        }
    }

    /// The line to keep, cut to length, if there is room for it.
    pub(super) fn take_line(&mut self, level: LogLevel, line: String) -> Option<String> {
        let line = cut(line);
        self.log.admit(level, line.len()).then_some(line)
    }

    /// The line that says how many lines were dropped, if any were.
    pub(super) fn dropped_lines(&mut self) -> Option<String> {
        let dropped = std::mem::take(&mut self.log.dropped);
        (dropped > 0).then(|| {
            format!(
                "{dropped} lines dropped: one call may log {LOG_LINES_MAX} lines or {}",
                show_bytes(LOG_BYTES_MAX as u64)
            )
        })
    }
}

#[derive(Default)]
struct LogBudget {
    lines: u32,
    bytes: usize,
    last_words: u32,
    dropped: u64,
}

impl LogBudget {
    fn admit(&mut self, level: LogLevel, bytes: usize) -> bool {
        if self.lines < LOG_LINES_MAX && self.bytes + bytes <= LOG_BYTES_MAX {
            self.lines += 1;
            self.bytes += bytes;
            return true;
        }
        if level == LogLevel::Error && self.last_words < LOG_LAST_WORDS {
            self.last_words += 1;
            return true;
        }
        self.dropped += 1;
        false
    }
}

fn cut(mut line: String) -> String {
    if line.len() > LOG_LINE_LEN_MAX {
        line.truncate(line.floor_char_boundary(LOG_LINE_LEN_MAX));
        line.push_str(" [cut]");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_limit_and_failed_growth_is_given_back() {
        let mut limiter = MemoryLimiter::new(1_000_000);
        assert!(limiter.memory_growing(0, 600_000, None).unwrap());
        assert!(!limiter.memory_growing(0, 600_000, None).unwrap(), "a second memory");
        assert_eq!(limiter.refused, Some(1_200_000));
        assert!(limiter.table_growing(0, 1_000, None).unwrap());
        assert!(limiter.memory_growing(0, 300_000, None).unwrap());
        assert!(!limiter.memory_growing(300_000, 400_000, None).unwrap());
        assert!(limiter.memory_growing(300_000, 350_000, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no memory")).unwrap();
        assert!(limiter.memory_growing(300_000, 390_000, None).unwrap());
    }

    #[test]
    fn many_empty_host_calls_use_up_the_quota() {
        let mut budget = CallBudget::new(1_000);
        let calls = (0..1_000).take_while(|_| budget.take_output(0).is_ok()).count();
        assert!(calls < 100, "{calls}");
        budget.refill();
        assert!(budget.take_output(900).is_ok());
        assert!(budget.take_output(900).unwrap_err().contains("limits.output = 1000 bytes"));
    }

    #[test]
    fn a_talkative_call_is_cut_but_its_last_words_are_kept() {
        let mut budget = CallBudget::new(1 << 20);
        let kept = (0..5_000).filter(|i| budget.take_line(LogLevel::Info, format!("line {i}")).is_some()).count();
        assert_eq!(kept, LOG_LINES_MAX as usize);
        assert_eq!(budget.take_line(LogLevel::Error, "panicked".into()).as_deref(), Some("panicked"));
        assert!(budget.dropped_lines().unwrap().starts_with("4000 lines dropped"));
        assert_eq!(budget.dropped_lines(), None);
        budget.refill();
        let long = budget.take_line(LogLevel::Info, "ä".repeat(LOG_LINE_LEN_MAX)).unwrap();
        assert!(long.ends_with("ä [cut]") && long.len() <= LOG_LINE_LEN_MAX + 6);
    }

    #[test]
    fn limits_that_nothing_could_run_under_are_refused() {
        let good = Limits { memory_bytes: 1 << 20, call_deadline_ms: 1, output_bytes: 1 };
        check("o", &good).unwrap();
        for (bad, word) in [
            (Limits { memory_bytes: 1, ..good.clone() }, "limits.memory"),
            (Limits { call_deadline_ms: 0, ..good.clone() }, "limits.call_deadline"),
            (Limits { output_bytes: 0, ..good.clone() }, "limits.output"),
        ] {
            let message = check("stats", &bad).unwrap_err().to_string();
            assert!(message.contains("operator stats") && message.contains(word), "{message}");
        }
    }
}
