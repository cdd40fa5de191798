//! Transactions become visible in the order in which their commits are asked for, not in the order in which they began (checklist row 21).
//!
//! with more than 100 transactions waiting to be committed, upstream picked a batch without an order and so reordered them. Here they
//! wait in one queue, however many share a group.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

#[test]
fn two_hundred_and_fifty_begun_one_way_and_committed_the_other() {
    const COUNT: u64 = 250;
    let (disk, clock) = (FaultDisk::new(10), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    let mut open = Vec::new();
    for n in 0..COUNT {
        let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
        // Five keys each: every segment gets some of each transaction.
        transaction.write(&batch(n * 5..n * 5 + 5)).unwrap();
        transaction.prepare().unwrap();
        open.push(transaction.id());
    }
    let (tell, told) = std::sync::mpsc::channel();
    for id in open.iter().rev() {
        let tell = tell.clone();
        store.submit_commit(*id, None, Box::new(move |answer| tell.send(answer.unwrap()).unwrap()));
    }
    let ids: Vec<_> = (0..COUNT).map(|_| told.recv().unwrap().transaction.unwrap().id).collect();
    assert_eq!(ids, open.iter().rev().copied().collect::<Vec<_>>());
    for segment in &info.segments {
        let all = read_segment(&store, &info, segment.id).unwrap();
        assert!(all.len() >= COUNT as usize);
        let transactions: Vec<u64> = all.iter().map(|v| v / 5).collect();
        assert!(transactions.windows(2).all(|pair| pair[0] >= pair[1]), "{transactions:?}");
    }
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..COUNT * 5).collect::<Vec<_>>());
    assert_whole(&store, "after 250 commits");
}
