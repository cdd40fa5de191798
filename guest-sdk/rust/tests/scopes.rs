//! State that is no key's: broadcast state, which events of broadcast inputs write and everyone reads, and a list of the
//! subtask's own.

use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Harness, Record, describe};

/// Lets events through that are at or above the limit of their kind, and tells how many it did not at the end.
#[derive(Declare)]
#[declare(name = "limits")]
struct Limits {
    events: Input,
    rules: Input,
    limits: BroadcastMap<String, i64>,
    off: BroadcastValue<bool>,
    refused: OperatorList<i64>,
    out: Output,
}

impl Operator for Limits {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let words: Vec<&str> = event.text()?.split(' ').collect();
        let is_rule = event.is_from(&self.rules);
        assert!(is_rule || event.is_from(&self.events));
        match words[..] {
            ["limit", kind, n] if is_rule => {
                self.limits.insert(&kind.to_string(), &0)?;
                self.limits.insert(&kind.to_string(), &n.parse()?)
            }
            ["off"] => self.off.set(&true),
            [kind, n] => {
                let (n, limit) = (n.parse()?, self.limits.get(&kind.to_string())?);
                if self.off.get_or_default()? || limit.is_none_or(|limit| n >= limit) {
                    return self.out.emit(event.key(), event.text()?);
                }
                self.refused.push(&n)
            }
            _ => reject!("unknown"),
        }
    }

    fn close(&mut self) -> Result<()> {
        self.out.emit_json_at(0, "refused", &self.refused.take()?)
    }
}

fn harness() -> Harness<Limits> {
    let mut harness = Harness::open().unwrap();
    harness.broadcast("rules");
    harness
}

fn texts(harness: &mut Harness<Limits>) -> Vec<String> {
    harness.output("out").iter().map(Record::text).collect()
}

#[test]
fn the_declaration_says_whose_a_state_is() {
    let states = describe::<Limits>().unwrap()["states"].clone();
    let expected = serde_json::json!([
        { "name": "limits", "kind": "map", "scope": "broadcast" },
        { "name": "off", "kind": "value", "scope": "broadcast" },
        { "name": "refused", "kind": "list", "scope": "operator" },
    ]);
    assert_eq!(states, expected);
}

#[test]
fn what_a_broadcast_event_writes_is_read_by_events_of_every_key_and_of_none() {
    let mut harness = harness();
    harness.send_to(1, [Record::new("", "limit a 5"), Record::new("x", "limit b 7")]).unwrap();
    harness.replace_instance().unwrap();
    let keyless = Record { key: None, ..Record::new("", "a 4") };
    harness.send([Record::new("k", "a 5"), Record::new("l", "b 6"), keyless, Record::new("l", "c 0")]).unwrap();
    assert_eq!(texts(&mut harness), ["a 5", "c 0"]);
    harness.send_to(1, [Record::new("x", "off")]).unwrap();
    harness.send([Record::new("k", "a 0")]).unwrap();
    assert_eq!(texts(&mut harness), ["a 0"]);
    harness.replace_instance().unwrap();
    harness.end().unwrap();
    assert_eq!(texts(&mut harness), ["[6,4]"], "a list of the subtask's own needs no key");
    assert_eq!(harness.state_entries("refused"), 0);
}

#[test]
fn a_refused_rule_leaves_nothing_behind() {
    let mut harness = harness();
    harness.send_to(1, [Record::new("", "limit a 5"), Record::new("", "limit a soon")]).unwrap();
    assert_eq!(harness.dead_letters().len(), 1);
    harness.send([Record::new("k", "a 4"), Record::new("k", "a 5")]).unwrap();
    assert_eq!(texts(&mut harness), ["a 5"]);
}

#[test]
#[should_panic(expected = "only a call with events of a broadcast input may write it")]
fn an_event_of_another_input_writes_no_broadcast_state() {
    let _ = harness().send([Record::new("k", "off")]);
}
