//! Calls to a service: in both orders the results of events between two watermarks come between them, no more than `capacity`
//! are with the service at once, failures that may pass are tried again and others become dead letters, and a service that
//! hangs holds up its own branch and nothing else: barriers, stops and other branches go on.
//!
//! W-15 of the reference (FLINK-35886, 36751, 40234, 40093): elsewhere a source whose events were held up behind a busy operator
//! fell idle, time went on without it, and its results were late. Here silence upstream is told downstream only when no result
//! is to come any more (`a_node_that_waits_for_answers_is_not_idle`).

#[path = "support/calls.rs"]
mod calls;
#[path = "support/native.rs"]
mod native;
#[path = "support/service.rs"]
mod service;

use calls::{Item, feed, numbered, start, wait_until};
use native::read_all;
use service::{Reply, Seen, Service};
use std::collections::BTreeSet;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::{Store, StoreOptions};

fn open() -> Store {
    Store::open_with(FaultDisk::new(1), StoreOptions::default()).unwrap()
}

/// The part of a pipeline in front of its operators: one source, one segment, time that follows the events.
const SOURCE: &str = r#"[pipeline]
name = "asking"
checkpoint_interval = "50ms"
restart = { attempts = 5, backoff = "1ms" }

[sources.in]
stream = "test/in"
bounded = true
watermark = { out_of_orderness = "0s" }
"#;

fn id_of(seen: &Seen) -> u64 {
    seen.what.rsplit('/').next().unwrap().parse().unwrap()
}

/// Events between two watermarks, with the last of the watermarks behind them.
fn groups(items: &[Item]) -> Vec<(Vec<Item>, i64)> {
    let mut groups: Vec<(Vec<Item>, i64)> = vec![(Vec::new(), i64::MIN)];
    let mut open = true;
    for item in items {
        match item {
            Item::Watermark(w) => {
                groups.last_mut().unwrap().1 = *w;
                open = false;
            }
            event if open => groups.last_mut().unwrap().0.push(event.clone()),
            event => {
                groups.push((vec![event.clone()], i64::MIN));
                open = true;
            }
        }
    }
    groups
}

fn sorted(mut items: Vec<Item>) -> Vec<Item> {
    items.sort_by_key(|item| format!("{item:?}"));
    items
}

