//! `tidemill stream retention`: shows or sets how long a stream keeps its events.

use crate::cli::args::RetentionArgs;
use crate::cli::output::size;
use crate::cli::session::Session;
use anyhow::Result;
use std::time::Duration;
use tidemill_storage::stream::RetentionPolicy;

pub(crate) fn run(args: &RetentionArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    session.access.stream(&store, &args.name)?;
    let policy = store.stream_policy(&args.name)?;
    let wanted = if let Some(min_bytes) = args.min_size {
        Some(Some(RetentionPolicy::BySize { min_bytes, max_bytes: args.max_size }))
    } else if let Some(min_ms) = args.min_age {
        Some(Some(RetentionPolicy::ByAge { min_ms, max_ms: args.max_age }))
    } else if args.by_consumption {
        Some(Some(RetentionPolicy::ByConsumption))
    } else if args.off {
        Some(None)
    } else {
        None
    };
    if let Some(retention) = wanted {
        store.set_stream_policy(&args.name, tidemill_storage::StreamPolicy { retention, ..policy })?;
    }
    let retention = store.stream_policy(&args.name)?.retention;
    session.output.data(|| json(args, retention), || format!("{} keeps {}\n", args.name, text(retention)))
}

fn json(args: &RetentionArgs, retention: Option<RetentionPolicy>) -> serde_json::Value {
    let (by, min, max) = match retention {
        None => ("off", None, None),
        Some(RetentionPolicy::ByConsumption) => ("consumption", None, None),
        Some(RetentionPolicy::BySize { min_bytes, max_bytes }) => ("size", Some(min_bytes), max_bytes),
        Some(RetentionPolicy::ByAge { min_ms, max_ms }) => ("age_ms", Some(min_ms), max_ms),
    };
    serde_json::json!({ "name": args.name.as_str(), "by": by, "min": min, "max": max })
}

fn text(retention: Option<RetentionPolicy>) -> String {
    let upto = |max: Option<String>| max.map_or(String::new(), |max| format!(" and at most {max}"));
    let age = |ms: u64| format!("{:?}", Duration::from_millis(ms));
    match retention {
        None => "everything until it is truncated".into(),
        Some(RetentionPolicy::ByConsumption) => "what not all of its subscribers have read".into(),
        Some(RetentionPolicy::BySize { min_bytes, max_bytes }) => {
            format!("at least {}{}", size(min_bytes), upto(max_bytes.map(size)))
        }
        Some(RetentionPolicy::ByAge { min_ms, max_ms }) => {
            format!("events for at least {}{}", age(min_ms), upto(max_ms.map(age)))
        }
    }
}
