//! The SDKs of the languages without a package registry of ours, carried in the program: their files are written to
//! `.tidemill/sdk` of a project by `new`, and brought up to date there by each `build`. `.tidemill` is never edited and
//! not kept in version control. A project that names another SDK (`sdk` in tidemill.toml) has none.

use super::super::project::{Language, Project};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where generated files of a project lie.
pub(crate) const GENERATED: &str = ".tidemill";

type Files = &'static [(&'static str, &'static str)];

macro_rules! files {
    ($language:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../guest-sdk/", $language, "/", $name)))),*]
    };
}

/// What a project needs at run time and in its unit tests, from guest-sdk/LANGUAGE. A test compares it with what is there.
fn carried(language: Language) -> Files {
    match language {
        Language::Rust => &[], // cargo has it by path
        Language::Python => files![
            "python":
            "tidemill/__init__.py",
            "tidemill/aggregator.py",
            "tidemill/call.py",
            "tidemill/codec.py",
            "tidemill/columns.py",
            "tidemill/component/__init__.py",
            "tidemill/component/aggregator.py",
            "tidemill/component/processor.py",
            "tidemill/config.py",
            "tidemill/context.py",
            "tidemill/declare.py",
            "tidemill/errors.py",
            "tidemill/event.py",
            "tidemill/headers.py",
            "tidemill/host.py",
            "tidemill/list_state.py",
            "tidemill/log.py",
            "tidemill/map_state.py",
            "tidemill/memory_host.py",
            "tidemill/metrics.py",
            "tidemill/operator.py",
            "tidemill/output.py",
            "tidemill/py.typed",
            "tidemill/runner.py",
            "tidemill/state.py",
            "tidemill/testing.py",
            "tidemill/timers.py",
            "tidemill/ttl.py",
        ],
        Language::JavaScript | Language::TypeScript => files![
            "javascript":
            "aggregator.d.ts",
            "index.d.ts",
            "package.json",
            "src/aggregate_runner.js",
            "src/aggregator.js",
            "src/bytes.js",
            "src/call.js",
            "src/codec.js",
            "src/columns.js",
            "src/declare.js",
            "src/errors.js",
            "src/event.js",
            "src/exports.js",
            "src/headers.js",
            "src/host/aggregator.js",
            "src/host/none.js",
            "src/host/processor.js",
            "src/index.js",
            "src/list.js",
            "src/log.js",
            "src/map.js",
            "src/memory_host.js",
            "src/metrics.js",
            "src/output.js",
            "src/runner.js",
            "src/testing.js",
            "src/timers.js",
            "src/ttl.js",
            "src/value.js",
            "testing.d.ts",
        ],
        Language::Go => files!["go":
            "aggregate/aggregate.go",
            "aggregate/exports.go",
            "aggregate/register.go",
            "aggregate/runner.go",
            "exports.go",
            "go.mod",
            "internal/guest/answer.go",
            "internal/guest/call.go",
            "internal/guest/codec.go",
            "internal/guest/config.go",
            "internal/guest/declare.go",
            "internal/guest/error.go",
            "internal/guest/event.go",
            "internal/guest/headers.go",
            "internal/guest/keys.go",
            "internal/guest/metric.go",
            "internal/guest/ttl.go",
            "internal/host/arena.go",
            "internal/host/columns.go",
            "internal/host/native.go",
            "internal/host/result.go",
            "internal/host/wasm.go",
            "internal/host/windows.go",
            "list.go",
            "map.go",
            "output.go",
            "register.go",
            "runner.go",
            "slots.go",
            "tidemill.go",
            "tidetest/aggregate.go",
            "tidetest/harness.go",
            "tidetest/memory.go",
            "timer.go",
            "value.go",
        ],
        Language::C => files!["c":
            "aggregator.c",
            "call.c",
            "columns.c",
            "component.c",
            "describe.c",
            "double.c",
            "format.c",
            "internal.h",
            "json.c",
            "list.c",
            "map.c",
            "memory.c",
            "metric.c",
            "output.c",
            "processor.c",
            "slots.c",
            "test_host.c",
            "test_host.h",
            "tidemill.h",
            "tidemill_test.c",
            "tidemill_test.h",
            "timer.c",
            "value.c",
        ],
    }
}

