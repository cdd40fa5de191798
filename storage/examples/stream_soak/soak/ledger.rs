//! What was acknowledged and what was read: the model that a soak's streams are held against. `rounds` fills it from the lines of the
//! processes.

use super::link::Said;
use super::writers::{Kind, key_of, kind};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers, as ranges that do not touch each other: first -> last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers(BTreeMap<u64, u64>);

impl Numbers {
    /// Adds first..=last; false = some of them were there.
    pub(super) fn add(&mut self, mut first: u64, mut last: u64) -> bool {
        if self.0.range(..=last).next_back().is_some_and(|(_, end)| *end >= first) {
            return false;
        }
        if let Some((start, end)) = self.0.range(..first).next_back().map(|(s, e)| (*s, *e))
            && end + 1 == first
        {
            self.0.remove(&start);
            first = start;
        }
        if let Some(end) = self.0.remove(&(last + 1)) {
            last = end;
        }
        self.0.insert(first, last);
        true
    }

    /// How many of first..=last there are.
    pub(super) fn within(&self, first: u64, last: u64) -> u64 {
        let before = self.0.range(..first).next_back().filter(|(_, end)| **end >= first);
        let ranges = before.into_iter().chain(self.0.range(first..=last));
        ranges.map(|(start, end)| (*end).min(last) - (*start).max(first) + 1).sum()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }
}

/// What a reader of all has read.
#[derive(Debug, Default)]
struct Reader {
    cut: Option<String>,
    read: BTreeMap<u64, Numbers>,
    /// The last number of each key.
    last: BTreeMap<(u64, u64), u64>,
}

#[derive(Debug)]
struct Transaction {
    first: u64,
    last: u64,
    committed: Option<bool>,
}

/// The ledger.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    acknowledged: BTreeMap<u64, Numbers>,
    readers: BTreeMap<String, Reader>,
    transactions: BTreeMap<(u64, u64), Transaction>,
    watermarks: BTreeMap<String, i64>,
    pub(super) truncations: u64,
    pub(super) scalings: u64,
    pub(super) segments: BTreeSet<u64>,
}

impl Ledger {
    /// Takes in what a process said.
    pub(super) fn hear(&mut self, said: Said) -> Result<()> {
        match said {
            Said::Acknowledged(writer, first, last) => {
                let is_new = self.acknowledged.entry(writer).or_default().add(first, last);
                ensure!(is_new, "writer {writer}: {first} to {last} were acknowledged twice");
            }
            Said::Asked(writer, id, first, last) => {
                self.transactions.insert((writer, id), Transaction { first, last, committed: None });
            }
            Said::Ended(writer, id, committed) => {
                let known = self.transactions.get_mut(&(writer, id)).context("an unknown transaction ended")?;
                let before = known.committed.replace(committed);
                ensure!(before.is_none(), "transaction {id} of writer {writer} ended twice");
            }
            Said::Read(reader, cut, events) => self.read(&reader, cut, &events)?,
            Said::Truncated(_) => self.truncations += 1,
            Said::Watermark(stream, time) => {
                let before = self.watermarks.entry(stream.clone()).or_insert(i64::MIN);
                ensure!(time >= *before, "stream {stream}: the watermark {time} comes after {before}");
                *before = time;
            }
            Said::Scaled(count) => {
                self.scalings += 1;
                self.segments.insert(count);
            }
            Said::Violated(what) => bail!(what),
            Said::Done => {}
        }
        Ok(())
    }

    fn read(&mut self, name: &str, cut: String, events: &[(u64, u64)]) -> Result<()> {
        let reader = self.readers.entry(name.into()).or_default();
        reader.cut = Some(cut);
        for (writer, number) in events.iter().copied() {
            let last = reader.last.entry((writer, key_of(number))).or_default();
            ensure!(
                number > *last,
                "reader {name}: of writer {writer}, key {}, event {number} comes after {last}: twice, or in disorder",
                key_of(number)
            );
            *last = number;
            let is_new = reader.read.entry(writer).or_default().add(number, number);
            ensure!(is_new, "reader {name}: event {number} of writer {writer} comes twice");
        }
        Ok(())
    }

    /// Where each reader goes on.
    pub(super) fn cuts(&self) -> Vec<(String, String)> {
        self.readers.iter().filter_map(|(name, reader)| Some((name.clone(), reader.cut.clone()?))).collect()
    }

    /// Transactions that nobody has told the end of.
    pub(super) fn open(&self) -> Vec<(u64, u64)> {
        self.transactions.iter().filter(|(_, t)| t.committed.is_none()).map(|(id, _)| *id).collect()
    }

    /// Everything was read to the tail while nobody wrote.
    pub(super) fn settle(&mut self) -> Result<()> {
        ensure!(self.open().is_empty(), "transactions {:?} have no outcome", self.open());
        for (name, reader) in &self.readers {
            for (writer, acknowledged) in &self.acknowledged {
                let none = Numbers::default();
                let read = reader.read.get(writer).unwrap_or(&none);
                for (first, last) in acknowledged.ranges() {
                    let there = read.within(first, last);
                    ensure!(
                        there == last - first + 1,
                        "reader {name}: of writer {writer} events {first} to {last} were acknowledged, and {there} of them are there"
                    );
                }
                if kind(*writer) == Kind::Idempotent {
                    let last = reader.last.iter().filter(|((w, _), _)| w == writer).map(|(_, n)| *n).max().unwrap_or(0);
                    ensure!(
                        read.count() == last,
                        "reader {name}: writer {writer} counted to {last}, {} are there",
                        read.count()
                    );
                }
            }
            for ((writer, id), Transaction { first, last, committed }) in &self.transactions {
                let there = reader.read.get(writer).map_or(0, |read| read.within(*first, *last));
                let expected = if *committed == Some(true) { last - first + 1 } else { 0 };
                ensure!(
                    there == expected,
                    "reader {name}: transaction {id} of writer {writer} (committed: {committed:?}) has {there} of {} events",
                    last - first + 1
                );
            }
        }
        let counts: BTreeSet<u64> = self.readers.values().map(|r| r.read.values().map(Numbers::count).sum()).collect();
        ensure!(counts.len() <= 1, "the readers of all have read {counts:?} events");
        // Both were seen whole.
        self.transactions.clear();
        Ok(())
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.values().map(Numbers::count).sum()
    }

    pub(super) fn read_by_all(&self) -> u64 {
        self.readers.values().map(|r| r.read.values().map(Numbers::count).sum()).min().unwrap_or(0)
    }
}
