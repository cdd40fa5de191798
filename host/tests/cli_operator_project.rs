//! From nothing to results, as a newcomer does it: `tidemill new`, `cargo test`, `build`, `inspect`, `validate`, `run`,
//! `stream cat`. And what is said when a project cannot be built.

mod tidemill;
#[path = "support/tools.rs"]
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;
use tidemill::{DataDir, root, tidemill};

/// A target folder for the projects that tests generate, kept between runs.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("generated-projects")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn a_new_project_builds_passes_its_tests_and_runs_as_it_is() {
    let data = DataDir::new();
    let folder = data.path().with_file_name("my-operator");
    let made = tidemill(["new", "my-operator", "--path", text(&folder), "--json"]).json();
    assert_eq!(made["name"], "my-operator");
    // The versions that this checkout is tested with: a user's first build asks the registry, a test must not.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");

    let cargo = |args: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(args).arg("--offline").current_dir(&folder).env("CARGO_TARGET_DIR", target());
        cargo.output().expect("cargo starts")
    };
    let tests = cargo(&["test"]);
    let said = String::from_utf8_lossy(&tests.stdout).into_owned() + &String::from_utf8_lossy(&tests.stderr);
    assert!(tests.status.success(), "{said}");
    assert!(said.contains("2 passed"), "{said}");

    let mut build = tidemill::command(["build", text(&folder), "--json"]);
    let built = build.env("CARGO_TARGET_DIR", target()).output().expect("tidemill starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let built: serde_json::Value = serde_json::from_slice(&built.stdout).expect("JSON on stdout");
    let component = folder.join("component.wasm");
    assert_eq!(built["file"], text(&component));
    assert_eq!(built["size"], std::fs::metadata(&component).expect("the component").len());
    assert!(built["took_ms"].is_u64() && built["compiler"].is_string());

    let report = tidemill(["inspect", text(&component), "--json"]).json();
    assert_eq!(report["digest"], built["digest"]);
    assert!(report["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:") && digest.len() == 71));
    assert!(report["world"].as_str().is_some_and(|world| world.contains("processor")), "{report}");
    let imports = report["imports"].as_array().expect("imports");
    assert!(
        imports.iter().all(|name| name.as_str().is_some_and(|name| name.starts_with("tidemill:operator/"))),
        "{report}"
    );
    assert_eq!(report["descriptor"]["outputs"][0]["name"], "lines");
    let human = tidemill(["inspect", text(&component)]).ok();
    for part in ["size", "sha256:", "imports", "tidemill:operator/state", "longest (value)", "lines"] {
        assert!(human.contains(part), "{part}: {human}");
    }

    let pipeline = folder.join("pipeline.toml");
    let plan = tidemill(["validate", text(&pipeline), "--json"]).json();
    assert_eq!((&plan["valid"], &plan["pipeline"]), (&true.into(), &"my-operator".into()));
    let summary = data.run(&["run", text(&pipeline), "--json"]).json();
    assert_eq!(summary["finished"], true);
    let lines = data.run(&["stream", "cat", "my-operator/lines"]).json_lines();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["key"].is_string()), "{lines:?}");
}

/// A project as `tidemill new` makes it: what its language's tools say of its own tests, and what it gives.
struct Generated {
    language: &'static str,
    /// Runs its own tests.
    tests: &'static [&'static str],
    /// What the runner of tests says when it has run some.
    passed: &'static str,
}

const PYTHON: Generated = Generated { language: "python", tests: &["python3", "-m", "unittest"], passed: "\nOK" };
const JAVASCRIPT: Generated = Generated { language: "javascript", tests: &["npm", "test"], passed: "# fail 0" };
/// Its test is bundled by rolldown, which `npm install` fetches and JavaScript's toolchain has.
const TYPESCRIPT: Generated = Generated { language: "typescript", tests: &["npm", "test"], passed: "# fail 0" };
const GO: Generated = Generated { language: "go", tests: &["go", "test", "./..."], passed: "ok  \t" };
/// Its test is a program that says nothing when all is well.
const C: Generated = Generated { language: "c", tests: &["make", "test"], passed: ".tidemill/test\n" };
const RUST: Generated = Generated { language: "rust", tests: &["cargo", "test", "--offline"], passed: "1 passed" };

/// Of world `processor`: the lines that are longer than all before of their key.
const LINES: [(&str, &str); 3] = [("sea", "tide"), ("land", "mill"), ("sea", "flood and ebb")];
/// Of world `aggregator`: the events of a window, by key.
const LENGTHS: [(&str, u64); 3] = [("a", 2), ("b", 1), ("a", 1)];

