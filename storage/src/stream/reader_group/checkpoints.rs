//! Checkpoints of a reader group: begun with the set of readers online, reported by each between two of its events, complete
//! when none is left to report. Pure, part of `state.rs`.
//!
//! Each reader reports them in the order in which they were begun, so they complete in that order, too. A silent one only
//! wants to know where the readers are: no marker, and what is read again after a loss stays as it was.

use super::places::{Place, cut_of};
use super::state::{Acknowledge, GroupState, Member, Offsets};
use crate::error::{Error, Result};
use crate::ids::{NAME_BYTES_MAX, StreamId};
use crate::row::SegmentKey;
use crate::stream::StreamCut;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A checkpoint under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) name: String,
    pub(crate) silent: bool,
    /// Readers that have not reported.
    pub(crate) waiting: BTreeSet<String>,
    /// What is known of it so far. Nothing moves between readers that have not reported, so in the end it is whole.
    pub(crate) at: BTreeMap<SegmentKey, Place>,
}

/// A checkpoint that every reader reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Completed {
    pub(crate) name: String,
    pub(crate) cuts: BTreeMap<StreamId, StreamCut>,
}

impl GroupState {
    /// The next one that a reader has to report.
    pub(crate) fn open_of(&self, id: &str) -> Option<&Open> {
        self.open.iter().find(|open| open.waiting.contains(id))
    }

    /// Begins a checkpoint. Without readers it is complete at once.
    pub(crate) fn begin(&mut self, name: &str, silent: bool) -> Result<()> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Error::invalid(format!("checkpoint name {name:?}: 1 to {NAME_BYTES_MAX} bytes")));
        }
        let completed = self.last.iter().chain(&self.silent).map(|done| &done.name);
        if self.open.iter().map(|open| &open.name).chain(completed).any(|other| other == name) {
            return Err(Error::conflict(format!("there is a checkpoint {name} already: choose another name")));
        }
        let outstanding = self.open.iter().filter(|open| open.silent == silent).count();
        if outstanding >= self.checkpoints_max as usize {
            return Err(Error::conflict(format!(
                "{outstanding} checkpoints are outstanding, at most {}: wait for one or cancel them",
                self.checkpoints_max
            )));
        }
        let held =
            self.held.iter().map(|(key, held)| (*key, Place { offset: held.offset, ranges: held.ranges.clone() }));
        let unassigned = self.unassigned.iter().map(|(key, place)| (*key, place.clone()));
        let at = held.chain(unassigned).collect();
        let waiting = self.readers.keys().cloned().collect();
        self.open.push(Open { name: name.to_string(), silent, waiting, at });
        self.settle()
    }

    /// A reader stands at `at`, all its segments, at the marker of a checkpoint. Nothing happens when that is not open for
    /// it any more.
    pub(crate) fn report(&mut self, id: &str, incarnation: u64, name: &str, at: &Offsets) -> Result<()> {
        self.note_read(id, incarnation, at)?;
        let Some(open) = self.open.iter_mut().find(|open| open.name == name && open.waiting.contains(id)) else {
            return Ok(());
        };
        let reader = self.readers.get_mut(id).ok_or_else(|| Error::bug(format!("reader {id} is gone")))?;
        for (key, own) in &mut reader.segments {
            open.at.insert(*key, Place { offset: own.read, ranges: own.ranges.clone() });
            if !open.silent {
                own.recorded = own.read;
            }
        }
        open.waiting.remove(id);
        self.settle()
    }

    /// A reader is lost: what it owned counts as it goes on.
    pub(super) fn report_lost(&mut self, id: &str, places: &BTreeMap<SegmentKey, Place>) -> Result<()> {
        for open in self.open.iter_mut().filter(|open| open.waiting.contains(id)) {
            open.at.extend(places.iter().map(|(key, place)| (*key, place.clone())));
            open.waiting.remove(id);
        }
        self.settle()
    }

    /// Drops those under way, silent ones and others.
    pub(crate) fn cancel(&mut self) {
        self.open.clear();
    }

    /// Completes what nobody has to report any more.
    fn settle(&mut self) -> Result<()> {
        while let Some(at) = self.open.iter().position(|open| open.waiting.is_empty()) {
            let open = self.open.remove(at);
            let cut = |member: &Member| {
                let places = open.at.iter().filter(|(key, _)| key.stream == member.stream.id);
                let cut =
                    cut_of(member.stream, places.map(|(key, place)| (key.segment, place.offset, &place.ranges[..])));
                Ok((member.stream.id, cut.map_err(|e| e.context(format!("checkpoint {}", open.name)))?))
            };
            let cuts = self.members.iter().map(cut).collect::<Result<BTreeMap<_, _>>>()?;
            let done = Completed { name: open.name.clone(), cuts };
            if open.silent {
                self.silent.push(done);
                let excess = self.silent.len().saturating_sub(self.checkpoints_max as usize);
                self.silent.drain(..excess);
                continue;
            }
            if self.acknowledge == Acknowledge::AtCheckpoints {
                self.acknowledged = done.cuts.clone();
            }
            self.last = Some(done);
        }
        Ok(())
    }
}
