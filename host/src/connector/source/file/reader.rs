//! Reads one file: records out of the window, events into the caller's columns, bad records into its rejections.
//!
//! Invariants:
//! 1. between two calls the reader stands at the beginning of a record: `position` is where `read` goes on;
//! 2. every record is given once, as an event or as a rejection, whatever the limits of the calls;
//! 3. nothing is buffered without bound: a line over `RECORD_BYTES_MAX` is skipped, of a record with an open quote only
//!    its first line is refused.

use super::csv::{Columns, Fields, QuotedEnd};
use super::input::Input;
use super::position::FilePosition;
use super::time::TimeParser;
use crate::clock::Clock;
use crate::config::pipeline::{Field, FileFormat, FileSource, ValueForm};
use crate::connector::json::{self, Pointer};
use crate::connector::{ConnectorError, PartitionReader, Progress, ReadStatus, SourceBatch, SourceRejection};
use std::ops::Range;
use std::path::{Path, PathBuf};
use tidemill_storage::EventTime;

/// Longest record, bytes.
pub(super) const RECORD_BYTES_MAX: usize = 16 << 20;
/// So much of an over-long line is kept for its rejection, bytes.
const SAMPLE_BYTES: usize = 1_024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A reader of one file.
pub(super) struct FileReader {
    path: PathBuf,
    input: Input,
    decoder: Decoder,
    clock: Clock,
    record: u64,
    /// Of the next record, from 1.
    line: u64,
    last_time: EventTime,
    /// Found while there were events to give first.
    failed: Option<ConnectorError>,
}

/// What a record is, and where its time and key are.
enum Decoder {
    Csv {
        columns: Columns,
        fields: Box<Fields>,
        value: ValueForm,
        time: Option<(usize, TimeParser)>,
        key: Option<usize>,
    },
    Json {
        pointers: Vec<Pointer>,
        found: Vec<Option<Range<usize>>>,
        time: Option<TimeParser>,
        key: bool,
        check: bool,
        text: Vec<u8>,
    },
    Lines,
}

/// A physical line: its bytes without and with its end.
struct Line {
    text: usize,
    whole: usize,
}

enum Next {
    Line(Line),
    TooLong,
    End,
}

