//! The example operators in TypeScript reach the golden output, straight and killed; the types of the SDK and of the examples hold.
//! Without JavaScript's tools it is skipped by name.

#[path = "support/golden.rs"]
mod golden;
#[path = "support/languages.rs"]
mod languages;

use languages::{EXCHANGES, NativeTests, tools};

/// `npm test` of a project bundles its test with rolldown, which the toolchain has.
const TESTS: NativeTests = NativeTests { program: "npm", of_sdk: TYPES.of_sdk, of_project: &["test"] };
/// The SDK's own tests are JavaScript's; its types are checked here.
const TYPES: NativeTests = NativeTests { program: "tsc", of_sdk: &["-p", "tests"], of_project: &["-p", "."] };

#[test]
fn the_types_of_the_sdk_hold() {
    languages::sdk_tests("typescript", &TYPES);
}

#[test]
fn same_output_and_types_in_typescript() {
    if !tools::are_there(&["npm", "rolldown"]) {
        let why = "npm or rolldown is not here (cargo xtask toolchain javascript fetches rolldown)";
        return tools::skipped("golden output in typescript", why);
    }
    golden::build_operators();
    languages::same_output_in("typescript", &TESTS);
    let example = |example: &str| golden::repository().join("examples/operators").join(example).join("typescript");
    let examples = EXCHANGES.iter().map(|exchange| example(exchange.example));
    examples.filter(|folder| folder.is_dir()).for_each(|folder| TYPES.run(TYPES.of_project, &folder));
}
