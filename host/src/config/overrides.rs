//! Overrides of a pipeline file from the command line, applied to the parsed document before anything is checked.

use super::document::{Document, Entry, Node, Origin, Value, override_value};
use super::error::{ConfigError, did_you_mean};
use std::sync::Arc;

/// What the command line changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--set a.b.c=value`, in order: (path, value). The value is TOML if it parses as such, else text.
    pub set: Vec<(String, String)>,
    /// `--parallelism N`: the pipeline's, and every operator's that sets its own.
    pub parallelism: Option<u32>,
}

impl Overrides {
    /// Splits the text of one `--set`.
    pub fn split(text: &str) -> Result<(String, String), ConfigError> {
        match text.split_once('=') {
            Some((path, value)) if !path.trim().is_empty() => Ok((path.trim().to_string(), value.to_string())),
            _ => Err(ConfigError::new(
                format!("--set {text}"),
                "it needs a path and a value; write --set sources.NAME.file.path=VALUE",
            )),
        }
    }
}

/// The tables whose keys are names of nodes: an override reaches only nodes that are there, so that a mistyped name does
/// not become a new node.
const NODES: [&str; 3] = ["sources", "operators", "sinks"];

/// Writes every `--set` into the document.
pub(super) fn apply(document: &mut Document, set: &[(String, String)]) -> Result<(), ConfigError> {
    for (path, raw) in set {
        let path: Arc<str> = path.as_str().into();
        let place = Origin::Set { path: path.clone(), raw: raw.as_str().into() };
        let keys: Vec<&str> = path.split('.').collect();
        if keys.iter().any(|key| key.is_empty()) {
            return Err(document
                .source
                .error(&place, "the path has an empty part; write names with one '.' between them"));
        }
        if NODES.contains(&keys[0]) {
            node_must_exist(document, &place, &keys)?;
        }
        put(document, &place, &keys, override_value(&path, raw))?;
    }
    Ok(())
}

fn node_must_exist(document: &Document, place: &Origin, keys: &[&str]) -> Result<(), ConfigError> {
    let [section, name, ..] = keys else {
        let mend = format!("a whole section cannot be set; write --set {}.NAME.KEY=VALUE", keys[0]);
        return Err(document.source.error(place, mend));
    };
    let Value::Table(root) = &document.root.value else { return Ok(()) };
    let names: Vec<&str> = match root.iter().find(|e| e.key == *section).map(|e| &e.node.value) {
        Some(Value::Table(entries)) => entries.iter().map(|e| e.key.as_str()).collect(),
        _ => Vec::new(),
    };
    if names.contains(name) {
        return Ok(());
    }
    let known = if names.is_empty() { "none".to_string() } else { names.join(", ") };
    Err(document.source.error(
        place,
        format!(
            "{} has no [{section}.{name}]{}; {section} there: {known}",
            document.source.file(),
            did_you_mean(name, names.iter().copied())
        ),
    ))
}

fn put(document: &mut Document, place: &Origin, keys: &[&str], value: Node) -> Result<(), ConfigError> {
    let Some((last, parents)) = keys.split_last() else { return Ok(()) };
    let mut node = &mut document.root;
    for (depth, key) in parents.iter().enumerate() {
        let Value::Table(entries) = &mut node.value else { return Ok(()) };
        node = entry(entries, key, place);
        if !matches!(node.value, Value::Table(_)) {
            let (walked, kind) = (keys[..=depth].join("."), node.value.kind());
            return Err(document.source.error(place, format!("{walked} is {kind}; nothing can be set in it")));
        }
    }
    if let Value::Table(entries) = &mut node.value {
        *entry(entries, last, place) = value;
    }
    Ok(())
}

/// The value of a key, made an empty table if it is not there.
fn entry<'a>(entries: &'a mut Vec<Entry>, key: &str, place: &Origin) -> &'a mut Node {
    let at = match entries.iter().position(|e| e.key == key) {
        Some(at) => at,
        None => {
            let node = Node { value: Value::Table(Vec::new()), origin: place.clone() };
            entries.push(Entry { key: key.to_string(), key_origin: place.clone(), node });
            entries.len() - 1
        }
    };
    &mut entries[at].node
}
