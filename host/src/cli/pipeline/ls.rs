//! `tidemill ls`: every pipeline of a data directory in one line.

use super::records::Overview;
use super::{age, names};
use crate::cli::output::table;
use crate::cli::session::Session;
use anyhow::Result;

pub(crate) fn run(session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let overviews = names(&store, session)?.into_iter().map(|name| Overview::load(&store, &name, session));
    let overviews = overviews.collect::<Result<Vec<_>>>()?;
    session.output.data(|| overviews.iter().map(Overview::json).collect(), || text(&overviews))
}

fn text(overviews: &[Overview]) -> String {
    if overviews.is_empty() {
        return "no pipelines\n".into();
    }
    let rows = overviews.iter().map(|overview| {
        [
            overview.name.clone(),
            overview.state.clone(),
            overview.epoch.to_string(),
            overview.checkpoint_age_ms.map_or("none".into(), |ms| format!("{} ago", age(ms))),
            overview.restarts.map_or(String::new(), |restarts| restarts.to_string()),
        ]
    });
    table(["pipeline", "state", "epoch", "last checkpoint", "restarts"], rows)
}
