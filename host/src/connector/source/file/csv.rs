//! CSV rows: where a record ends, its fields, and the event's value. The reader hands in bytes and takes fields.
//!
//! A line without quotes is cut at its commas with memchr; any other record goes through csv-core, whose reading of the
//! format (RFC 4180; quotes may hold commas, line ends and doubled quotes) is the rule for both.

use crate::connector::json;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use std::ops::Range;

/// Where a quoted record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuotedEnd {
    /// After this many bytes, its line end included.
    At(usize),
    /// Beyond the bytes given: more are needed.
    Unknown,
    /// A quote is open at the end of the file.
    Unclosed,
}

/// Takes records apart. Fields of the last record are read with [`Fields::get`].
pub(super) struct Fields {
    quoted: Reader,
    /// Bytes of the current quoted record that csv-core has seen.
    fed: usize,
    /// Unescaped fields of a quoted record.
    text: Vec<u8>,
    text_len: usize,
    ends: Vec<usize>,
    ends_len: usize,
    ranges: Vec<Range<usize>>,
    /// Whether `ranges` point into `text` (quoted) or into the record itself.
    unescaped: bool,
}

impl Fields {
    pub(super) fn new() -> Fields {
        Fields {
            quoted: ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build(),
            fed: 0,
            text: vec![0; 1_024],
            text_len: 0,
            ends: vec![0; 64],
            ends_len: 0,
            ranges: Vec::new(),
            unescaped: false,
        }
    }

    /// Cuts a line that holds no quote, without its line end.
    pub(super) fn cut(&mut self, line: &[u8]) {
        self.unescaped = false;
        self.ranges.clear();
        let mut start = 0;
        for comma in memchr::memchr_iter(b',', line) {
            self.ranges.push(start..comma);
            start = comma + 1;
        }
        self.ranges.push(start..line.len());
    }

    /// Starts on a record that holds quotes.
    pub(super) fn begin_quoted(&mut self) {
        self.quoted.reset();
        (self.fed, self.text_len, self.ends_len) = (0, 0, 0);
    }

    /// Goes on with it: `bytes` begin where the record begins, and grow from call to call; `last` = the file ends there.
    pub(super) fn feed_quoted(&mut self, bytes: &[u8], last: bool) -> QuotedEnd {
        if let Some(end) = self.feed(&bytes[self.fed.min(bytes.len())..]) {
            return self.finish_quoted(bytes, end);
        }
        if !last {
            return QuotedEnd::Unknown;
        }
        // At the end of the file a line end closes the record, unless a quote is open.
        match self.feed(b"\n") {
            Some(_) => self.finish_quoted(bytes, bytes.len()),
            None => QuotedEnd::Unclosed,
        }
    }

    fn feed(&mut self, mut bytes: &[u8]) -> Option<usize> {
        while !bytes.is_empty() {
            let (result, read, written, ended) =
                self.quoted.read_record(bytes, &mut self.text[self.text_len..], &mut self.ends[self.ends_len..]);
            bytes = &bytes[read..];
            self.fed += read;
            self.text_len += written;
            self.ends_len += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => return Some(self.fed),
                ReadRecordResult::End => return None,
            }
        }
        None
    }

    fn finish_quoted(&mut self, bytes: &[u8], end: usize) -> QuotedEnd {
        self.unescaped = true;
        self.ranges.clear();
        let mut start = 0;
        for field_end in &self.ends[..self.ends_len] {
            self.ranges.push(start..*field_end);
            start = *field_end;
        }
        // csv-core ends records at '\n' alone here: the '\r' of a "\r\n" is left on the last field.
        let record = &bytes[..end];
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        if record.ends_with(b"\r")
            && let Some(last) = self.ranges.last_mut()
            && self.text[last.clone()].ends_with(b"\r")
        {
            last.end -= 1;
        }
        QuotedEnd::At(end)
    }

    /// How many fields the last record has.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Field i of the last record, whose bytes are `record`.
    #[inline]
    pub(super) fn get<'a>(&'a self, record: &'a [u8], i: usize) -> &'a [u8] {
        let from = if self.unescaped { &self.text[..] } else { record };
        &from[self.ranges[i].clone()]
    }
}

/// The columns of a file, by its header row.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    names: Vec<String>,
    /// What stands before each value in the JSON form of a row: `{"a":"`, then `","b":"`.
    before: Vec<Vec<u8>>,
}