impl FileReader {
    /// Opens a file where a position says, or at its start.
    pub(super) fn open(
        path: &Path,
        spec: &FileSource,
        clock: &Clock,
        position: Option<&[u8]>,
    ) -> Result<FileReader, ConnectorError> {
        let position = position.map(|p| FilePosition::decode(p, path)).transpose().map_err(ConnectorError::Invalid)?;
        let input = Input::open(path)?;
        if let Some(position) = &position {
            let (length, head) = input.raw();
            position.check(length, head, path).map_err(ConnectorError::Invalid)?;
        }
        let mut reader = FileReader {
            path: path.to_path_buf(),
            input,
            decoder: Decoder::Lines,
            clock: clock.clone(),
            record: 0,
            line: 1,
            last_time: EventTime(0),
            failed: None,
        };
        reader.skip_byte_order_mark()?;
        reader.decoder = match spec.format {
            FileFormat::Csv => reader.csv(spec)?,
            FileFormat::JsonLines => json_decoder(spec),
            FileFormat::Lines => Decoder::Lines,
        };
        if let Some(position) = position {
            reader.input.skip_to(position.offset)?;
            (reader.record, reader.line) = (position.record, position.line);
        }
        Ok(reader)
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), ConnectorError> {
        while self.input.available().len() < BYTE_ORDER_MARK.len() && self.input.fill()? {}
        if self.input.available().starts_with(BYTE_ORDER_MARK) {
            self.input.consume(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    /// Reads the header row.
    fn csv(&mut self, spec: &FileSource) -> Result<Decoder, ConnectorError> {
        let path = self.path.display().to_string();
        let invalid = |why: String| ConnectorError::Invalid(format!("{path} {why}"));
        let mut fields = Box::new(Fields::new());
        let len = loop {
            match self.next_line()? {
                Next::End => {
                    return Err(invalid(
                        "is empty; a CSV file begins with a header row: remove it, or write one".into(),
                    ));
                }
                Next::TooLong => {
                    return Err(invalid(format!("has a header row over {RECORD_BYTES_MAX} bytes; is it CSV?")));
                }
                Next::Line(line) if line.text == 0 => self.consume(&line),
                Next::Line(line) => break self.csv_record(&line, &mut fields)?,
            }
        };
        let Some(len) = len else { return Err(invalid("has a quote in its header row that is never closed".into())) };
        let record = &self.input.available()[..len];
        let names = (0..fields.len())
            .map(|i| String::from_utf8(fields.get(record, i).to_vec()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| invalid("has a header row that is not UTF-8; convert the file".into()))?;
        self.line += memchr::memchr_iter(b'\n', record).count() as u64;
        self.input.consume(len);

        let columns = Columns::new(names);
        if spec.value == ValueForm::Json
            && let Some(name) = columns.repeated()
        {
            return Err(invalid(format!(
                "has column {name:?} twice, which a JSON object cannot; rename one, or write value = \"raw\""
            )));
        }
        let find = |field: &Field, setting: &str| match field {
            Field::Column(name) => columns.find(name).map_err(|why| invalid(format!("{why} (asked for by {setting})"))),
            Field::Pointer(pointer) => Err(invalid(format!("is CSV and has no {pointer} ({setting}); name a column"))),
        };
        let time = match &spec.time {
            Some(time) => Some((find(&time.field, "time")?, TimeParser::new(&time.format))),
            None => None,
        };
        let key = spec.key.as_ref().map(|key| find(key, "key")).transpose()?;
        Ok(Decoder::Csv { columns, fields, value: spec.value, time, key })
    }

    /// The next physical line of what is available, more being read as needed.
    fn next_line(&mut self) -> Result<Next, ConnectorError> {
        let mut searched = 0;
        loop {
            let available = self.input.available();
            if let Some(at) = memchr::memchr(b'\n', &available[searched..]) {
                let end = searched + at;
                if end > RECORD_BYTES_MAX {
                    return Ok(Next::TooLong);
                }
                return Ok(Next::Line(Line { text: without_return(&available[..end]), whole: end + 1 }));
            }
            searched = available.len();
            if searched > RECORD_BYTES_MAX {
                return Ok(Next::TooLong);
            }
            if !self.input.fill()? {
                let available = self.input.available();
                return Ok(match available.len() {
                    0 => Next::End,
                    whole => Next::Line(Line { text: without_return(available), whole }),
                });
            }
        }
    }

    /// The whole length of the CSV record that begins with `line`; its fields are cut. `None` = a quote is not closed
    /// before the file ends or the record is over the limit.
    fn csv_record(&mut self, line: &Line, fields: &mut Fields) -> Result<Option<usize>, ConnectorError> {
        let text = &self.input.available()[..line.text];
        if memchr::memchr(b'"', text).is_none() {
            fields.cut(text);
            return Ok(Some(line.whole));
        }
        fields.begin_quoted();
        let (mut given, mut last) = (line.whole, false);
        loop {
            match fields.feed_quoted(&self.input.available()[..given], last) {
                QuotedEnd::At(end) => return Ok((end <= RECORD_BYTES_MAX).then_some(end)),
                QuotedEnd::Unclosed => return Ok(None),
                QuotedEnd::Unknown if given > RECORD_BYTES_MAX => return Ok(None),
                QuotedEnd::Unknown if given < self.input.available().len() => {}
                QuotedEnd::Unknown => last = !self.input.fill()?,
            }
            given = self.input.available().len();
        }
    }

    fn consume(&mut self, line: &Line) {
        self.input.consume(line.whole);
        self.line += 1;
    }

    /// Gives records until a limit or the end is reached.
    fn read_many(
        &mut self,
        decoder: &mut Decoder,
        max_events: usize,
        max_bytes: usize,
        out: &mut SourceBatch,
    ) -> Result<ReadStatus, ConnectorError> {
        let now = EventTime(self.clock.now_ms());
        let (first, bytes_before) = (self.record, out.events.bytes());
        let offset_before = self.input.offset();
        loop {
            let events = (self.record - first) as usize;
            let bytes = (out.events.bytes() - bytes_before).max((self.input.offset() - offset_before) as usize);
            if events >= max_events.max(1) || (events > 0 && bytes >= max_bytes) {
                return Ok(ReadStatus::More);
            }
            match self.read_one(decoder, now, out) {
                Ok(true) => {}
                Ok(false) => return Ok(ReadStatus::End),
                Err(error) => {
                    self.failed = Some(error.clone());
                    return if self.record > first { Ok(ReadStatus::More) } else { Err(error) };
                }
            }
        }
    }

    /// Gives one record. False = the file has ended.
    fn read_one(
        &mut self,
        decoder: &mut Decoder,
        now: EventTime,
        out: &mut SourceBatch,
    ) -> Result<bool, ConnectorError> {
        let line = loop {
            match self.next_line()? {
                Next::End => return Ok(false),
                Next::TooLong => return self.skip_long_line(out).map(|()| true),
                // A blank line is a value only where any line is one.
                Next::Line(line) if line.text == 0 && !matches!(decoder, Decoder::Lines) => self.consume(&line),
                Next::Line(line) => break line,
            }
        };
        self.decode(decoder, &line, now, out).map(|()| true)
    }

    fn decode(
        &mut self,
        decoder: &mut Decoder,
        line: &Line,
        now: EventTime,
        out: &mut SourceBatch,
    ) -> Result<(), ConnectorError> {
        let mut whole = line.whole;
        let mut text = line.text;
        let decoded = match decoder {
            Decoder::Lines => {
                out.events.push(now, None, Some(&self.input.available()[..text]));
                Ok(now)
            }
            Decoder::Json { .. } => decode_json(decoder, &self.input.available()[..text], now, out),
            Decoder::Csv { fields, .. } => match self.csv_record(line, fields)? {
                Some(len) => {
                    whole = len;
                    let record = &self.input.available()[..len];
                    text = without_return(record.strip_suffix(b"\n").unwrap_or(record));
                    decode_csv(decoder, &record[..text], now, out)
                }
                None => Err("a quote is opened and not closed; only this line is left out".to_string()),
            },
        };
        match decoded {
            Ok(time) => self.last_time = time,
            Err(why) => {
                let value = self.input.available()[..text].to_vec();
                self.reject(value, &why, out);
            }
        }
        self.line += match decoder {
            Decoder::Csv { .. } => lines_in(&self.input.available()[..whole]),
            Decoder::Json { .. } | Decoder::Lines => 1,
        };
        self.record += 1;
        self.input.consume(whole);
        Ok(())
    }

    /// Refuses a line that is over the limit, without holding it.
    fn skip_long_line(&mut self, out: &mut SourceBatch) -> Result<(), ConnectorError> {
        let sample = self.input.available()[..SAMPLE_BYTES].to_vec();
        let why = format!("a line over {RECORD_BYTES_MAX} bytes; these are its first {SAMPLE_BYTES}");
        loop {
            let available = self.input.available();
            match memchr::memchr(b'\n', available) {
                Some(at) => {
                    self.input.consume(at + 1);
                    break;
                }
                None => self.input.consume(available.len()),
            }
            if !self.input.fill()? {
                break;
            }
        }
        self.reject(sample, &why, out);
        self.line += 1;
        self.record += 1;
        Ok(())
    }

    fn reject(&self, value: Vec<u8>, why: &str, out: &mut SourceBatch) {
        let reason = format!("{}:{}: {why}", self.path.display(), self.line);
        out.rejected.push(SourceRejection { time: self.last_time, value, reason });
    }
}

fn without_return(line: &[u8]) -> usize {
    line.len() - usize::from(line.ends_with(b"\r"))
}

/// Line ends in a record; the last line of a file counts without one.
fn lines_in(record: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', record).count() as u64 + u64::from(!record.ends_with(b"\n"))
}

fn json_decoder(spec: &FileSource) -> Decoder {
    let pointer = |field: &Field| match field {
        Field::Pointer(text) | Field::Column(text) => Pointer::new(text),
    };
    let time = spec.time.as_ref();
    let pointers: Vec<Pointer> =
        time.map(|t| pointer(&t.field)).into_iter().chain(spec.key.as_ref().map(pointer)).collect();
    Decoder::Json {
        found: vec![None; pointers.len()],
        check: spec.value == ValueForm::Json || !pointers.is_empty(),
        pointers,
        time: time.map(|t| TimeParser::new(&t.format)),
        key: spec.key.is_some(),
        text: Vec::new(),
    }
}

fn decode_csv(decoder: &Decoder, record: &[u8], now: EventTime, out: &mut SourceBatch) -> Result<EventTime, String> {
    let Decoder::Csv { columns, fields, value, time, key } = decoder else { return Ok(now) };
    if fields.len() != columns.len() {
        return Err(format!("the row has {} columns, the header row {}", fields.len(), columns.len()));
    }
    let time = match time {
        Some((column, parser)) => parser.parse(fields.get(record, *column))?,
        None => now,
    };
    let events = &mut out.events;
    match value {
        ValueForm::Raw => events.values.push(Some(record)),
        ValueForm::Json => {
            std::str::from_utf8(record).map_err(|e| format!("the row is not UTF-8 (byte {})", e.valid_up_to()))?;
            columns.write_json(fields, record, &mut events.values.data);
            events.values.push(Some(b""));
        }
    }
    events.keys.push(key.map(|column| fields.get(record, column)));
    events.timestamps.push(time.0);
    Ok(time)
}

/// The key: a string's text, a number or a word as written; `null` is no key.
fn decode_json(decoder: &mut Decoder, line: &[u8], now: EventTime, out: &mut SourceBatch) -> Result<EventTime, String> {
    let Decoder::Json { pointers, found, time, key, check, text } = decoder else { return Ok(now) };
    let (mut at, mut key_at) = (now, None);
    if *check {
        std::str::from_utf8(line).map_err(|e| format!("the line is not UTF-8 (byte {})", e.valid_up_to()))?;
        json::scan(line, pointers, found).map_err(|e| format!("not JSON: {} (byte {})", e.what, e.at))?;
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err("not a JSON object".to_string());
        }
        let mut found = found.iter();
        if let Some(parser) = time {
            at = parser.parse(scalar(line, found.next(), "time", text)?.ok_or("the time is null")?)?;
        }
        if *key {
            key_at = scalar(line, found.next(), "key", text)?;
        }
    }
    out.events.push(at, key_at, Some(line));
    Ok(at)
}

fn scalar<'a>(
    line: &'a [u8],
    found: Option<&Option<Range<usize>>>,
    what: &str,
    text: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, String> {
    let Some(Some(range)) = found else { return Err(format!("there is no {what} where its pointer leads")) };
    let value = &line[range.clone()];
    match value {
        b"null" => Ok(None),
        [b'{' | b'[', ..] => {
            Err(format!("the {what} is an object or a list; a string, number, true or false is needed"))
        }
        [b'"', inner @ .., b'"'] if inner.contains(&b'\\') => {
            text.clear();
            json::unescape(inner, text).ok_or_else(|| format!("the {what} holds half a surrogate pair"))?;
            Ok(Some(text))
        }
        [b'"', inner @ .., b'"'] => Ok(Some(inner)),
        word => Ok(Some(word)),
    }
}

impl PartitionReader for FileReader {
    fn read(
        &mut self,
        max_events: usize,
        max_bytes: usize,
        out: &mut SourceBatch,
    ) -> Result<ReadStatus, ConnectorError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // Taken out so that the decoder and the window can be used together.
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::Lines);
        let status = self.read_many(&mut decoder, max_events, max_bytes, out);
        self.decoder = decoder;
        status
    }

    fn position(&self) -> Vec<u8> {
        let file = self.input.identity();
        FilePosition { record: self.record, line: self.line, offset: self.input.offset(), file }.encode()
    }

    fn describe_position(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        format!("line {} of {}", self.line, name.to_string_lossy())
    }

    fn progress(&self) -> Progress {
        Progress { done: self.input.used_bytes(), total: Some(self.input.raw().0) }
    }
}
