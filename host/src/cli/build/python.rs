//! Python: componentize-py puts CPython, the project's modules and the SDK into one component, with WASI stubbed out.
//!
//! The program is `src/main.py`, which exports its operator; the SDK's module of the world imports it.

use super::super::toolchains::{self, COMPONENTIZE_PY, Toolchain};
use super::{Made, Source, contract, sdk, tool};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) fn build(source: &Source<'_>) -> Result<(Made, String)> {
    let src = source.folder.join("src");
    let main = src.join("main.py");
    if !main.is_file() {
        bail!("no {}: the program begins there", main.display());
    }
    let tool = find(&source.folder)?;
    source.say(&tool.origin);
    let (sdk, wit) = (sdk::ensure(&source.folder, &source.project)?, contract::folder()?);
    let world = source.project.world.name();
    let out = source.scratch()?.join("component.wasm");
    let mut command = tool.command();
    command.arg("-d").arg(wit.path()).args(["-w", world, "componentize", "--stub-wasi"]);
    command.arg("-p").arg(&src).arg("-p").arg(&sdk).arg(format!("tidemill.component.{world}")).arg("-o").arg(&out);
    // It runs the module's top level once, in the component: __pycache__ of this machine is no part of that.
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(&source.folder);
    tool::run(&mut command, "componentize-py")?;
    Ok((Made::Component(tool::read(&out, "componentize-py")?), tool.origin))
}

/// componentize-py, somewhere.
struct ComponentizePy {
    program: PathBuf,
    /// Where its Python package lies when it is not installed for a Python, and that Python.
    packages: Option<(PathBuf, PathBuf)>,
    origin: String,
}

impl ComponentizePy {
    fn command(&self) -> Command {
        let Some((packages, python)) = &self.packages else { return Command::new(&self.program) };
        let mut command = Command::new(python);
        command.arg(&self.program).env("PYTHONPATH", packages);
        command
    }
}

/// The project's own first, then that of a toolchain folder, then PATH's.
fn find(folder: &Path) -> Result<ComponentizePy> {
    let here = |program: PathBuf, origin: &str| ComponentizePy {
        program,
        packages: None,
        origin: format!("componentize-py of {origin}"),
    };
    for environment in [".venv", "venv"] {
        for program in ["bin/componentize-py", "Scripts/componentize-py.exe"] {
            let program = folder.join(environment).join(program);
            if program.is_file() {
                return Ok(here(program, &format!("the project's {environment}")));
            }
        }
    }
    let python = toolchains::on_path(&["python3", "python"]);
    if let (Some(packages), Some(python)) = (Toolchain::Python.find(), python) {
        let origin = format!("componentize-py {COMPONENTIZE_PY} in {}", packages.display());
        return Ok(ComponentizePy {
            program: packages.join("bin/componentize-py"),
            packages: Some((packages, python)),
            origin,
        });
    }
    if let Some(program) = toolchains::on_path(&["componentize-py"]) {
        return Ok(here(program, "PATH"));
    }
    bail!("{}", missing())
}

fn missing() -> String {
    format!(
        "componentize-py is not here (looked in the project's .venv, in toolchain folders and on PATH); to get it:\n  \
         python3 -m venv .venv && .venv/bin/pip install componentize-py=={COMPONENTIZE_PY}\n      \
         in the project's folder, or\n  \
         cargo xtask toolchain python\n      \
         in Tidemill's source"
    )
}
