//! The file egress over a real store: every line once, whatever step it dies after.

use super::*;
use std::collections::HashSet;
use std::path::PathBuf;
use tidemill_storage::commit::Part;
use tidemill_storage::stream::{Appender, StreamConfig};
use tidemill_storage::{Batch, EventTime, StoreOptions};

const STEPS: [Step; 6] = [
    Step::LinesWritten,
    Step::TemporarySynced,
    Step::IntentRecorded,
    Step::Renamed,
    Step::FolderSynced,
    Step::MarkedDone,
];

struct World {
    folder: tempfile::TempDir,
    store: Store,
    place: Place,
    clock: Clock,
    appended: usize,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data"), StoreOptions::default()).unwrap();
        World { folder, store, place: Place::new("p", "out").unwrap(), clock: Clock::manual(0), appended: 0 }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn egress(&self, roll_bytes: u64) -> FileEgress {
        let spec = FileSink { path: self.out(), roll_bytes, roll_ms: 1_000 };
        FileEgress::new(self.place.clone(), &spec, self.clock.clone())
    }

    /// Appends `n` events over two segments; their values are numbered JSON objects.
    fn append(&mut self, n: usize) {
        let info = self.store.ensure_stream(&self.place.stream, StreamConfig { segments: 2 }).unwrap();
        let mut batch = Batch::default();
        for i in self.appended..self.appended + n {
            batch.push(EventTime(0), Some(format!("k{i}").as_bytes()), Some(format!("{{\"n\":{i}}}").as_bytes()));
        }
        self.appended += n;
        let mut appender = Appender::new(&info);
        appender.push(&batch).unwrap();
        for append in appender.finish().unwrap() {
            self.store.commit(Part::Append(append)).unwrap();
        }
    }

    fn drain(&self, egress: &mut FileEgress) {
        while egress.step(&self.store, true).unwrap() {}
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.out()) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// All files are finished ones and hold every appended line once.
    fn check(&self, what: &str) {
        let mut seen = HashSet::new();
        for name in self.names() {
            assert!(is_part(&name, "part-", ".jsonl"), "{what}: {name}");
            for line in fs::read_to_string(self.out().join(name)).unwrap().lines() {
                assert!(seen.insert(line.to_string()), "{what}: {line} twice");
            }
        }
        let expected: HashSet<String> = (0..self.appended).map(|i| format!("{{\"n\":{i}}}")).collect();
        assert_eq!(seen, expected, "{what}");
    }

    fn kept_events(&self) -> u64 {
        let info = self.store.stream(&self.place.stream).unwrap().unwrap();
        info.segments.iter().map(|s| s.tail.0 - s.head.0).sum()
    }
}

#[test]
fn before_the_pipeline_has_written_there_is_nothing_to_do() {
    let world = World::new();
    assert!(!world.egress(1).step(&world.store, true).unwrap());
    assert!(world.names().is_empty());
}

#[test]
fn files_roll_by_size_by_time_and_at_the_end_and_copied_events_are_freed() {
    let mut world = World::new();
    let mut egress = world.egress(200);
    world.append(100);
    while egress.step(&world.store, false).unwrap() {}
    assert_eq!(world.names(), ["part-00000000.jsonl"], "by size");
    assert_eq!(world.kept_events(), 0);

    world.append(2);
    while egress.step(&world.store, false).unwrap() {}
    assert_eq!(world.names(), [".part-00000001.tmp", "part-00000000.jsonl"], "too small and too young");
    world.clock.advance(Duration::from_millis(1_000));
    assert!(egress.step(&world.store, false).unwrap());
    assert_eq!(world.names(), ["part-00000000.jsonl", "part-00000001.jsonl"], "by time");

    world.append(2);
    world.drain(&mut egress);
    assert_eq!(world.names().len(), 3, "at the end");
    world.check("rolled");
}

#[test]
fn a_crash_after_any_step_leaves_every_line_once() {
    for step in STEPS {
        let mut world = World::new();
        world.append(20);
        let mut egress = world.egress(1);
        egress.crash_after = Some(step);
        let error = egress.step(&world.store, false).unwrap_err();
        assert_eq!(error.to_string(), format!("crash after {step:?}"));
        drop(egress);
        // What comes after the crash is another process, and more has been committed.
        world.append(7);
        let mut egress = world.egress(1);
        world.drain(&mut egress);
        world.check(&format!("{step:?}"));
        assert_eq!(world.kept_events(), 0);
    }
}

