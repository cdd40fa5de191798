//! The stdout egress over a real store, into a buffer.

use super::*;
use std::sync::{Arc, Mutex};
use tidemill_storage::commit::Part;
use tidemill_storage::stream::{Appender, StreamConfig};
use tidemill_storage::{Batch, EventTime, StoreOptions};

#[derive(Clone, Default)]
struct Screen {
    text: Arc<Mutex<Vec<u8>>>,
    broken: bool,
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.text.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn append(store: &Store, place: &Place, values: &[Option<&str>]) {
    let info = store.ensure_stream(&place.stream, StreamConfig::default()).unwrap();
    let mut batch = Batch::default();
    for value in values {
        batch.push(EventTime(0), None, value.map(str::as_bytes));
    }
    let mut appender = Appender::new(&info);
    appender.push(&batch).unwrap();
    for append in appender.finish().unwrap() {
        store.commit(Part::Append(append)).unwrap();
    }
}

#[test]
fn values_are_printed_once_and_freed_and_a_second_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    let place = Place::new("p", "screen").unwrap();
    let screen = Screen::default();
    let mut egress = StdoutEgress::new(place.clone(), Box::new(screen.clone()));
    assert!(!egress.step(&store, false).unwrap());
    append(&store, &place, &[Some("to be"), None, Some("{\"n\":1}")]);
    assert!(egress.step(&store, false).unwrap());
    assert!(!egress.step(&store, true).unwrap());

    append(&store, &place, &[Some("or not")]);
    let mut egress = StdoutEgress::new(place.clone(), Box::new(screen.clone()));
    while egress.step(&store, true).unwrap() {}
    assert_eq!(String::from_utf8(screen.text.lock().unwrap().clone()).unwrap(), "to be\nnull\n{\"n\":1}\nor not\n");
    let info = store.stream(&place.stream).unwrap().unwrap();
    assert_eq!(info.segments[0].head, info.segments[0].tail);
}

#[test]
fn a_closed_pipe_is_told_and_nothing_is_marked_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    let place = Place::new("p", "screen").unwrap();
    append(&store, &place, &[Some("line")]);
    let broken = Screen { broken: true, ..Screen::default() };
    let mut egress = StdoutEgress::new(place.clone(), Box::new(broken));
    let error = egress.step(&store, false).unwrap_err();
    assert_eq!(error.to_string(), "standard output was closed by its reader; let it read to the end");
    let screen = Screen::default();
    let mut egress = StdoutEgress::new(place, Box::new(screen.clone()));
    while egress.step(&store, true).unwrap() {}
    assert_eq!(screen.text.lock().unwrap().as_slice(), b"line\n");
}
