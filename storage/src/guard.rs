//! Calls into redb on bytes that may be damaged: redb checks no page on ordinary reads and panics on some. Here a panic
//! becomes `None`, and its text a log line instead of a report on stderr. `shared.rs` and `committer.rs` call it.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Leaves the panics of unguarded code to the hook that was there.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                tracing::debug!("caught: {info}");
            } else {
                usual(info);
            }
        }));
    });
}

/// Calls `f`; None = it panicked.
pub(crate) fn guarded<T>(f: impl FnOnce() -> T) -> Option<T> {
    install_hook();
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    GUARDED.set(outer);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_none_and_the_thread_goes_on() {
        assert_eq!(guarded(|| 1), Some(1));
        assert_eq!(guarded(|| -> u8 { panic!("a damaged page") }), None);
        assert_eq!(guarded(|| guarded(|| -> u8 { panic!("a damaged page") })), Some(None));
        assert!(!GUARDED.get());
    }
}
