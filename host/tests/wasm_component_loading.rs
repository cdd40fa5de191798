//! Loading: what fits the world is compiled once and found again; what does not fit is refused before it runs, in words.

mod wasm_support;

use std::path::Path;
use tidemill::config::pipeline::Limits;
use tidemill::wasm::{ComponentError, EngineOptions, WasmEngine, WasmFactory, component};
use wasm_support::{LIMITS, component_bytes, core_module, engine, load};

const MISBEHAVE: &str = "guest-misbehave";

fn refusal(name: &str, bytes: &[u8]) -> ComponentError {
    component::load_bytes(&engine(), name, bytes).err().expect("it is refused")
}

/// `componentize` would refuse it, so the encoder is called directly.
fn wrong_world() -> Vec<u8> {
    let core = core_module("guest-wrong-world");
    wit_component::ComponentEncoder::default().module(&core).unwrap().validate(true).encode().unwrap()
}

fn cached(dir: &Path) -> WasmEngine {
    WasmEngine::new(EngineOptions { cache_dir: Some(dir.to_owned()) }).unwrap()
}

#[test]
fn a_component_of_another_world_is_refused() {
    let error = refusal("greeter.wasm", &wrong_world());
    let message = error.to_string();
    assert!(matches!(error, ComponentError::WrongWorld(_)), "{message}");
    assert!(message.contains("greeter.wasm") && message.contains("greet"), "{message}");
    assert!(message.contains("must export tidemill:operator/operator@0.1.0"), "{message}");
    let message = component::componentize(&core_module("guest-wrong-world")).unwrap_err().to_string();
    assert!(message.contains("must export tidemill:operator/operator@0.1.0"), "{message}");
}

#[test]
fn a_core_module_is_refused_with_what_to_run() {
    let message = refusal("stats.wasm", &core_module(MISBEHAVE)).to_string();
    assert!(message.contains("stats.wasm is a core WebAssembly module"), "{message}");
    assert!(message.contains("tidemill build"), "{message}");
}

#[test]
fn other_bytes_are_refused() {
    assert!(refusal("notes.txt", b"hello").to_string().contains("notes.txt is not WebAssembly"));
    let mut damaged = component_bytes(MISBEHAVE);
    damaged.truncate(damaged.len() / 2);
    assert!(matches!(refusal("half.wasm", &damaged), ComponentError::NotAComponent(_)));
    assert!(component::componentize(b"hello").is_err());
}

#[test]
fn a_project_folder_means_its_built_component() {
    let project = tempfile::tempdir().unwrap();
    let message = component::load(&engine(), project.path()).err().expect("nothing is built").to_string();
    assert!(message.starts_with(&format!("component not built: run `tidemill build {}`", project.path().display())));

    std::fs::write(project.path().join(component::BUILT_COMPONENT), component_bytes(MISBEHAVE)).unwrap();
    assert_eq!(component::load(&engine(), project.path()).unwrap().descriptor().name, "misbehave");

    let message = component::load(&engine(), Path::new("no/such.wasm")).err().expect("missing").to_string();
    assert!(message.contains("no/such.wasm") && message.contains("check the path"), "{message}");
}

#[test]
fn a_component_is_compiled_once_and_a_damaged_cache_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("components");
    assert!(!load(&cached(&cache), MISBEHAVE).from_cache());
    assert!(load(&cached(&cache), MISBEHAVE).from_cache());

    let files: Vec<_> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("one file, nothing left over: {files:?}") };
    let whole = std::fs::read(file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() / 2], &[]] {
        std::fs::write(file, damaged).unwrap();
        assert!(!load(&cached(&cache), MISBEHAVE).from_cache());
        assert!(load(&cached(&cache), MISBEHAVE).from_cache(), "mended");
    }
}

#[cfg(unix)]
#[test]
fn a_cache_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let private = dir.path().join("made");
    cached(&private);
    assert_eq!(std::fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o700);

    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = WasmEngine::new(EngineOptions { cache_dir: Some(private) }).err().expect("it is refused");
    assert!(error.to_string().contains("others may write to it (mode 777)"), "{error}");
}

#[test]
fn inspection_tells_of_components_that_fit_and_of_those_that_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good.wasm"), dir.path().join("bad.wasm"));
    std::fs::write(&good, component_bytes(MISBEHAVE)).unwrap();
    std::fs::write(&bad, wrong_world()).unwrap();

    let report = component::inspect(&good).unwrap();
    assert_eq!(report.digest, load(&engine(), MISBEHAVE).digest());
    assert_eq!(report.size, std::fs::metadata(&good).unwrap().len());
    assert_eq!(report.world, Some("tidemill:operator/processor@0.1.0"));
    assert!(report.imports.iter().any(|name| name == "tidemill:operator/state@0.1.0"), "{:?}", report.imports);
    assert_eq!(report.exports, ["tidemill:operator/operator@0.1.0"]);
    assert_eq!(report.descriptor.unwrap().name, "misbehave");
    assert_eq!(report.problem, None);

    let report = component::inspect(&bad).unwrap();
    assert_eq!((report.world, report.exports), (None, vec!["greet".to_owned()]));
    assert!(report.descriptor.is_none() && report.problem.unwrap().contains("another world"));
}

#[test]
fn limits_without_sense_are_refused_before_anything_runs() {
    let engine = engine();
    let limits = Limits { call_deadline_ms: 0, ..LIMITS };
    let made = WasmFactory::new(&engine, load(&engine, MISBEHAVE), &serde_json::json!({}), &limits, "stats");
    let message = made.err().expect("refused").to_string();
    assert!(message.contains("operator stats") && message.contains("limits.call_deadline"), "{message}");
}
