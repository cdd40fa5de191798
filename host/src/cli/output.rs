//! What commands print: data on stdout (a table for people or JSON), talk on stderr around the live lines of `run`.

use anyhow::Result;
use indicatif::{MultiProgress, ProgressDrawTarget};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use tracing_subscriber::fmt::MakeWriter;

/// stdout was closed by its reader: there is nothing more to do, and nothing wrong.
#[derive(Debug, thiserror::Error)]
#[error("the reader of stdout is gone")]
pub(crate) struct ReaderGone;

/// The two ends that a command prints to: this process's, or a client's of the control socket.
pub(crate) trait Ends: Send + Sync {
    /// Takes data; unbuffered.
    fn stdout(&self) -> Box<dyn Write + Send>;
    /// Shows a line of talk.
    fn say(&self, line: &str);
    /// Whether data goes to a terminal.
    fn stdout_is_terminal(&self) -> bool;
}

/// Where a command prints.
#[derive(Clone)]
pub(crate) struct Output {
    json: bool,
    progress: MultiProgress,
    ends: Arc<dyn Ends>,
}

impl Output {
    /// This process's stdout and stderr.
    pub(crate) fn process(json: bool) -> Output {
        // Hidden by itself when stderr is no terminal.
        let progress = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Output { json, progress: progress.clone(), ends: Arc::new(ProcessEnds { progress }) }
    }

    /// Other ends, which show no live lines.
    pub(crate) fn new(json: bool, ends: impl Ends + 'static) -> Output {
        let progress = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        Output { json, progress, ends: Arc::new(ends) }
    }

    /// Whether stdout is to be JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether stderr is a terminal: live lines and colours are welcome.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether stdout is one.
    pub(crate) fn stdout_is_terminal(&self) -> bool {
        self.ends.stdout_is_terminal()
    }

    /// The live lines.
    pub(crate) fn progress(&self) -> &MultiProgress {
        &self.progress
    }

    /// A line of talk.
    pub(crate) fn say(&self, what: &str) {
        self.ends.say(what);
    }

    /// Data: the JSON with `--json`, else the text.
    pub(crate) fn data(&self, json: impl FnOnce() -> serde_json::Value, text: impl FnOnce() -> String) -> Result<()> {
        let mut out = self.stdout();
        out.write(if self.json { format!("{}\n", json()) } else { text() }.as_bytes())?;
        out.flush()
    }

    /// A buffered stdout for many lines.
    pub(crate) fn stdout(&self) -> Stdout {
        Stdout { out: io::BufWriter::with_capacity(64 * 1024, self.ends.stdout()) }
    }

    /// For log lines.
    pub(crate) fn log_writer(&self) -> LogWriter {
        LogWriter { progress: self.progress.clone() }
    }

    /// Says how a command ended, if that is worth a word, and gives the exit code.
    pub(crate) fn conclude(&self, done: Result<()>) -> u8 {
        match done {
            Ok(()) => 0,
            Err(error) if error.is::<ReaderGone>() => 0, // `| head` has seen enough
            Err(error) => {
                self.say(&format!("error: {error:#}"));
                1
            }
        }
    }
}

struct ProcessEnds {
    progress: MultiProgress,
}

impl Ends for ProcessEnds {
    fn stdout(&self) -> Box<dyn Write + Send> {
        Box::new(io::stdout())
    }

    fn say(&self, line: &str) {
        self.progress.suspend(|| eprintln!("{line}"));
    }

    fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }
}

/// A buffered stdout whose closed reader is [`ReaderGone`].
pub(crate) struct Stdout {
    out: io::BufWriter<Box<dyn Write + Send>>,
}

impl Stdout {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(stdout_error)
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(stdout_error)
    }
}

fn stdout_error(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => ReaderGone.into(),
        _ => anyhow::Error::new(error).context("cannot write to stdout"),
    }
}

/// Rows under a header, columns as wide as they must be.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    let mut numeric = [true; N];
    for row in rows {
        for (numeric, cell) in numeric.iter_mut().zip(&row) {
            *numeric &= cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        }
        table.add_row(row);
    }
    for (column, numeric) in numeric.into_iter().enumerate() {
        if let Some(column) = table.column_mut(column).filter(|_| numeric) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// 12345678 -> "12,345,678".
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// 12345678 -> "11.8 MiB".
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.2} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// Writes log lines to stderr without tearing the live lines.
pub(crate) struct LogWriter {
    progress: MultiProgress,
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { progress: self.progress.clone() }
    }
}

/// One log line; tracing writes it in one piece.
pub(crate) struct LogLine {
    progress: MultiProgress,
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.progress.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_are_readable() {
        assert_eq!((number(0), number(999), number(1000)), ("0".into(), "999".into(), "1,000".into()));
        assert_eq!(number(12_345_678), "12,345,678");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(5 << 30), "5.00 GiB");
    }

    #[test]
    fn columns_of_numbers_are_flush_right_and_text_flush_left() {
        let rows = [["a".to_owned(), "1".to_owned()], ["bcd".to_owned(), "1,000".to_owned()]];
        assert_eq!(table(["name", "events"], rows), " name  events\n a          1\n bcd    1,000\n");
    }
}
