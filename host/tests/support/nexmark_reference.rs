//! The Nexmark queries, written from their definitions over the lines of a file: one thread, everything in memory, no code
//! of the host. Gives the rows as the pipelines must write them, in any order.
//!
//! Time: an event is processed under the watermark of the events before it, the greatest `date_time` less 4 s. For a window
//! [start, end) it is too late when end - 1 <= watermark.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const LAG_MS: i64 = 4_000;
const TUMBLING_MS: i64 = 10_000;
const HOPPING_MS: (i64, i64) = (10_000, 2_000);
const GAP_MS: i64 = 10_000;

/// One event with the watermark that it finds.
struct Event {
    kind: i64,
    time: i64,
    watermark: i64,
    body: Value,
}

impl Event {
    fn int(&self, member: &str) -> i64 {
        self.body[member].as_i64().unwrap_or_else(|| panic!("{member} of {}", self.body))
    }

    fn late(&self, end: i64) -> bool {
        end - 1 <= self.watermark
    }
}

fn events(lines: &[String]) -> Vec<Event> {
    let mut watermark = i64::MIN;
    lines
        .iter()
        .map(|line| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            let (kind, time) = (value["event_type"].as_i64().unwrap(), value["date_time"].as_i64().unwrap());
            let body = value[["person", "auction", "bid"][kind as usize]].take();
            let event = Event { kind, time, watermark, body };
            watermark = watermark.max(time - LAG_MS);
            event
        })
        .collect()
}

