//! The example operators in Python reach the golden output, straight and killed. Without Python's tools it is skipped by name.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/languages.rs"]
mod languages;

#[test]
fn same_output_in_python() {
    golden::build_operators();
    languages::same_output_in("python");
}
