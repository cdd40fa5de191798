//! Every kind of keyed state: typed, cached per call, undone with a refused event, the same on another instance.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;
use tidemill_sdk::state::{Max, Sum};
use tidemill_sdk::testing::{Harness, Record};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    name: String,
    cents: i64,
}

struct Mean;

impl Aggregate for Mean {
    type In = f64;
    type Accumulator = (f64, u32);
    type Out = f64;

    fn add(accumulator: &mut (f64, u32), one: f64) {
        *accumulator = (accumulator.0 + one, accumulator.1 + 1);
    }

    fn result(accumulator: &(f64, u32)) -> f64 {
        accumulator.0 / f64::from(accumulator.1)
    }
}

/// Does what the event's value says: one word for the state, one for what to do, one or two arguments. A second line
/// `reject` refuses the event after that.
#[derive(Declare)]
struct Script {
    account: Value<Account>,
    note: Value<String, Raw>,
    map: Map<i64, String, Json>,
    list: List<u32>,
    sum: Reducing<Sum<i64>>,
    highest: Reducing<Max<i64>>,
    mean: Aggregating<Mean>,
    out: Output,
}

impl Script {
    fn line(&self, key: Option<&[u8]>, line: &str) -> Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["account", "add", cents] => {
                let cents: i64 = cents.parse()?;
                self.account.update(|a| Account { cents: a.cents + cents, name: "n".repeat(3) }).map(|_| ())
            }
            ["account", "take"] => self.out.emit_json(key, &self.account.take()?),
            ["account", "get"] => self.out.emit_json(key, &self.account.get()?),
            ["note", "set", text] => self.note.set(&text.to_string()),
            ["note", "get"] => self.out.emit(key, self.note.get()?),
            ["map", "insert", k, v] => self.map.insert(&k.parse()?, &v.to_string()),
            ["map", "remove", k] => self.map.remove(&k.parse()?),
            ["map", "get", k] => self.out.emit_json(key, &self.map.get(&k.parse()?)?),
            ["map", "clear"] => self.map.clear(),
            ["map", "all"] => self.out.emit_json(key, &self.map.entries()?),
            ["map", "range", from, to] => self.out.emit_json(key, &self.map.range(from.parse::<i64>()?..=to.parse()?)?),
            ["map", "first", n] => self.out.emit_json(key, &self.map.first(.., n.parse()?)?),
            ["list", "push", n] => self.list.push(&n.parse()?),
            ["list", "clear"] => self.list.clear(),
            ["list", "set", n] => self.list.set(&[n.parse()?]),
            ["list", "get"] => self.out.emit_json(key, &self.list.get()?),
            ["fold", n] => {
                let n: i64 = n.parse()?;
                self.sum.add(Sum(n))?;
                self.highest.add(Max(n))?;
                self.mean.add(n as f64)
            }
            ["folded"] => {
                let folded = (self.sum.get()?.map(|s| s.0), self.highest.get()?.map(|m| m.0), self.mean.get()?);
                self.out.emit_json(key, &folded)
            }
            ["reject"] => reject!("as told"),
            ["retry"] => Err(Error::retry_after(7)),
            other => Err(Error::fatal(format!("no such command: {other:?}"))),
        }
    }
}

impl Operator for Script {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        event.text()?.lines().try_for_each(|line| self.line(event.key(), line))
    }
}

fn run(harness: &mut Harness<Script>, lines: &[&str]) -> Vec<String> {
    harness.send(lines.iter().map(|line| Record::new("k", *line))).unwrap();
    harness.output("out").iter().map(Record::text).collect()
}

/// Runs `first` and then `second`, once in one call and once in one call each on fresh instances: the cache must not
/// show.
fn both_ways(first: &[&str], second: &[&str], expected: &[&str]) {
    let mut one_call = Harness::<Script>::open().unwrap();
    let all: Vec<&str> = first.iter().chain(second).copied().collect();
    assert_eq!(run(&mut one_call, &all), expected, "in one call");

    let mut many_calls = Harness::<Script>::open().unwrap();
    let mut got = Vec::new();
    for line in &all {
        got.extend(run(&mut many_calls, &[line]));
        many_calls.replace_instance().unwrap();
    }
    assert_eq!(got, expected, "in a call each");

    let mut two_calls = Harness::<Script>::open().unwrap();
    run(&mut two_calls, first);
    assert_eq!(run(&mut two_calls, second), expected, "in two calls");
}

