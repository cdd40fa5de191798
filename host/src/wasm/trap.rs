//! What killed a guest, in words: wasmtime's error of a call -> `Failure::Trap`. Called by `instance.rs`.

use super::host_functions::{HostState, Refusal};
use super::limits::{show_bytes, show_ms};
use crate::operator::{Failure, LogLevel};
use wasmtime::{FrameInfo, FrameSymbol, Trap, WasmBacktrace};

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
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    // Adapters between component and host are modules without names.
    let guest = |frame: &&FrameInfo| frame.module().name().is_some() || frame.func_name().is_some();
    show(backtrace.frames().iter().filter(guest).flat_map(frames).collect())
}

/// A function that was running, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    function: String,
    place: Option<String>,
}

/// A frame of the machine code, as the functions inlined there and the one that holds them.
fn frames(info: &FrameInfo) -> Vec<Frame> {
    let whole = info.func_name().map_or_else(|| format!("function {}", info.func_index()), demangled);
    let symbols = info.symbols();
    if symbols.is_empty() {
        return vec![Frame { function: whole, place: None }];
    }
    let last = symbols.len() - 1;
    let frame = |(i, symbol): (usize, &FrameSymbol)| {
        // The name section knows the whole path of the outermost one; line tables often only its last part.
        let function = match symbol.name() {
            Some(name) if i < last || info.func_name().is_none() => demangled(name),
            _ => whole.clone(),
        };
        let place = symbol.file().map(|file| match symbol.line() {
            Some(line) => format!("{file}:{line}"),
            None => file.to_owned(),
        });
        Frame { function, place }
    };
    symbols.iter().enumerate().map(frame).collect()
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Numbered lines, without Rust's own way from `panic!` to the trap, and a recursion once with its count.
fn show(mut frames: Vec<Frame>) -> String {
    let own = frames.iter().position(|frame| !is_machinery(&frame.function)).unwrap_or(0);
    frames.drain(..own);
    let runs = frames.chunk_by(|a, b| a == b).enumerate();
    let lines = runs.map(|(i, run)| {
        let Frame { function, place } = &run[0];
        let times = if run.len() > 1 { format!(" ({} times)", run.len()) } else { String::new() };
        let place = place.as_ref().map_or(String::new(), |place| format!("\n         at {place}"));
        format!("{i:>4}: {function}{times}{place}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Functions of Rust's runtime between a panic (or a failed allocation) and the trap.
fn is_machinery(function: &str) -> bool {
    let function = function.trim_start_matches('<');
    let runtime = ["__rustc::", "__rust_", "rust_", "std::", "core::", "alloc::"];
    runtime.iter().any(|prefix| function.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, place: Option<&str>) -> Frame {
        Frame { function: function.into(), place: place.map(str::to_owned) }
    }

    #[test]
    fn frames_begin_with_the_guests_own_and_a_recursion_is_counted() {
        let recursion = frame("guest::f", None);
        let frames = vec![
            frame("__rustc::__rust_abort", None),
            frame("std::panicking::panic_with_hook", Some("std/src/panicking.rs:1")),
            frame("core::panicking::panic_fmt", None),
            frame("guest::deep", Some("src/lib.rs:7")),
            recursion.clone(),
            recursion.clone(),
            recursion,
            frame("tidemill:operator/operator@0.1.0#process", None),
        ];
        let expected = "   0: guest::deep\n         at src/lib.rs:7\n   1: guest::f (3 times)\n   \
                        2: tidemill:operator/operator@0.1.0#process";
        assert_eq!(show(frames), expected);
        assert_eq!(show(vec![frame("std::process::abort", None)]), "   0: std::process::abort");
        assert_eq!(show(Vec::new()), "");
    }

    #[test]
    fn mangled_names_lose_their_hashes() {
        assert_eq!(demangled("_ZN5guest4deep17h851762f77412d951E"), "guest::deep");
        assert_eq!(demangled("plain_c_name"), "plain_c_name");
    }
}
