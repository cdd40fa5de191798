//! The arrows and habits of docs/architecture.md, checked on the source text: who may name whom, how files look.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders with Rust of ours.
const SOURCES: [&str; 5] = ["storage", "host", "xtask", "guest-sdk", "examples"];
/// The longest file, with its tests.
const LINES_MAX: usize = 600;

/// Which modules of the host each top-level module may name, besides itself and `clock`.
const ARROWS: [(&str, &[&str]); 11] = [
    ("clock.rs", &[]),
    ("remote_tier.rs", &["config"]),
    ("telemetry.rs", &[]),
    ("config", &[]),
    // Built-in operators: their settings are config's plain data, JSON is searched by connector/json.rs.
    ("operator", &["config", "connector", "state"]),
    ("state", &["operator"]),
    ("connector", &["config"]),
    ("wasm", &["config", "operator", "state"]),
    ("dataflow", &["config", "connector", "operator", "state"]),
    ("checkpoint", &["dataflow"]),
    ("bench", &["config", "job", "operator", "state", "wasm"]),
];

#[derive(Debug)]
struct Source {
    /// From the repository's root, with '/'.
    path: String,
    text: String,
}

impl Source {
    /// Without comments; strings stay.
    fn code(&self) -> String {
        let code = |line: &str| line.split_once("//").map_or(line, |(code, _)| code).to_owned();
        self.text.lines().map(code).collect::<Vec<_>>().join("\n")
    }

    fn is_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host lies in the root").to_owned()
}

fn collect(folder: &Path, root: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let entry = entry.expect("an entry");
        // Packages of other languages link to each other, in circles too.
        let (path, is_folder) = (entry.path(), entry.file_type().expect("its type").is_dir());
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if is_folder && !["target", "node_modules"].contains(&&*name) && !name.starts_with('.') {
            collect(&path, root, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let path = path.strip_prefix(root).expect("under the root").to_string_lossy().replace('\\', "/");
            sources.push(Source { path, text });
        }
    }
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    for folder in SOURCES.map(|folder| root.join(folder)).iter().filter(|folder| folder.is_dir()) {
        collect(folder, &root, &mut sources);
    }
    assert!(sources.len() > 50, "only {} source files found under {}", sources.len(), root.display());
    sources
}

