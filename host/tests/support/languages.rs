//! The example operators in languages other than Rust (examples/operators/NAME/LANGUAGE), in the golden pipelines: each has to
//! reach what Rust's reaches, straight at two parallelisms and killed at random moments. One test program per language uses it.

#[path = "tools.rs"]
pub(crate) mod tools;

use super::golden::{Golden, Running, repository, run_to_end, tidemill};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

/// A golden pipeline and the operator in it that is exchanged.
pub(crate) struct Exchange {
    pub(crate) pipeline: Golden,
    /// The operator's name in the pipeline file.
    pub(crate) operator: &'static str,
    /// Its folder in examples/operators.
    pub(crate) example: &'static str,
}

/// The exchanges that a language has an operator for.
pub(crate) const EXCHANGES: [Exchange; 4] = [
    Exchange {
        pipeline: Golden { name: "word-count", stream: "words/counts" },
        operator: "split",
        example: "split-words",
    },
    Exchange { pipeline: Golden { name: "word-count", stream: "words/counts" }, operator: "count", example: "count" },
    Exchange {
        pipeline: Golden { name: "sessions", stream: "flights/waves" },
        operator: "sessions",
        example: "sessions",
    },
    Exchange {
        pipeline: Golden { name: "flight-weeks", stream: "flights/weekly" },
        operator: "weeks",
        example: "flight-aggregate",
    },
];

/// The SDK's own tests and those of a project, run by the language's tools without Wasm.
pub(crate) struct NativeTests {
    /// The program that runs them.
    pub(crate) program: &'static str,
    /// Its arguments in guest-sdk/LANGUAGE.
    pub(crate) of_sdk: &'static [&'static str],
    /// Its arguments in a project.
    pub(crate) of_project: &'static [&'static str],
}

impl NativeTests {
    /// Says it when the program is not here.
    pub(crate) fn run(&self, arguments: &[&str], folder: &Path) {
        let what = format!("native tests of {}", folder.strip_prefix(repository()).unwrap_or(folder).display());
        let command =
            Command::new(self.program).args(arguments).current_dir(folder).env("PATH", tools::path()).output();
        let output = match command {
            Ok(output) => output,
            Err(error) => return tools::skipped(&what, &format!("{} does not start: {error}", self.program)),
        };
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{what}: {said}");
        assert!(!said.contains("Ran 0 tests") && !said.contains("# tests 0"), "{what}: {said}");
        if let Some(why) = said.strip_prefix("skipped: ") {
            tools::skipped(&what, why);
        }
    }
}

/// Runs the tests of a language's SDK.
pub(crate) fn sdk_tests(language: &str, tests: &NativeTests) {
    tests.run(tests.of_sdk, &sdk(language));
}

/// The folder of a language's SDK.
pub(crate) fn sdk(language: &str) -> PathBuf {
    let folder = if language == "typescript" { "javascript" } else { language };
    repository().join("guest-sdk").join(folder)
}

/// Runs the exchanges of a language; says which were skipped and why when its tools are not here.
pub(crate) fn same_output_in(language: &str, tests: &NativeTests) {
    let mut run = 0;
    for exchange in &EXCHANGES {
        let project = repository().join("examples/operators").join(exchange.example).join(language);
        if !project.join("tidemill.toml").exists() {
            continue;
        }
        match build(&project, language) {
            Ok(()) => {
                tests.run(tests.of_project, &project);
                exchange.run(&project, language);
                run += 1;
            }
            Err(why) => return tools::skipped(&format!("golden output in {language}"), &why),
        }
    }
    assert!(run >= 3, "the three example operators in {language}: {run}");
}

/// Builds a project, unless its component is newer than everything it is made of. Missing tools are an error; any other
/// failure is the test's.
fn build(project: &Path, language: &str) -> Result<(), String> {
    let made = |path: &Path| path.metadata().and_then(|found| found.modified()).ok();
    let sources = [project.join("src"), sdk(language)];
    let newest = sources.iter().filter_map(|folder| newest(folder)).chain(made(&project.join("main.go"))).max();
    if made(&project.join("component.wasm")) > newest {
        return Ok(());
    }
    let output = tidemill().arg("build").arg(project).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() && tools::are_missing(&stderr) {
        return Err(stderr);
    }
    assert!(output.status.success(), "{stderr}");
    Ok(())
}

fn newest(folder: &Path) -> Option<SystemTime> {
    // What of an SDK is in no component.
    let apart = ["template", "template-aggregator", "tests", "conformance", "__pycache__", "node_modules"];
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let entries = entries.filter(|path| !apart.iter().any(|name| path.ends_with(name)));
    entries.filter_map(|path| if path.is_dir() { newest(&path) } else { path.metadata().ok()?.modified().ok() }).max()
}

impl Exchange {
    fn command(&self, project: &Path, data: &Path, parallelism: u32) -> Command {
        let mut command = self.pipeline.run_command(data, parallelism);
        command.arg("--set").arg(format!("operators.{}.component={}", self.operator, project.display()));
        // What a language is slow at on a busy machine is no failure here.
        command.arg("--set").arg(format!("operators.{}.limits.call_deadline=30s", self.operator));
        command.arg("--set").arg(format!("operators.{}.limits.memory=256MiB", self.operator));
        command
    }

    fn run(&self, project: &Path, language: &str) {
        let what = |road: &str| format!("in {language}, {road}");
        let first = tempfile::tempdir().unwrap();
        run_to_end(self.command(project, first.path(), 1));
        self.pipeline.assert_committed(first.path(), &what("straight"));

        // Compiling a component is the longest part of a short run: from here on it comes from the first run's cache.
        let cache = first.path().join("cache");
        let data = with_cache(&cache);
        let started = Instant::now();
        run_to_end(self.command(project, data.path(), 3));
        let whole = started.elapsed();
        self.pipeline.assert_committed(data.path(), &what("at parallelism 3"));

        let (mut kills, mut scale) = (0, 1.0);
        // A machine that got faster since lets runs end before they are killed: then earlier.
        while kills < 3 && scale > 0.01 {
            let data = with_cache(&cache);
            for (attempt, part) in [0.3, 0.55, 0.75, 0.9, 1.1, 1.5].into_iter().enumerate() {
                let command = self.command(project, data.path(), [1, 3, 2][attempt % 3]);
                let after = whole.mul_f64(part * scale).max(Duration::from_millis(5));
                if Running::start(command).kill_after(after) {
                    break;
                }
                kills += 1;
            }
            run_to_end(self.command(project, data.path(), 1));
            self.pipeline.assert_committed(data.path(), &what("killed"));
            scale *= 0.5;
        }
        assert!(kills >= 3, "{} in {language}: only {kills} kills hit", self.pipeline.name);
    }
}

/// A new data directory whose components are compiled already.
fn with_cache(cache: &Path) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let to = data.path().join("cache");
    std::fs::create_dir_all(&to).unwrap();
    let files: Vec<PathBuf> = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    for file in files.iter().filter(|file| file.is_file()) {
        std::fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
    }
    data
}
