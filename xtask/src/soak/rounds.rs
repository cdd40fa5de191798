//! The story: rounds in which an owner runs, the disk fills and empties, and the owner is killed or stopped; between them
//! everybody looks. After the last round the owner works off what there is, and all must be there.

use super::owner::Owner;
use super::random::Random;
use super::world::{COUNTS, HOP, INPUT, MIB, World};
use super::{Actor, Options, actors};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Nothing has moved for so long: it never will.
const STUCK: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Story {
    rounds: u64,
    kills: u64,
    stops: u64,
    /// The disk was filled into its reserve, and wholly.
    low: u64,
    full: u64,
}

pub(super) fn run(options: &Options) -> Result<String> {
    let seed = options.seed;
    (options.say)(&format!("soak with seed {seed} for {} s", options.length.as_secs()));
    let started = Instant::now();
    let world = World::new(options)?;
    if !world.is_mounted() {
        (options.say)("no small disk could be mounted (that takes root): the disk is not filled in this soak");
    }
    match play(&world, options) {
        Ok(story) => {
            let summary = summary(&world, &story, seed, started.elapsed());
            world.remove()?;
            Ok(summary)
        }
        Err(error) => {
            let kept = world.keep()?;
            Err(error.context(format!("the soak with seed {seed} found a fault; files: {}", kept.display())))
        }
    }
}

fn play(world: &World, options: &Options) -> Result<Story> {
    let actors: Vec<Mutex<Box<dyn Actor>>> = actors(options).into_iter().map(Mutex::new).collect();
    let mut story = Story::default();
    std::thread::scope(|scope| {
        // Everybody looks once, and prepares, before there is an owner.
        let done = look(world, &actors, false).and_then(|()| {
            for actor in &actors {
                scope.spawn(|| act(world, actor));
            }
            rounds(world, options, &actors, &mut story)
        });
        world.set_owner(None);
        world.end();
        done
    })?;
    Ok(story)
}

