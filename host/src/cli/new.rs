//! `tidemill new`: the template of a language's SDK, filled in. What it makes builds and passes its test as it is; a test sees to that.

use super::args::NewArgs;
use super::build;
use super::output::Output;
use super::project::{self, Language, Project, World};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Files of a project: their names in it, and what is in them.
type Template = &'static [(&'static str, &'static str)];

macro_rules! template {
    ($folder:literal: $($name:literal $(from $file:literal)?),* $(,)?) => {
        &[$(($name, template!(@text $folder, $name $(, $file)?))),*]
    };
    (@text $folder:literal, $name:literal) => {
        include_str!(concat!("../../../guest-sdk/", $folder, "/", $name))
    };
    (@text $folder:literal, $name:literal, $file:literal) => {
        include_str!(concat!("../../../guest-sdk/", $folder, "/", $file))
    };
}

/// The template of a language and world. `Cargo.toml` and `go.mod` have other names there: it is not a package yet.
fn template(language: Language, world: World) -> Template {
    match (language, world) {
        (Language::Rust, World::Processor) => template!["rust/template":
            "Cargo.toml" from "Cargo.toml.tmpl", "README.md", "input.jsonl", "pipeline.toml", "src/lib.rs",
            "tests/longest.toml", "tidemill.toml"],
        (Language::Rust, World::Aggregator) => template!["rust/template-aggregator":
            "Cargo.toml" from "Cargo.toml.tmpl", "README.md", "input.jsonl", "pipeline.toml", "src/lib.rs",
            "tests/lengths.toml", "tidemill.toml"],
        (Language::Python, World::Processor) => template!["python/template":
            "README.md", "input.jsonl", "pipeline.toml", "src/main.py", "tests/__init__.py", "tests/longest.toml",
            "tests/test_main.py", "tidemill.toml"],
        (Language::Python, World::Aggregator) => template!["python/template-aggregator":
            "README.md", "input.jsonl", "pipeline.toml", "src/main.py", "tests/__init__.py", "tests/lengths.toml",
            "tests/test_main.py", "tidemill.toml"],
        (Language::JavaScript, World::Processor) => template!["javascript/template/javascript":
            "README.md", "input.jsonl", "package.json", "pipeline.toml", "src/operator.js", "tests/longest.toml",
            "tests/operator.test.js", "tidemill.toml"],
        (Language::JavaScript, World::Aggregator) => template!["javascript/template-aggregator/javascript":
            "README.md", "input.jsonl", "package.json", "pipeline.toml", "src/operator.js", "tests/lengths.toml",
            "tests/operator.test.js", "tidemill.toml"],
        (Language::TypeScript, World::Processor) => template!["javascript/template/typescript":
            "README.md", "input.jsonl", "package.json", "pipeline.toml", "src/operator.ts", "tests/longest.toml",
            "tests/operator.test.ts", "tidemill.toml", "tsconfig.json"],
        (Language::TypeScript, World::Aggregator) => template!["javascript/template-aggregator/typescript":
            "README.md", "input.jsonl", "package.json", "pipeline.toml", "src/operator.ts", "tests/lengths.toml",
            "tests/operator.test.ts", "tidemill.toml", "tsconfig.json"],
        (Language::Go, World::Processor) => template!["go/template":
            "README.md", "go.mod" from "go.mod.tmpl", "input.jsonl", "main.go", "main_test.go", "pipeline.toml",
            "tests/longest.toml", "tidemill.toml"],
        (Language::Go, World::Aggregator) => template!["go/template-aggregator":
            "README.md", "go.mod" from "go.mod.tmpl", "input.jsonl", "main.go", "main_test.go", "pipeline.toml",
            "tests/lengths.toml", "tidemill.toml"],
        (Language::C, World::Processor) => template!["c/template":
            "Makefile", "README.md", "input.jsonl", "pipeline.toml", "src/main.c", "tests/longest.toml", "tests/test.c",
            "tidemill.toml"],
        (Language::C, World::Aggregator) => template!["c/template-aggregator":
            "Makefile", "README.md", "input.jsonl", "pipeline.toml", "src/main.c", "tests/lengths.toml", "tests/test.c",
            "tidemill.toml"],
    }
}

/// Not for version control.
const IGNORED: &str =
    "/target\n/data\n/tidemill-data\n/.tidemill\n/.venv\nnode_modules/\n__pycache__/\ncomponent.wasm\n";

