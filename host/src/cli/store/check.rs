//! `tidemill store check`: verifies everything that a store keeps. Faults are data, a line each; that there are any is the
//! command's failure.

use crate::cli::output::{number, size};
use crate::cli::session::Session;
use anyhow::{Result, bail};
use tidemill_storage::{CheckReport, Fault};

pub(crate) fn run(session: &Session) -> Result<()> {
    let report = session.access.open()?.check()?;
    session.output.data(|| json(&report), || text(&report))?;
    if !report.is_whole() {
        bail!(
            "the store in {} is not whole: {} fault{} in {}; each line above says what it harms, the rest can be read",
            session.access.data_dir().display(),
            number(report.faults.len() as u64),
            if report.faults.len() == 1 { "" } else { "s" },
            looked_at(&report)
        );
    }
    Ok(())
}

fn json(report: &CheckReport) -> serde_json::Value {
    serde_json::json!({
        "whole": report.is_whole(),
        "faults": report.faults.iter().map(fault_json).collect::<Vec<_>>(),
        "streams": report.streams,
        "chunks": report.chunks,
        "events": report.events,
        "chunk_bytes": report.chunk_bytes,
        "sealed_files": report.sealed_files,
        "sealed_bytes": report.sealed_bytes,
        "writers": report.writers,
        "retention_rows": report.retention_rows,
        "markers": report.markers,
        "transactions": report.transactions,
        "staged_chunks": report.staged_chunks,
        "pipelines": report.pipelines,
        "state_blobs": report.state_blobs,
        "state_bytes": report.state_bytes,
        "tables": report.tables,
        "table_entries": report.table_entries,
        "logs": report.logs,
        "log_entries": report.log_entries,
        "reader_groups": report.reader_groups,
    })
}

fn fault_json(fault: &Fault) -> serde_json::Value {
    serde_json::json!({
        "stream": fault.stream,
        "segment": fault.segment.map(|segment| segment.0),
        "offset": fault.offset.map(|offset| offset.0),
        "file": fault.file,
        "pipeline": fault.pipeline,
        "what": fault.what,
    })
}

fn text(report: &CheckReport) -> String {
    if report.is_whole() {
        return format!("the store is whole: {}\n", looked_at(report));
    }
    // A message of several lines would look like several faults.
    report.faults.iter().map(|fault| format!("{}\n", fault.to_string().replace('\n', " "))).collect()
}

fn looked_at(report: &CheckReport) -> String {
    let mut text = format!(
        "{} events in {} chunks ({}) of {} streams, {} sealed files ({}), {} state blobs ({}) of {} pipelines",
        number(report.events),
        number(report.chunks),
        size(report.chunk_bytes),
        number(report.streams),
        number(report.sealed_files),
        size(report.sealed_bytes),
        number(report.state_blobs),
        size(report.state_bytes),
        number(report.pipelines)
    );
    let more = [(report.tables, "tables"), (report.logs, "logs"), (report.reader_groups, "reader groups")];
    for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {} {what}", number(count)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_and_a_whole_store_one_sentence() {
        let whole = CheckReport { events: 1_234, chunks: 2, streams: 1, ..CheckReport::default() };
        let sentence = text(&whole);
        assert!(sentence.starts_with("the store is whole: 1,234 events in 2 chunks"), "{sentence}");
        assert_eq!(sentence.lines().count(), 1);
        let fault = |what: &str| Fault { stream: Some("a/b".into()), what: what.into(), ..Fault::default() };
        let report = CheckReport { faults: vec![fault("one\ntwo"), fault("three")], ..whole };
        assert_eq!(text(&report), "stream a/b, one two\nstream a/b, three\n");
    }
}
