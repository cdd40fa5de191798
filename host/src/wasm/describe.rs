//! The descriptor's JSON as a guest gives it, read and checked. `component.rs` calls it once per component.

use super::world::WorldName;
use crate::operator::Descriptor;
use crate::operator::descriptor::{DESCRIPTOR_VERSION, StateDescriptor, StateKind, StateScope};

/// Most entries of one list of a descriptor.
const ENTRIES_MAX: usize = 1_024;

/// Longest name.
const NAME_LEN_MAX: usize = 128;

/// Reads and checks a descriptor; the error says what is wrong with which entry.
pub(super) fn parse(json: &str, world: WorldName) -> Result<Descriptor, String> {
    // The number first: a newer form may well differ in everything else.
    let value: serde_json::Value =
        serde_json::from_str(json).map_err(|e| format!("describe did not return JSON: {e}"))?;
    match value.get("descriptor").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(DESCRIPTOR_VERSION) => {}
        Some(version) => {
            return Err(format!(
                "its descriptor has version {version}; this Tidemill reads version {DESCRIPTOR_VERSION}: build it with a \
                 matching SDK"
            ));
        }
        None => return Err(format!("its descriptor lacks \"descriptor\": {DESCRIPTOR_VERSION}")),
    }
    let descriptor: Descriptor =
        serde_json::from_value(value).map_err(|e| format!("its descriptor does not fit the schema: {e}"))?;
    check(&descriptor)?;
    if world == WorldName::Aggregator {
        check_aggregate(&descriptor)?;
    }
    Ok(descriptor)
}

/// An aggregate computes; what is kept, timed and given out is the window operator's.
fn check_aggregate(descriptor: &Descriptor) -> Result<(), String> {
    let declared = [("states", descriptor.states.len()), ("timers", descriptor.timers.len())];
    if let Some((what, _)) = declared.iter().find(|(_, count)| *count > 0) {
        return Err(format!(
            "its descriptor has {what}; a window aggregate has none, the window operator keeps its accumulators: put what \
             has to last into the accumulator"
        ));
    }
    if descriptor.inputs.len() != 1 || descriptor.outputs.len() > 1 {
        return Err("its descriptor has several inputs or outputs; a window aggregate has one of each".into());
    }
    if descriptor.wants.watermarks {
        return Err("its descriptor wants watermarks; a window aggregate is not told of them".into());
    }
    Ok(())
}

fn check(descriptor: &Descriptor) -> Result<(), String> {
    if descriptor.name.is_empty() {
        return Err("its descriptor has an empty name".into());
    }
    if descriptor.inputs.is_empty() {
        return Err("its descriptor has no input; an operator has at least one".into());
    }
    names("inputs", descriptor.inputs.iter().map(|e| e.name.as_str()))?;
    names("outputs", descriptor.outputs.iter().map(|e| e.name.as_str()))?;
    const LONGEST_MS: i64 = (1 << 53) - 1;
    let wrong = |state: &&StateDescriptor| state.ttl.is_some_and(|ttl| !(1..=LONGEST_MS).contains(&ttl.ms));
    if let Some(state) = descriptor.states.iter().find(wrong) {
        return Err(format!("its state {:?} has a time to live that is not within 1..={LONGEST_MS} ms", state.name));
    }
    let timed = |state: &&StateDescriptor| state.ttl.is_some() && !state.scope.is_key();
    if let Some(state) = descriptor.states.iter().find(timed) {
        return Err(format!("its state {:?} has a time to live; only state of scope \"key\" may", state.name));
    }
    let unlisted = |state: &&StateDescriptor| state.scope == StateScope::Operator && state.kind != StateKind::List;
    if let Some(state) = descriptor.states.iter().find(unlisted) {
        return Err(format!(
            "its state {:?} has scope \"operator\" and is no list; only lists can be divided among other numbers of subtasks",
            state.name
        ));
    }
    names("states", descriptor.states.iter().map(|e| e.name.as_str()))?;
    names("timers", descriptor.timers.iter().map(|e| e.name.as_str()))?;
    names("metrics", descriptor.metrics.iter().map(|e| e.name.as_str()))
}

