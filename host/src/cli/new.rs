//! `tidemill new`: the SDK's template, filled in. What it makes builds and passes its test as it is; a test sees to that.

use super::args::NewArgs;
use super::output::Output;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

macro_rules! template {
    ($($name:literal from $file:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../guest-sdk/rust/template/", $file)))),*]
    };
}

/// The files of the project and what is in them. `Cargo.toml` has another name there: it is not a package yet.
const TEMPLATE: [(&str, &str); 6] = template![
    "Cargo.toml" from "Cargo.toml.tmpl",
    "README.md" from "README.md",
    "input.jsonl" from "input.jsonl",
    "pipeline.toml" from "pipeline.toml",
    "src/lib.rs" from "src/lib.rs",
    "tidemill.toml" from "tidemill.toml",
];

pub(crate) fn run(args: &NewArgs, output: &Output) -> Result<()> {
    check_name(&args.name)?;
    let folder = args.path.clone().unwrap_or_else(|| args.name.clone().into());
    let taken = folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file();
    if taken {
        bail!("{} is there already: name another folder with --path", folder.display());
    }
    let sdk = sdk(args.sdk.as_deref())?;
    let dependency = format!("tidemill-sdk = {{ path = {} }}", toml::Value::from(sdk.to_string_lossy().into_owned()));
    for (name, text) in TEMPLATE {
        write(&folder.join(name), &fill(text, &args.name, &dependency))?;
    }
    write(&folder.join(".gitignore"), "/target\ncomponent.wasm\n")?;
    output.data(
        || serde_json::json!({ "name": args.name, "folder": folder.display().to_string(), "sdk": sdk.display().to_string() }),
        || {
            format!(
                "made {name} in {folder}; next:\n  cd {folder}\n  cargo test\n  tidemill build\n  tidemill run pipeline.toml\n",
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

/// The SDK's folder, absolute.
fn sdk(named: Option<&Path>) -> Result<PathBuf> {
    let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk/rust");
    let folder = named.map_or_else(built_from, Path::to_owned);
    if !folder.join("Cargo.toml").is_file() {
        bail!("no SDK in {}: name the folder guest-sdk/rust of Tidemill's source with --sdk", folder.display());
    }
    std::fs::canonicalize(&folder).with_context(|| format!("cannot resolve {}", folder.display()))
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

    #[test]
    fn nothing_of_the_template_stays_unfilled() {
        for (name, text) in TEMPLATE {
            let filled = fill(text, "my-operator", "tidemill-sdk = \"0.1\"");
            assert!(!filled.contains("{{") && !filled.contains("}}"), "{name}: {filled}");
        }
    }

    #[test]
    fn names_that_no_package_can_have_are_refused() {
        for name in ["", "1st", "Upper", "with space", "a/b", "-x", "x-", "ä"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        check_name("word-count-2").unwrap();
    }
}
