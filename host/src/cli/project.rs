//! An operator project as its `tidemill.toml` describes it: what it is called, its language, its world, where it begins.
//! `build`, `test` and `dev` read it.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The file's name, in the project's folder.
pub(crate) const FILE: &str = "tidemill.toml";

/// What operators are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    Rust,
    Python,
    #[value(name = "javascript")]
    JavaScript,
    #[value(name = "typescript")]
    TypeScript,
    Go,
    C,
}

impl Language {
    pub(crate) const ALL: [Language; 6] =
        [Language::Rust, Language::Python, Language::JavaScript, Language::TypeScript, Language::Go, Language::C];

    /// As `tidemill.toml` and `--lang` write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Python => "python",
            Language::JavaScript => "javascript",
            Language::TypeScript => "typescript",
            Language::Go => "go",
            Language::C => "c",
        }
    }
}

/// A world of wit/.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum World {
    Processor,
    Aggregator,
}

impl World {
    #[cfg(test)]
    pub(crate) const ALL: [World; 2] = [World::Processor, World::Aggregator];

    pub(crate) fn name(self) -> &'static str {
        match self {
            World::Processor => "processor",
            World::Aggregator => "aggregator",
        }
    }
}

/// What `[component]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Project {
    /// For people.
    pub(crate) name: String,
    pub(crate) language: Language,
    pub(crate) world: World,
    /// Where the program begins, when it is not where its language has it.
    pub(crate) entry: Option<String>,
    /// Another SDK than the one in this program, from the project's folder.
    pub(crate) sdk: Option<PathBuf>,
}

const KEYS: [&str; 5] = ["name", "language", "world", "entry", "sdk"];

impl Project {
    /// Reads and checks a folder's `tidemill.toml`.
    pub(crate) fn read(folder: &Path) -> Result<Project> {
        let file = folder.join(FILE);
        let text = std::fs::read_to_string(&file).with_context(|| {
            format!("cannot read {}: name the folder of an operator project (`tidemill new` makes one)", file.display())
        })?;
        Project::parse(&text).with_context(|| file.display().to_string())
    }

    pub(crate) fn parse(text: &str) -> Result<Project> {
        let mut file: toml::Table = text.parse().context("not TOML")?;
        let Some(toml::Value::Table(component)) = file.remove("component") else { bail!("no [component] in it") };
        if let Some(unknown) = component.keys().chain(file.keys()).find(|key| !KEYS.contains(&key.as_str())) {
            bail!("unknown key {unknown}: [component] has {}", KEYS.join(", "));
        }
        let optional = |key: &str| match component.get(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => bail!("[component] {key} is no text: write {key} = \"...\""),
        };
        let text =
            |key: &str| optional(key)?.with_context(|| format!("[component] has no {key}: write {key} = \"...\""));
        let (name, language, world) = (text("name")?, text("language")?, text("world")?);
        let known = |language: &&Language| language.name() == text("language").unwrap_or_default();
        let Some(&language) = Language::ALL.iter().find(known) else {
            let names = Language::ALL.map(Language::name).join(", ");
            bail!(
                "language {language:?} is not one that `tidemill build` builds ({names}); pipelines take any .wasm component"
            );
        };
        let world = match world.as_str() {
            "processor" => World::Processor,
            "aggregator" => World::Aggregator,
            _ => bail!("world {world:?} is not one of tidemill:operator: write \"processor\" or \"aggregator\""),
        };
        let (entry, sdk) = (optional("entry")?, optional("sdk")?.map(PathBuf::from));
        if entry.is_some() && matches!(language, Language::Rust | Language::Python | Language::C) {
            bail!("entry means nothing to {}: remove it", language.name());
        }
        Ok(Project { name, language, world, entry, sdk })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[component]\nname = \"x\"\nlanguage = \"rust\"\nworld = \"processor\"\n";

    #[test]
    fn every_language_and_world_is_read() {
        let rust = Project::parse(GOOD).unwrap();
        assert_eq!((rust.name.as_str(), rust.language, rust.world), ("x", Language::Rust, World::Processor));
        for language in Language::ALL {
            let read = Project::parse(&GOOD.replace("\"rust\"", &format!("{:?}", language.name()))).unwrap();
            assert_eq!(read.language, language);
        }
        let text = GOOD.replace("rust", "python").replace("processor", "aggregator").replace("python", "go")
            + "entry = \"./cmd\"\nsdk = \"../sdk\"\n";
        let read = Project::parse(&text).unwrap();
        assert_eq!(
            (read.world, read.entry, read.sdk),
            (World::Aggregator, Some("./cmd".into()), Some("../sdk".into()))
        );
    }

    #[test]
    fn what_cannot_be_built_is_said() {
        for (from, to, word) in [
            ("\"rust\"", "\"cobol\"", "language \"cobol\""),
            ("\"rust\"", "5", "language is no text"),
            ("\"processor\"", "\"greeter\"", "world \"greeter\""),
            ("name", "nmae", "unknown key nmae"),
            ("[component]", "[component]\nentry = \"main\"", "entry means nothing to rust"),
            ("[component]", "[operator]", "no [component]"),
            ("language = \"rust\"\n", "", "no language"),
            ("name =", "name", "not TOML"),
        ] {
            let error = format!("{:#}", Project::parse(&GOOD.replace(from, to)).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}
