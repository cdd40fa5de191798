//! What is wrong with a pipeline or settings file: where, what, and the mend. Readers of config make it, the CLI prints it.

use std::fmt;
use std::path::Path;

/// An error in a file or an override. Its `Display` is `file:line:column: what is wrong; the mend`; for an override
/// `--set path=value: what is wrong; the mend`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    place: String,
    message: String,
}

impl ConfigError {
    /// An error at a place.
    pub fn new(place: impl Into<String>, message: impl fmt::Display) -> ConfigError {
        ConfigError { place: place.into(), message: message.to_string() }
    }

    /// A file that cannot be read at all.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
        let mend = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file; check the path".to_string(),
            std::io::ErrorKind::IsADirectory => "this is a folder; name the pipeline file in it".to_string(),
            _ => format!("cannot be read: {error}; check its permissions"),
        };
        ConfigError::new(path.display().to_string(), mend)
    }

    /// Where: `file:line:column`, `file`, or `--set path=value`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What, and the mend.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// ` (did you mean "x"?)` for the known name that is closest to a mistyped one, or nothing.
pub(super) fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let allowed = 1 + typed.chars().count() / 4;
    known
        .into_iter()
        .map(|name| (edit_distance(typed, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map_or_else(String::new, |(_, name)| format!(" (did you mean \"{name}\"?)"))
}

/// Insertions, deletions, replacements and swaps of neighbours that make `a` into `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_proposed_and_far_ones_are_not() {
        let known = ["checkpoint_interval", "name", "parallelism", "restart"];
        assert_eq!(did_you_mean("paralelism", known), " (did you mean \"parallelism\"?)");
        assert_eq!(did_you_mean("nmae", known), " (did you mean \"name\"?)");
        assert_eq!(did_you_mean("colour", known), "");
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
