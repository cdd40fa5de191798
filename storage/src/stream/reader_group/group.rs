//! The handle on a reader group: made, changed and looked at here, read by [`super::GroupReader`]. Every change is made on the
//! newest state and swapped in; when somebody was faster it is made again.

use super::places::{Segments, check_cut, segments};
use super::state::{Acknowledge, GroupState, Member, Offsets};
use super::{GroupConfig, GroupCut, GroupInfo, GroupReader, GroupStream, Start, info};
use crate::decide::{GroupSwap, Outcome, Work};
use crate::error::{Error, Kind, Result};
use crate::ids::{Position, StreamId, StreamName};
use crate::names::GroupName;
use crate::overlay::ScopedSnapshot;
use crate::redb_io::RedbSnapshot;
use crate::row::{GroupRow, ScopedId, SegmentKey};
use crate::store::Store;
use crate::stream::{StreamCut, StreamInfo, StreamRef};
use bytes::Bytes;
use std::collections::BTreeMap;

/// How often a change is made anew because others were faster, before that is an error.
const TRIES_MAX: usize = 10_000;

/// How a checkpoint is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointStatus {
    /// These readers have not come to it, or not worked off what lies before it.
    Open(Vec<String>),
    /// Everything before these cuts is worked off.
    Complete(GroupCut),
}

/// A reader group; cheap to clone.
#[derive(Clone, Debug)]
pub struct ReaderGroup {
    pub(super) store: Store,
    pub(super) name: GroupName,
    id: ScopedId,
}

/// Members of a group, and the segments that their streams have now.
type Resolved = (Vec<Member>, BTreeMap<StreamId, Segments>);

fn stream_of(store: &Store, name: &StreamName) -> Result<StreamInfo> {
    store
        .stream(name)?
        .ok_or_else(|| Error::not_found(format!("there is no stream {name}: create it, or check the name")))
}

fn resolve(store: &Store, streams: &[GroupStream]) -> Result<Resolved> {
    let (mut members, mut all) = (Vec::new(), BTreeMap::new());
    for GroupStream { stream: name, start, end } in streams {
        let info = stream_of(store, name)?;
        let start = match start {
            Start::Head => info.head_cut(),
            Start::Tail => info.tail_cut(),
            Start::Cut(cut) => cut.clone(),
        };
        check_cut(&info, &start)?;
        if let Some(end) = end {
            check_cut(&info, end)?;
            if !end.is_at_or_after(&start)? {
                return Err(Error::invalid(format!(
                    "stream {name}: the end cut {end} lies before the start cut {start}"
                )));
            }
        }
        all.insert(info.stream.id, segments(&info));
        members.push(Member { name: name.clone(), stream: info.stream, start, end: end.clone() });
    }
    Ok((members, all))
}

impl Store {
    /// Makes a reader group. `Conflict` when there is one of this name, `NotFound` without one of its streams, `Invalid` for
    /// a cut at which no reader can stand, or an end before its start.
    pub fn create_reader_group(&self, name: &GroupName, config: &GroupConfig) -> Result<ReaderGroup> {
        let at = |e: Error| e.context(format!("reader group {name}"));
        config.check().map_err(at)?;
        let (members, segments) = resolve(self, &config.streams).map_err(at)?;
        let mut state = GroupState {
            checkpoints_max: config.checkpoints_max,
            acknowledge: config.acknowledge,
            ..GroupState::default()
        };
        state.restart(members, &segments);
        if self.read_rows(|snapshot| snapshot.group(name))?.is_some() {
            return Err(exists(name));
        }
        let state = Some(Box::new(state));
        let swap = GroupSwap { name: name.clone(), expected: None, state, now_ms: self.now_ms() };
        self.ask(Work::Group(swap)).map_err(|e| if e.kind() == Kind::Conflict { exists(name) } else { e })?;
        self.reader_group(name)?.ok_or_else(|| Error::not_found(format!("reader group {name} was deleted at once")))
    }

