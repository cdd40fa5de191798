//! An operator project as its `tidemill.toml` describes it: what it is called, its language and its world. `build` reads it.

use anyhow::{Context, Result, bail};
use std::path::Path;

/// The file's name, in the project's folder.
const FILE: &str = "tidemill.toml";

/// What `[component]` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Project {
    /// For people.
    pub(crate) name: String,
}

impl Project {
    /// Reads and checks a folder's `tidemill.toml`.
    pub(crate) fn read(folder: &Path) -> Result<Project> {
        let file = folder.join(FILE);
        let text = std::fs::read_to_string(&file).with_context(|| {
            format!("cannot read {}: name the folder of an operator project (`tidemill new` makes one)", file.display())
        })?;
        Project::parse(&text).with_context(|| file.display().to_string())
    }

    fn parse(text: &str) -> Result<Project> {
        let mut file: toml::Table = text.parse().context("not TOML")?;
        let Some(toml::Value::Table(component)) = file.remove("component") else { bail!("no [component] in it") };
        let keys = || component.keys().chain(file.keys());
        if let Some(unknown) = keys().find(|key| !["name", "language", "world"].contains(&key.as_str())) {
            bail!("unknown key {unknown}: [component] has name, language and world");
        }
        let text = |key: &str| {
            let value = component.get(key).and_then(toml::Value::as_str);
            value.with_context(|| format!("[component] has no {key}: write {key} = \"...\""))
        };
        let (name, language, world) = (text("name")?, text("language")?, text("world")?);
        if language != "rust" {
            bail!(
                "language {language:?} is not built by `tidemill build` yet: only \"rust\" is; pipelines take any .wasm component"
            );
        }
        if !["processor", "aggregator"].contains(&world) {
            bail!("world {world:?} is not one that this version runs: write \"processor\" or \"aggregator\"");
        }
        Ok(Project { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_built_is_said() {
        let good = "[component]\nname = \"x\"\nlanguage = \"rust\"\nworld = \"processor\"\n";
        assert_eq!(Project::parse(good).unwrap(), Project { name: "x".into() });
        for (from, to, word) in [
            ("\"rust\"", "\"go\"", "language \"go\""),
            ("\"processor\"", "\"greeter\"", "world \"greeter\""),
            ("name", "nmae", "unknown key nmae"),
            ("[component]", "[operator]", "no [component]"),
            ("language = \"rust\"\n", "", "no language"),
            ("name =", "name", "not TOML"),
        ] {
            let error = format!("{:#}", Project::parse(&good.replace(from, to)).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}
