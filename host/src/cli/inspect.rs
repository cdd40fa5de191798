//! `tidemill inspect`: what a component imports, exports and says of itself. `build` shows the same of what it made.

use super::args::InspectArgs;
use super::output::{Output, size};
use anyhow::{Result, bail};
use tidemill::operator::Descriptor;
use tidemill::wasm::ComponentReport;
use tidemill::wasm::component;

pub(crate) fn run(args: &InspectArgs, output: &Output) -> Result<()> {
    let report = component::inspect(&args.file)?;
    output.data(|| json(&report), || text(&report))?;
    match &report.problem {
        Some(problem) => bail!("{} cannot run as an operator: {problem}", report.file.display()),
        None => Ok(()),
    }
}

pub(crate) fn json(report: &ComponentReport) -> serde_json::Value {
    serde_json::json!({
        "file": report.file.display().to_string(),
        "digest": report.digest,
        "size": report.size,
        "world": report.world,
        "imports": report.imports,
        "exports": report.exports,
        "descriptor": report.descriptor,
        "problem": report.problem,
    })
}

fn text(report: &ComponentReport) -> String {
    let mut text = format!("{}\n", report.file.display());
    line(&mut text, "size", &size(report.size));
    line(&mut text, "digest", &report.digest);
    line(&mut text, "world", report.world.unwrap_or("none of tidemill:operator"));
    list(&mut text, "imports", &report.imports);
    list(&mut text, "exports", &report.exports);
    if let Some(descriptor) = &report.descriptor {
        describe(&mut text, descriptor);
    }
    text
}

fn describe(text: &mut String, descriptor: &Descriptor) {
    let ports = |ports: &[tidemill::operator::descriptor::Port]| {
        ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>().join(", ")
    };
    let version = if descriptor.version.is_empty() { "" } else { " " };
    line(text, "operator", &format!("{}{version}{}", descriptor.name, descriptor.version));
    line(text, "inputs", &ports(&descriptor.inputs));
    line(text, "outputs", &ports(&descriptor.outputs));
    let kind = |kind: &serde_json::Value| kind.as_str().unwrap_or_default().to_owned();
    let states = descriptor.states.iter().map(|s| match s.scope.is_key() {
        true => format!("{} ({})", s.name, kind(&serde_json::json!(s.kind))),
        false => {
            let (of_kind, scope) = (kind(&serde_json::json!(s.kind)), kind(&serde_json::json!(s.scope)));
            format!("{} ({of_kind}, {scope})", s.name)
        }
    });
    line(text, "states", &states.collect::<Vec<_>>().join(", "));
    let timers = descriptor.timers.iter().map(|timer| timer.name.clone());
    line(text, "timers", &timers.collect::<Vec<_>>().join(", "));
    let metrics = descriptor.metrics.iter().map(|m| format!("{} ({})", m.name, kind(&serde_json::json!(m.kind))));
    line(text, "metrics", &metrics.collect::<Vec<_>>().join(", "));
}

fn line(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!("  {name:<9} {}\n", if value.is_empty() { "none" } else { value }));
}

/// One a line, under each other.
pub(crate) fn list(text: &mut String, name: &str, values: &[String]) {
    line(text, name, values.first().map_or("", String::as_str));
    for value in values.iter().skip(1) {
        line(text, "", value);
    }
}