    /// A reader group, if it exists.
    pub fn reader_group(&self, name: &GroupName) -> Result<Option<ReaderGroup>> {
        let row = self.read_rows(|snapshot| snapshot.group(name))?;
        Ok(row.map(|row| ReaderGroup { store: self.clone(), name: name.clone(), id: row.id }))
    }

    /// Removes a reader group; its readers learn it at their next call. False: there was none.
    pub fn delete_reader_group(&self, name: &GroupName) -> Result<bool> {
        for _ in 0..TRIES_MAX {
            let Some(row) = self.read_rows(|snapshot| snapshot.group(name))? else { return Ok(false) };
            let expected = Some((row.id, row.version));
            let swap = GroupSwap { name: name.clone(), expected, state: None, now_ms: self.now_ms() };
            match self.ask(Work::Group(swap)) {
                Ok(_) => return Ok(true),
                Err(e) if e.kind() == Kind::Conflict => {}
                Err(e) => return Err(e),
            }
        }
        Err(busy(name))
    }

    /// All reader groups, by name.
    pub fn list_reader_groups(&self) -> Result<Vec<GroupInfo>> {
        let rows = self.read_rows(RedbSnapshot::groups)?;
        rows.into_iter().map(|(name, row)| info::of_row(name, &row?)).collect()
    }

    /// For each reader group that subscribes to a stream, the cut before which it needs nothing any more.
    pub fn acknowledged_cuts(&self, stream: StreamRef) -> Result<Vec<(GroupName, StreamCut)>> {
        self.read_rows(|snapshot| subscriber_cuts(snapshot, stream))
    }
}

/// The cuts that retention by consumption goes by: of every group that acknowledges and has the stream.
fn subscriber_cuts(snapshot: &RedbSnapshot, stream: StreamRef) -> Result<Vec<(GroupName, StreamCut)>> {
    let mut out = Vec::new();
    for (name, row) in snapshot.groups()? {
        let state = row?.state;
        let cut = state.acknowledged.get(&stream.id).filter(|cut| cut.stream() == stream);
        if let Some(cut) = cut.filter(|_| state.acknowledge != Acknowledge::Never) {
            out.push((name, cut.clone()));
        }
    }
    Ok(out)
}

fn exists(name: &GroupName) -> Error {
    Error::conflict(format!("reader group {name} exists: use it, reset it, or choose another name"))
}

fn busy(name: &GroupName) -> Error {
    Error::unavailable(format!("reader group {name}: others were faster {TRIES_MAX} times; try later"))
}

/// Positions as a group keeps them.
pub(super) fn offsets(positions: &[Position]) -> Offsets {
    let key = |at: &Position| SegmentKey { stream: at.stream, segment: at.segment };
    positions.iter().map(|at| (key(at), at.offset)).collect()
}

impl ReaderGroup {
    /// Its name.
    pub fn name(&self) -> &GroupName {
        &self.name
    }

    fn gone(&self) -> Error {
        Error::not_found(format!(
            "reader group {} was deleted (or made anew since it was opened): open it again",
            self.name
        ))
    }

    pub(super) fn is_mine(&self, row: GroupRow) -> Result<GroupRow> {
        if row.id == self.id { Ok(row) } else { Err(self.gone()) }
    }

    fn row(&self) -> Result<GroupRow> {
        let row = self.store.read_rows(|snapshot| snapshot.group(&self.name))?;
        row.ok_or_else(|| self.gone()).and_then(|row| self.is_mine(row))
    }

    pub(super) fn row_bytes(&self) -> Result<Bytes> {
        self.store.read_rows(|snapshot| snapshot.group_bytes(&self.name))?.ok_or_else(|| self.gone())
    }

