//! The example operators in JavaScript reach the golden output, straight and killed. Without JavaScript's tools it is skipped by name.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/languages.rs"]
mod languages;

#[test]
fn same_output_in_javascript() {
    golden::build_operators();
    languages::same_output_in("javascript");
}
