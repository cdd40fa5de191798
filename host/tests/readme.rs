//! The READMEs hold what they say: every command in a `console` block is run and prints what stands under it, every line of a
//! `text` block is printed by the commands before it, and every `toml` and `rust` block is a piece of a file that is tested.
//!
//! Commands run in a scratch folder in which `examples` is this repository's; `/tmp/` means that scratch folder too.

mod tidemill;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tidemill::root;

/// The READMEs with commands.
const READMES: [&str; 4] = [
    "README.md",
    "examples/pipelines/flight-delays/README.md",
    "examples/pipelines/keyed-chain/README.md",
    "examples/pipelines/word-count/README.md",
];
/// Run all of this, so they cannot be run by it.
const NOT_RUN: [&str; 2] = ["cargo xtask test", ".ci/run"];

#[derive(Debug)]
struct Block {
    language: String,
    line: usize,
    text: String,
}

/// The fenced blocks of a README.
fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (i, line) in markdown.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(language), None) => {
                open = Some(Block { language: language.trim().to_owned(), line: i + 1, text: String::new() });
            }
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    blocks
}

/// A command of a console block and what stands under it.
fn commands(block: &Block) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((_, expected))) => expected.push(line.trim_end().to_owned()),
            (None, None) => panic!("line {}: a console block begins with `$ `", block.line),
        }
    }
    commands
}

/// Runs the commands of a block in one shell; what each printed, and all talk.
fn run(commands: &[(String, Vec<String>)], folder: &Path) -> (Vec<String>, String) {
    let mut script = String::from("set -euo pipefail\n");
    for (command, _) in commands {
        let command = command.replace("/tmp/", &format!("{}/", folder.display()));
        script.push_str("printf '\\001'\n");
        if command.starts_with("cargo xtask") {
            script.push_str(&format!("(cd '{}' && {command})\n", root().display()));
        } else {
            script.push_str(&format!("{command}\n"));
        }
        if command.starts_with("tidemill new") {
            // The versions that this checkout is tested with, and a target folder that is kept between runs.
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("generated-projects");
            script.push_str(&format!(
                "cp '{}' {}/\n",
                root().join("Cargo.lock").display(),
                command.rsplit(' ').next().unwrap()
            ));
            script.push_str(&format!("export CARGO_NET_OFFLINE=true CARGO_TARGET_DIR='{}'\n", target.display()));
        }
    }
    let binaries = Path::new(env!("CARGO_BIN_EXE_tidemill")).parent().expect("a folder");
    let mut path = vec![binaries.to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(folder).stdin(Stdio::null());
    let out = bash.env("PATH", std::env::join_paths(path).expect("a PATH")).output().expect("bash starts");
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{script}\n{stdout}\n{stderr}");
    (stdout.split('\u{1}').skip(1).map(str::to_owned).collect(), stderr)
}

/// Digits blotted out: talk tells times and sizes, which differ from run to run.
fn blotted(line: &str) -> String {
    line.trim_end().replace(|c: char| c.is_ascii_digit(), "#").replace("##", "#").replace("##", "#")
}

fn check(readme: &str) {
    let markdown = fs::read_to_string(root().join(readme)).expect("a README");
    let scratch = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink(root().join("examples"), scratch.path().join("examples")).expect("linked");
    let (mut printed, mut said) = (String::new(), String::new());
    for block in blocks(&markdown) {
        let at = format!("{readme}:{}", block.line);
        match block.language.as_str() {
            "console" => {
                let mut commands = commands(&block);
                commands.retain(|(command, _)| !NOT_RUN.contains(&command.as_str()));
                let (outputs, stderr) = run(&commands, scratch.path());
                for ((command, expected), output) in commands.iter().zip(&outputs) {
                    compare(&at, command, expected, output);
                }
                (printed, said) = (outputs.concat(), stderr);
            }
            "text" => {
                for line in block.text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
                    let in_stdout = printed.lines().any(|printed| printed.trim_end() == line);
                    let in_stderr = said.lines().any(|said| blotted(said) == blotted(line));
                    assert!(in_stdout || in_stderr, "{at}: not printed: {line}\n{printed}\n{said}");
                }
            }
            "toml" | "rust" => {
                let held = tested_files().iter().any(|file| file.contains(block.text.trim_end()));
                assert!(held, "{at}: this is in no file of examples or of the project template:\n{}", block.text);
            }
            "" => {}
            other => panic!("{at}: nothing checks blocks of {other:?}"),
        }
    }
}

/// Every line in order; a line `...` stands for any lines.
#[track_caller]
fn compare(at: &str, command: &str, expected: &[String], output: &str) {
    let mut lines = output.lines().map(str::trim_end);
    let mut skipping = false;
    for expected in expected.iter().filter(|line| !line.is_empty()) {
        if expected == "..." {
            skipping = true;
            continue;
        }
        let found = if skipping { lines.any(|line| line == expected) } else { lines.next() == Some(expected) };
        assert!(found, "{at}: `{command}` does not print {expected}\nit prints:\n{output}");
        skipping = false;
    }
}

/// The text of every file that other tests build or run.
fn tested_files() -> Vec<String> {
    fn collect(folder: PathBuf, files: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            // Packages of other languages link to each other, in circles too.
            let (path, is_folder) = (entry.path(), entry.file_type().expect("its type").is_dir());
            if is_folder && entry.file_name() != "node_modules" {
                collect(path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "toml") {
                files.push(fs::read_to_string(path).expect("a file"));
            }
        }
    }
    let mut files = Vec::new();
    for folder in ["examples/operators", "examples/pipelines", "guest-sdk/rust/template"] {
        collect(root().join(folder), &mut files);
    }
    files
}

#[test]
fn the_readmes_do_what_they_say() {
    for readme in READMES {
        check(readme);
    }
}

#[test]
fn a_console_block_is_commands_with_what_they_print() {
    let blocks = blocks("text\n```console\n$ one\nout\n$ two\n```\n```toml\nx = 1\n```\n");
    assert_eq!((blocks[0].language.as_str(), blocks[0].line, blocks[1].language.as_str()), ("console", 2, "toml"));
    assert_eq!(commands(&blocks[0]), [("one".to_owned(), vec!["out".to_owned()]), ("two".to_owned(), vec![])]);
    assert_eq!(blotted("took 12.5 s"), blotted("took 3.7 s"));
}
