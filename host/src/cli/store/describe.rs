//! `tidemill store describe`: what a data directory holds and where, as one consistent snapshot. Single sealed files are in
//! the JSON only: there may be thousands.

use crate::cli::disk;
use crate::cli::output::{number, size, table};
use crate::cli::session::Session;
use anyhow::Result;
use serde_json::{Value, json};
use tidemill_storage::{StoreDescription, TierBytes};

pub(crate) fn run(session: &Session) -> Result<()> {
    let store = session.access.open()?.describe()?;
    session.output.data(|| json(&store), || text(&store))
}

fn tiers(bytes: TierBytes) -> Value {
    json!({ "hot": bytes.hot, "sealed": bytes.sealed })
}

fn json(store: &StoreDescription) -> Value {
    let streams = store.streams.iter().map(|stream| {
        json!({
            "name": stream.name.as_str(),
            "segments": stream.segments,
            "events": stream.events,
            "chunks": stream.chunks,
            "sealed_chunks": stream.sealed_chunks,
            "bytes": tiers(stream.bytes),
            "raw_bytes": stream.raw_bytes,
        })
    });
    let state = store.state.iter().map(|state| {
        json!({
            "pipeline": state.pipeline,
            "operator": state.operator,
            "blobs": state.blobs,
            "runs": state.runs,
            "bytes": tiers(state.bytes),
        })
    });
    let files = store.sealed_files.iter().map(|file| {
        json!({
            "number": file.number,
            "path": file.path,
            "bytes": file.bytes,
            "live_chunks": file.live_chunks,
            "live_bytes": file.live_bytes,
        })
    });
    let tables = store.tables.iter().map(|table| {
        json!({
            "name": table.name.as_str(),
            "entries": table.entries,
            "bytes": table.bytes,
            "version": table.version.0,
        })
    });
    let logs =
        store.logs.iter().map(|log| json!({ "name": log.name.as_str(), "entries": log.entries, "bytes": log.bytes }));
    let groups = store.reader_groups.iter().map(|name| name.as_str());
    let done = store.mover.done;
    json!({
        "streams": streams.collect::<Vec<_>>(),
        "transactions": { "live": store.transactions.live, "staged_bytes": store.transactions.staged_bytes },
        "state": state.collect::<Vec<_>>(),
        "tables": tables.collect::<Vec<_>>(),
        "logs": logs.collect::<Vec<_>>(),
        "reader_groups": groups.collect::<Vec<_>>(),
        "sealed_files": files.collect::<Vec<_>>(),
        "remote_tier": store.remote_tier,
        "hot_file_bytes": store.hot_file_bytes,
        "hot_chunk_bytes": store.hot_chunk_bytes,
        "hot_bytes_max": store.hot_bytes_max,
        "mover": {
            "files": done.files,
            "old_chunks": done.old_chunks,
            "new_chunks": done.new_chunks,
            "bytes": done.bytes,
            "unlinked": done.unlinked,
            "waiting_parts": store.mover.waiting_parts,
            "last_error": store.mover.last_error,
        },
        "disk": disk::json(&store.disk),
    })
}

fn text(store: &StoreDescription) -> String {
    let mut parts = Vec::new();
    if !store.streams.is_empty() {
        let rows = store.streams.iter().map(|stream| {
            [
                stream.name.to_string(),
                number(stream.segments),
                number(stream.events),
                number(stream.chunks),
                size(stream.bytes.hot),
                size(stream.bytes.sealed),
                size(stream.raw_bytes),
            ]
        });
        parts.push(table(["stream", "segments", "events", "chunks", "hot", "sealed", "decoded"], rows));
    }
    if !store.state.is_empty() {
        let rows = store.state.iter().map(|state| {
            [
                format!("{}/{}", state.pipeline, state.operator),
                number(state.blobs),
                number(state.runs),
                size(state.bytes.hot),
                size(state.bytes.sealed),
            ]
        });
        parts.push(table(["state", "blobs", "runs", "hot", "sealed"], rows));
    }
    let tables = store.tables.iter().map(|t| [t.name.to_string(), "table".into(), number(t.entries), size(t.bytes)]);
    let logs = store.logs.iter().map(|log| [log.name.to_string(), "log".into(), number(log.entries), size(log.bytes)]);
    let kept: Vec<_> = tables.chain(logs).collect();
    if !kept.is_empty() {
        parts.push(table(["table or log", "kind", "entries", "size"], kept.into_iter()));
    }
    if store.transactions.live > 0 {
        let (live, bytes) = (number(store.transactions.live), size(store.transactions.staged_bytes));
        parts.push(format!("{live} transactions hold {bytes} that no stream shows yet\n"));
    }
    parts.push(tier_table(store));
    if let Some(url) = &store.remote_tier {
        parts.push(format!("sealed files lie in {url}\n"));
    }
    let mut talk = format!("chunks move to sealed files beyond {} in the hot file\n", size(store.hot_bytes_max));
    if let Some(error) = &store.mover.last_error {
        talk.push_str(&format!("the last move failed and is tried again: {error}\n"));
    }
    if store.mover.waiting_parts > 0 {
        talk.push_str(&format!("{} appends and epochs wait for it\n", number(store.mover.waiting_parts as u64)));
    }
    talk.push_str(&disk::warning(&store.disk).unwrap_or_else(|| disk::text(&store.disk) + "\n"));
    parts.push(talk);
    parts.join("\n")
}

fn tier_table(store: &StoreDescription) -> String {
    let state = |of: fn(TierBytes) -> u64| store.state.iter().map(|state| of(state.bytes)).sum::<u64>();
    let row = |tier: &str, files: u64, bytes: u64, chunks: u64, state: u64| {
        [tier.to_string(), number(files), size(bytes), size(chunks), size(state)]
    };
    let files = &store.sealed_files;
    let sealed = files.iter().map(|file| file.bytes).sum();
    let chunks = files.iter().map(|file| file.live_bytes).sum();
    table(
        ["tier", "files", "on disk", "chunks", "state"],
        [
            row("hot", 1, store.hot_file_bytes, store.hot_chunk_bytes, state(|bytes| bytes.hot)),
            row("sealed", files.len() as u64, sealed, chunks, state(|bytes| bytes.sealed)),
        ],
    )
}
