//! What a component imports and exports, read from its bytes and checked against the world before anything is compiled.
//! `component.rs` calls it for files and for what it has just made.

use super::error::ComponentError;
use wasmparser::{Parser, Payload};

/// The package of the contract.
const PACKAGE: &str = "tidemill:operator/";

/// The version that this host serves. Patches of it match each other; 0.2 would not.
const VERSION: &str = "0.1.0";
const SERIES: &str = "0.1.";

/// The worlds of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorldName {
    /// An operator.
    Processor,
    /// The aggregate of a window operator.
    Aggregator,
}

impl WorldName {
    /// Its full name.
    pub(super) fn full(self) -> &'static str {
        match self {
            WorldName::Processor => "tidemill:operator/processor@0.1.0",
            WorldName::Aggregator => "tidemill:operator/aggregator@0.1.0",
        }
    }

    fn short(self) -> &'static str {
        match self {
            WorldName::Processor => "processor",
            WorldName::Aggregator => "aggregator",
        }
    }

    /// What a component of it may import.
    fn granted(self) -> &'static [&'static str] {
        match self {
            WorldName::Processor => &["types", "state", "timers", "output", "metrics", "log", "context"],
            WorldName::Aggregator => &["types", "metrics", "log", "context"],
        }
    }
}

/// Names at the surface of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Surface {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

/// Reads the surface. `name` is what messages call the component.
pub(super) fn surface(name: &str, bytes: &[u8]) -> Result<Surface, ComponentError> {
    if Parser::is_core_wasm(bytes) {
        return Err(ComponentError::NotAComponent(format!(
            "{name} is a core WebAssembly module (what cargo and other compilers write), not a component: run \
             `tidemill build` in its project folder and use the component.wasm that it writes"
        )));
    }
    if !Parser::is_component(bytes) {
        return Err(ComponentError::NotAComponent(format!(
            "{name} is not WebAssembly (it does not start as a component does): give a .wasm component, or a project \
             folder in which `tidemill build` has run"
        )));
    }
    read_surface(bytes).map_err(|e| {
        ComponentError::NotAComponent(format!("{name} is a damaged component: {e}; build or download it again"))
    })
}

fn read_surface(bytes: &[u8]) -> Result<Surface, wasmparser::BinaryReaderError> {
    let mut surface = Surface::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    surface.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    surface.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(surface)
}

/// `Some(version)` if the name is interface `interface` of the contract's package.
fn version_of<'a>(name: &'a str, interface: &str) -> Option<&'a str> {
    name.strip_prefix(PACKAGE)?.strip_prefix(interface)?.strip_prefix('@')
}

impl Surface {
    fn exports_interface(&self, interface: &str) -> bool {
        self.exports.iter().any(|name| version_of(name, interface).is_some_and(|v| v.starts_with(SERIES)))
    }

    /// The world that the exports belong to.
    pub(super) fn world(&self) -> Option<WorldName> {
        if self.exports_interface("operator") {
            Some(WorldName::Processor)
        } else if self.exports_interface("aggregate") {
            Some(WorldName::Aggregator)
        } else {
            None
        }
    }

    /// The world that a component of this surface can run in.
    pub(super) fn check(&self, name: &str) -> Result<WorldName, ComponentError> {
        let Some(world) = self.world() else {
            return Err(ComponentError::WrongWorld(format!("component {name} {}", self.missing_export())));
        };
        for import in &self.imports {
            if let Some(why) = refused(import, world) {
                return Err(ComponentError::WrongWorld(format!("component {name} imports {import}, {why}")));
            }
        }
        Ok(world)
    }