impl Generated {
    fn works(&self, world: &str) {
        let what = format!("tidemill new --lang {} --world {world}", self.language);
        let data = DataDir::new();
        let folder = data.path().with_file_name("made");
        tidemill(["new", "made", "--lang", self.language, "--world", world, "--path", text(&folder)]).ok();
        if self.language == "rust" {
            std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");
        }
        let run = |mut command: Command| {
            let command = command.current_dir(&folder).env("PATH", tools::path()).env("CARGO_TARGET_DIR", target());
            command.output().map(|out| {
                let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
                (out.status.success(), said)
            })
        };

        let bundler = self.language != "typescript" || tools::are_there(&["rolldown"]);
        let mut tests = Command::new(self.tests[0]);
        tests.args(&self.tests[1..]);
        match run(tests) {
            Ok(_) if !bundler => tools::skipped(&format!("{what}: its own tests"), "rolldown is not here"),
            Ok((well, said)) => {
                assert!(well && said.contains(self.passed) && !said.contains("Ran 0 tests"), "{what}: {said}");
            }
            Err(error) => tools::skipped(&format!("{what}: its own tests"), &format!("{}: {error}", self.tests[0])),
        }

        let (built, said) = run(tidemill::command(["build", "."])).expect("tidemill starts");
        if !built && tools::are_missing(&said) {
            return tools::skipped(&what, &said);
        }
        assert!(built, "{what}: {said}");
        let (passed, said) = run(tidemill::command(["test", "--no-build", "--crash"])).expect("tidemill starts");
        assert!(passed && said.contains("ok      ") && said.contains("0 failed"), "{what}: {said}");

        // Compiled for the cases, and so for the pipeline.
        let cache = data.path().join("cache");
        std::fs::create_dir_all(&cache).expect("made");
        for file in std::fs::read_dir(folder.join(".tidemill/cache")).expect("the cache of `tidemill test`").flatten() {
            std::fs::copy(file.path(), cache.join(file.file_name())).expect("copied");
        }
        data.run(&["run", text(&folder.join("pipeline.toml"))]).ok();
        let stream = if world == "processor" { "made/lines" } else { "made/lengths" };
        let lines = data.run(&["stream", "cat", stream]).json_lines();
        let key = |line: &serde_json::Value| line["key"].as_str().expect("a key").to_owned();
        if world == "processor" {
            // The pipeline hands on whole rows.
            let row = |(k, line): (&str, &str)| (k.to_owned(), serde_json::json!({ "key": k, "line": line }));
            let got: Vec<_> = lines.iter().map(|line| (key(line), line["value"].clone())).collect();
            assert_eq!(got, LINES.map(row), "{what}");
        } else {
            let got: Vec<_> = lines.iter().map(|line| (key(line), line["value"]["events"].as_u64())).collect();
            assert_eq!(got, LENGTHS.map(|(key, events)| (key.to_owned(), Some(events))), "{what}");
        }
    }
}

#[test]
fn new_projects_in_python_work_as_they_are() {
    PYTHON.works("processor");
    PYTHON.works("aggregator");
}

#[test]
fn new_projects_in_javascript_work_as_they_are() {
    JAVASCRIPT.works("processor");
    JAVASCRIPT.works("aggregator");
}

#[test]
fn new_projects_in_typescript_work_as_they_are() {
    TYPESCRIPT.works("processor");
    TYPESCRIPT.works("aggregator");
}

#[test]
fn new_projects_in_go_work_as_they_are() {
    GO.works("processor");
    GO.works("aggregator");
}

#[test]
fn new_projects_in_c_work_as_they_are() {
    C.works("processor");
    C.works("aggregator");
}

#[test]
fn a_new_window_aggregate_in_rust_works_as_it_is() {
    RUST.works("aggregator");
}

#[test]
fn a_taken_folder_a_bad_name_and_a_missing_sdk_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).expect("made");
    std::fs::write(taken.join("precious"), "keep").expect("written");
    let error = tidemill(["new", "x", "--path", text(&taken)]).error();
    assert!(error.contains("is there already") && error.contains("--path"), "{error}");
    assert_eq!(std::fs::read_dir(&taken).expect("listed").count(), 1);
    let error = tidemill(["new", "Not A Name"]).error();
    assert!(error.contains("lower-case letters"), "{error}");
    let error = tidemill(["new", "x", "--path", text(&folder.path().join("x")), "--sdk", "/nonexistent"]).error();
    assert!(error.contains("no SDK in /nonexistent") && error.contains("--sdk"), "{error}");
    assert!(!folder.path().join("x").exists());
}

#[test]
fn what_cannot_be_built_is_said_with_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = tidemill(["build", text(folder.path())]).error();
    assert!(error.contains("tidemill.toml") && error.contains("tidemill new"), "{error}");
    let error = tidemill(["build", text(&root().join("host/tests/guests/wrong-world"))]).error();
    assert!(error.contains("greeter") && error.contains("processor"), "{error}");
}

#[test]
fn a_compiler_without_the_target_is_named_with_both_ways_to_get_one() {
    let project = root().join("examples/operators/count");
    let build = |set: &[(&str, &str)]| {
        let mut command = tidemill::command(["build", text(&project)]);
        command.envs(set.iter().copied());
        let out = command.output().expect("tidemill starts");
        assert_eq!(out.status.code(), Some(1));
        String::from_utf8(out.stderr).expect("UTF-8")
    };
    let error = build(&[("TIDEMILL_RUSTC", "/nonexistent/rustc")]);
    assert!(error.contains("TIDEMILL_RUSTC is /nonexistent/rustc"), "{error}");
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    let error = build(&[("RUSTC", "/nonexistent/rustc"), ("TIDEMILL_TOOLCHAIN_DIR", text(nowhere.path()))]);
    assert!(error.contains("rustup target add wasm32-unknown-unknown"), "{error}");
    assert!(error.contains("cargo xtask guest-toolchain"), "{error}");
}

#[test]
fn inspect_tells_a_component_from_what_is_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("text.wasm");
    std::fs::write(&file, "this is no component").expect("written");
    let error = tidemill(["inspect", text(&file)]).error();
    assert!(error.contains("text.wasm"), "{error}");
    let error = tidemill(["inspect", text(&folder.path().join("missing.wasm"))]).error();
    assert!(error.contains("missing.wasm"), "{error}");
}
