//! The example operators in JavaScript reach the golden output, straight and killed, and the SDK passes its own tests. Without JavaScript's
//! tools it is skipped by name.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/languages.rs"]
mod languages;

use languages::NativeTests;

const TESTS: NativeTests =
    NativeTests { program: "node", of_sdk: &["--test", "tests/"], of_project: &["--test", "tests/"] };

#[test]
fn the_sdk_passes_its_own_tests() {
    languages::sdk_tests("javascript", &TESTS);
}

#[test]
fn same_output_in_javascript() {
    golden::build_operators();
    languages::same_output_in("javascript", &TESTS);
}
