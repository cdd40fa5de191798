//! From a compiler's core module to a component of one of the worlds, in this process: no external tool.
//!
//! Modules of bindings that carry their component type (Rust, wit-bindgen's C) are taken as they are; any other is given
//! the type of its world here. What a module for wasip1 asks of the system is answered inside the component by
//! wit/adapter/preview1.wat, so that nothing of it is left to import.

use super::super::project::World;
use super::contract;
use anyhow::{Context, Result, bail};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

const PREVIEW1: &str = "wasi_snapshot_preview1";

/// Makes a component of a core module.
pub(super) fn component(core: Vec<u8>, world: World) -> Result<Vec<u8>> {
    if !Parser::is_core_wasm(&core) {
        bail!("what the compiler wrote is not a core WebAssembly module");
    }
    let mut module = core;
    let found = Found::read(&module).context("what the compiler wrote is a damaged module")?;
    if !found.component_type {
        let (resolve, package) = contract::resolve()?;
        let id =
            resolve.select_world(&[package], Some(world.name())).context("this program's own wit/ lacks the world")?;
        embed_component_metadata(&mut module, &resolve, id, StringEncoding::UTF8, false)
            .context("the module cannot be given the type of its world")?;
    }
    let mut new = ComponentEncoder::default();
    let mut encoder = new.validate(true).module(&module).map_err(unfit)?;
    if found.preview1 {
        let adapter = wat::parse_str(contract::PREVIEW1).context("this program's own preview1.wat is broken")?;
        encoder = encoder.adapter(PREVIEW1, &adapter).map_err(unfit)?;
    }
    encoder.encode().map_err(unfit)
}

fn unfit(error: impl std::fmt::Display) -> anyhow::Error {
    // `{:#}` of what wit-component gives: the whole chain.
    anyhow::anyhow!(
        "the module cannot become a component: {error:#}; does it use the SDK, and call what exports the operator?"
    )
}

/// What matters of a core module.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    component_type: bool,
    preview1: bool,
}

impl Found {
    fn read(module: &[u8]) -> Result<Found> {
        let mut found = Found::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::CustomSection(section) => {
                    found.component_type |= section.name().starts_with("component-type");
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        found.preview1 |= import?.module == PREVIEW1;
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a compiler for wasip1 gives, by hand: it exports the world and asks WASI for the time on the way.
    const MODULE: &str = r#"(module
      (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 64) "{\22descriptor\22:1,\22name\22:\22x\22,\22inputs\22:[{\22name\22:\22events\22}]}")
      (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
      (func (export "tidemill:operator/operator@0.1.0#describe") (result i32)
        (if (i32.ne (call $time (i32.const 0) (i64.const 0) (i32.const 16)) (i32.const 0)) (then unreachable))
        (if (i64.eqz (i64.load (i32.const 16))) (then unreachable))
        (i32.store (i32.const 32) (i32.const 64)) (i32.store (i32.const 36) (i32.const 56)) i32.const 32)
      (func (export "tidemill:operator/operator@0.1.0#open") (param i32 i32) (result i32) i32.const 48)
      (func (export "tidemill:operator/operator@0.1.0#process") (param i32) (result i32) i32.const 48)
      (func (export "tidemill:operator/operator@0.1.0#on-timers")
        (param i32 i32 i32 i32 i32 i32 i32 i32 i64) (result i32) i32.const 48)
      (func (export "tidemill:operator/operator@0.1.0#on-watermark") (param i64) (result i32) i32.const 48)
      (func (export "tidemill:operator/operator@0.1.0#close") (result i32) i32.const 48))"#;

    #[test]
    fn a_module_becomes_a_component_that_describes_itself_and_imports_no_wasi() {
        let core = wat::parse_str(MODULE).unwrap();
        assert_eq!(Found::read(&core).unwrap(), Found { component_type: false, preview1: true });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.wasm");
        std::fs::write(&file, component(core.clone(), World::Processor).unwrap()).unwrap();
        let report = tidemill::wasm::component::inspect(&file).unwrap();
        assert_eq!((report.problem, report.world), (None, Some("tidemill:operator/processor@0.1.0")));
        assert!(report.imports.iter().all(|name| name.starts_with("tidemill:operator/")), "{:?}", report.imports);
        assert_eq!(report.descriptor.unwrap().name, "x");

        let error = format!("{:#}", component(core, World::Aggregator).unwrap_err());
        assert!(error.contains("aggregate") && error.contains("cannot become a component"), "{error}");
    }

    #[test]
    fn the_adapter_answers_what_a_module_asks_of_wasi() {
        // The Go runtime and wasi-libc ask for these, among others.
        let adapter = wat::parse_str(contract::PREVIEW1).unwrap();
        let mut exports = Vec::new();
        for payload in Parser::new(0).parse_all(&adapter) {
            match payload.unwrap() {
                Payload::ExportSection(section) => {
                    exports.extend(section.into_iter().map(|e| e.unwrap().name.to_owned()))
                }
                Payload::ImportSection(imports) => {
                    let imports: Vec<_> =
                        imports.into_imports().map(|import| import.unwrap().module.to_owned()).collect();
                    assert_eq!(imports, ["env"], "nothing but the memory of the module");
                }
                _ => {}
            }
        }
        for name in ["clock_time_get", "random_get", "fd_write", "proc_exit", "poll_oneoff", "environ_get", "path_open"]
        {
            assert!(exports.iter().any(|export| export == name), "{name}: {exports:?}");
        }
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(component(b"hello".to_vec(), World::Processor).is_err());
    }
}