    /// Makes a change on the newest state, until it is the one that is swapped in.
    pub(super) fn change<T>(&self, mut change: impl FnMut(&mut GroupState) -> Result<T>) -> Result<T> {
        for _ in 0..TRIES_MAX {
            let row = self.row()?;
            let mut state = row.state.clone();
            let out = change(&mut state).map_err(|e| e.context(format!("reader group {}", self.name)))?;
            if state == row.state {
                return Ok(out);
            }
            let (expected, state) = (Some((row.id, row.version)), Some(Box::new(state)));
            let swap = GroupSwap { name: self.name.clone(), expected, state, now_ms: self.store.now_ms() };
            match self.store.ask(Work::Group(swap)).and_then(Outcome::number) {
                Ok(_) => return Ok(out),
                Err(e) if e.kind() == Kind::Conflict => {}
                Err(e) => return Err(e),
            }
        }
        Err(busy(&self.name))
    }

    /// What there is of it.
    pub fn info(&self) -> Result<GroupInfo> {
        info::of_row(self.name.clone(), &self.row()?)
    }

    /// Lets a reader in, under an id of its own. `Conflict` while a reader of this id is online.
    pub fn reader(&self, id: &str) -> Result<GroupReader> {
        let incarnation = self.change(|state| state.add_reader(id))?;
        Ok(GroupReader::new(self.clone(), id, incarnation))
    }

    /// Lets a reader in, in the place of the one of this id if there is one: that is put out, and what it had not reported is
    /// read again. For a process that starts anew after a crash.
    pub fn take_over(&self, id: &str) -> Result<GroupReader> {
        let incarnation = self.change(|state| {
            state.offline(id, None)?;
            state.add_reader(id)
        })?;
        Ok(GroupReader::new(self.clone(), id, incarnation))
    }

    /// Declares a reader offline: others go on at `at` if it is given ([`GroupReader::position`] at some time), else where it
    /// last reported, and it is put out. False: it was not online. `Invalid` for a position beyond a tail or in a stream that
    /// is none of the group's.
    pub fn reader_offline(&self, id: &str, at: Option<&[Position]>) -> Result<bool> {
        let offsets = at.map(offsets);
        self.change(|state| {
            for at in at.into_iter().flatten() {
                let of = |member: &&Member| (member.stream.id, member.stream.generation) == (at.stream, at.generation);
                let member = state.members.iter().find(of);
                let member = member.ok_or_else(|| {
                    Error::invalid(format!("a position in stream {}, which is none of its own", at.stream))
                })?;
                let info = self.store.stream(&member.name)?;
                if let Some(segment) = info.as_ref().and_then(|info| info.segment(at.segment))
                    && at.offset > segment.tail
                {
                    return Err(Error::invalid(format!(
                        "stream {}, segment {}: position {} is past the tail {}",
                        member.name, at.segment, at.offset, segment.tail
                    )));
                }
            }
            state.offline(id, offsets.as_ref())
        })
    }

    /// Begins a checkpoint: every reader that is online gets a marker between two events, and reports where it stands by
    /// reading on. `Conflict` when too many are outstanding or the name is in use.
    pub fn begin_checkpoint(&self, name: &str) -> Result<()> {
        self.change(|state| state.begin(name, false))
    }

    /// How a checkpoint, or the generation of cuts, is doing. `NotFound` when it was cancelled, or a later one has completed.
    pub fn checkpoint(&self, name: &str) -> Result<CheckpointStatus> {
        let state = self.row()?.state;
        if let Some(open) = state.open.iter().find(|open| open.name == name) {
            return Ok(CheckpointStatus::Open(open.waiting.iter().cloned().collect()));
        }
        let done = state.last.iter().chain(&state.silent).find(|done| done.name == name);
        let done = done.ok_or_else(|| {
            Error::not_found(format!(
                "reader group {}: there is no checkpoint {name}: it was cancelled, or a later one has completed",
                self.name
            ))
        })?;
        Ok(CheckpointStatus::Complete(named(&state, &done.cuts)))
    }

    /// The last checkpoint that completed, if any.
    pub fn last_checkpoint(&self) -> Result<Option<(String, GroupCut)>> {
        let state = self.row()?.state;
        Ok(state.last.as_ref().map(|last| (last.name.clone(), named(&state, &last.cuts))))
    }

    /// Drops all outstanding checkpoints: readers get no markers of them any more.
    pub fn cancel_checkpoints(&self) -> Result<()> {
        self.change(|state| {
            state.cancel();
            Ok(())
        })
    }