#[test]
fn results_keep_their_order_or_at_least_never_cross_a_watermark() {
    let mut overtaken = 0;
    for seed in 0..24u64 {
        let delay = move |id: u64| (id.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) ^ seed) % 1_500;
        let service = Service::start(move |seen, _| {
            let id = id_of(seen);
            Reply { delay_us: delay(id), ..Reply::ok(format!("{}", id * 2)) }
        });
        let (ordered, capacity) = (seed % 2 == 0, 1 + seed as usize % 11);
        let store = open();
        feed(&store, "test/in", 1, &numbered(200));
        let toml = format!(
            "{SOURCE}
[operators.before]
component = \"recorder.wasm\"
input = \"in\"
[operators.ask]
input = \"in\"
call = {{ url = \"{}\", method = \"GET\", answer = \"/double\", capacity = {capacity}, order = \"{}\" }}
[operators.after]
component = \"recorder.wasm\"
input = \"ask\"
[sinks.out]
input = \"ask\"
stream = \"test/out\"",
            service.url("/x/{/id}"),
            if ordered { "ordered" } else { "unordered" },
        );
        let (handle, records) = start(&store, &toml).unwrap();
        assert!(handle.wait().unwrap().finished);
        let [before, after] = &records[..] else { panic!("two recorders") };
        let answered = |item: &Item| match item {
            Item::Event(time, key, value) => {
                let id: u64 = value.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
                Item::Event(*time, key.clone(), format!("{{\"id\":{id},\"double\":{}}}", id * 2))
            }
            Item::Watermark(_) => item.clone(),
        };
        let expected: Vec<Item> = before.lock().unwrap().iter().map(answered).collect();
        let (expected, given) = (groups(&expected), groups(&after.lock().unwrap()));
        assert!(expected.len() > 10, "there are watermarks between the events");
        assert_eq!(expected.len(), given.len(), "seed {seed}");
        for ((events, watermark), (results, passed)) in expected.into_iter().zip(given) {
            assert_eq!(watermark, passed, "seed {seed}");
            if ordered {
                assert_eq!(results, events, "seed {seed}: order");
            } else {
                overtaken += usize::from(results != events);
                assert_eq!(sorted(results), sorted(events), "seed {seed}: up to watermark {watermark}");
            }
        }
        assert_eq!(read_all(&store, "test/out").len(), 200);
        assert!(service.most() <= capacity, "{} at once, and capacity is {capacity}", service.most());
    }
    assert!(overtaken > 20, "unordered results did overtake each other: {overtaken}");
}

#[test]
fn the_service_gets_as_many_requests_at_once_as_capacity_says_and_the_event_as_body() {
    let service = Service::start(|seen, _| Reply::ok(seen.body.replace("id", "was")));
    service.hold();
    let store = open();
    feed(&store, "test/in", 1, &numbered(60));
    let call = format!(
        "call = {{ url = \"{}\", capacity = 9, headers = {{ X-Who = \"me\", X-Path = {{ env = \"PATH\" }} }} }}",
        service.url("/echo?k={key}")
    );
    let toml =
        format!("{SOURCE}[operators.ask]\ninput = \"in\"\n{call}\n[sinks.out]\ninput = \"ask\"\nstream = \"test/out\"");
    let (handle, _) = start(&store, &toml).unwrap();
    wait_until(&handle, || service.at_once() == 9);
    service.release();
    let summary = handle.wait().unwrap();
    assert!(summary.finished);
    assert_eq!(service.most(), 9);
    let asked = |(time, key, value): (i64, String, String)| (time, key, value.replace("id", "was"));
    let expected: Vec<_> = numbered(60).into_iter().map(asked).collect();
    assert_eq!(read_all(&store, "test/out"), expected, "time, key and order stay");
    let seen = service.seen();
    let first = seen.iter().find(|seen| seen.body == "{\"id\":0}").unwrap();
    assert_eq!(first.what, "POST /echo?k=k0");
    let path = format!("x-path: {}", std::env::var("PATH").unwrap().to_ascii_lowercase());
    for header in ["x-who: me", "content-type: application/json", &path] {
        assert!(first.headers.iter().any(|line| line == header), "{header}: {:?}", first.headers);
    }
}

#[test]
fn what_may_pass_is_tried_again_and_what_does_not_becomes_a_dead_letter() {
    // 0..10: answered; 10: busy twice; 11: not found; 12: never answered; 13: broken for ever; 14: too long; 15: moved.
    let service = Service::start(|seen, before| match id_of(seen) {
        10 if before < 2 => Reply::status(503),
        11 => Reply::status(404),
        12 => Reply { delay_us: 400_000, ..Reply::ok("late") },
        13 => Reply::status(500),
        14 => Reply::ok("x".repeat(200)),
        15 => Reply::status(302),
        id => Reply::ok(id.to_string()),
    });
    let store = open();
    let mut events = numbered(16);
    events.push((160, "k".into(), "[no object]".into()));
    events.push((170, "k".into(), "{\"no\":1}".into()));
    feed(&store, "test/in", 1, &events);
    let call = format!(
        "call = {{ url = \"{}\", method = \"PUT\", timeout = \"100ms\", retries = 2, backoff = \"1ms\", answer_limit = \"100B\" }}",
        service.url("/x/{/id}")
    );
    let toml =
        format!("{SOURCE}[operators.ask]\ninput = \"in\"\n{call}\n[sinks.out]\ninput = \"ask\"\nstream = \"test/out\"");
    let summary = start(&store, &toml).unwrap().0.wait().unwrap();
    assert_eq!((summary.finished, summary.restarts), (true, 0));
    let out: Vec<String> = read_all(&store, "test/out").into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(out, (0..11).map(|id: u32| id.to_string()).collect::<Vec<_>>());
    let dead: BTreeSet<i64> = read_all(&store, "asking/dead-letters").into_iter().map(|(time, ..)| time / 10).collect();
    assert_eq!(dead, (11..18).collect(), "each refused event once, with its own time");
    let reasons = reasons(&store);
    for (id, reason) in [
        (11, "answered 404 Not Found: because"),
        (12, "no answer within 100 ms (3 attempts)"),
        (13, "answered 500 Internal Server Error: because (3 attempts)"),
        (14, "longer than answer_limit, 100 bytes"),
        (15, "answered 302 Found"),
    ] {
        let found = reasons.iter().find(|text| text.contains(&format!("/x/{id}:")));
        assert!(found.is_some_and(|text| text.contains(reason)), "{id}: {reason}: {reasons:?}");
    }
    assert!(reasons.iter().any(|reason| reason.contains("not JSON")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("/id is absent")), "{reasons:?}");
    let attempts = |id| service.seen().iter().filter(|seen| id_of(seen) == id).count();
    assert_eq!([0, 10, 11, 12, 13, 15].map(attempts), [1, 3, 1, 3, 3, 1]);
    let record = store.checkpoints("asking").unwrap().remove(0).record;
    let counter = |name: &str| record.counters.get(&format!("ask/{name}")).copied();
    assert_eq!((counter("answered"), counter("failed"), counter("retried")), (Some(11), Some(5), Some(6)));
}

/// Why dead letters were refused.
fn reasons(store: &Store) -> Vec<String> {
    let info = store.stream(&tidemill_storage::StreamName::new("asking/dead-letters").unwrap()).unwrap().unwrap();
    let segment = &info.segments[0];
    let (stream, generation) = (info.stream.id, info.stream.generation);
    let mut position = tidemill_storage::Position { stream, generation, segment: segment.id, offset: segment.head };
    let mut reasons = Vec::new();
    while position.offset < segment.tail {
        let read = store.read(position, 1 << 20).unwrap();
        let mut entries = tidemill_storage::headers::Entries::new(&read.batch.headers);
        for _ in 0..read.batch.len() {
            let headers = entries.next_event().unwrap();
            assert_eq!(headers[0], ("tidemill-node", &b"ask"[..]));
            assert_eq!(headers[1].0, "tidemill-reason");
            reasons.push(String::from_utf8(headers[1].1.to_vec()).unwrap());
        }
        position.offset = read.next;
    }
    reasons
}

#[test]
fn with_on_error_restart_the_run_goes_back_to_its_checkpoint_and_asks_again() {
    let service = Service::start(|seen, before| match (id_of(seen), before) {
        (17, 0 | 1) => Reply::status(400),
        (id, _) => Reply::ok(id.to_string()),
    });
    let store = open();
    feed(&store, "test/in", 1, &numbered(40));
    let call = format!("call = {{ url = \"{}\", on_error = \"restart\" }}", service.url("/x/{/id}"));
    let toml =
        format!("{SOURCE}[operators.ask]\ninput = \"in\"\n{call}\n[sinks.out]\ninput = \"ask\"\nstream = \"test/out\"");
    let summary = start(&store, &toml).unwrap().0.wait().unwrap();
    assert_eq!((summary.finished, summary.restarts), (true, 2));
    let out: Vec<String> = read_all(&store, "test/out").into_iter().map(|(_, _, value)| value).collect();
    assert_eq!(out, (0..40).map(|id: u32| id.to_string()).collect::<Vec<_>>());
    assert!(read_all(&store, "asking/dead-letters").is_empty());
}

/// A pipeline with a branch that asks and one that does not, each with its own source.
fn two_branches(service: &Service, parallelism: u32) -> String {
    format!(
        "[pipeline]
name = \"asking\"
parallelism = {parallelism}
checkpoint_interval = \"20ms\"

[sources.in]
stream = \"test/in\"
bounded = true
watermark = {{ out_of_orderness = \"0s\" }}

[sources.other]
stream = \"test/other\"

[operators.ask]
input = \"in\"
call = {{ url = \"{}\", method = \"GET\", capacity = 4 }}

[sinks.out]
input = \"ask\"
stream = \"test/out\"

[sinks.same]
input = \"other\"
stream = \"test/same\"",
        service.url("/x/{/id}")
    )
}

#[test]
fn a_service_that_hangs_holds_up_no_barrier_and_its_source_waits() {
    for parallelism in [1, 2] {
        let service = Service::start(|seen, _| Reply::ok(id_of(seen).to_string()));
        service.hold();
        let store = open();
        feed(&store, "test/in", 4, &numbered(12_000));
        feed(&store, "test/other", 1, &[]);
        let (handle, _) = start(&store, &two_branches(&service, parallelism)).unwrap();
        wait_until(&handle, || service.at_once() == 4 * parallelism as usize);
        let taken = |name: &str| handle.status().nodes.iter().find(|node| node.name == name).unwrap().events_in;
        let mut bounds = Vec::new();
        for round in 0..30 {
            feed(&store, "test/other", 1, &[(round, "k".into(), "x".into())]);
            // Committed output shows only if barriers come through the task that waits.
            wait_until(&handle, || read_all(&store, "test/same").len() == round as usize + 1);
            bounds.push(taken("ask"));
        }
        let epochs = store.checkpoints("asking").unwrap()[0].record.epoch.0;
        assert!(epochs >= 30, "{epochs}");
        assert!(bounds[29] < 2_000, "the source reads no further than queues are long: {bounds:?}");
        assert_eq!(bounds[15..].iter().collect::<BTreeSet<_>>().len(), 1, "and then not at all: {bounds:?}");
        assert!(read_all(&store, "test/out").is_empty());
        // It goes on by itself as soon as the service does.
        service.release();
        wait_until(&handle, || read_all(&store, "test/out").len() == 12_000);
        handle.stop();
        handle.wait().unwrap();
        let ids: BTreeSet<String> = read_all(&store, "test/out").into_iter().map(|(_, _, value)| value).collect();
        assert_eq!(ids.len(), 12_000);
        assert!(service.most() <= 4 * parallelism as usize);
    }
}

#[test]
fn a_node_that_waits_for_answers_is_not_idle() {
    let service = Service::start(|seen, _| Reply::ok(id_of(seen).to_string()));
    service.hold();
    let store = open();
    feed(&store, "test/in", 1, &numbered(3));
    feed(&store, "test/other", 1, &[]);
    let toml = format!(
        "[pipeline]
name = \"asking\"
checkpoint_interval = \"20ms\"
[sources.in]
stream = \"test/in\"
watermark = {{ out_of_orderness = \"0s\", idle_after = \"5ms\" }}
[sources.other]
stream = \"test/other\"
watermark = {{ out_of_orderness = \"0s\" }}
[operators.ask]
input = \"in\"
call = {{ url = \"{}\", method = \"GET\" }}
[operators.direct]
component = \"recorder.wasm\"
inputs = [{{ from = \"in\" }}, {{ from = \"other\" }}]
[operators.behind]
component = \"recorder.wasm\"
inputs = [{{ from = \"ask\" }}, {{ from = \"other\" }}]
[sinks.out]
input = \"ask\"
stream = \"test/out\"",
        service.url("/x/{/id}")
    );
    let (handle, records) = start(&store, &toml).unwrap();
    let [direct, behind] = &records[..] else { panic!("two recorders") };
    wait_until(&handle, || service.at_once() == 3);
    feed(&store, "test/other", 1, &[(1_000, "k".into(), "far".into())]);
    let has = |record: &calls::Record, item: &Item| record.lock().unwrap().contains(item);
    // Without a call in between, the source has fallen idle by now, and time goes on.
    wait_until(&handle, || has(direct, &Item::Watermark(999)));
    wait_until(&handle, || has(behind, &Item::Event(1_000, "k".into(), "far".into())));
    assert!(!behind.lock().unwrap().iter().any(|item| matches!(item, Item::Watermark(w) if *w >= 19)), "{behind:?}");
    service.release();
    wait_until(&handle, || has(behind, &Item::Watermark(999)));
    let items = behind.lock().unwrap().clone();
    let place = |wanted: &Item| items.iter().position(|item| item == wanted).unwrap();
    for (id, (time, key, _)) in numbered(3).into_iter().enumerate() {
        let result = place(&Item::Event(time, key, id.to_string()));
        assert!(result < place(&Item::Watermark(999)), "no result is late: {items:?}");
    }
    handle.stop();
    handle.wait().unwrap();
}
