//! `cargo xtask test`: sets up, builds the guests, runs every test of the workspace, counts them, and says by name what was
//! skipped and why.

use crate::workspace::{self, Workspace, say};
use crate::{guests, language_tools, toolchain};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::PathBuf;
use std::process::Stdio;

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let toolchain = toolchain::ensure(workspace)?;
    let skipped = Skipped::new(workspace)?;
    say("building tidemill and all tests (the first time compiles their dependencies too: several minutes)");
    // This builds the `tidemill` binary as well, as the integration tests need it: guests are built with that one.
    workspace::run(&mut workspace.cargo(&["test", "--workspace", "--no-run", "--quiet"]))?;
    guests::build(workspace)?;
    say("running the tests");
    let mut command = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
    let colour = if std::io::stdout().is_terminal() { "always" } else { "never" };
    command.env("CARGO_TERM_COLOR", colour).args(args).stdout(Stdio::piped());
    toolchain.hand_on(&mut command); // tests build guests too
    language_tools::hand_on(workspace, &mut command);
    command.env(Skipped::VARIABLE, &skipped.file);
    let mut child = command.spawn().context("cannot start cargo test")?;
    let mut count = Count::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.context("cannot read the output of cargo test")?;
            count.add(&line);
            println!("{line}");
        }
    }
    let status = child.wait().context("cargo test got lost")?;
    say(&count.to_string());
    let skipped = skipped.lines()?;
    if !skipped.is_empty() {
        say(&format!("{} skipped:", skipped.len()));
        skipped.iter().for_each(|line| eprintln!("    {line}"));
    }
    if !status.success() || count.failed > 0 {
        bail!("tests failed: {}", workspace::line(&command));
    }
    if count.passed == 0 && args.is_empty() {
        bail!("no test ran");
    }
    Ok(())
}

/// What tests could not do on this machine: each says so in a line of a file (host/tests/support/skipped.rs).
struct Skipped {
    file: PathBuf,
}

impl Skipped {
    /// The file's name in the environment of tests.
    const VARIABLE: &str = "TIDEMILL_SKIPPED_TESTS";

    /// With an empty file.
    fn new(workspace: &Workspace) -> Result<Skipped> {
        let file = workspace.target.join("skipped-tests.txt");
        std::fs::write(&file, "").with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Skipped { file })
    }

    /// Each once, sorted, as `what: why`.
    fn lines(&self) -> Result<BTreeSet<String>> {
        let text = std::fs::read_to_string(&self.file);
        let text = text.with_context(|| format!("cannot read {}", self.file.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// Sums of the `test result:` lines.
#[derive(Default, Debug, PartialEq, Eq)]
struct Count {
    binaries: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Count {
    fn add(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result: ") else { return };
        self.binaries += 1;
        for (sum, word) in
            [(&mut self.passed, " passed"), (&mut self.failed, " failed"), (&mut self.ignored, " ignored")]
        {
            let before = result.split_once(word).map_or("", |(before, _)| before);
            *sum += before.rsplit([' ', '.']).next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Count { binaries, passed, failed, ignored } = self;
        write!(f, "{passed} tests passed, {failed} failed, {ignored} ignored, in {binaries} test programs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        let skipped = Skipped { file: folder.path().join("skipped") };
        std::fs::write(&skipped.file, "go: no tools\nc: no tools\ngo: no tools\n").unwrap();
        assert_eq!(skipped.lines().unwrap().into_iter().collect::<Vec<_>>(), ["c: no tools", "go: no tools"]);
    }

    #[test]
    fn result_lines_are_summed_with_and_without_colour() {
        let mut count = Count::default();
        count.add("running 3 tests");
        count.add("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        count.add("test result: \u{1b}[31mFAILED\u{1b}[0m. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(count, Count { binaries: 2, passed: 14, failed: 3, ignored: 1 });
    }
}