pub(crate) fn run(args: &NewArgs, output: &Output) -> Result<()> {
    check_name(&args.name)?;
    let folder = args.path.clone().unwrap_or_else(|| args.name.clone().into());
    let taken = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file();
    if taken {
        bail!("{} is there already: name another folder with --path", folder.display());
    }
    let sdk = sdk(args)?;
    let path = |sdk: &Path| toml::Value::from(sdk.to_string_lossy().into_owned());
    let dependency =
        sdk.as_deref().map_or_else(String::new, |sdk| format!("tidemill-sdk = {{ path = {} }}", path(sdk)));
    for (name, text) in template(args.language, args.world) {
        let mut text = fill(text, &args.name, &dependency);
        if *name == project::FILE
            && args.language != Language::Rust
            && let Some(sdk) = &sdk
        {
            text.push_str(&format!("sdk = {}\n", path(sdk)));
        }
        write(&folder.join(name), &text)?;
    }
    write(&folder.join(".gitignore"), IGNORED)?;
    // So that its own tests find the SDK before anything is built.
    build::prepare(&folder, &Project::read(&folder)?)?;
    let tests = match args.language {
        Language::Rust => "cargo test",
        Language::Python => "python3 -m unittest",
        Language::JavaScript => "npm test",
        Language::TypeScript => "npm install\n  npm test",
        Language::Go => "go test ./...",
        Language::C => "make test",
    };
    output.data(
        || {
            serde_json::json!({
                "name": args.name,
                "language": args.language.name(),
                "world": args.world.name(),
                "folder": folder.display().to_string(),
                "sdk": sdk.as_ref().map(|sdk| sdk.display().to_string()),
            })
        },
        || {
            format!(
                "made {name} in {folder}; next:\n  cd {folder}\n  {tests}\n  tidemill test\n  tidemill build\n  tidemill run pipeline.toml\n",
                name = args.name,
                folder = folder.display()
            )
        },
    )
}

/// A name that is good for a package, a stream's scope and a folder.
fn check_name(name: &str) -> Result<()> {
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !letters || !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.ends_with('-') || name.len() > 64 {
        bail!("name {name:?}: write lower-case letters, digits and '-', a letter first, at most 64 in all");
    }
    Ok(())
}

/// The SDK's folder, absolute: the one named, or for Rust, whose SDK cargo must find, that of this program's source. The
/// other SDKs are carried in the program.
fn sdk(args: &NewArgs) -> Result<Option<PathBuf>> {
    let rust = args.language == Language::Rust;
    let built_from = || rust.then(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk/rust"));
    let Some(folder) = args.sdk.clone().or_else(built_from) else { return Ok(None) };
    if !folder.is_dir() || (rust && !folder.join("Cargo.toml").is_file()) {
        let name = if args.language == Language::TypeScript { "javascript" } else { args.language.name() };
        bail!("no SDK in {}: name the folder guest-sdk/{name} of Tidemill's source with --sdk", folder.display());
    }
    std::fs::canonicalize(&folder).map(Some).with_context(|| format!("cannot resolve {}", folder.display()))
}

fn fill(text: &str, name: &str, dependency: &str) -> String {
    text.replace("{{name}}", name).replace("{{sdk}}", dependency)
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them.
    fn templates() -> impl Iterator<Item = (Language, World, Template)> {
        let pairs = Language::ALL.into_iter().flat_map(|language| World::ALL.map(|world| (language, world)));
        pairs.map(|(language, world)| (language, world, template(language, world)))
    }

    #[test]
    fn nothing_of_a_template_stays_unfilled_and_each_is_of_its_language_and_world() {
        for (language, world, template) in templates() {
            let filled = |text: &str| fill(text, "my-operator", "tidemill-sdk = \"0.1\"");
            for (name, text) in template {
                let filled = filled(text);
                assert!(!filled.contains("{{") && !filled.contains("}}"), "{} {name}: {filled}", language.name());
            }
            let text = |name: &str| filled(template.iter().find(|file| file.0 == name).expect(name).1);
            let project = Project::parse(&text("tidemill.toml")).unwrap();
            assert_eq!((project.language, project.world, project.name.as_str()), (language, world, "my-operator"));
            assert!(text("pipeline.toml").contains("name = \"my-operator\""));
        }
    }

    #[test]
    fn every_file_of_a_template_is_carried() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk");
        let folders = [
            "rust/template",
            "rust/template-aggregator",
            "python/template",
            "python/template-aggregator",
            "javascript/template",
            "javascript/template-aggregator",
            "go/template",
            "go/template-aggregator",
            "c/template",
            "c/template-aggregator",
        ];
        let carried: usize = templates().map(|(_, _, template)| template.len()).sum();
        let there: usize = folders.iter().map(|folder| build::fresh::files(&sdk.join(folder)).len()).sum();
        assert_eq!(carried, there, "correct `template`");
    }

    #[test]
    fn names_that_no_package_can_have_are_refused() {
        for name in ["", "1st", "Upper", "with space", "a/b", "-x", "x-", "ä"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        check_name("word-count-2").unwrap();
    }
}
