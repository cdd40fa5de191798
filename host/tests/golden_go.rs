//! The example operators in Go reach the golden output, straight and killed, and the SDK passes its own tests. Without Go's
//! tools it is skipped by name.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/languages.rs"]
mod languages;

use languages::NativeTests;

const TESTS: NativeTests = NativeTests { program: "go", of_sdk: &["test", "./..."], of_project: &["test", "./..."] };

#[test]
fn the_sdk_passes_its_own_tests() {
    languages::sdk_tests("go", &TESTS);
}

#[test]
fn same_output_in_go() {
    golden::build_operators();
    languages::same_output_in("go", &TESTS);
}