/// Fails with every offender of a rule.
fn nobody(rule: &str, offenders: impl IntoIterator<Item = String>) {
    let offenders: Vec<String> = offenders.into_iter().collect();
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

/// Files outside of `allowed` whose code names a crate.
fn naming(krate: &str, allowed: &[&str]) -> Vec<String> {
    let patterns = [format!("{krate}::"), format!("use {krate};"), format!("extern crate {krate}")];
    let names = |source: &Source| {
        let code = source.code();
        let word = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        patterns.iter().any(|pattern| code.match_indices(pattern.as_str()).any(|(at, _)| word(at)))
    };
    let outside = |source: &Source| !allowed.iter().any(|folder| source.is_in(folder));
    sources().into_iter().filter(outside).filter(names).map(|source| source.path).collect()
}

#[test]
fn only_storage_names_redb() {
    nobody("only storage may name redb", naming("redb", &["storage"]));
}

#[test]
fn only_the_wasm_module_names_wasmtime() {
    nobody("only host/src/wasm may name wasmtime", naming("wasmtime", &["host/src/wasm"]));
}

#[test]
fn only_the_command_line_names_clap_and_prints() {
    nobody("only host/src/cli may name clap", naming("clap", &["host/src/cli"]));
    let prints = |source: &Source| {
        let code = source.code();
        ["println!", "print!", "dbg!"].iter().any(|word| code.contains(word))
    };
    let library =
        |source: &Source| (source.is_in("host/src") || source.is_in("storage/src")) && !source.is_in("host/src/cli");
    let offenders = sources().into_iter().filter(library).filter(prints).map(|source| source.path);
    nobody("only host/src/cli may print; others return or use tracing", offenders);
}

/// Modules of its own crate that the code names: after `crate::`, also in braces.
fn crate_modules(code: &str) -> BTreeSet<String> {
    let ident = |text: &str| {
        let name = text.trim_start().split(|c: char| !(c.is_alphanumeric() || c == '_')).next();
        name.filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let mut modules = BTreeSet::new();
    for (at, word) in code.match_indices("crate::") {
        if code[..at].ends_with(['$', '_']) {
            continue;
        }
        let rest = &code[at + word.len()..];
        let Some(inside) = rest.strip_prefix('{') else {
            modules.extend(ident(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (i, c) in inside.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    modules.extend(ident(&inside[start..i]));
                    start = i + 1;
                    if c == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    modules
}

#[test]
fn modules_of_the_host_name_only_what_lies_below_them() {
    let all = sources();
    let mut offenders = Vec::new();
    for (module, allowed) in ARROWS {
        let (folder, name) = (format!("host/src/{module}"), module.trim_end_matches(".rs"));
        let own: Vec<&Source> = all.iter().filter(|source| source.path == folder || source.is_in(&folder)).collect();
        assert!(!own.is_empty(), "no module {folder}: correct ARROWS");
        for source in own {
            for named in crate_modules(&source.code()) {
                if named != name && named != "clock" && !allowed.contains(&named.as_str()) {
                    offenders.push(format!("{} names crate::{named}", source.path));
                }
            }
        }
    }
    nobody("an arrow points upwards or sideways (docs/architecture.md)", offenders);
}

#[test]
fn every_module_of_the_host_has_its_arrows() {
    let known: BTreeSet<&str> = ARROWS.iter().map(|(module, _)| module.trim_end_matches(".rs")).collect();
    // The top: these may name everything below.
    let top: BTreeSet<&str> = ["cli", "http", "job", "main", "lib"].into();
    let modules = fs::read_dir(root().join("host/src")).expect("host/src").map(|entry| entry.expect("an entry").path());
    let names = modules.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    let unknown = names.filter(|name| !known.contains(name.as_str()) && !top.contains(name.as_str()));
    nobody("a module without arrows: say in ARROWS what it may name", unknown);
}

#[test]
fn the_checkpoint_protocol_is_pure() {
    let path = root().join("host/src/checkpoint/protocol.rs");
    let text = fs::read_to_string(path).expect("the protocol");
    let code = Source { path: String::new(), text }.code();
    let words: BTreeSet<&str> = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let impure =
        ["Store", "Clock", "clock", "Instant", "SystemTime", "crossbeam_channel", "mpsc", "Sender", "Receiver"];
    let impure = impure.into_iter().chain(["async", "await", "thread", "tokio", "fs", "Mutex", "tracing"]);
    nobody("checkpoint/protocol.rs decides; it must not act", impure.filter(|w| words.contains(w)).map(str::to_owned));
}

#[test]
fn storage_and_guests_do_not_depend_on_what_is_above_them() {
    let forbidden: [(&str, &[&str]); 2] = [
        ("storage/Cargo.toml", &["tidemill", "wasmtime", "tokio", "axum", "clap", "tidemill-sdk"]),
        ("guest-sdk/rust/Cargo.toml", &["tidemill", "tidemill-storage", "wasmtime", "redb", "tokio"]),
    ];
    let mut offenders = Vec::new();
    for (manifest, crates) in forbidden {
        let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
        let parsed: toml::Table = text.parse().expect("TOML");
        let dependencies = parsed["dependencies"].as_table().expect("dependencies");
        let found = crates.iter().filter(|name| dependencies.contains_key(**name));
        offenders.extend(found.map(|name| format!("{manifest}: {name}")));
    }
    nobody("a lower crate depends on an upper one", offenders);
}

#[test]
fn every_file_says_first_what_it_is() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//!")).map(|source| source.path);
    nobody("a file must begin with a //! sentence that names its concept", silent);
}

#[test]
fn no_file_is_too_long() {
    let long = |source: Source| {
        let lines = source.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{} has {lines} lines", source.path))
    };
    nobody(&format!("split what is longer than {LINES_MAX} lines"), sources().into_iter().filter_map(long));
}

#[test]
fn there_is_no_attic() {
    let attics = ["utils", "util", "common", "helpers", "helper", "types", "misc"];
    let attic = |source: &Source| {
        source.path.split('/').map(|part| part.trim_end_matches(".rs")).any(|part| attics.contains(&part))
    };
    nobody("name a file after what is in it", sources().into_iter().filter(attic).map(|source| source.path));
}

#[test]
fn main_only_hands_over() {
    let main = fs::read_to_string(root().join("host/src/main.rs")).expect("main.rs");
    assert!(main.lines().count() < 60, "main.rs has {} lines", main.lines().count());
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).expect("docs/dependencies.md");
    let dependencies = manifest["workspace"]["dependencies"].as_table().expect("workspace.dependencies");
    let ours = |name: &str| name.starts_with("tidemill");
    let silent = dependencies.keys().filter(|name| !ours(name) && !reasons.contains(&format!("`{name}`")));
    nobody("docs/dependencies.md does not say why these are there", silent.cloned());
}

#[test]
fn the_reader_of_crate_paths_sees_braces_and_single_names() {
    let code = "use crate::{clock::Clock, config::{self, pipeline}, state};\nuse crate::wasm::Engine; \
                $crate::x!(); let a = crate::job::start();";
    let found: Vec<String> = crate_modules(code).into_iter().collect();
    assert_eq!(found, ["clock", "config", "job", "state", "wasm"]);
}
