//! The documents are true: every pipeline and settings block in them is read as the program reads it, the broken ones give
//! the error that is printed below them, and every key that the reader knows is described.

use std::fs;
use std::path::{Path, PathBuf};
use tidemill::config::Overrides;
use tidemill::config::parse::load;
use tidemill::config::settings::Settings;

const REFERENCE: &str = "docs/pipeline-file.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host lies in the root").to_owned()
}

fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a document")
}

/// Fenced blocks in order: (what stands behind the fence, text).
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((kind.to_string(), inside.join("\n") + "\n"));
        }
    }
    blocks
}

/// Reads a text as a pipeline file; errors name it `pipeline.toml`.
fn read_pipeline(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pipeline.toml");
    fs::write(&file, text).expect("written");
    let place = format!("{}/", folder.path().display());
    load(&file, &Overrides::default()).map(drop).map_err(|e| e.to_string().replace(&place, ""))
}

#[test]
fn every_pipeline_in_the_documents_is_read() {
    let mut read = 0;
    for path in [REFERENCE, "README.md"] {
        for (kind, text) in blocks(&document(path)) {
            if kind == "toml" && text.contains("[pipeline]") {
                read_pipeline(&text).unwrap_or_else(|e| panic!("{path}: {e}\n{text}"));
                read += 1;
            }
        }
    }
    assert!(read >= 2, "{read} pipelines");
}

#[test]
fn every_broken_pipeline_gives_the_error_below_it() {
    let blocks = blocks(&document(REFERENCE));
    let broken = blocks.windows(2).filter(|pair| pair[0].0 == "toml broken");
    let mut read = 0;
    for pair in broken {
        assert_eq!(pair[1].0, "text", "the error stands below the pipeline");
        let shown = pair[1].1.trim_end().trim_start_matches("error: ").replace("\n  ", " ");
        assert_eq!(read_pipeline(&pair[0].1), Err(shown));
        read += 1;
    }
    assert!(read >= 2, "{read} broken pipelines");
}

#[test]
fn every_settings_block_is_read_and_every_default_is_named() {
    let text = document(REFERENCE);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("settings.toml");
    let settings = blocks(&text).into_iter().filter(|(kind, text)| kind == "toml" && !text.contains("[pipeline]"));
    for (_, block) in settings {
        fs::write(&file, &block).expect("written");
        Settings::load(Some(&file)).unwrap_or_else(|e| panic!("{e}\n{block}"));
    }
    let defaults: toml::Table = document("host/default.toml").parse().expect("TOML");
    for (section, keys) in defaults {
        for (key, value) in keys.as_table().expect("a section") {
            let row = text.lines().find(|line| line.starts_with(&format!("| `{section}.{key}` |")));
            let row = row.unwrap_or_else(|| panic!("{REFERENCE} has no row for {section}.{key}"));
            assert!(row.contains(&format!("`{value}`")), "the default of {section}.{key} is {value}: {row}");
        }
    }
}

/// The words between quotes that follow `before` in a text, up to `until`.
fn quoted<'a>(text: &'a str, before: &str, until: &str) -> Vec<&'a str> {
    let lists = text.split(before).skip(1).map(|rest| rest.split(until).next().unwrap_or(""));
    lists.flat_map(|list| list.split('"').skip(1).step_by(2)).collect()
}

#[test]
fn every_key_and_word_that_the_reader_knows_is_described() {
    let text = document(REFERENCE);
    let mut known = Vec::new();
    for file in ["parse/mod.rs", "parse/source.rs", "parse/operator.rs", "parse/sink.rs", "settings.rs"] {
        let code = document(&format!("host/src/config/{file}"));
        let keys = quoted(&code, ".table(&[", "])").into_iter().chain(quoted(&code, "let keys = [", "]"));
        // Words and what they mean: `("csv", FileFormat::Csv)`.
        let words = code.split("(\"").skip(1).filter_map(|rest| rest.split_once("\", "));
        let words = words.filter(|(_, after)| after.starts_with(char::is_uppercase)).map(|(word, _)| word);
        known.extend(keys.chain(words).map(str::to_string));
    }
    assert!(known.len() > 40, "only {known:?}");
    let missing: Vec<String> = known
        .into_iter()
        .filter(|key| !text.contains(&format!("`{key}`")) && !text.contains(&format!(".{key}`")))
        .collect();
    assert!(missing.is_empty(), "{REFERENCE} does not describe {missing:?}");
}
