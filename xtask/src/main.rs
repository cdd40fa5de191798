//! The project's own commands, `cargo xtask VERB`: one module per verb. Each says on stderr what it is doing, does its
//! own set-up, and ends with exit code 0, 1 (it failed) or 2 (no such verb).

mod bench;
mod demo;
mod guests;
mod language_tools;
mod lint;
mod monthly;
mod soak;
mod soak_verb;
mod stream_soak;
mod test;
mod toolchain;
mod workspace;

/// Which rustc builds guests: the one implementation that `tidemill build` uses too.
#[path = "../../host/src/cli/guest_toolchain.rs"]
mod guest_toolchain;

/// Where the tools of the other languages lie: the implementation of `tidemill build`, too.
#[path = "../../host/src/cli/toolchains/mod.rs"]
mod toolchains;

use std::process::ExitCode;
use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask VERB

  demo              build everything, run the main job on a year of flights, print what came out
  test [ARGS]       set up, build the guests, run every test; ARGS go to `cargo test`
  bench [ARGS]      run the benchmarks; ARGS go to `cargo bench`
  soak [--minutes N] [--seed N] [--tidemill FILE]
                    three pipelines under appends, open cursors, kill -9 and a full disk (30 minutes unless told)
  stream-soak [--seconds N] [--seed N]
                    writers, readers, scaling, truncation and retention on one store, and kill -9 (600 s unless told)
  guests            build every guest component (examples/operators, host/tests/guests)
  toolchain [LANGUAGE...]
                    fetch the tools of python, javascript (and TypeScript), go, c, rust that are not here (all unless named)
  guest-toolchain   find or make a Rust compiler with wasm32-unknown-unknown; prints the path of its rustc
      --fallback    make the private one from Debian's packages although another is there
  lint              rustfmt --check, clippy with warnings as errors
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((verb, rest)) = args.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = Workspace::find().and_then(|workspace| match verb.as_str() {
        "demo" => demo::run(&workspace).map(Some),
        "test" => test::run(&workspace, rest).map(Some),
        "bench" => bench::run(&workspace, rest).map(Some),
        "soak" => soak_verb::run(&workspace, rest).map(Some),
        "stream-soak" => stream_soak::run(&workspace, rest).map(Some),
        "guests" => guests::run(&workspace).map(Some),
        "toolchain" => language_tools::run(&workspace, rest).map(Some),
        "guest-toolchain" => toolchain::run(&workspace, rest).map(Some),
        "lint" => lint::run(&workspace).map(Some),
        _ => Ok(None),
    });
    match done {
        Ok(Some(())) => ExitCode::SUCCESS,
        Ok(None) => {
            eprint!("error: no verb {verb:?}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
