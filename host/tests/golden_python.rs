//! The example operators in Python reach the golden output, straight and killed, and the SDK passes its own tests. Without Python's
//! tools it is skipped by name.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/languages.rs"]
mod languages;

use languages::NativeTests;

const TESTS: NativeTests = NativeTests {
    program: "python3",
    of_sdk: &["-m", "unittest", "discover", "-s", "tests", "-t", "."],
    of_project: &["-m", "unittest"],
};

#[test]
fn the_sdk_passes_its_own_tests() {
    languages::sdk_tests("python", &TESTS);
}

#[test]
fn same_output_in_python() {
    golden::build_operators();
    languages::same_output_in("python", &TESTS);
}
