//! Corner case X-37: a holder of a shared state slept through several compactions. In the system that this is measured
//! against it looked for the update after the one it knew, found it truncated, and failed for good, since what it then read
//! had been truncated, too. Here it starts again from the compacted state, however often the log was truncated meanwhile.

mod support;

use support::assert_whole;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

struct Words(Vec<String>);

impl SharedState for Words {
    fn decode(whole: &[u8]) -> Result<Words> {
        let text = std::str::from_utf8(whole).map_err(Error::invalid)?;
        Ok(Words(text.split_terminator(' ').map(String::from).collect()))
    }

    fn encode(&self) -> Vec<u8> {
        self.0.iter().map(|word| format!("{word} ")).collect::<String>().into_bytes()
    }

    fn apply(&mut self, update: &[u8]) -> Result<()> {
        self.0.push(std::str::from_utf8(update).map_err(Error::invalid)?.to_string());
        Ok(())
    }
}

fn log(store: &Store) -> Log {
    store.ensure_log(&LogName::new("t/words").unwrap()).unwrap()
}

#[test]
fn a_reader_behind_several_compactions_starts_again_from_the_compacted_state() {
    let disk = FaultDisk::new(0);
    let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
    let mut sleeper = Synchroniser::<Words>::new(log(&store));
    let mut busy = Synchroniser::<Words>::new(log(&store));
    sleeper.initialise(&Words(Vec::new())).unwrap();
    let mut expected = Vec::new();
    for round in 0..4 {
        for n in 0..3 {
            let word = format!("w{round}{n}");
            assert!(busy.update(|_| Some(word.clone().into_bytes())).unwrap());
            expected.push(word);
        }
        assert!(busy.compact().unwrap());
    }
    let info = log(&store).info().unwrap();
    assert_eq!(info.tail.0, info.head.0 + 1, "one entry says it all");
    assert!(sleeper.revision() < info.head);
    // It updates without having fetched: the update is made on the newest state.
    let mut seen = Vec::new();
    sleeper
        .update(|words| {
            seen.push(words.0.len());
            Some(b"mine".to_vec())
        })
        .unwrap();
    assert_eq!(seen.last(), Some(&12));
    expected.push("mine".into());
    assert_eq!(sleeper.state().unwrap().0, expected);
    store.close();
    let store = Store::open_with(disk, StoreOptions::default()).unwrap();
    let mut late = Synchroniser::<Words>::new(log(&store));
    late.fetch().unwrap();
    assert_eq!(late.state().unwrap().0, expected);
    assert_whole(&store, "after compactions");
}

#[test]
fn a_raw_reader_behind_a_truncation_is_told_where_to_go_on() {
    let store = Store::open_with(FaultDisk::new(0), StoreOptions::default()).unwrap();
    let log = log(&store);
    for n in 1..=5u8 {
        assert_eq!(log.append(vec![n]).unwrap(), Revision(u64::from(n)));
    }
    log.truncate(Revision(3)).unwrap();
    log.truncate(Revision(2)).unwrap();
    let error = log.read(Revision(1), 100).unwrap_err();
    assert_eq!(error.kind(), Kind::Truncated);
    assert!(error.to_string().contains("read from revision 3"), "{error}");
    let page = log.read(Revision(3), 100).unwrap();
    let entries: Vec<u8> = page.entries.iter().map(|e| e.value[0]).collect();
    assert_eq!((entries, page.next, page.tail), (vec![4, 5], Revision(5), Revision(5)));
    assert_eq!(log.read(Revision(5), 100).unwrap().entries, []);
    assert_eq!(log.read(Revision(6), 100).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(log.truncate(Revision(6)).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(log.read(Revision(3), 1).unwrap().next, Revision(4), "one entry at least");
    assert_whole(&store, "after truncations");
}
