//! Checklist row 27: two clients that increment a shared counter 1000 times each, at once, make 2000: of two optimistic
//! updates exactly one wins, the other one is made anew on the newer state.

use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

struct Counter(u64);

impl SharedState for Counter {
    fn decode(whole: &[u8]) -> Result<Counter> {
        let bytes = whole.try_into().map_err(|_| Error::invalid("a counter has 8 bytes"))?;
        Ok(Counter(u64::from_le_bytes(bytes)))
    }

    fn encode(&self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn apply(&mut self, update: &[u8]) -> Result<()> {
        self.0 += u64::from(update[0]);
        Ok(())
    }
}

#[test]
fn two_clients_increment_a_thousand_times_each() {
    let store = Store::open_with(FaultDisk::new(0), StoreOptions::default()).unwrap();
    let log = store.ensure_log(&LogName::new("t/counter").unwrap()).unwrap();
    let client = || {
        let mut counter = Synchroniser::new(log.clone());
        counter.initialise(&Counter(0)).unwrap();
        for n in 1..=1_000 {
            assert!(counter.update(|_| Some(vec![1])).unwrap());
            if n % 400 == 0 {
                counter.compact().unwrap();
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(client);
        scope.spawn(client);
    });
    let mut reader = Synchroniser::<Counter>::new(log.clone());
    reader.fetch().unwrap();
    assert_eq!(reader.state().unwrap().0, 2_000);
    assert!(log.info().unwrap().head > Revision(0), "it was compacted on the way");
}

#[test]
fn an_update_may_decide_that_there_is_nothing_to_do() {
    let store = Store::open_with(FaultDisk::new(0), StoreOptions::default()).unwrap();
    let log = store.ensure_log(&LogName::new("t/counter").unwrap()).unwrap();
    let mut counter = Synchroniser::<Counter>::new(log.clone());
    assert_eq!(counter.update(|_| Some(vec![1])).unwrap_err().kind(), Kind::Invalid, "not initialised");
    assert!(counter.initialise(&Counter(5)).unwrap() && !counter.initialise(&Counter(9)).unwrap());
    let up_to_six = |c: &Counter| (c.0 < 6).then(|| vec![1]);
    assert!(counter.update(up_to_six).unwrap() && !counter.update(up_to_six).unwrap());
    // An unconditional update shows here after the next fetch.
    counter.update_blindly(vec![10]).unwrap();
    assert_eq!(counter.state().unwrap().0, 6);
    counter.fetch().unwrap();
    assert_eq!(counter.state().unwrap().0, 16);
}
