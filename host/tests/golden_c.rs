//! The example operators in C reach the golden output, straight and killed, and the SDK passes its own tests. Without C's
//! tools it is skipped by name.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/languages.rs"]
mod languages;

use languages::NativeTests;

const TESTS: NativeTests = NativeTests {
    program: "sh",
    of_sdk: &["tests/run.sh"],
    of_project: &["../../../../guest-sdk/c/tests/run.sh", "."],
};

#[test]
fn the_sdk_passes_its_own_tests() {
    languages::sdk_tests("c", &TESTS);
}

#[test]
fn same_output_in_c() {
    golden::build_operators();
    languages::same_output_in("c", &TESTS);
}
