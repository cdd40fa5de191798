//! Scales both streams at random: splits, merges, n segments in the place of m others, equal parts.

use super::link::Said;
use super::process::World;
use super::random::Random;
use super::{CUT, KEPT};
use anyhow::{Result, ensure};
use std::time::Duration;
use tidemill_storage::stream::{Scaling, StreamInfo};

/// Most active segments; beyond it only merges.
const SEGMENTS_MAX: usize = 12;

/// Neighbours sealed, and another number of segments in their place, with borders anywhere.
fn regroup(info: &StreamInfo, random: &mut Random) -> Scaling {
    let many = info.segments.len() as u64;
    let first = random.range(0, many);
    let sealed = &info.segments[first as usize..random.range(first + 1, (first + 4).min(many) + 1) as usize];
    let (low, high) = (sealed[0].range.0, sealed[sealed.len() - 1].range.1);
    let mut borders: Vec<u64> = (0..random.range(0, 4)).map(|_| random.range(low, high)).filter(|b| *b > low).collect();
    borders.sort_unstable();
    borders.dedup();
    let starts = std::iter::once(low).chain(borders.iter().copied());
    let ends = borders.iter().map(|b| b - 1).chain([high]);
    Scaling { seal: sealed.iter().map(|s| s.id).collect(), ranges: starts.zip(ends).collect() }
}

fn draw(info: &StreamInfo, random: &mut Random) -> Result<Scaling> {
    let many = info.segments.len();
    let one = random.range(0, many as u64) as usize;
    if many >= SEGMENTS_MAX || (many > 1 && random.one_in(4)) {
        let one = one.min(many - 2);
        return Ok(Scaling::merge(info, &[info.segments[one].id, info.segments[one + 1].id])?);
    }
    Ok(match random.range(0, 4) {
        0 => Scaling::to(info, random.range(1, 9) as u32)?,
        1 => Scaling::split(info, info.segments[one].id, random.range(2, 4) as u32)?,
        _ => regroup(info, random),
    })
}

pub(super) fn run(world: &World) -> Result<()> {
    let mut random = world.random(60);
    while !world.stopping() {
        let info = world.stream(if random.one_in(3) { CUT } else { KEPT })?;
        let scaling = draw(&info, &mut random)?;
        let scaled = world.store.scale_stream(&info.name, &scaling)?;
        // Asked again, the same is answered.
        let again = world.store.scale_stream(&info.name, &scaling)?;
        ensure!(again.epoch == scaled.epoch, "the same scaling twice made two epochs: {scaling:?}");
        let ranges: Vec<(u64, u64)> = scaled.segments.iter().map(|s| s.range).collect();
        let tiled = ranges.windows(2).all(|w| w[0].1.checked_add(1) == Some(w[1].0));
        let ends = (ranges.first().map(|r| r.0), ranges.last().map(|r| r.1));
        ensure!(tiled && ends == (Some(0), Some(u64::MAX)), "{ranges:?} do not tile the key space");
        world.mouth.say(&Said::Scaled(ranges.len() as u64));
        std::thread::sleep(Duration::from_millis(random.range(20, 300)));
    }
    Ok(())
}