impl Columns {
    pub(super) fn new(names: Vec<String>) -> Columns {
        let before = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let mut text = if i == 0 { b"{\"".to_vec() } else { b"\",\"".to_vec() };
                json::escape(name.as_bytes(), &mut text);
                text.extend_from_slice(b"\":\"");
                text
            })
            .collect();
        Columns { names, before }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The place of a column, or what is wrong.
    pub(super) fn find(&self, name: &str) -> Result<usize, String> {
        const LISTED_BYTES: usize = 2_000;
        let mut places = self.names.iter().enumerate().filter(|(_, n)| *n == name).map(|(i, _)| i);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => Err(format!("has column {name:?} twice; rename one in the file")),
            (None, _) => {
                let mut list = self.names.join(", ");
                if list.len() > LISTED_BYTES {
                    list = list.chars().take(LISTED_BYTES).chain("...".chars()).collect();
                }
                Err(format!("has no column {name:?}; its columns are: {list}"))
            }
        }
    }

    /// A name that stands twice: a JSON object cannot hold both.
    pub(super) fn repeated(&self) -> Option<&str> {
        let mut sorted: Vec<&str> = self.names.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    /// Appends the row as a JSON object of strings. There are as many fields as columns.
    #[inline]
    pub(super) fn write_json(&self, fields: &Fields, record: &[u8], out: &mut Vec<u8>) {
        for (i, before) in self.before.iter().enumerate() {
            out.extend_from_slice(before);
            json::escape(fields.get(record, i), out);
        }
        out.extend_from_slice(b"\"}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str, step: usize) -> (QuotedEnd, Vec<String>) {
        let mut fields = Fields::new();
        fields.begin_quoted();
        let mut given = 0;
        loop {
            given = (given + step).min(text.len());
            let last = given == text.len();
            let end = fields.feed_quoted(&text.as_bytes()[..given], last);
            if end != QuotedEnd::Unknown {
                let all = (0..fields.len()).map(|i| String::from_utf8_lossy(fields.get(b"", i)).into_owned()).collect();
                return (end, if end == QuotedEnd::Unclosed { Vec::new() } else { all });
            }
            assert!(!last);
        }
    }

    #[test]
    fn quoted_records_are_read_however_the_bytes_come() {
        for (text, end, fields) in [
            ("\"a,b\",c\nnext", QuotedEnd::At(8), vec!["a,b", "c"]),
            ("\"a\r\nb\",\"\"\"\"\r\nnext", QuotedEnd::At(13), vec!["a\r\nb", "\""]),
            ("x,\"y\"\r\n", QuotedEnd::At(7), vec!["x", "y"]),
            ("x,\"y\r\"\n", QuotedEnd::At(7), vec!["x", "y\r"]),
            ("x,\"y\"", QuotedEnd::At(5), vec!["x", "y"]),
            ("x,\"y\"\r", QuotedEnd::At(6), vec!["x", "y"]),
            ("x,y\"z\n", QuotedEnd::At(6), vec!["x", "y\"z"]),
            ("x,\"y\nz,1\n", QuotedEnd::Unclosed, vec![]),
        ] {
            for step in 1..=text.len() {
                assert_eq!(
                    quoted(text, step),
                    (end, fields.iter().map(ToString::to_string).collect()),
                    "{text:?} by {step}"
                );
            }
        }
    }

    #[test]
    fn a_wide_record_outgrows_the_first_buffers() {
        let text = format!("\"{}\"{}\n", "x".repeat(5_000), ",y".repeat(300));
        let (end, fields) = quoted(&text, 100);
        assert_eq!((end, fields.len()), (QuotedEnd::At(text.len()), 301));
        assert_eq!((fields[0].len(), fields[300].as_str()), (5_000, "y"));
    }

    #[test]
    fn a_row_becomes_an_object_of_strings_in_column_order() {
        let columns = Columns::new(vec!["z".into(), "a \"b\"".into()]);
        let mut fields = Fields::new();
        let line = b"1\\2,\tx";
        fields.cut(line);
        let mut out = Vec::new();
        columns.write_json(&fields, line, &mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), r#"{"z":"1\\2","a \"b\"":"\tx"}"#);
        assert_eq!(columns.find("z"), Ok(0));
        assert_eq!(columns.find("q"), Err("has no column \"q\"; its columns are: z, a \"b\"".into()));
    }
}
