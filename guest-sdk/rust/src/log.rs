//! Lines for the operator's log: [`crate::info!`] and its kin. They reach the host at once and survive a dropped call.

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Finest.
    Trace,
    /// For developers.
    Debug,
    /// Normal.
    Info,
    /// Odd.
    Warn,
    /// Broken.
    Error,
}

/// Writes one line.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::wasm::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::log(level, message);
}

macro_rules! level_macros {
    ($d:tt $($name:ident $level:ident $what:literal),*) => { $(
        #[doc = concat!("Logs ", $what, ", with a message like `format!`'s.")]
        #[macro_export]
        macro_rules! $name {
            ($d($d arg:tt)*) => {
                $crate::log::log($crate::log::Level::$level, &::std::format!($d($d arg)*))
            };
        }
    )* };
}

level_macros!($ trace Trace "the finest detail", debug Debug "for developers", info Info "what is normal",
    warn Warn "what is odd", error Error "what is broken");
