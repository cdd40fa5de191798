//! How a run looks while it goes: on a terminal a live line per node and a bar, else a line now and then. `run` feeds it.

use super::output::{Output, number};
use super::rates::Rates;
use super::time;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};
use tidemill::job::{NodeStatus, RunStatus};

/// Between two drawings of live lines.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Between two lines where there is no terminal.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Shows a run.
pub(crate) struct View<'a> {
    output: &'a Output,
    /// The pipeline's name, when there are several.
    label: Option<String>,
    every: Duration,
    started: Instant,
    shown: Instant,
    rates: Rates,
    head: Option<ProgressBar>,
    nodes: Vec<ProgressBar>,
    bar: Option<ProgressBar>,
}

impl View<'_> {
    pub(crate) fn new(output: &Output, label: Option<String>) -> View<'_> {
        let now = Instant::now();
        let every = if output.is_terminal() { DRAW_EVERY } else { SAY_EVERY };
        View {
            output,
            label,
            every,
            started: now,
            shown: now,
            rates: Rates::default(),
            head: None,
            nodes: Vec::new(),
            bar: None,
        }
    }

    /// Shows the status when it is time to.
    pub(crate) fn show(&mut self, status: impl FnOnce() -> RunStatus) {
        if self.shown.elapsed() < self.every {
            return;
        }
        self.shown = Instant::now();
        let status = status();
        let totals: Vec<u64> = status.nodes.iter().map(total).collect();
        let at_ms = self.started.elapsed().as_millis() as u64;
        let rates = self.rates.update(at_ms, &totals);
        if self.output.is_terminal() {
            self.draw(&status, &rates);
        } else {
            let line = spoken_line(&status, &rates);
            self.output.say(&self.labelled(line));
        }
    }

    fn labelled(&self, line: String) -> String {
        match &self.label {
            Some(label) => format!("{label}: {line}"),
            None => line,
        }
    }

    fn draw(&mut self, status: &RunStatus, rates: &[u64]) {
        let head = self.labelled(head_line(status));
        let progress = self.output.progress();
        let line = || progress.add(ProgressBar::no_length().with_style(plain()));
        self.head.get_or_insert_with(line).set_message(head);
        while self.nodes.len() < status.nodes.len() {
            self.nodes.push(line());
        }
        let width = status.nodes.iter().map(|node| node.name.len()).max().unwrap_or(0);
        for ((bar, node), rate) in self.nodes.iter().zip(&status.nodes).zip(rates) {
            bar.set_message(node_line(node, *rate, width));
        }
        if let Some((done, total)) = status.progress {
            let bar = self.bar.get_or_insert_with(|| progress.add(ProgressBar::new(total).with_style(bounded())));
            bar.set_length(total);
            bar.set_position(done.min(total));
        }
    }

    /// Takes the live lines away: the summary follows.
    pub(crate) fn close(self) {
        for bar in self.head.iter().chain(&self.nodes).chain(&self.bar) {
            bar.finish_and_clear();
        }
    }
}

fn plain() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bounded() -> ProgressStyle {
    ProgressStyle::with_template("  {bar:40} {percent:>3} %  {elapsed} gone, {eta} to go")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What a node's rate counts: a source brings events out, all others take them in.
fn total(node: &NodeStatus) -> u64 {
    node.events_in.max(if node.kind == "source" { node.events_out } else { 0 })
}

fn head_line(status: &RunStatus) -> String {
    let checkpoint = match status.last_checkpoint_ms_ago {
        Some(ms) => format!("last checkpoint {:.1} s ago", ms as f64 / 1_000.0),
        None => "no checkpoint yet".into(),
    };
    let restarts = if status.restarts > 0 { format!(", restarts {}", status.restarts) } else { String::new() };
    format!("{}, epoch {}, {checkpoint}{restarts}", status.state, status.epoch)
}

fn node_line(node: &NodeStatus, rate: u64, width: usize) -> String {
    let rejected = if node.rejected > 0 { format!("  {} rejected", number(node.rejected)) } else { String::new() };
    format!(
        "  {:<width$}  {:>11} events/s  {:>13} in  {:>13} out  watermark {}{rejected}",
        node.name,
        number(rate),
        number(node.events_in),
        number(node.events_out),
        time::show(node.watermark),
    )
}

fn spoken_line(status: &RunStatus, rates: &[u64]) -> String {
    let mut line = head_line(status);
    if let Some((done, total)) = status.progress.filter(|(_, total)| *total > 0) {
        line.push_str(&format!(", {} % read", done.min(total).saturating_mul(100) / total));
    }
    for (node, rate) in status.nodes.iter().zip(rates) {
        line.push_str(&format!("; {} {} at {}/s", node.name, number(total(node)), number(*rate)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_storage::EventTime;

    fn status() -> RunStatus {
        let node = |name: &str, kind, events_in, events_out| NodeStatus {
            name: name.into(),
            kind,
            parallelism: 1,
            events_in,
            events_out,
            rejected: 2,
            watermark: EventTime(0),
        };
        RunStatus {
            state: "running".into(),
            nodes: vec![node("flights", "source", 0, 5_000), node("stats", "operator", 4_000, 12)],
            epoch: 7,
            last_checkpoint_ms_ago: Some(340),
            restarts: 1,
            progress: Some((150, 300)),
        }
    }

    #[test]
    fn a_line_without_a_terminal_tells_all_that_matters() {
        assert_eq!(
            spoken_line(&status(), &[1_200, 900]),
            "running, epoch 7, last checkpoint 0.3 s ago, restarts 1, 50 % read; flights 5,000 at 1,200/s; stats 4,000 at 900/s"
        );
    }

    #[test]
    fn a_live_line_shows_rate_totals_rejections_and_watermark() {
        let line = node_line(&status().nodes[1], 900, 7);
        for part in ["  stats  ", "900 events/s", "4,000 in", "12 out", "1970-01-01T00:00:00Z", "2 rejected"] {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn the_bar_styles_are_valid() {
        ProgressStyle::with_template("{wide_msg}").unwrap();
        ProgressStyle::with_template("  {bar:40} {percent:>3} %  {elapsed} gone, {eta} to go").unwrap();
    }
}
