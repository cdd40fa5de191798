//! The story of a soak: a process, its end, the next one; now and then an orderly end at which everything must agree.

use super::Options;
use super::ledger::Ledger;
use super::link::{Orders, Said};
use super::random::Random;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// What the directory may take, whatever the length: the settings of `process` with what is freed late, and redb's rounding.
const HOT_FILE_MAX: u64 = 24 << 20;
const SEALED_MAX: u64 = 48 << 20;
/// An orderly end that takes longer is stuck.
const END_WITHIN: Duration = Duration::from_secs(240);
const LOOK_EVERY: Duration = Duration::from_millis(20);

struct Rounds<'a> {
    options: &'a Options,
    folder: PathBuf,
    random: Random,
    ledger: Ledger,
    run: u64,
    kills: u64,
    hot_max: u64,
    sealed_max: u64,
}

fn bytes(path: &Path) -> u64 {
    let Ok(meta) = std::fs::metadata(path) else { return 0 };
    if meta.is_file() {
        return meta.len();
    }
    std::fs::read_dir(path).map_or(0, |entries| entries.flatten().map(|entry| bytes(&entry.path())).sum())
}

impl Rounds<'_> {
    /// Runs a process; with `orderly` it ends by itself when told, else it is killed. Whether it said that all is done.
    fn round(&mut self, length: Duration, orderly: bool) -> Result<bool> {
        self.run += 1;
        let orders =
            Orders { seed: self.options.seed, run: self.run, cuts: self.ledger.cuts(), open: self.ledger.open() };
        let mut command = (self.options.child)(&self.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the process")?;
        let (mut input, output) = (child.stdin.take().context("no stdin")?, child.stdout.take().context("no stdout")?);
        // A process that has ended at once says why on stderr.
        let _ = input.write_all(orders.lines().as_bytes());
        std::thread::scope(|scope| {
            let ledger = &mut self.ledger;
            let listener = scope.spawn(move || listen(ledger, BufReader::new(output)));
            let heard = self.hot_max.max(0);
            let mut sizes = (heard, self.sealed_max);
            let began = Instant::now();
            let mut told = false;
            let ended = loop {
                sizes.0 = sizes.0.max(bytes(&self.folder.join("hot.redb")));
                sizes.1 = sizes.1.max(bytes(&self.folder.join("sealed")));
                if let Some(status) = child.try_wait().context("the process got lost")? {
                    break Ok(status);
                }
                let over = began.elapsed() >= length;
                if listener.is_finished() || (over && !orderly) {
                    break Err(());
                }
                if over && !told {
                    told = true;
                    let _ = input.write_all(b"stop\n");
                }
                if began.elapsed() > length + END_WITHIN {
                    kill(&mut child)?;
                    bail!("the process does not end");
                }
                std::thread::sleep(LOOK_EVERY);
            };
            if ended.is_err() {
                kill(&mut child)?;
            }
            let done = listener.join().map_err(|_| anyhow!("the listener panicked"))??;
            (self.hot_max, self.sealed_max) = sizes;
            match ended {
                Ok(status) if !status.success() || !done => bail!("the process ended by itself ({status})"),
                _ => Ok(done),
            }
        })
    }

    fn check_sizes(&self) -> Result<()> {
        ensure!(self.hot_max <= HOT_FILE_MAX, "the hot file had {} bytes, more than {HOT_FILE_MAX}", self.hot_max);
        ensure!(self.sealed_max <= SEALED_MAX, "sealed files had {} bytes, more than {SEALED_MAX}", self.sealed_max);
        Ok(())
    }

    fn story(&mut self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < self.options.length {
            let orderly = self.random.one_in(6);
            // Now and then it does not even get to open its store.
            let length = match self.random.one_in(6) && !orderly {
                true => Duration::from_millis(self.random.range(1, 80)),
                false => self.random.duration(self.options.round),
            };
            self.round(length, orderly)?;
            if orderly {
                self.ledger.settle()?;
            } else {
                self.kills += 1;
            }
            self.check_sizes()?;
            (self.options.say)(&self.summary(began.elapsed()));
        }
        ensure!(self.round(Duration::from_millis(500), true)?, "the last process did not say that all is done");
        self.ledger.settle()?;
        self.check_sizes()
    }

    fn summary(&self, took: Duration) -> String {
        let Ledger { truncations, scalings, segments, .. } = &self.ledger;
        format!(
            "{} s, {} processes, {} killed, {} events acknowledged, {} read by both readers of all, {scalings} scalings to {} to {} \
             segments, {truncations} truncations told, hot file at most {} KiB, sealed files {} KiB",
            took.as_secs(),
            self.run,
            self.kills,
            self.ledger.acknowledged(),
            self.ledger.read_by_all(),
            segments.first().unwrap_or(&0),
            segments.last().unwrap_or(&0),
            self.hot_max >> 10,
            self.sealed_max >> 10
        )
    }
}

fn kill(child: &mut Child) -> Result<()> {
    child.kill().context("cannot kill the process")?;
    child.wait().map(drop).context("the process got lost")
}

/// Hears a process to its end. Whether it said that all is done.
fn listen(ledger: &mut Ledger, mut lines: impl BufRead) -> Result<bool> {
    let mut done = false;
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).context("cannot hear the process")? > 0 {
        if let Some(said) = Said::parse(&String::from_utf8_lossy(&line))? {
            done |= said == Said::Done;
            ledger.hear(said)?;
        }
        line.clear();
    }
    Ok(done)
}

pub(super) fn run(options: &Options) -> Result<String> {
    let folder = tempfile::Builder::new().prefix("tidemill-stream-soak-").tempdir().context("no folder")?;
    let mut rounds = Rounds {
        options,
        folder: folder.path().to_owned(),
        random: Random::new(options.seed, 0),
        ledger: Ledger::default(),
        run: 0,
        kills: 0,
        hot_max: 0,
        sealed_max: 0,
    };
    let began = Instant::now();
    match rounds.story() {
        Ok(()) => Ok(format!("stream-soak ok: seed {}, {}", options.seed, rounds.summary(began.elapsed()))),
        Err(error) => {
            let kept = folder.keep();
            Err(error.context(format!(
                "stream-soak failed: seed {}, run {}, its store is in {}",
                options.seed,
                rounds.run,
                kept.display()
            )))
        }
    }
}
