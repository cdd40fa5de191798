//! One suite over the conformance operator of every language (guest-sdk/CONFORMANCE.md): the same calls through the sandbox,
//! the same answers. A test is `LANGUAGE::CASE`. A language whose tools are not here, or whose operator is not written yet,
//! has one test, ignored, whose name says so.

mod failures;
mod guest;
mod shapes;
mod state;
mod time;

#[path = "../../src/cli/test/rig.rs"]
#[allow(dead_code, unreachable_pub)] // the part of `tidemill test` that this program uses
mod rig;

#[path = "../support/tools.rs"]
mod tools;

use guest::Guest;
use libtest_mimic::{Arguments, Trial};
use std::sync::{Arc, OnceLock};

/// The languages, each with its project from guest-sdk, and whether a bug of the operator leaves the instance alive.
const LANGUAGES: [(&str, &str, bool); 6] = [
    ("rust", "rust/conformance", false),
    ("python", "python/conformance", true),
    ("javascript", "javascript/conformance", true),
    ("typescript", "javascript/conformance-typescript", true),
    ("go", "go/conformance", true),
    ("c", "c/conformance", false),
];

type Case = (&'static str, fn(&Guest));

fn main() {
    let arguments = Arguments::from_args();
    let cases: Vec<Case> = [shapes::CASES, state::CASES, time::CASES, failures::CASES].concat();
    let mut trials = Vec::new();
    for (language, folder, outlives_bugs) in LANGUAGES {
        // A filter that means another language need not build this one.
        let meant = |case: &Case| match &arguments.filter {
            Some(filter) if arguments.exact => format!("{language}::{}", case.0) == *filter,
            Some(filter) => format!("{language}::{}", case.0).contains(filter),
            None => true,
        };
        let cases: Vec<Case> = cases.iter().copied().filter(|case| meant(case)).collect();
        if cases.is_empty() {
            continue;
        }
        if arguments.list {
            trials.extend(cases.iter().map(|(name, _)| Trial::test(format!("{language}::{name}"), || Ok(()))));
            continue;
        }
        match guest::build(folder) {
            Ok(component) => {
                // Compiled by the first of its tests.
                let guest = Arc::new((OnceLock::new(), component));
                trials.extend(cases.into_iter().map(|(name, check)| {
                    let guest = guest.clone();
                    Trial::test(format!("{language}::{name}"), move || {
                        let (loaded, component) = &*guest;
                        check(loaded.get_or_init(|| Guest::load(component, outlives_bugs)));
                        Ok(())
                    })
                }));
            }
            Err(guest::NotBuilt::Skipped(why)) => {
                tools::skipped(&format!("conformance of {language}"), &why);
                let name = format!("{language}::all skipped: {why}");
                trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
            }
            Err(guest::NotBuilt::Failed(why)) => {
                trials.push(Trial::test(format!("{language}::builds"), move || Err(why.into())));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
