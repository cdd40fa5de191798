//! Where a partition of a stream source stands, as it is kept in checkpoints. `partition.rs` gives it, `follower.rs` takes it back.
//!
//! Layout, integers little-endian: version u8 = 2, stream id, generation, u64 each; the number of tiles, u32, then of each least hash,
//! greatest hash, segment, offset, u64 each, and state u8 (0 open, 1 finished); the number of tiles of the end, u32 (0 = it has none),
//! then of each the same four numbers.
//!
//! Version 1 knew one segment, the one that the partition is named for: stream id, generation, segment, offset, end + 1 (0 = none), u64
//! each. It is read, and written no more.

use tidemill_storage::stream::{CutTile, StreamRef};
use tidemill_storage::{Generation, Offset, SegmentId, StreamId};

/// A place of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamPosition {
    pub(super) stream: StreamRef,
    pub(super) places: Places,
}

/// Its places in segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Places {
    /// Of version 1.
    Segment { segment: SegmentId, offset: Offset, end: Option<Offset> },
    /// With whether a segment was read to its end; and where a bounded run ends in these ranges.
    Tiles { tiles: Vec<(CutTile, bool)>, end: Vec<CutTile> },
}

const VERSION: u8 = 2;
const VERSION_OF_ONE_SEGMENT: u8 = 1;

/// Takes numbers from the front; none = there are too few bytes.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn tile(&mut self) -> Option<CutTile> {
        let (low, high) = (self.u64()?, self.u64()?);
        Some(CutTile { low, high, segment: SegmentId(self.u64()?), offset: Offset(self.u64()?) })
    }

    /// A count, and so many of them; grown as they are found, whatever the count says.
    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.take().map(u32::from_le_bytes)?;
        (0..count).map(|_| one(self)).collect()
    }
}

fn put(bytes: &mut Vec<u8>, tile: &CutTile) {
    for number in [tile.low, tile.high, tile.segment.0, tile.offset.0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
}

impl StreamPosition {
    pub(super) fn encode(&self) -> Vec<u8> {
        let number = |bytes: &mut Vec<u8>, number: u64| bytes.extend_from_slice(&number.to_le_bytes());
        let mut bytes = Vec::new();
        match &self.places {
            Places::Segment { segment, offset, end } => {
                bytes.push(VERSION_OF_ONE_SEGMENT);
                let StreamRef { id, generation } = self.stream;
                for n in [id.0, generation.0, segment.0, offset.0, end.map_or(0, |end| end.0 + 1)] {
                    number(&mut bytes, n);
                }
            }
            Places::Tiles { tiles, end } => {
                bytes.push(VERSION);
                number(&mut bytes, self.stream.id.0);
                number(&mut bytes, self.stream.generation.0);
                bytes.extend_from_slice(&(tiles.len() as u32).to_le_bytes());
                for (tile, finished) in tiles {
                    put(&mut bytes, tile);
                    bytes.push(u8::from(*finished));
                }
                bytes.extend_from_slice(&(end.len() as u32).to_le_bytes());
                end.iter().for_each(|tile| put(&mut bytes, tile));
            }
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<StreamPosition, String> {
        let mut input = Input(bytes);
        let read = |input: &mut Input<'_>| {
            let [version] = input.take()?;
            let stream = StreamRef { id: StreamId(input.u64()?), generation: Generation(input.u64()?) };
            let places = match version {
                VERSION_OF_ONE_SEGMENT => Places::Segment {
                    segment: SegmentId(input.u64()?),
                    offset: Offset(input.u64()?),
                    end: input.u64()?.checked_sub(1).map(Offset),
                },
                VERSION => Places::Tiles {
                    tiles: input.list(|input| match (input.tile()?, input.take()?) {
                        (tile, [state @ (0 | 1)]) => Some((tile, state == 1)),
                        _ => None,
                    })?,
                    end: input.list(Input::tile)?,
                },
                _ => return None,
            };
            Some(StreamPosition { stream, places })
        };
        let position = read(&mut input).filter(|_| input.0.is_empty());
        position.ok_or_else(|| "the stored position is damaged, or of a newer Tidemill".to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamRef = StreamRef { id: StreamId(7), generation: Generation(2) };

    fn positions() -> Vec<StreamPosition> {
        let tile = |segment, offset| CutTile { low: 5, high: 9, segment: SegmentId(segment), offset: Offset(offset) };
        let tiles = |tiles, end| StreamPosition { stream: STREAM, places: Places::Tiles { tiles, end } };
        let segment = |end| StreamPosition {
            stream: STREAM,
            places: Places::Segment { segment: SegmentId(3), offset: Offset(4), end },
        };
        vec![
            tiles(vec![], vec![]),
            tiles(vec![(tile(1, 2), false), (tile(1 << 32, 0), true)], vec![tile(1 << 33, 70)]),
            segment(None),
            segment(Some(Offset(0))),
        ]
    }

    #[test]
    fn a_position_comes_back_from_its_bytes_and_no_part_of_them_is_taken_for_one() {
        for position in positions() {
            let bytes = position.encode();
            assert_eq!(StreamPosition::decode(&bytes), Ok(position.clone()));
            for cut in 0..bytes.len() {
                assert!(StreamPosition::decode(&bytes[..cut]).is_err(), "{position:?} cut at {cut}");
            }
            assert!(StreamPosition::decode(&[&bytes[..], &[0]].concat()).is_err(), "a byte too many");
        }
    }

    #[test]
    fn the_layouts_stay_as_they_are() {
        let hex = |position: &StreamPosition| position.encode().iter().map(|b| format!("{b:02x}")).collect::<String>();
        let number = |n: u64| n.to_le_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>();
        let numbers = |of: &[u64]| of.iter().map(|n| number(*n)).collect::<String>();
        let positions = positions();
        assert_eq!(hex(&positions[2]), format!("01{}", numbers(&[7, 2, 3, 4, 0])));
        let expected = format!(
            "02{}02000000{}00{}0101000000{}",
            numbers(&[7, 2]),
            numbers(&[5, 9, 1, 2]),
            numbers(&[5, 9, 1 << 32, 0]),
            numbers(&[5, 9, 1 << 33, 70])
        );
        assert_eq!(hex(&positions[1]), expected);
    }
}