    /// Where every stream was last known to be read to: behind what the readers have read since they last told.
    pub fn stream_cuts(&self) -> Result<GroupCut> {
        let state = self.row()?.state;
        Ok(named(&state, &state.cuts()?))
    }

    /// Asks every reader where it stands, without a marker; gives a name under which [`ReaderGroup::checkpoint`] has the
    /// cuts when all have called. The cuts are at or after where the readers stand now. What is read again after a loss stays
    /// as it was.
    pub fn generate_stream_cuts(&self) -> Result<String> {
        self.change(|state| {
            state.next_cuts += 1;
            let name = format!("cuts-{}", state.next_cuts);
            state.begin(&name, true)?;
            Ok(name)
        })
    }

    /// Starts the group anew with other streams, starts and ends. All its readers are put out, checkpoints are forgotten.
    pub fn reset(&self, config: &GroupConfig) -> Result<()> {
        let at = |e: Error| e.context(format!("reader group {}", self.name));
        config.check().map_err(at)?;
        let (members, segments) = resolve(&self.store, &config.streams).map_err(at)?;
        self.change(|state| {
            (state.checkpoints_max, state.acknowledge) = (config.checkpoints_max, config.acknowledge);
            state.restart(members.clone(), &segments);
            Ok(())
        })
    }

    /// Starts the group anew at a cut of its streams (those left out: where they were last known to be read to), with the
    /// ends it has. All its readers are put out.
    pub fn reset_to(&self, cut: &GroupCut) -> Result<()> {
        self.restart_at(|_| Ok(cut.clone()))
    }

    /// Starts the group anew where its last checkpoint is. `NotFound` without one.
    pub fn reset_to_checkpoint(&self) -> Result<()> {
        self.restart_at(|state| {
            let last = state.last.as_ref().ok_or_else(|| Error::not_found("no checkpoint has completed yet"))?;
            Ok(named(state, &last.cuts))
        })
    }

    fn restart_at(&self, cut: impl Fn(&GroupState) -> Result<GroupCut>) -> Result<()> {
        self.change(|state| {
            let cut = cut(state)?;
            if let Some(other) = cut.keys().find(|name| !state.members.iter().any(|member| member.name == **name)) {
                return Err(Error::invalid(format!("stream {other} is not one of the group's")));
            }
            let now = named(state, &state.cuts()?);
            let stream = |member: &Member| {
                let start = cut.get(&member.name).or_else(|| now.get(&member.name)).unwrap_or(&member.start);
                GroupStream { stream: member.name.clone(), start: Start::Cut(start.clone()), end: member.end.clone() }
            };
            let streams: Vec<GroupStream> = state.members.iter().map(stream).collect();
            let (members, segments) = resolve(&self.store, &streams)?;
            state.restart(members, &segments);
            Ok(())
        })
    }

    /// Says that nothing before these cuts is needed any more. Only for a group made with [`Acknowledge::Manually`];
    /// a cut that lies before the one told last changes nothing.
    pub fn acknowledge(&self, cuts: &GroupCut) -> Result<()> {
        self.change(|state| {
            if state.acknowledge != Acknowledge::Manually {
                return Err(Error::invalid("it does not acknowledge by hand: make it with Acknowledge::Manually"));
            }
            for (name, cut) in cuts {
                let member = state.members.iter().find(|member| member.name == *name);
                let member =
                    member.ok_or_else(|| Error::invalid(format!("stream {name} is not one of the group's")))?;
                check_cut(&stream_of(&self.store, name)?, cut)?;
                if let Some(told) = state.acknowledged.get_mut(&member.stream.id) {
                    *told = told.later(cut)?;
                }
            }
            Ok(())
        })
    }
}

/// Cuts under the names of their streams.
pub(super) fn named(state: &GroupState, cuts: &BTreeMap<StreamId, StreamCut>) -> GroupCut {
    let cut = |member: &Member| Some((member.name.clone(), cuts.get(&member.stream.id)?.clone()));
    state.members.iter().filter_map(cut).collect()
}
