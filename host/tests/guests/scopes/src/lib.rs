//! Does with broadcast state and a list of the subtask's own what an event's value says. The host's tests of state without
//! keys feed it.
//!
//! | input | value | what happens |
//! | --- | --- | --- |
//! | `rules` | `add K N` | N is added to entry K of the broadcast map |
//! | `rules` | `remove K` | entry K goes |
//! | `rules` | `mode M` | the broadcast value becomes M |
//! | `rules` | `poison K` | entry K becomes -1, and then the event is refused |
//! | `events` | `keep X` | X is appended to the subtask's list |
//! | `events` | `show` | emits what all see: the mode, and `K=N` of each entry |
//! | `events` | `list` | emits the list, separated by spaces |
//! | `events` | `take` | the same, and empties it |
//! | `events` | `write K` | writes entry K, which is not for these events to do |
//! | end of input | | emits what all see by the key `seen`, and the list by the key `list`; it is emptied |

use tidemill_sdk::prelude::*;

/// Two inputs, what all subtasks see, what one has, and a port.
#[derive(Declare)]
pub struct Scopes {
    events: Input,
    rules: Input,
    totals: BroadcastMap<String, i64>,
    mode: BroadcastValue<String>,
    list: OperatorList<String>,
    out: Output,
}

impl Scopes {
    fn seen(&self) -> Result<String> {
        let mut all = vec![self.mode.get()?.unwrap_or_default()];
        all.extend(self.totals.entries()?.into_iter().map(|(key, total)| format!("{key}={total}")));
        Ok(all.join(" "))
    }
}

impl Operator for Scopes {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let words: Vec<String> = event.text()?.split(' ').map(str::to_owned).collect();
        let of_rules = event.is_from(&self.rules);
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["add", _, n] if of_rules => {
                let n: i64 = n.parse()?;
                self.totals.update(&words[1], |total| total + n).map(drop)
            }
            ["remove", _] if of_rules => self.totals.remove(&words[1]),
            ["mode", _] if of_rules => self.mode.set(&words[1]),
            ["poison", _] if of_rules => {
                self.totals.insert(&words[1], &-1)?;
                reject!("poison")
            }
            ["keep", _] if event.is_from(&self.events) => self.list.push(&words[1]),
            ["show"] => self.out.emit(event.key(), self.seen()?),
            ["list"] => self.out.emit(event.key(), self.list.get()?.join(" ")),
            ["take"] => self.out.emit(event.key(), self.list.take()?.join(" ")),
            ["write", _] => self.totals.insert(&words[1], &0),
            _ => reject!("unknown: {words:?}"),
        }
    }

    fn close(&mut self) -> Result<()> {
        self.out.emit_at(0, "seen", self.seen()?)?;
        self.out.emit_at(0, "list", self.list.take()?.join(" "))
    }
}

tidemill_sdk::export!(Scopes);
