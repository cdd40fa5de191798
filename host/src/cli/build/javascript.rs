//! JavaScript and TypeScript: jco bundles the program with the SDK and puts it into a component with the QuickJS engine,
//! with WASI stubbed out.
//!
//! The program is `src/operator.js` or `src/operator.ts` (`entry` names another file) and imports "@tidemill/sdk", which is
//! linked into the project's node_modules unless something is there already.

use super::super::project::{Language, Project};
use super::super::toolchains::{self, COMPONENTIZE_JS, JCO, Toolchain};
use super::{Made, Source, contract, sdk, tool};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) fn build(source: &Source<'_>) -> Result<(Made, String)> {
    let usual = match source.project.language {
        Language::TypeScript => "src/operator.ts",
        _ => "src/operator.js",
    };
    let entry = source.folder.join(source.project.entry.as_deref().unwrap_or(usual));
    if !entry.is_file() {
        bail!("no {}: the program begins there (entry in tidemill.toml names another file)", entry.display());
    }
    let (jco, origin) = find(&source.folder)?;
    source.say(&origin);
    link_sdk(&source.folder, &source.project)?;
    let (out, wit) = (source.scratch()?.join("component.wasm"), contract::folder()?);
    let mut command = Command::new(jco);
    command
        .arg("componentize")
        .arg("--bundle")
        .arg(&entry)
        .arg("-w")
        .arg(wit.path())
        .args(["-n", source.project.world.name()]);
    command.args(["--backend", "qjs", "--backend-qjs-disable-async", "--backend-qjs-stub-wasi"]).arg("-o").arg(&out);
    command.current_dir(&source.folder).env("NO_COLOR", "1");
    tool::run(&mut command, "jco")?;
    Ok((Made::Component(tool::read(&out, "jco")?), origin))
}

/// Makes `import ... from "@tidemill/sdk"` find the SDK, as `npm install` of a folder would: a link.
pub(super) fn link_sdk(folder: &Path, project: &Project) -> Result<()> {
    let sdk = sdk::ensure(folder, project)?;
    let link = folder.join("node_modules/@tidemill/sdk");
    if link.exists() {
        return Ok(());
    }
    let _ = std::fs::remove_file(&link); // a link to what is gone
    let parent = link.parent().context("a link lies in a folder")?;
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let target = match &project.sdk {
        None => Path::new("../..").join(sdk::GENERATED).join("sdk"), // relative: the project may move
        Some(_) => sdk,
    };
    make_link(&target, &link).or_else(|error| match link.exists() {
        true => Ok(()), // another build was faster
        false => Err(error).with_context(|| format!("cannot link {} to {}", link.display(), target.display())),
    })
}

#[cfg(unix)]
fn make_link(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn make_link(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_dir(target, link)
}

/// The project's own first, then that of a toolchain folder, then PATH's.
fn find(folder: &Path) -> Result<(PathBuf, String)> {
    let own = folder.join("node_modules/.bin/jco");
    if own.is_file() {
        return Ok((own, "jco of the project's node_modules".into()));
    }
    if toolchains::on_path(&["node"]).is_none() {
        bail!("node is not on PATH: install Node.js 20 or newer (https://nodejs.org, or your system's packages)");
    }
    if let Some(toolchain) = Toolchain::JavaScript.find() {
        return Ok((toolchain.join("node_modules/.bin/jco"), format!("jco {JCO} in {}", toolchain.display())));
    }
    if let Some(jco) = toolchains::on_path(&["jco"]) {
        return Ok((jco, "jco of PATH".into()));
    }
    bail!("{}", missing())
}

fn missing() -> String {
    format!(
        "jco is not here (looked in the project's node_modules, in toolchain folders and on PATH); to get it:\n  \
         npm install --save-dev @bytecodealliance/jco@{JCO} @bytecodealliance/componentize-js@{COMPONENTIZE_JS}\n      \
         in the project's folder, whose package.json must hold\n      \
         \"overrides\": {{ \"@bytecodealliance/preview2-shim\": \"0.25.0\" }}\n      \
         or\n  \
         cargo xtask toolchain javascript\n      \
         in Tidemill's source"
    )
}
