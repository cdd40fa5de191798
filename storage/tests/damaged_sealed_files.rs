//! A sealed file that is lost, cut off or has a flipped bit is named with stream, segment, offset and file, by the read
//! that needs it and by `check`, and harms nothing else.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

/// Two streams, two files; every chunk is sealed.
struct Scene {
    disk: FaultDisk,
    store: Store,
    streams: [StreamInfo; 2],
    names: Vec<String>,
}

fn scene() -> Scene {
    let disk = FaultDisk::new(0);
    let options = StoreOptions { hot_bytes_max: u64::MAX, ..StoreOptions::default() };
    let store = Store::open_with(disk.clone(), options).unwrap();
    let streams = ["t/a", "t/b"].map(|n| store.create_stream(&name(n), StreamConfig::default()).unwrap());
    for round in 0..2 {
        for info in &streams {
            append(&store, info, round * 50..(round + 1) * 50).unwrap();
        }
        store.seal(0).unwrap();
    }
    let names = disk.sealed_names();
    assert_eq!(names.len(), 2);
    Scene { disk, store, streams, names }
}

fn read(scene: &Scene, stream: usize, offset: u64) -> Result<ReadChunk> {
    let info = &scene.streams[stream];
    scene.store.read(position(info, info.segments[0].id, offset), 1)
}

fn names_it(error: &Error, scene: &Scene, stream: usize, offset: u64) {
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    let text = error.to_string();
    let file = format!("sealed/{}", scene.names[1]);
    for part in [scene.streams[stream].name.as_str(), "segment 0", &format!("offset {offset}"), &file] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

fn chunk_faults(scene: &Scene) -> Vec<(String, u64, u64, String)> {
    let report = scene.store.check().unwrap();
    let mut out: Vec<_> = report
        .faults
        .iter()
        .filter_map(|f| Some((f.stream.clone()?, f.segment?.0, f.offset?.0, f.file.clone()?)))
        .collect();
    out.sort();
    assert_eq!(report.chunks + out.len() as u64, 4, "the others are whole");
    out
}

fn whole_file_faults(scene: &Scene) -> Vec<String> {
    let faults = scene.store.check().unwrap().faults;
    faults.into_iter().filter(|f| f.stream.is_none()).map(|f| f.file.unwrap()).collect()
}

fn the_rest_works(scene: &Scene) {
    for stream in 0..2 {
        assert_eq!(read(scene, stream, 0).unwrap().batch.len(), 50);
        append(&scene.store, &scene.streams[stream], 100..110).unwrap();
        assert_eq!(read(scene, stream, 105).unwrap().batch.len(), 5);
    }
}

#[test]
fn a_lost_file_is_named_by_every_read_and_truncation_gets_past_it() {
    let scene = scene();
    scene.disk.lose_sealed(&scene.names[1]);
    for stream in 0..2 {
        names_it(&read(&scene, stream, 70).unwrap_err(), &scene, stream, 50);
    }
    let file = format!("sealed/{}", scene.names[1]);
    let told = chunk_faults(&scene);
    assert_eq!(told, [("t/a".into(), 0, 50, file.clone()), ("t/b".into(), 0, 50, file.clone())]);
    assert_eq!(whole_file_faults(&scene), [file]);
    the_rest_works(&scene);
    // A reader that gives the lost events up goes on behind them.
    for info in &scene.streams {
        truncate(&scene.store, info, info.segments[0].id, 100).unwrap();
        assert_eq!(read_all(&scene.store, &info.name).unwrap(), (100..110).collect::<Vec<_>>());
    }
    scene.store.seal(u64::MAX).unwrap();
    assert_eq!(scene.disk.sealed_names(), Vec::<String>::new());
    assert_whole(&scene.store, "after the damage was truncated");
}

#[test]
fn a_file_that_is_cut_off_loses_what_was_cut_off() {
    let scene = scene();
    let mut len = 0;
    scene.disk.damage_sealed(&scene.names[1], |file| len = file.len());
    let file = format!("sealed/{}", scene.names[1]);
    for cut in (0..len).rev().step_by(41) {
        scene.disk.damage_sealed(&scene.names[1], |file| file.truncate(cut));
        let bad: Vec<usize> = (0..2).filter(|stream| read(&scene, *stream, 50).is_err()).collect();
        for stream in &bad {
            names_it(&read(&scene, *stream, 50).unwrap_err(), &scene, *stream, 50);
        }
        let told: Vec<String> = chunk_faults(&scene).into_iter().map(|f| f.0).collect();
        assert_eq!(told, bad.iter().map(|s| scene.streams[*s].name.to_string()).collect::<Vec<_>>(), "cut at {cut}");
        assert_eq!(whole_file_faults(&scene), std::slice::from_ref(&file));
    }
    the_rest_works(&scene);
}

#[test]
fn one_flipped_bit_is_found_wherever_it_is_and_harms_one_chunk_at_most() {
    let scene = scene();
    let mut len = 0;
    scene.disk.damage_sealed(&scene.names[1], |file| len = file.len());
    let (mut around, mut hit) = (0, [0, 0]);
    for at in 0..len {
        let flip = |file: &mut Vec<u8>| file[at] ^= 1 << (at % 8);
        scene.disk.damage_sealed(&scene.names[1], flip);
        let bad: Vec<usize> = (0..2).filter(|stream| read(&scene, *stream, 50).is_err()).collect();
        assert!(bad.len() <= 1, "byte {at}");
        for stream in &bad {
            names_it(&read(&scene, *stream, 50).unwrap_err(), &scene, *stream, 50);
            hit[*stream] += 1;
        }
        around += usize::from(bad.is_empty());
        if at % 17 == 0 {
            assert_eq!(chunk_faults(&scene).len(), bad.len(), "byte {at}");
            assert_eq!(whole_file_faults(&scene), [format!("sealed/{}", scene.names[1])], "byte {at}");
        }
        scene.disk.damage_sealed(&scene.names[1], flip);
    }
    // Header, footer of two entries, trailer: known to check alone.
    assert_eq!(around, 20 + 2 * 40 + 20);
    assert!(hit[0] > 100 && hit[1] > 100);
    assert_whole(&scene.store, "mended");
    the_rest_works(&scene);
}

#[test]
fn a_file_in_the_place_of_another_is_found() {
    let scene = scene();
    let mut other = Vec::new();
    scene.disk.damage_sealed(&scene.names[0], |file| other = file.clone());
    scene.disk.damage_sealed(&scene.names[1], |file| *file = other);
    for stream in 0..2 {
        assert_eq!(read(&scene, stream, 50).unwrap_err().kind(), Kind::Corrupt);
    }
    assert_eq!(whole_file_faults(&scene), [format!("sealed/{}", scene.names[1])]);
    the_rest_works(&scene);
}