/// An actor's life beside the owners.
fn act(world: &World, actor: &Mutex<Box<dyn Actor>>) {
    while !world.is_over() {
        if world.is_up() {
            let mut actor = actor.lock().unwrap_or_else(PoisonError::into_inner);
            // It may have gone down while another held the actor.
            if world.is_up()
                && let Err(error) = actor.step(world)
            {
                world.violated(format!("{}: {error:#}", actor.name()));
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Everybody looks, one after the other, while no owner runs. Waits for what they still do.
fn look(world: &World, actors: &[Mutex<Box<dyn Actor>>], last: bool) -> Result<()> {
    let mut actors: Vec<_> = actors.iter().map(|actor| actor.lock().unwrap_or_else(PoisonError::into_inner)).collect();
    for actor in &mut actors {
        actor.at_rest(world, last).with_context(|| format!("{} at rest", actor.name()))?;
    }
    unviolated(world)
}

fn unviolated(world: &World) -> Result<()> {
    match world.violation() {
        Some(what) => bail!("{what}"),
        None => Ok(()),
    }
}

fn rounds(world: &World, options: &Options, actors: &[Mutex<Box<dyn Actor>>], story: &mut Story) -> Result<()> {
    let mut random = Random::new(options.seed, 1);
    let started = Instant::now();
    let mut told = Instant::now();
    while started.elapsed() < options.length {
        let mut owner = Owner::start(world)?;
        let filled = round(world, options, &mut owner, &mut random, story)?;
        story.rounds += 1;
        // Nobody who is asked to stop at a checkpoint can write one when the disk is full, but stop it must.
        if random.one_in(5) {
            story.stops += 1;
            owner.stop(world)?;
        } else {
            story.kills += 1;
            owner.kill(world)?;
        }
        // A directory on a disk without a byte cannot be opened; one whose reserve is touched can.
        if filled == Some(true) || random.one_in(2) {
            world.make_room()?;
        }
        look(world, actors, false)?;
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            let acknowledged = world.totals.acknowledged.load(Ordering::Relaxed);
            (options.say)(&format!("{} rounds, {acknowledged} events acknowledged", story.rounds));
        }
    }
    world.make_room()?;
    let mut owner = Owner::start(world)?;
    work_off(world, &mut owner, actors)?;
    owner.stop(world)?;
    look(world, actors, true)
}

/// One owner's time. What the disk is left with: none = with room, else whether it is wholly full.
fn round(
    world: &World,
    options: &Options,
    owner: &mut Owner,
    random: &mut Random,
    story: &mut Story,
) -> Result<Option<bool>> {
    let until = Instant::now() + random.duration(options.round);
    let step = options.round.0.max(Duration::from_millis(400));
    let mut filled: Option<bool> = None;
    while Instant::now() < until {
        let next = Instant::now() + random.duration((Duration::from_millis(100), step));
        if world.is_mounted() {
            if filled.take().is_some() {
                world.make_room()?;
            } else if random.one_in(2) {
                let wholly = random.one_in(3);
                *if wholly { &mut story.full } else { &mut story.low } += 1;
                world.fill(random, wholly)?;
                filled = Some(wholly);
            }
        }
        while Instant::now() < next.min(until) {
            owner.is_alive(world)?;
            unviolated(world)?;
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(filled)
}

/// Waits until the pipelines have nothing left to do. Nobody appends meanwhile.
fn work_off(world: &World, owner: &mut Owner, actors: &[Mutex<Box<dyn Actor>>]) -> Result<()> {
    // Actors end what they do, and rest; the owner goes on.
    world.set_owner(None);
    actors.iter().for_each(|actor| drop(actor.lock().unwrap_or_else(PoisonError::into_inner)));
    let (mut before, mut since) = (String::new(), Instant::now());
    loop {
        owner.is_alive(world)?;
        let described =
            |stream: &str| world.json(&["stream", "describe", stream]).with_context(|| format!("{stream} at the end"));
        let tails = |stream: &Value| -> u64 {
            let segments = stream["segments"].as_array().map_or(&[][..], Vec::as_slice);
            segments.iter().filter_map(|segment| segment["tail"].as_u64()).sum()
        };
        let input = tails(&described(INPUT)?);
        let (counts, hop) = (tails(&described(COUNTS)?), tails(&described(HOP)?));
        let archive = described("hop/archive.egress")?;
        let pipelines = world.json(&["ls"])?;
        let rows = |pipeline: &&Value| pipeline["name"].as_str().is_some_and(|name| name.starts_with("rows-"));
        let all_rows = pipelines.as_array().map_or(&[][..], Vec::as_slice).iter().filter(rows);
        let rows_done = all_rows.clone().all(|pipeline| pipeline["state"] == "finished");
        let archived = tails(&archive) == input && archive["events"].as_u64() == Some(0);
        if counts == input && hop == input && archived && rows_done {
            break;
        }
        let now = format!("{input} {counts} {hop} {archive} {:?}", all_rows.collect::<Vec<_>>());
        if now != before {
            (before, since) = (now, Instant::now());
        }
        if since.elapsed() > STUCK {
            bail!("nothing moves any more: {before}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn summary(world: &World, story: &Story, seed: u64, took: Duration) -> String {
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mib = |count: &AtomicU64| of(count) as f64 / MIB as f64;
    let totals = &world.totals;
    format!(
        "soak ok: seed {seed}, {} s, {} rounds, {} kills, {} stops, disk low {} times and full {} times; {} events acknowledged, \
         {} of unknown fate, {} in the stream; {} tailed, {} archived; hot file at most {:.1} MiB, directory {:.1} MiB, memory \
         {:.1} MiB",
        took.as_secs(),
        story.rounds,
        story.kills,
        story.stops,
        story.low,
        story.full,
        of(&totals.acknowledged),
        of(&totals.unknown),
        of(&totals.inputs_read),
        of(&totals.tailed),
        of(&totals.archived),
        mib(&totals.hot_bytes_max),
        mib(&totals.directory_bytes_max),
        mib(&totals.memory_bytes_max),
    )
}
