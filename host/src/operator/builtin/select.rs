//! `select`: filters events, gives them another key and another value, one by one. No state.

use super::condition::Conditions;
use super::fields::{Fields, Record, Scalar, push_json, push_string, scalar};
use super::row::{Members, push_number, push_raw};
use crate::config::builtin::{KeySpec, SelectColumn, SelectSpec};
use crate::config::decimal::Decimal;
use crate::operator::{Context, Failure, Operator, Rejection, TimerBatch};
use tidemill_storage::headers::Entries;
use tidemill_storage::{Batch, EventTime};

/// The operator.
pub(super) struct Select {
    fields: Fields,
    conditions: Conditions,
    key: Option<Key>,
    output: Option<(Members, Vec<Column>)>,
    key_text: Vec<u8>,
    value_text: Vec<u8>,
}

enum Key {
    First(Vec<usize>),
    All(Vec<usize>),
}

enum Column {
    Field(usize),
    Times(usize, Decimal),
    Time,
    Key,
    KeyJson,
}

impl Select {
    pub(super) fn new(spec: &SelectSpec) -> Select {
        let mut fields = Fields::default();
        let conditions = Conditions::new(&spec.conditions, &mut fields);
        let mut indexes = |pointers: &[String]| pointers.iter().map(|p| fields.add(p)).collect();
        let key = spec.key.as_ref().map(|key| match key {
            KeySpec::First(pointers) => Key::First(indexes(pointers)),
            KeySpec::All(pointers) => Key::All(indexes(pointers)),
        });
        let output = spec.output.as_ref().map(|output| {
            let column = |(_, column): &(String, SelectColumn)| match column {
                SelectColumn::Field(pointer) => Column::Field(fields.add(pointer)),
                SelectColumn::Times(pointer, factor) => Column::Times(fields.add(pointer), *factor),
                SelectColumn::Time => Column::Time,
                SelectColumn::Key => Column::Key,
                SelectColumn::KeyJson => Column::KeyJson,
            };
            let columns = output.iter().map(column).collect();
            (Members::new(output.iter().map(|(name, _)| name.as_str())), columns)
        });
        Select { fields, conditions, key, output, key_text: Vec::new(), value_text: Vec::new() }
    }

    /// `None`: the event is filtered out. Else whether it has a key; `key_text` and `value_text` then hold what `key` and
    /// `output` ask for.
    fn read(&mut self, events: &Batch, i: usize) -> Result<Option<bool>, String> {
        let record = self.fields.read(events.values.get(i))?;
        if !self.conditions.hold(&record) {
            return Ok(None);
        }
        let old_key = events.keys.get(i);
        let has_key = match &self.key {
            None => old_key.is_some(),
            Some(key) => {
                self.key_text.clear();
                write_key(key, &record, &mut self.key_text)
            }
        };
        if let Some((members, columns)) = &self.output {
            let out = &mut self.value_text;
            out.clear();
            let key = if self.key.is_none() { old_key } else { has_key.then_some(&self.key_text[..]) };
            for (member, column) in columns.iter().enumerate() {
                members.begin(member, out);
                match (column, key) {
                    (Column::Field(field), _) => push_raw(record.raw(*field), out),
                    (Column::Times(field, factor), _) => match record.number(*field) {
                        Ok(None) => push_raw(None, out),
                        Ok(Some(number)) => match number.times(*factor) {
                            Some(product) => push_number(product, out),
                            None => return Err(format!("{number} times {factor} has more than 38 digits")),
                        },
                        Err(()) => return Err("a field to be multiplied is not a number of at most 38 digits".into()),
                    },
                    (Column::Time, _) => push_number(events.timestamps[i], out),
                    (Column::Key | Column::KeyJson, None) => push_raw(None, out),
                    (Column::Key, Some(key)) => push_string(key, out),
                    (Column::KeyJson, Some(key)) => push_json(key, out),
                }
            }
            members.end(out);
        }
        Ok(Some(has_key))
    }
}

fn write_key(key: &Key, record: &Record<'_>, out: &mut Vec<u8>) -> bool {
    match key {
        Key::First(fields) => {
            let Some(raw) = fields.iter().find_map(|field| record.raw(*field)) else { return false };
            match scalar(raw) {
                Scalar::Text(text) => out.extend_from_slice(&text),
                _ => out.extend_from_slice(raw),
            }
        }
        Key::All(fields) => {
            for (i, field) in fields.iter().enumerate() {
                out.push(if i == 0 { b'[' } else { b',' });
                push_raw(record.raw(*field), out);
            }
            out.push(b']');
        }
    }
    true
}

