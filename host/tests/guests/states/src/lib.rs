//! Does with a map and a list what an event's value says, and emits what it finds. The host's guest tests feed it.
//!
//! | value | what happens |
//! | --- | --- |
//! | `put K V` | entry K of the key's map becomes V |
//! | `remove K` | entry K goes |
//! | `append V` | V is appended to the key's list |
//! | `map` | emits the map's entries, `K=V` separated by spaces |
//! | `from K` | emits those from K on |
//! | `list` | emits the list, separated by spaces |
//! | `clear` | map and list are emptied |

use tidemill_sdk::prelude::*;

/// A map, a list and one port.
#[derive(Declare)]
pub struct States {
    entries: Map<String, String>,
    lines: List<String>,
    out: Output,
}

impl Operator for States {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let words: Vec<String> = event.text()?.split(' ').map(str::to_owned).collect();
        let shown = |entries: Vec<(String, String)>| {
            entries.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["put", _, _] => self.entries.insert(&words[1], &words[2]),
            ["remove", _] => self.entries.remove(&words[1]),
            ["append", _] => self.lines.push(&words[1]),
            ["map"] => self.out.emit(event.key(), shown(self.entries.entries()?)),
            ["from", _] => self.out.emit(event.key(), shown(self.entries.range(words[1].clone()..)?)),
            ["list"] => self.out.emit(event.key(), self.lines.get()?.join(" ")),
            ["clear"] => {
                self.entries.clear()?;
                self.lines.clear()
            }
            _ => reject!("unknown: {words:?}"),
        }
    }
}

tidemill_sdk::export!(States);
