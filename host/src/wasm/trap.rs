//! What killed a guest, in words: wasmtime's error of a call -> `Failure::Trap`. Called by `instance.rs`.

use super::host_functions::{HostState, Refusal};
use super::limits::{show_bytes, show_ms};
use crate::operator::{Failure, LogLevel};
use wasmtime::{Trap, WasmBacktrace};

/// How the call that died was set up.
pub(super) struct Circumstances<'a> {
    /// The export that was called.
    pub(super) call: &'a str,
    /// Its deadline, ms.
    pub(super) deadline_ms: u64,
    /// The instance's memory limit, bytes.
    pub(super) memory_bytes: u64,
    /// Log lines there were before the call.
    pub(super) log_before: usize,
}

/// Names the cause and keeps the guest's frames.
pub(super) fn failure(error: &wasmtime::Error, host: &HostState, at: &Circumstances<'_>) -> Failure {
    Failure::Trap { message: message(error, host, at), backtrace: backtrace(error) }
}

fn message(error: &wasmtime::Error, host: &HostState, at: &Circumstances<'_>) -> String {
    let call = at.call;
    if let Some(Refusal(why)) = error.downcast_ref::<Refusal>() {
        return format!("{call}: {why}");
    }
    let trap = error.downcast_ref::<Trap>().copied();
    if trap == Some(Trap::Interrupt) {
        return format!(
            "{call} exceeded its deadline of {}; do less per call or raise limits.call_deadline",
            show_ms(at.deadline_ms)
        );
    }
    let memory = host.memory.refused.map(|wanted| {
        format!("it asked for {wanted} bytes of memory and limits.memory is {}", show_bytes(at.memory_bytes))
    });
    match (trap, memory) {
        // A guest that cannot allocate aborts: the refusal is the cause, `unreachable` only how it died.
        (Some(Trap::UnreachableCodeReached) | None, Some(memory)) => {
            format!("{call} ran out of memory: {memory}; keep less in memory or raise the limit")
        }
        (Some(Trap::UnreachableCodeReached), None) => match last_words(host, at.log_before) {
            Some(words) => format!("{call} panicked: {words}"),
            None => format!("{call} aborted (wasm trap: `unreachable` executed), as after a panic"),
        },
        (Some(trap), _) => format!("{call} died: {trap}"),
        (None, None) => {
            let cause = error.root_cause().to_string();
            if cause.contains("fuel allocated for hostcalls") {
                return format!(
                    "{call} passed more bytes in one host call than limits.output allows; pass less at a time or raise it"
                );
            }
            format!("{call} died: {cause}")
        }
    }
}

/// The last error that the guest logged in this call: a panic's message, as the SDKs log it.
fn last_words(host: &HostState, log_before: usize) -> Option<&str> {
    let lines = host.context.log.get(log_before..)?;
    lines.iter().rev().find(|(level, _)| *level == LogLevel::Error).map(|(_, line)| line.as_str())
}

/// The guest's frames, demangled, with lines where the component has them; innermost first.
fn backtrace(error: &wasmtime::Error) -> String {
    let Some(frames) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let text = frames.to_string();
    // wasmtime's first line is a heading.
    text.split_once('\n').map_or(String::new(), |(_, frames)| frames.trim_end().to_owned())
}
