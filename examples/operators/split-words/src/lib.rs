//! Splits lines of text into words: one event per word, keyed by the word in lower case. Feeds `count`.

use tidemill_sdk::prelude::*;

/// One output port.
#[derive(Declare)]
pub struct SplitWords {
    words: Output,
}

impl Operator for SplitWords {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        for word in event.text()?.split(|c: char| !c.is_alphanumeric() && c != '\'') {
            let word = word.trim_matches('\'').to_lowercase();
            if !word.is_empty() {
                self.words.emit(&word, "")?;
            }
        }
        Ok(())
    }
}

tidemill_sdk::export!(SplitWords);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, Record};

    #[test]
    fn words_are_keys_in_lower_case_without_punctuation() {
        let mut harness = Harness::<SplitWords>::open().unwrap();
        harness.send([Record::new((), "'Tis the tide, THE tide's turn!").at(3)]).unwrap();
        let words: Vec<_> = harness.output("words").into_iter().map(|r| (r.key.unwrap(), r.time)).collect();
        let expected = ["tis", "the", "tide", "the", "tide's", "turn"].map(|w| (w.as_bytes().to_vec(), 3));
        assert_eq!(words, expected);
    }

    #[test]
    fn a_line_that_is_no_text_is_refused_and_the_others_are_not() {
        let mut harness = Harness::<SplitWords>::open().unwrap();
        harness.send([Record::new((), [0xff, 0xfe]), Record::new((), "fine")]).unwrap();
        assert_eq!(harness.output("words").len(), 1);
        assert!(harness.dead_letters()[0].reason.contains("not UTF-8"));
    }
}