#[test]
fn a_value_is_typed_and_can_be_taken() {
    both_ways(
        &["account add 5", "account add -7", "note set a"],
        &["account get", "account take", "account get", "note get"],
        &[r#"{"name":"nnn","cents":-2}"#, r#"{"name":"nnn","cents":-2}"#, "null", "a"],
    );
}

#[test]
fn a_map_keeps_the_order_of_its_sub_keys_over_what_is_stored_and_what_is_new() {
    both_ways(
        &["map insert 5 e", "map insert -1 a", "map insert 3 c", "map insert 9 g", "map insert 7 f", "map insert 4 d"],
        &["map remove 3", "map insert 0 b", "map insert 9 G", "map all", "map range 0 5", "map first 2", "map get 3"],
        &[
            r#"[[-1,"a"],[0,"b"],[4,"d"],[5,"e"],[7,"f"],[9,"G"]]"#,
            r#"[[0,"b"],[4,"d"],[5,"e"]]"#,
            r#"[[-1,"a"],[0,"b"]]"#,
            "null",
        ],
    );
}

#[test]
fn a_cleared_map_holds_only_what_came_after() {
    both_ways(
        &["map insert 1 old", "map insert 2 old"],
        &["map clear", "map get 1", "map insert 2 new", "map all"],
        &["null", r#"[[2,"new"]]"#],
    );
}

#[test]
fn a_list_gives_back_what_was_appended_in_order() {
    both_ways(
        &["list push 3", "list push 1", "list push 2", "list push 9", "list push 8"],
        &["list push 7", "list get", "list set 4", "list push 5", "list get", "list clear", "list get"],
        &["[3,1,2,9,8,7]", "[4,5]", "[]"],
    );
}

#[test]
fn reducing_and_aggregating_state_fold() {
    both_ways(&["fold 4", "fold 10"], &["fold -2", "folded"], &["[12,10,4.0]"]);
}

#[test]
fn a_refused_event_leaves_every_kind_as_it_was() {
    let undone = [
        "account add 100",
        "account take",
        "note set gone",
        "map insert 1 gone",
        "map remove 2",
        "map clear",
        "map insert 3 gone",
        "list push 99",
        "list clear",
        "list push 98",
        "fold 1000",
        "reject",
    ]
    .join("\n");
    let before = ["account add 5", "note set kept", "map insert 2 kept", "list push 1", "fold 1"];
    let after = ["account get", "note get", "map all", "list get", "folded"];
    let expected = [r#"{"name":"nnn","cents":5}"#, "kept", r#"[[2,"kept"]]"#, "[1]", "[1,1,1.0]"];

    let mut harness = Harness::<Script>::open().unwrap();
    let all: Vec<&str> = before.iter().copied().chain([undone.as_str()]).chain(after).collect();
    assert_eq!(run(&mut harness, &all), expected, "in one call");
    assert_eq!(run(&mut harness, &after), expected, "what was written");

    let mut harness = Harness::<Script>::open().unwrap();
    run(&mut harness, &before);
    assert_eq!(run(&mut harness, &[&undone]), [] as [&str; 0]);
    assert_eq!(run(&mut harness, &after), expected, "over stored state");
    assert_eq!(harness.dead_letters().len(), 1);
}

#[test]
fn a_failed_call_leaves_nothing_and_the_next_call_starts_clean() {
    let mut harness = Harness::<Script>::open().unwrap();
    run(&mut harness, &["account add 5"]);
    let retry = harness.send(["account add 1", "note set x", "retry"].map(|line| Record::new("k", line)));
    assert_eq!(retry, Err(Error::Retry { after_ms: Some(7) }));
    let fatal = harness.send(["list push 1", "nonsense"].map(|line| Record::new("k", line)));
    assert!(matches!(fatal, Err(Error::Fatal(why)) if why.contains("nonsense")));
    assert_eq!(run(&mut harness, &["account get", "note get", "list get"]), [r#"{"name":"nnn","cents":5}"#, "", "[]"]);
}

#[test]
fn a_key_is_read_once_and_written_once_per_batch() {
    let mut harness = Harness::<Script>::open().unwrap();
    harness.send((0..100).map(|i| Record::new(format!("k{}", i % 7), "account add 1"))).unwrap();
    assert_eq!((harness.calls().get, harness.calls().put), (1, 1));
    harness.send((0..100).map(|_| Record::new("k", "map insert 1 x\nmap get 1\nlist push 1"))).unwrap();
    let calls = harness.calls();
    assert_eq!((calls.get, calls.put, calls.append, calls.scan), (1, 2, 1, 0), "what was written needs no reading");
    assert_eq!(harness.state_entries("account"), 7);
}

/// Writes with one codec, reads with another: what an operator does whose type changed under its state.
struct Changeable;

impl tidemill_sdk::codec::Codec<u32> for Changeable {
    fn encode(_value: &u32, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(b"old form");
        Ok(())
    }

    fn decode(_bytes: &[u8]) -> Result<u32, String> {
        Err("this is the old form".to_string())
    }
}

#[derive(Declare)]
struct Changed {
    total: Value<u32, Changeable>,
}

impl Operator for Changed {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        match event.text()? {
            "write" => self.total.set(&1),
            _ => self.total.get().map(|_| ()),
        }
    }
}

#[test]
fn stored_bytes_of_another_type_are_fatal_and_name_the_state() {
    let mut harness = Harness::<Changed>::open().unwrap();
    harness.send([Record::new("k", "write")]).unwrap();
    let Err(Error::Fatal(why)) = harness.send([Record::new("k", "read")]) else { unreachable!("it was read") };
    assert!(why.contains("state `total`") && why.contains("this is the old form"), "{why}");
    assert!(harness.dead_letters().is_empty(), "the event is not to blame");
}