#[test]
fn crashes_while_recovering_from_crashes_leave_every_line_once() {
    for first in STEPS {
        for second in STEPS {
            let mut world = World::new();
            for step in [first, second] {
                world.append(9);
                let mut egress = world.egress(1);
                egress.crash_after = Some(step);
                assert!(egress.step(&world.store, true).is_err(), "{first:?} {second:?}");
            }
            let mut egress = world.egress(1);
            world.drain(&mut egress);
            world.check(&format!("{first:?} then {second:?}"));
        }
    }
}

#[test]
fn the_same_egress_goes_on_after_an_error() {
    for step in STEPS {
        let mut world = World::new();
        world.append(5);
        let mut egress = world.egress(1);
        egress.crash_after = Some(step);
        assert!(egress.step(&world.store, false).is_err());
        egress.crash_after = None;
        world.drain(&mut egress);
        world.check(&format!("{step:?}"));
    }
}

#[test]
fn a_temporary_file_that_the_disk_lost_or_damaged_is_written_again_from_the_stream() {
    for damage in ["lost", "cut off", "changed"] {
        let mut world = World::new();
        world.append(30);
        let mut egress = world.egress(1);
        egress.crash_after = Some(Step::IntentRecorded);
        assert!(egress.step(&world.store, true).is_err());
        let temporary = world.out().join(temporary_name(0));
        let mut bytes = fs::read(&temporary).unwrap();
        match damage {
            "lost" => fs::remove_dir_all(world.out()).unwrap(),
            "cut off" => fs::write(&temporary, &bytes[..bytes.len() / 2]).unwrap(),
            _ => {
                bytes[3] ^= 1;
                fs::write(&temporary, &bytes).unwrap();
            }
        }
        let mut egress = world.egress(1);
        world.drain(&mut egress);
        world.check(damage);
    }
}

#[test]
fn an_intent_is_carried_out_in_its_own_folder_when_the_sink_has_moved() {
    let mut world = World::new();
    world.append(5);
    let mut egress = world.egress(1);
    egress.crash_after = Some(Step::IntentRecorded);
    assert!(egress.step(&world.store, true).is_err());
    let spec = FileSink { path: world.folder.path().join("elsewhere"), roll_bytes: 1, roll_ms: 1 };
    let mut moved = FileEgress::new(world.place.clone(), &spec, world.clock.clone());
    world.drain(&mut moved);
    world.check("the old folder has all");
    world.append(5);
    world.drain(&mut moved);
    let new = fs::read_to_string(spec.path.join(final_name(1))).unwrap();
    assert_eq!(new.lines().count(), 5);
}

#[test]
fn foreign_files_are_never_written_over() {
    let mut world = World::new();
    world.append(5);
    fs::create_dir_all(world.out()).unwrap();
    let foreign = world.out().join(final_name(4));
    fs::write(&foreign, "mine\n").unwrap();
    let error = world.egress(1).step(&world.store, true).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{} was not written by this pipeline in this data directory; move it away, or give the sink another folder",
            foreign.display()
        )
    );
    fs::remove_file(&foreign).unwrap();
    let mut egress = world.egress(1);
    world.drain(&mut egress);
    world.append(1);
    fs::write(world.out().join(final_name(1)), "mine\n").unwrap();
    assert!(matches!(egress.step(&world.store, true), Err(ConnectorError::Invalid(_))));
    assert_eq!(fs::read_to_string(world.out().join(final_name(1))).unwrap(), "mine\n");
}

#[test]
fn of_two_egresses_on_one_stream_one_is_refused() {
    let mut world = World::new();
    world.append(3);
    let mut first = world.egress(u64::MAX);
    assert!(first.step(&world.store, false).unwrap());
    let mut second = world.egress(1);
    assert!(second.step(&world.store, false).unwrap());
    let error = first.step(&world.store, true).unwrap_err();
    assert!(
        error.to_string().contains("part-00000000.jsonl") || error.to_string().contains("another process"),
        "{error}"
    );
    world.check("the second did it");
}

#[test]
fn a_path_that_is_a_file_is_told() {
    let mut world = World::new();
    world.append(1);
    fs::write(world.out(), "").unwrap();
    let error = world.egress(1).step(&world.store, true).unwrap_err();
    assert!(matches!(&error, ConnectorError::Invalid(why) if why.contains("must be a folder")), "{error}");
}
