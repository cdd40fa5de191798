//! Golden pipelines reach one expected output by every road: straight, at parallelism 1 and 3, and killed with SIGKILL at
//! random moments, many times, each time resumed at another parallelism. Real binary, real components, real disk.
//! (A commit that fails once: golden_failed_commit.rs.)

#[path = "support/golden.rs"]
mod golden;

use golden::{GOLDEN, Running, build_operators, run_to_end};
use std::time::{Duration, Instant};

#[test]
fn straight_at_parallelism_1_and_3() {
    build_operators();
    for pipeline in &GOLDEN {
        for parallelism in [1, 3] {
            let data = tempfile::tempdir().unwrap();
            run_to_end(pipeline.run_command(data.path(), parallelism));
            pipeline.assert_committed(data.path(), &format!("at parallelism {parallelism}"));
        }
    }
}

#[test]
fn killed_at_random_moments_and_resumed_at_other_parallelisms() {
    build_operators();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for pipeline in &GOLDEN {
        // How long a whole run takes here decides when kills can hit; the result does not depend on it.
        let data = tempfile::tempdir().unwrap();
        let started = Instant::now();
        run_to_end(pipeline.run_command(data.path(), 1));
        let whole = started.elapsed();
        let (mut kills, mut round, mut scale) = (0, 0, 1.0);
        // A machine that got faster since lets runs end before they are killed: then earlier.
        while round < 3 || (kills < 3 && round < 12) {
            let data = tempfile::tempdir().unwrap();
            let before = kills;
            for attempt in 0..60u64 {
                let parallelism = [1, 3, 2][(attempt as usize + round) % 3];
                let command = pipeline.run_command(data.path(), parallelism);
                // Later attempts get longer, so that the loop comes to an end however slow the start is.
                let part = (10 + next() % 70 + attempt * 4) as f64 / 100.0;
                if Running::start(command).kill_after(whole.mul_f64(part * scale).max(Duration::from_millis(5))) {
                    break;
                }
                kills += 1;
            }
            run_to_end(pipeline.run_command(data.path(), 1));
            pipeline.assert_committed(data.path(), &format!("killed, round {round}"));
            if kills == before {
                scale *= 0.5;
            }
            round += 1;
        }
        assert!(kills >= 3, "{}: only {kills} kills hit", pipeline.name);
    }
}

#[test]
fn files_hold_every_result_once_after_kills_too() {
    build_operators();
    let pipeline = &GOLDEN[0];
    let folder = tempfile::tempdir().unwrap();
    let file = pipeline.with_file_sink(folder.path());
    let command = |data: &str| {
        let mut command = golden::tidemill();
        command.arg("run").arg(&file).arg("--data-dir").arg(folder.path().join(data));
        command
    };
    let started = Instant::now();
    run_to_end(command("straight"));
    let whole = started.elapsed();
    pipeline.assert_files(&folder.path().join("out"), "straight");

    std::fs::remove_dir_all(folder.path().join("out")).unwrap();
    let mut kills = 0;
    for part in [15, 35, 55, 70, 80, 90, 95, 100, 110, 120, 130, 150, 200] {
        if Running::start(command("killed")).kill_after(whole.mul_f64(f64::from(part) / 100.0)) {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 2, "only {kills} kills hit");
    run_to_end(command("killed"));
    pipeline.assert_files(&folder.path().join("out"), "killed");
}