fn row(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// The rows of a query.
pub(crate) fn rows(query: &str, lines: &[String]) -> Vec<String> {
    let events = events(lines);
    let bids = || events.iter().filter(|e| e.kind == 2);
    match query {
        "q0" => bids().map(|bid| bid_row(bid, bid.body["price"].to_string())).collect(),
        "q1" => bids().map(|bid| bid_row(bid, thousandths(bid.int("price") * 908))).collect(),
        "q2" => bids()
            .filter(|bid| bid.int("auction") % 123 == 0)
            .map(|bid| row(&[("auction", bid.int("auction").to_string()), ("price", bid.int("price").to_string())]))
            .collect(),
        "q3" => q3(&events),
        "q4" => q4(&events),
        "q5" => q5(&events),
        "q7" => q7(&events),
        "q8" => q8(&events),
        "q11" => q11(&events),
        "q12" => q12(&events),
        other => panic!("no query {other}"),
    }
}

fn bid_row(bid: &Event, price: String) -> String {
    let member = |name: &'static str| (name, bid.body[name].to_string());
    row(&[member("auction"), member("bidder"), ("price", price), member("date_time"), member("extra")])
}

fn thousandths(n: i64) -> String {
    format!("{}.{:03}", n / 1_000, n % 1_000)
}

fn q3(events: &[Event]) -> Vec<String> {
    let mut rows = Vec::new();
    for auction in events.iter().filter(|e| e.kind == 1 && e.int("category") == 10) {
        for person in events.iter().filter(|e| e.kind == 0 && e.int("id") == auction.int("seller")) {
            if ["or", "id", "ca"].contains(&person.body["state"].as_str().unwrap()) {
                let member = |name: &'static str| (name, person.body[name].to_string());
                rows.push(row(&[
                    member("name"),
                    member("city"),
                    member("state"),
                    ("id", auction.int("id").to_string()),
                ]));
            }
        }
    }
    rows
}

fn q4(events: &[Event]) -> Vec<String> {
    let mut by_auction: BTreeMap<i64, Vec<&Event>> = BTreeMap::new();
    for bid in events.iter().filter(|e| e.kind == 2) {
        by_auction.entry(bid.int("auction")).or_default().push(bid);
    }
    let mut winners: BTreeMap<i64, Vec<i128>> = BTreeMap::new();
    for auction in events.iter().filter(|e| e.kind == 1) {
        let span = auction.int("date_time")..=auction.int("expires");
        let bids = by_auction.get(&auction.int("id")).into_iter().flatten();
        let best = bids.filter(|bid| span.contains(&bid.int("date_time"))).map(|bid| bid.int("price")).max();
        winners.entry(auction.int("category")).or_default().extend(best.map(i128::from));
    }
    winners.retain(|_, prices| !prices.is_empty());
    winners
        .into_iter()
        .map(|(category, prices)| {
            let (sum, count) = (prices.iter().sum::<i128>(), prices.len() as i128);
            let average = (2 * sum + count) / (2 * count);
            row(&[("category", category.to_string()), ("avg_price", average.to_string())])
        })
        .collect()
}

fn q5(events: &[Event]) -> Vec<String> {
    let (size, slide) = HOPPING_MS;
    let mut counts: BTreeMap<i64, BTreeMap<i64, u64>> = BTreeMap::new();
    for bid in events.iter().filter(|e| e.kind == 2) {
        for start in (bid.time - size + 1..=bid.time).filter(|start| start % slide == 0) {
            if !bid.late(start + size) {
                *counts.entry(start).or_default().entry(bid.int("auction")).or_default() += 1;
            }
        }
    }
    let mut rows = Vec::new();
    for (start, counts) in counts {
        let most = *counts.values().max().unwrap();
        for (auction, _) in counts.into_iter().filter(|(_, n)| *n == most) {
            rows.push(row(&[
                ("window_start", start.to_string()),
                ("window_end", (start + size).to_string()),
                ("auction", auction.to_string()),
                ("num", most.to_string()),
            ]));
        }
    }
    rows
}

/// The tumbling window of an event that is not too late for it.
fn tumbling(event: &Event) -> Option<i64> {
    let start = event.time - event.time % TUMBLING_MS;
    (!event.late(start + TUMBLING_MS)).then_some(start)
}

fn q7(events: &[Event]) -> Vec<String> {
    let mut windows: BTreeMap<i64, Vec<&Event>> = BTreeMap::new();
    for bid in events.iter().filter(|e| e.kind == 2) {
        if let Some(start) = tumbling(bid) {
            windows.entry(start).or_default().push(bid);
        }
    }
    let mut rows = Vec::new();
    for (start, bids) in windows {
        let best = bids.iter().map(|bid| bid.int("price")).max().unwrap();
        for bid in bids.iter().filter(|bid| bid.int("price") == best) {
            let member = |name: &'static str| (name, bid.body[name].to_string());
            rows.push(row(&[
                ("window_start", start.to_string()),
                ("window_end", (start + TUMBLING_MS).to_string()),
                member("auction"),
                member("bidder"),
                member("price"),
                member("date_time"),
                member("extra"),
            ]));
        }
    }
    rows
}

fn q8(events: &[Event]) -> Vec<String> {
    let mut sellers: BTreeSet<(i64, i64)> = BTreeSet::new();
    for auction in events.iter().filter(|e| e.kind == 1) {
        sellers.extend(tumbling(auction).map(|start| (start, auction.int("seller"))));
    }
    let mut rows = BTreeSet::new();
    for person in events.iter().filter(|e| e.kind == 0) {
        if let Some(start) = tumbling(person)
            && sellers.contains(&(start, person.int("id")))
        {
            rows.insert(row(&[
                ("window_start", start.to_string()),
                ("window_end", (start + TUMBLING_MS).to_string()),
                ("id", person.int("id").to_string()),
                ("name", person.body["name"].to_string()),
            ]));
        }
    }
    rows.into_iter().collect()
}

fn q11(events: &[Event]) -> Vec<String> {
    // Per bidder the open sessions: start, end, bids.
    let mut open: BTreeMap<i64, Vec<(i64, i64, u64)>> = BTreeMap::new();
    let mut rows = Vec::new();
    let session = |bidder: i64, (start, end, bids): (i64, i64, u64)| {
        row(&[
            ("window_start", start.to_string()),
            ("window_end", end.to_string()),
            ("bidder", bidder.to_string()),
            ("bid_count", bids.to_string()),
        ])
    };
    for bid in events.iter().filter(|e| e.kind == 2) {
        let sessions = open.entry(bid.int("bidder")).or_default();
        let (over, rest) = sessions.drain(..).partition::<Vec<_>, _>(|(_, end, _)| bid.late(*end));
        rows.extend(over.into_iter().map(|s| session(bid.int("bidder"), s)));
        let (start, end) = (bid.time, bid.time + GAP_MS);
        let (joined, mut rest) = rest.into_iter().partition::<Vec<_>, _>(|(s, e, _)| *s <= end && start <= *e);
        let merged = joined.iter().fold((start, end, 1), |a, b| (a.0.min(b.0), a.1.max(b.1), a.2 + b.2));
        if bid.late(merged.1) {
            rest.extend(joined);
        } else {
            rest.push(merged);
        }
        *sessions = rest;
    }
    for (bidder, sessions) in open {
        rows.extend(sessions.into_iter().map(|s| session(bidder, s)));
    }
    rows
}

fn q12(events: &[Event]) -> Vec<String> {
    let mut counts: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    for bid in events.iter().filter(|e| e.kind == 2) {
        if let Some(start) = tumbling(bid) {
            *counts.entry((start, bid.int("bidder"))).or_default() += 1;
        }
    }
    let count = |((start, bidder), n): ((i64, i64), u64)| {
        row(&[
            ("window_start", start.to_string()),
            ("window_end", (start + TUMBLING_MS).to_string()),
            ("bidder", bidder.to_string()),
            ("bid_count", n.to_string()),
        ])
    };
    counts.into_iter().map(count).collect()
}
