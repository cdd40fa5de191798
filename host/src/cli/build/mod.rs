//! `tidemill build`: an operator project becomes `component.wasm` in its folder. The tools of its language compile it, what
//! they give becomes a component here, and only what fits its world and describes itself is kept.
//!
//! ```text
//! rust.rs python.rs javascript.rs go.rs c.rs   a language each: finds its tools, runs them, gives a module or component
//! sdk.rs        the SDK files that go into a project
//! contract.rs   wit/ and the WASI stand-in, carried in the program
//! encode.rs     core module -> component
//! fresh.rs      whether there is anything to do
//! tool.rs       runs a tool and keeps what it says for the error
//! ```

mod c;
mod contract;
mod encode;
pub(crate) mod fresh;
mod go;
mod javascript;
mod python;
mod rust;
pub(crate) mod sdk;
mod tool;

use super::args::BuildArgs;
use super::inspect;
use super::output::{Output, size};
use super::project::{Language, Project};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidemill::wasm::ComponentReport;
use tidemill::wasm::component::{self, BUILT_COMPONENT};

pub(crate) fn run(args: &BuildArgs, output: &Output) -> Result<()> {
    for project in &args.projects {
        let built = build(project, args.force, output)?;
        output.data(|| built.json.clone(), || built.text())?;
    }
    Ok(())
}

/// A component that is in its place.
pub(crate) struct Built {
    /// What `inspect` says of it, and how it was made.
    json: serde_json::Value,
}

impl Built {
    fn text(&self) -> String {
        let word = |key: &str| self.json[key].as_str().unwrap_or_default();
        let fresh = self.json["fresh"] == true;
        let mut text = format!("{} {}\n", if fresh { "fresh" } else { "built" }, word("file"));
        let bytes = self.json["size"].as_u64().unwrap_or_default();
        text.push_str(&format!("  size      {}\n  digest    {}\n", size(bytes), word("digest")));
        let imports = self.json["imports"].as_array().into_iter().flatten();
        let imports: Vec<String> = imports.filter_map(|name| Some(name.as_str()?.to_owned())).collect();
        inspect::list(&mut text, "imports", &imports);
        let took = Duration::from_millis(self.json["took_ms"].as_u64().unwrap_or_default());
        text.push_str(&format!("  took      {:.1} s with {}\n", took.as_secs_f64(), word("compiler")));
        text
    }
}

/// What a language's tools gave.
enum Made {
    /// A core module, with or without its component type.
    Module(Vec<u8>),
    /// A component.
    Component(Vec<u8>),
}

/// A project about to be built.
struct Source<'a> {
    /// Absolute.
    folder: PathBuf,
    project: Project,
    output: &'a Output,
}

impl Source<'_> {
    /// Says which tools are at work.
    fn say(&self, tools: &str) {
        self.output.say(&format!("compiling {} with {tools}", self.project.name));
    }

    /// Where a tool may write: in the project, out of sight.
    fn scratch(&self) -> Result<PathBuf> {
        let folder = self.folder.join(sdk::GENERATED).join("build");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}

/// Puts the SDK into a project, where its program and its own tests find it.
pub(crate) fn prepare(folder: &Path, project: &Project) -> Result<()> {
    match project.language {
        Language::Rust => Ok(()), // cargo finds it
        Language::JavaScript | Language::TypeScript => javascript::link_sdk(folder, project),
        Language::Python | Language::Go | Language::C => sdk::ensure(folder, project).map(drop),
    }
}

/// Builds one project, unless its component is what would come out anyway.
pub(crate) fn build(folder: &Path, force: bool, output: &Output) -> Result<Built> {
    let built = Project::read(folder).and_then(|project| build_project(folder, project, force, output));
    built.with_context(|| format!("cannot build {}", folder.display()))
}

fn build_project(folder: &Path, project: Project, force: bool, output: &Output) -> Result<Built> {
    let started = Instant::now();
    let absolute = std::fs::canonicalize(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    // Cargo knows better what a crate is made of.
    let inputs = match project.language {
        Language::Rust => None,
        _ => Some(fresh::inputs(&absolute, &project)?),
    };
    if let Some(mut json) = inputs.as_deref().filter(|_| !force).and_then(|inputs| fresh::check(folder, inputs)) {
        json["fresh"] = true.into();
        json["file"] = folder.join(BUILT_COMPONENT).display().to_string().into();
        return Ok(Built { json });
    }
    let source = Source { folder: absolute, project, output };
    let (made, tools) = match source.project.language {
        Language::Rust => rust::build(&source)?,
        Language::Python => python::build(&source)?,
        Language::JavaScript | Language::TypeScript => javascript::build(&source)?,
        Language::Go => go::build(&source)?,
        Language::C => c::build(&source)?,
    };
    let bytes = match made {
        Made::Module(module) => encode::component(module, source.project.world)?,
        Made::Component(component) => component,
    };
    let report = keep(folder, &source.project, &bytes)?;
    let mut json = inspect::json(&report);
    json["took_ms"] = (started.elapsed().as_millis() as u64).into();
    json["compiler"] = tools.into();
    if let Some(inputs) = inputs {
        fresh::note(folder, &inputs, &json)?;
    }
    json["fresh"] = false.into();
    Ok(Built { json })
}

/// Puts a component into its place, if it fits: one that proves unfit does not replace a good one.
fn keep(folder: &Path, project: &Project, bytes: &[u8]) -> Result<ComponentReport> {
    let target = folder.join(BUILT_COMPONENT);
    let trial = tempfile::Builder::new()
        .prefix(".component-")
        .suffix(".wasm")
        .tempfile_in(folder)
        .and_then(|file| std::fs::write(file.path(), bytes).map(|()| file))
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    let mut report = component::inspect(trial.path())?;
    if let Some(problem) = &report.problem {
        bail!("{}", problem.replace(&trial.path().display().to_string(), "it has made"));
    }
    let world = format!("tidemill:operator/{}@", project.world.name());
    if !report.world.is_some_and(|world_of| world_of.starts_with(&world)) {
        bail!(
            "tidemill.toml says world {:?} and the component is of {}: correct one of them",
            project.world.name(),
            report.world.unwrap_or("none")
        );
    }
    let (file, trial) = trial.keep().context("cannot keep the component")?;
    drop(file);
    readable(&trial);
    std::fs::rename(&trial, &target).with_context(|| format!("cannot write {}", target.display()))?;
    report.file = target;
    Ok(report)
}

/// Temporary files are their owner's alone; a component is as readable as any other file of the project.
fn readable(file: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)); // at worst others cannot read it
    }
    #[cfg(not(unix))]
    let _ = file;
}