    /// Why it belongs to no world of the contract.
    fn missing_export(&self) -> String {
        let wanted = format!("{PACKAGE}operator@{VERSION}");
        for interface in ["operator", "aggregate"] {
            if let Some(version) = self.exports.iter().find_map(|name| version_of(name, interface)) {
                return format!(
                    "exports {PACKAGE}{interface}@{version}; this Tidemill serves {SERIES}x: build it with an SDK of that \
                     version"
                );
            }
        }
        let exports = match self.exports.as_slice() {
            [] => "exports nothing".to_owned(),
            names => format!("is of another world (it exports {})", names.join(", ")),
        };
        format!(
            "{exports}; an operator must export {wanted}: use the SDK's export macro, or generate bindings for world \
             processor of wit/"
        )
    }
}

/// Why an import is not granted; `None` if it is.
fn refused(import: &str, world: WorldName) -> Option<String> {
    let Some(rest) = import.strip_prefix(PACKAGE) else {
        let mend = if import.starts_with("wasi:") {
            "an operator gets no files, clocks, network or randomness of the machine: build it without WASI (Rust: \
             target wasm32-unknown-unknown; other languages: their SDK's stubs)"
        } else {
            "an operator may import the interfaces of its world (wit/) and nothing else"
        };
        return Some(format!("which Tidemill does not grant: {mend}"));
    };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    if !world.granted().contains(&interface) {
        let (world, offers) = (world.short(), world.granted().join(", "));
        return Some(format!("which this Tidemill does not have; world {world} offers {offers}"));
    }
    if !version.starts_with(SERIES) {
        return Some(format!(
            "of another version; this Tidemill serves {SERIES}x: build it with an SDK of that version"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(imports: &[&str], exports: &[&str]) -> Surface {
        let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Surface { imports: own(imports), exports: own(exports) }
    }

    #[test]
    fn the_world_and_its_patches_are_accepted() {
        let ok = of(
            &["tidemill:operator/state@0.1.0", "tidemill:operator/log@0.1.4"],
            &["tidemill:operator/operator@0.1.2"],
        );
        ok.check("x").unwrap();
        assert_eq!(ok.world(), Some(WorldName::Processor));
        let aggregate = of(&["tidemill:operator/log@0.1.0"], &["tidemill:operator/aggregate@0.1.1"]);
        assert_eq!(aggregate.check("x").unwrap(), WorldName::Aggregator);
    }

    #[test]
    fn what_is_not_granted_is_named() {
        let wasi = of(&["wasi:filesystem/types@0.2.3"], &["tidemill:operator/operator@0.1.0"]);
        let message = wasi.check("x.wasm").unwrap_err().to_string();
        assert!(message.starts_with("component x.wasm imports wasi:filesystem/types@0.2.3, which"), "{message}");
        let newer = of(&["tidemill:operator/state@0.2.0"], &["tidemill:operator/operator@0.1.0"]);
        assert!(newer.check("x").unwrap_err().to_string().contains("this Tidemill serves 0.1.x"));
        let unknown = of(&["tidemill:operator/teleport@0.1.0"], &["tidemill:operator/operator@0.1.0"]);
        assert!(
            unknown.check("x").unwrap_err().to_string().contains("teleport@0.1.0, which this Tidemill does not have")
        );
    }

    #[test]
    fn another_world_is_told_what_is_missing() {
        let message = |s: Surface| s.check("x").unwrap_err().to_string();
        assert!(
            message(of(&[], &[])).contains("exports nothing; an operator must export tidemill:operator/operator@0.1.0")
        );
        assert!(message(of(&[], &["wasi:cli/run@0.2.0"])).contains("another world (it exports wasi:cli/run@0.2.0)"));
        assert!(message(of(&[], &["tidemill:operator/aggregate@0.2.0"])).contains("serves 0.1.x"));
        let keeps = of(&["tidemill:operator/state@0.1.0"], &["tidemill:operator/aggregate@0.1.0"]);
        assert!(message(keeps).contains("world aggregator offers types, metrics, log, context"));
        assert!(message(of(&[], &["tidemill:operator/operator@0.2.0"])).contains("serves 0.1.x"));
    }
}
