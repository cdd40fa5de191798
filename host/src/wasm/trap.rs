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
    // Only wasmtime's own rendering demangles; its first line is a heading.
    let text = frames.to_string();
    text.split_once('\n').map_or_else(String::new, |(_, frames)| tidy(frames))
}

/// Makes wasmtime's frames readable: without compiler hashes, without the adapters between component and host, without
/// Rust's own way from `panic!` to the trap, and a recursion once with its count. Other text passes unharmed.
fn tidy(frames: &str) -> String {
    let mut out: Vec<(String, usize)> = Vec::new();
    for line in frames.lines() {
        let line = without_hashes(line.trim_end());
        match frame_name(&line) {
            // An adapter: a module without a name.
            Some(name) if name.starts_with("<unknown>!") => {}
            Some(name) => match out.last_mut() {
                Some((last, times)) if frame_name(last) == Some(name) => *times += 1,
                _ => out.push((line, 1)),
            },
            None => out.push((line, 1)),
        }
    }
    let own = out.iter().position(|(line, _)| frame_name(line).is_some_and(|name| !is_machinery(name))).unwrap_or(0);
    let mut text = String::new();
    for (line, times) in &out[own..] {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
        if *times > 1 {
            text.push_str(&format!(" ({times} times)"));
        }
    }
    text
}

/// What follows `  12:   0x1f - ` (or `  12: `) in the first line of a frame.
fn frame_name(line: &str) -> Option<&str> {
    let (number, rest) = line.trim_start().split_once(": ")?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim_start();
    Some(if rest.starts_with("0x") { rest.split_once(" - ").map_or(rest, |(_, name)| name) } else { rest })
}

/// Frames of Rust's runtime between a panic (or a failed allocation) and the trap.
fn is_machinery(name: &str) -> bool {
    let function = name.split_once('!').map_or(name, |(_, function)| function);
    ["__rustc::", "std::", "core::panicking::", "core::result::", "core::option::", "alloc::"]
        .iter()
        .any(|prefix| function.starts_with(prefix))
}

/// Drops `[b7974e8690430dd9]` behind crate names and `::h4282802d8a73cf45` behind functions.
fn without_hashes(line: &str) -> String {
    let is_hash = |s: &str| s.len() == 16 && s.bytes().all(|b| b.is_ascii_hexdigit());
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        rest = match after.split_once(']') {
            Some((inside, behind)) if is_hash(inside) => behind,
            _ => {
                out.push('[');
                after
            }
        };
    }
    out.push_str(rest);
    if let Some((name, hash)) = out.rsplit_once("::h")
        && is_hash(hash)
    {
        out.truncate(name.len());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_readable_and_begin_with_the_guests_own() {
        let text = "    0:   0x42af - g.wasm!__rustc[b7974e8690430dd9]::__rust_abort\n\
                    \x20   1:   0x2d1b - g.wasm!std[a543996e6e7dbf1e]::panicking::panic_with_hook\n\
                    \x20   2:   0x1b6c - g.wasm!g::deep::h851762f77412d951\n\
                    \x20                   at src/lib.rs:7:1\n\
                    \x20   3:   0x1b70 - g.wasm!g::f::h5e949c62b71d795f\n\
                    \x20   4:   0x1b70 - g.wasm!g::f::h5e949c62b71d795f\n\
                    \x20   5:   0xd2fb - <unknown>!<wasm function 1>\n\
                    \x20   6:   0x2814 - g.wasm!tidemill:operator/operator@0.1.0#process";
        let expected = "    2:   0x1b6c - g.wasm!g::deep\n\
                        \x20                   at src/lib.rs:7:1\n\
                        \x20   3:   0x1b70 - g.wasm!g::f (2 times)\n\
                        \x20   6:   0x2814 - g.wasm!tidemill:operator/operator@0.1.0#process";
        assert_eq!(tidy(text), expected);
    }

    #[test]
    fn frames_of_any_other_shape_pass() {
        assert_eq!(tidy("something [else] ::hello"), "something [else] ::hello");
        assert_eq!(tidy("  0: a[1]::b"), "  0: a[1]::b");
        assert_eq!(tidy(""), "");
        let only_machinery = "    0:   0x1 - g.wasm!std::process::abort";
        assert_eq!(tidy(only_machinery), only_machinery);
    }
}