/// The project's SDK folder, up to date.
pub(crate) fn ensure(folder: &Path, project: &Project) -> Result<PathBuf> {
    if let Some(sdk) = &project.sdk {
        let sdk = folder.join(sdk);
        return std::fs::canonicalize(&sdk)
            .with_context(|| format!("sdk in tidemill.toml: cannot read {}", sdk.display()));
    }
    let files = carried(project.language);
    if files.is_empty() {
        bail!("this program carries no SDK for {}: name its folder as sdk in tidemill.toml", project.language.name());
    }
    let sdk = folder.join(GENERATED).join("sdk");
    write(&sdk, files)?;
    Ok(sdk)
}

/// Makes the folder hold these files and no others; a file that is right already keeps its time.
fn write(sdk: &Path, files: Files) -> Result<()> {
    for (name, text) in files {
        let file = sdk.join(name);
        if std::fs::read(&file).is_ok_and(|there| there == text.as_bytes()) {
            continue;
        }
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        // Whole or not at all: another build of the same project may read it now.
        let aside = file.with_extension(format!("new-{}", std::process::id()));
        std::fs::write(&aside, text).with_context(|| format!("cannot write {}", aside.display()))?;
        std::fs::rename(&aside, &file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let wanted: BTreeSet<PathBuf> = files.iter().map(|(name, _)| sdk.join(name)).collect();
    for stale in listed(sdk).into_iter().filter(|file| !wanted.contains(file) && !is_made_by_tools(file)) {
        std::fs::remove_file(&stale).with_context(|| format!("cannot remove {}", stale.display()))?;
    }
    Ok(())
}

/// Compiled Python, say.
fn is_made_by_tools(file: &Path) -> bool {
    file.components().any(|part| ["__pycache__", "node_modules"].iter().any(|name| part.as_os_str() == *name))
        || file.to_string_lossy().contains(".new-")
}

/// All files below a folder. Links are not followed: packages link to each other, in circles too.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files.extend(listed(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of guest-sdk/LANGUAGE, what is not for a project: tests, the template, the conformance operator, tools' droppings.
    const APART: [&str; 11] = [
        "template",
        "template-aggregator",
        "tests",
        "test",
        "conformance",
        "conformance-typescript",
        "examples",
        "node_modules",
        "__pycache__",
        ".pytest_cache",
        ".venv",
    ];

    #[test]
    fn every_file_of_an_sdk_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk");
        for language in [Language::Python, Language::JavaScript, Language::Go, Language::C] {
            let folder = root.join(language.name());
            let apart = |file: &Path| {
                let names = file.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
                names.into_iter().any(|name| APART.contains(&name.as_str()) || name.ends_with("_test.go"))
            };
            let own = listed(&folder).into_iter().map(|file| file.strip_prefix(&folder).unwrap().to_owned());
            let there: BTreeSet<PathBuf> = own.filter(|file| !apart(file)).collect();
            let carried: BTreeSet<PathBuf> = carried(language).iter().map(|(name, _)| PathBuf::from(name)).collect();
            assert_eq!(there, carried, "{}: correct `carried`", language.name());
        }
    }

    #[test]
    fn the_folder_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let sdk = folder.path().join("sdk");
        write(&sdk, &[("a.py", "one"), ("pkg/b.py", "two")]).unwrap();
        std::fs::create_dir_all(sdk.join("pkg/__pycache__")).unwrap();
        std::fs::write(sdk.join("pkg/__pycache__/b.pyc"), "compiled").unwrap();
        write(&sdk, &[("a.py", "three")]).unwrap();
        assert_eq!(std::fs::read_to_string(sdk.join("a.py")).unwrap(), "three");
        let left: BTreeSet<PathBuf> = listed(&sdk).into_iter().collect();
        assert_eq!(left, BTreeSet::from([sdk.join("a.py"), sdk.join("pkg/__pycache__/b.pyc")]));
    }
}
