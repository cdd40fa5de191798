//! The control socket itself: who may use it, what becomes of it, and what it does with those who do not speak its language.

mod tidemill;

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use tidemill::DataDir;
use tidemill::running::{Running, live};

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn the_socket_is_its_owners_alone_and_gone_after_the_run() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let run = Running::start(&data, &[text(&file)], &[]);
    let socket = data.path().join("control.sock");
    let metadata = std::fs::metadata(&socket).expect("it is there");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    data.run(&["stop", "copy"]).ok();
    assert_eq!(run.end().code, 0);
    assert!(!socket.exists());
    assert!(!data.path().join("control.sock.new").exists());
}

#[test]
fn a_killed_owners_socket_is_in_nobodys_way() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let socket = data.path().join("control.sock");
    Running::start(&data, &[text(&file)], &[]).kill();
    assert!(socket.exists(), "it was left behind");
    assert_eq!(data.run_with(&["stream", "append", "copy/in"], b"1\n").ok(), "appended 1 events to copy/in\n");
    assert_eq!(data.run(&["ls", "--json"]).json()[0]["state"], "stopped");
    let mut run = Running::start(&data, &[text(&file)], &[]);
    run.wait_for_events("copy/out", 1);
    run.kill();
}

#[test]
fn a_second_run_on_the_directory_is_refused_and_the_first_keeps_its_socket() {
    let data = DataDir::new();
    let (first, second) = (live(&data, "first"), live(&data, "second"));
    let run = Running::start(&data, &[text(&first)], &[]);
    let error = data.run(&["run", text(&second)]).error();
    assert!(error.contains("in use by process"), "{error}");
    data.run(&["stop", "first"]).ok();
    assert_eq!(run.end().code, 0);
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32).to_le_bytes()[..], &[kind], payload].concat()
}

/// Everything that comes back, until the connection ends.
fn answer(data: &DataDir, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(data.path().join("control.sock")).expect("somebody listens");
    // It may have had enough before the end.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    // An end with bytes of ours unread may come as a reset; what came before it counts.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn garbage_is_refused_and_hurts_nobody() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let mut run = Running::start(&data, &[text(&file)], &[]);
    let mut silent = UnixStream::connect(data.path().join("control.sock")).expect("somebody listens");
    for garbage in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 1 << 20],
        frame(2, b"input before a request"),
        frame(1, b"not JSON"),
        frame(1, b"{}"),
        frame(1, br#"{"protocol":1,"version":"0.1.0","json":true,"terminal":false,"command":{"Dance":{}}}"#),
        frame(77, b""),
    ] {
        let answer = answer(&data, &garbage);
        assert!(answer.contains("error: ") && answer.contains("not a request of tidemill"), "{answer:?}");
    }
    let answer = answer(&data, &frame(1, br#"{"protocol":99,"version":"7.0.0","shape":"unknown"}"#));
    assert!(
        answer.contains("tidemill 7.0.0 (control protocol 99)") && answer.contains("use the same version"),
        "{answer:?}"
    );
    drop(UnixStream::connect(data.path().join("control.sock")).expect("somebody listens"));
    silent.write_all(&frame(1, b"")[..3]).expect("written");
    data.run_with(&["stream", "append", "copy/in"], b"1\n").ok();
    run.wait_for_events("copy/out", 1);
    data.run(&["stop", "copy"]).ok();
    assert_eq!(run.end().code, 0, "also with a silent client there");
}

#[test]
fn more_clients_than_there_are_places_are_told_so() {
    let data = DataDir::new();
    let file = live(&data, "copy");
    let _run = Running::start(&data, &[text(&file)], &[]);
    let connect = || UnixStream::connect(data.path().join("control.sock")).expect("somebody listens");
    let silent: Vec<UnixStream> = (0..64).map(|_| connect()).collect();
    let error = data.run(&["ls"]).error();
    assert!(error.contains("64 commands use this data directory's control socket"), "{error}");
    drop(silent);
    while data.run(&["ls"]).code != 0 {}
}

#[test]
fn a_data_directory_with_a_long_name_has_a_socket_too() {
    let data = DataDir::long();
    let file = live(&data, "copy");
    let run = Running::start(&data, &[text(&file)], &[]);
    assert_eq!(data.run(&["ls", "--json"]).json()[0]["state"], "running");
    data.run(&["stop", "copy"]).ok();
    assert_eq!(run.end().code, 0);
}
