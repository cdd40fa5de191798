//! Log lines of the process: who wants how much, and where they go. `main` sets it up once; everyone uses `tracing`.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// What is shown of this program's own modules and of all others.
fn directives(verbosity: u8) -> &'static str {
    match verbosity {
        0 => "warn",
        1 => "warn,tidemill=info,tidemill_storage=info",
        2 => "warn,tidemill=debug,tidemill_storage=debug",
        _ => "info,tidemill=trace,tidemill_storage=trace",
    }
}

/// Starts logging to `writer`. `RUST_LOG`, when set, decides instead of `verbosity` (0 = warnings .. 3 = everything).
/// A second call does nothing.
pub fn init<W>(verbosity: u8, colour: bool, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives(verbosity)));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(writer);
    // Fails only when a subscriber is there already, as in tests that share a process.
    let _ = subscriber.without_time().with_target(verbosity > 0).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verbosity_is_a_valid_filter() {
        for verbosity in 0..5 {
            EnvFilter::try_new(directives(verbosity)).unwrap();
        }
    }
}
