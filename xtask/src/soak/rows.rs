//! The pipeline over a file: it ends by itself, is looked at, and a new one with a new file takes its place. Its counts are 1,
//! 2, 3... of each key and, once it says that it has finished, as many as the file has rows.

use super::Actor;
use super::counts::Counting;
use super::random::Random;
use super::world::World;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

const KEYS: u64 = 20;
const ROWS: u64 = 30_000;
/// Most files: each leaves a stream behind.
const FILES_MAX: u64 = 40;

pub(super) struct Rows {
    random: Random,
    file: u64,
    rows: BTreeMap<String, u64>,
    counting: Counting,
    finished: bool,
}

impl Rows {
    pub(super) fn new(seed: u64) -> Rows {
        let random = Random::new(seed, 300);
        Rows { random, file: 0, rows: BTreeMap::new(), counting: Counting::default(), finished: true }
    }

    fn pipeline(&self) -> String {
        format!("rows-{}", self.file)
    }

    fn next_file(&mut self, world: &World) -> Result<()> {
        self.file += 1;
        (self.rows, self.counting, self.finished) = Default::default();
        let mut text = String::from("key,row\n");
        for row in 0..self.random.range(1, ROWS) {
            let key = format!("k{}", self.random.range(0, KEYS));
            writeln!(text, "{key},{row}").context("no memory")?;
            *self.rows.entry(key).or_default() += 1;
        }
        world.write(&format!("rows-{}.csv", self.file), &text)?;
        world.write_rows_pipeline(&self.pipeline(), &format!("rows-{}.csv", self.file))
    }
}

impl Actor for Rows {
    fn name(&self) -> String {
        format!("pipeline {}", self.pipeline())
    }

    fn step(&mut self, _world: &World) -> Result<()> {
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    fn at_rest(&mut self, world: &World, last: bool) -> Result<()> {
        if self.file > 0 {
            let pipelines = world.json(&["ls"])?;
            let mut all = pipelines.as_array().context("ls has no list")?.iter();
            let ours = all.find(|pipeline| pipeline["name"].as_str() == Some(&self.pipeline()));
            self.finished = ours.is_some_and(|pipeline| pipeline["state"] == "finished");
            if ours.is_some() {
                self.counting.read(world, &format!("{}/counts", self.pipeline()), 1)?;
            }
            let too_many = |(key, count): (&String, &u64)| self.rows.get(key).is_none_or(|rows| count > rows);
            if self.counting.counts.iter().any(too_many) || (self.finished && self.counting.counts != self.rows) {
                bail!("it has {:?} and the file {:?}", self.counting.counts, self.rows);
            }
            if last && !self.finished {
                bail!("it has not finished");
            }
        }
        if self.finished && !last && self.file < FILES_MAX {
            self.next_file(world)?;
        }
        Ok(())
    }
}