/// Names of one list: few enough, well-formed, each once.
fn names<'a>(list: &str, entries: impl ExactSizeIterator<Item = &'a str>) -> Result<(), String> {
    if entries.len() > ENTRIES_MAX {
        return Err(format!("its descriptor has {} {list}, at most {ENTRIES_MAX}", entries.len()));
    }
    let mut seen = std::collections::HashSet::new();
    for (i, name) in entries.enumerate() {
        let well_formed = !name.is_empty()
            && name.len() <= NAME_LEN_MAX
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !well_formed {
            return Err(format!(
                "its descriptor's {list}[{i}] is named {name:?}; a name is 1 to {NAME_LEN_MAX} letters, digits, '-' and '_'"
            ));
        }
        if !seen.insert(name) {
            return Err(format!("its descriptor has two {list} named {name:?}; names are unique within their list"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processor(json: &str) -> Result<Descriptor, String> {
        parse(json, WorldName::Processor)
    }

    #[test]
    fn a_descriptor_is_read() {
        let d = processor(
            r#"{"descriptor":1,"name":"n","inputs":[{"name":"events"}],"states":[{"name":"days","kind":"map"}],
                "wants":{"watermarks":true}}"#,
        )
        .unwrap();
        assert_eq!((d.name.as_str(), d.states[0].kind, d.wants.watermarks), ("n", StateKind::Map, true));
    }

    #[test]
    fn every_fault_is_named() {
        for (json, expected) in [
            ("nonsense", "did not return JSON"),
            (r#"{"name":"n"}"#, "lacks \"descriptor\": 1"),
            (r#"{"descriptor":2,"shape":"new"}"#, "has version 2; this Tidemill reads version 1"),
            (r#"{"descriptor":1,"name":"n","inputs":[]}"#, "no input"),
            (r#"{"descriptor":1,"name":"n","inputs":[{"name":"a"}],"colour":1}"#, "unknown field `colour`"),
            (r#"{"descriptor":1,"name":"n","inputs":[{"name":"a"},{"name":"a"}]}"#, "two inputs named \"a\""),
            (r#"{"descriptor":1,"name":"n","inputs":[{"name":"a.b"}]}"#, "inputs[0] is named \"a.b\""),
            (
                r#"{"descriptor":1,"name":"n","inputs":[{"name":"a"}],"states":[{"name":"s","kind":"heap"}]}"#,
                "unknown variant `heap`",
            ),
            (
                r#"{"descriptor":1,"name":"n","inputs":[{"name":"a"}],"states":[{"name":"s","kind":"list","ttl":{"ms":0}}]}"#,
                "time to live that is not within",
            ),
            (
                r#"{"descriptor":1,"name":"n","inputs":[{"name":"a"}],"states":[{"name":"s","kind":"map","scope":"operator"}]}"#,
                "has scope \"operator\" and is no list",
            ),
            (
                r#"{"descriptor":1,"name":"n","inputs":[{"name":"a"}],"states":[{"name":"s","kind":"map","scope":"broadcast","ttl":{"ms":1}}]}"#,
                "only state of scope \"key\" may",
            ),
        ] {
            let message = processor(json).unwrap_err();
            assert!(message.contains(expected), "{json}: {message}");
        }
    }

    #[test]
    fn an_aggregate_declares_no_state_of_its_own() {
        let good = r#"{"descriptor":1,"name":"n","inputs":[{"name":"a"}],"metrics":[{"name":"m","kind":"counter"}]}"#;
        assert_eq!(parse(good, WorldName::Aggregator).unwrap().metrics.len(), 1);
        for (member, expected) in [
            (r#""states":[{"name":"s","kind":"value"}]"#, "has states"),
            (r#""timers":[{"name":"t"}]"#, "has timers"),
            (r#""outputs":[{"name":"o"},{"name":"p"}]"#, "several inputs or outputs"),
            (r#""wants":{"watermarks":true}"#, "wants watermarks"),
        ] {
            let json = format!(r#"{{"descriptor":1,"name":"n","inputs":[{{"name":"a"}}],{member}}}"#);
            let message = parse(&json, WorldName::Aggregator).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
