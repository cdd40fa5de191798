//! Nexmark events as JSON lines: what the pipelines `examples/pipelines/nexmark-*` read. The program of the same name and
//! the host's Nexmark tests call it. An event is a function of its number, so every run writes the same bytes.

use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;
use nexmark::event::Event;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Event time of the first event, ms since 1970.
const BASE_TIME_MS: u64 = 1_700_000_000_000;
/// Partition files get blocks of so many events, in turn.
const BLOCK: u64 = 50;

/// What to write.
#[derive(Clone, Debug)]
pub struct Options {
    /// Persons, auctions and bids together.
    pub events: u64,
    /// Events per second of event time.
    pub rate: usize,
    /// With more than one, the merged events also as `events-0.jsonl`, `events-1.jsonl`...
    pub partitions: usize,
}

/// A line of the merged file.
#[derive(Serialize)]
struct Line<'a> {
    event_type: u8,
    date_time: u64,
    #[serde(flatten)]
    event: Named<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Named<'a> {
    Person(&'a nexmark::event::Person),
    Auction(&'a nexmark::event::Auction),
    Bid(&'a nexmark::event::Bid),
}

/// The merged lines, in order of emission, each without its line end.
pub fn lines(options: &Options) -> impl Iterator<Item = serde_json::Result<String>> {
    events(options).map(|event| merged(&event))
}

/// Writes the merged lines into one file.
pub fn write_merged(options: &Options, file: &Path) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    for line in lines(options) {
        writeln!(out, "{}", line?)?;
    }
    out.flush()
}

/// Writes `events.jsonl`, `persons.jsonl`, `auctions.jsonl` and `bids.jsonl`, and the partition files, into a folder.
pub fn write_files(options: &Options, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let create = |name: &str| File::create(folder.join(name)).map(BufWriter::new);
    let mut all = create("events.jsonl")?;
    let mut kinds = [create("persons.jsonl")?, create("auctions.jsonl")?, create("bids.jsonl")?];
    let mut partitions = Vec::new();
    if options.partitions > 1 {
        for partition in 0..options.partitions {
            partitions.push(create(&format!("events-{partition}.jsonl"))?);
        }
    }
    for (number, event) in (0u64..).zip(events(options)) {
        let line = merged(&event)?;
        writeln!(all, "{line}")?;
        if !partitions.is_empty() {
            let partition = (number / BLOCK) as usize % partitions.len();
            writeln!(partitions[partition], "{line}")?;
        }
        let (kind, alone) = match &event {
            Event::Person(person) => (0, serde_json::to_string(person)),
            Event::Auction(auction) => (1, serde_json::to_string(auction)),
            Event::Bid(bid) => (2, serde_json::to_string(bid)),
        };
        writeln!(kinds[kind], "{}", alone?)?;
    }
    for file in [&mut all].into_iter().chain(&mut kinds).chain(&mut partitions) {
        file.flush()?;
    }
    Ok(())
}

fn events(options: &Options) -> impl Iterator<Item = Event> {
    let config = NexmarkConfig {
        base_time: BASE_TIME_MS,
        first_rate: options.rate,
        next_rate: options.rate,
        ..NexmarkConfig::default()
    };
    EventGenerator::new(config).take(usize::try_from(options.events).unwrap_or(usize::MAX))
}

fn merged(event: &Event) -> serde_json::Result<String> {
    let (event_type, named) = match event {
        Event::Person(person) => (0, Named::Person(person)),
        Event::Auction(auction) => (1, Named::Auction(auction)),
        Event::Bid(bid) => (2, Named::Bid(bid)),
    };
    serde_json::to_string(&Line { event_type, date_time: event.timestamp(), event: named })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_kind_and_time_and_holds_the_event() {
        let options = Options { events: 60, rate: 10_000, partitions: 1 };
        let lines: Vec<String> = lines(&options).collect::<Result<_, _>>().unwrap();
        assert_eq!(lines.len(), 60);
        let start =
            r#"{"event_type":0,"date_time":1700000000000,"person":{"id":1000,"name":"vicky noris","email_address":"#;
        assert!(lines[0].starts_with(start), "{}", lines[0]);
        assert!(lines[4].starts_with(r#"{"event_type":2,"date_time":1700000000000,"bid":{"auction":"#), "{}", lines[4]);
        let members = ["auction", "bidder", "price", "channel", "url", "date_time", "extra"];
        let places: Vec<usize> = members.iter().map(|m| lines[4].rfind(&format!("\"{m}\":")).unwrap()).collect();
        assert!(places.is_sorted(), "{}", lines[4]);
    }

    #[test]
    fn the_files_hold_the_same_events_every_way() {
        let folder = std::env::temp_dir().join(format!("nexmark-generate-{}", std::process::id()));
        write_files(&Options { events: 230, rate: 100, partitions: 3 }, &folder).unwrap();
        let read = |name: &str| -> Vec<String> {
            std::fs::read_to_string(folder.join(name)).unwrap().lines().map(str::to_string).collect()
        };
        let all = read("events.jsonl");
        let kinds: usize = ["persons.jsonl", "auctions.jsonl", "bids.jsonl"].iter().map(|name| read(name).len()).sum();
        assert_eq!((all.len(), kinds), (230, 230));
        let mut parts: Vec<String> = (0..3).flat_map(|i| read(&format!("events-{i}.jsonl"))).collect();
        assert_eq!(read("events-1.jsonl")[..50], all[50..100]);
        parts.sort();
        let mut sorted = all;
        sorted.sort();
        assert_eq!(parts, sorted);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