impl Operator for Select {
    fn process(
        &mut self,
        _input: u32,
        _watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let (mut out, mut rejections) = (Batch::default(), Vec::new());
        let mut headers = (!events.headers.is_empty()).then(|| Entries::new(&events.headers));
        for i in 0..events.len() {
            let entry = headers.as_mut().map(Entries::next_raw).transpose().map_err(|e| Failure::Bug(e.to_string()))?;
            match self.read(events, i) {
                Ok(None) => {}
                Err(reason) => rejections.push(Rejection { index: i as u32, reason }),
                Ok(Some(has_key)) => {
                    let key = if self.key.is_some() { Some(&self.key_text[..]) } else { events.keys.get(i) };
                    out.timestamps.push(events.timestamps[i]);
                    out.keys.push(key.filter(|_| has_key));
                    out.values.push(if self.output.is_some() { Some(&self.value_text) } else { events.values.get(i) });
                    out.headers.extend_from_slice(entry.unwrap_or_default());
                }
            }
        }
        context.output.push((0, out));
        Ok(rejections)
    }

    fn on_timers(&mut self, _: &TimerBatch, _: EventTime, _: &mut Context) -> Result<Vec<Rejection>, Failure> {
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::builtin::{Condition, Test};
    use tidemill_storage::headers::push_event;

    fn run(spec: &SelectSpec, values: &[&str]) -> (Vec<(Option<String>, String)>, Vec<Rejection>) {
        let mut events = Batch::default();
        for (i, value) in values.iter().enumerate() {
            let tag = [("n", value.as_bytes())];
            push_event(&mut events, EventTime(i as i64), Some(b"old"), Some(value.as_bytes()), &tag);
        }
        let mut context = Context::default();
        let rejections = Select::new(spec).process(0, EventTime::MIN, &events, &mut context).unwrap();
        let (_, out) = context.output.pop().unwrap();
        out.check("out").unwrap();
        let mut entries = Entries::new(&out.headers);
        for i in 0..out.len() {
            let at = out.timestamps[i] as usize;
            assert_eq!(
                entries.next_event().unwrap(),
                vec![("n", values[at].as_bytes())],
                "headers stay with their event"
            );
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let rows = (0..out.len()).map(|i| (out.keys.get(i).map(text), text(out.values.get(i).unwrap()))).collect();
        (rows, rejections)
    }

    #[test]
    fn it_filters_projects_and_keys() {
        let number = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        let spec = SelectSpec {
            conditions: vec![Condition { field: "/kind".into(), test: Test::Exists(true) }],
            key: Some(KeySpec::First(vec!["/a/id".into(), "/b".into()])),
            output: Some(vec![
                ("id".into(), SelectColumn::KeyJson),
                ("price".into(), SelectColumn::Times("/price".into(), number("0.908"))),
                ("at".into(), SelectColumn::Time),
                ("none".into(), SelectColumn::Field("/none".into())),
            ]),
        };
        let (rows, rejections) = run(
            &spec,
            &[
                r#"{"kind":1,"a":{"id":7},"price":253}"#,
                r#"{"a":{"id":8}}"#,
                r#"{"kind":1,"b":"x\ty","price":null}"#,
                r#"{"kind":1,"price":"12"}"#,
                "no json",
                r#"{"kind":1}"#,
            ],
        );
        let row = |key: Option<&str>, value: &str| (key.map(str::to_string), value.to_string());
        assert_eq!(
            rows,
            [
                row(Some("7"), r#"{"id":7,"price":229.724,"at":0,"none":null}"#),
                row(Some("x\ty"), r#"{"id":"x\ty","price":null,"at":2,"none":null}"#),
                row(None, r#"{"id":null,"price":null,"at":5,"none":null}"#),
            ]
        );
        assert_eq!(rejections.iter().map(|r| r.index).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn several_fields_make_an_array_key_and_the_value_stays() {
        let key = Some(KeySpec::All(vec!["/a".into(), "/b".into()]));
        let spec = SelectSpec { conditions: Vec::new(), key, output: None };
        let (rows, _) = run(&spec, &[r#"{"b": "x", "a": 1}"#, r#"{"a":2}"#]);
        assert_eq!(rows[0], (Some("[1,\"x\"]".into()), r#"{"b": "x", "a": 1}"#.into()));
        assert_eq!(rows[1].0.as_deref(), Some("[2,null]"));
    }
}
