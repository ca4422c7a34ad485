//! Tables of agents, for every verb that shows them.

use std::io::Write as _;

use super::{Failure, Output};
use crate::engine::view::{AgentView, Class, RateView};
use crate::model::Unit;
use crate::model::shown;

/// Right- or left-aligned columns, as wide as their widest cell.
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    left: usize,
}

impl Table {
    /// A table whose first `left` columns are text; the others are numbers and align right.
    pub fn new(head: &[&'static str], left: usize) -> Table {
        Table { head: head.to_vec(), rows: Vec::new(), left }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes the table; `paint` may colour a cell (row, column, padded text).
    pub fn write(
        &self,
        out: &mut Output,
        paint: impl Fn(&Output, usize, usize, String) -> String,
    ) -> Result<(), Failure> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
            cells.chain([self.head[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let pad = |column: usize, text: &str| {
            let width = widths[column];
            if column < self.left { format!("{text:<width$}") } else { format!("{text:>width$}") }
        };
        let head: Vec<String> = self.head.iter().enumerate().map(|(i, h)| pad(i, h)).collect();
        let head = out.dim(head.join("  ").trim_end());
        writeln!(out, "{head}")?;
        for (index, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> =
                row.iter().enumerate().map(|(i, cell)| paint(out, index, i, pad(i, cell))).collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// The ranking: one line per agent, best first.
pub fn write(out: &mut Output, agents: &[AgentView]) -> Result<(), Failure> {
    let mut table = Table::new(
        &["agent", "class", "score", "interval", "n", "success", "p50", "p95", "cut off", "$/success", "health"],
        2,
    );
    for agent in agents {
        table.row([
            agent.agent.clone(),
            class(agent.class).to_owned(),
            agent.score.map_or_else(dash, |s| format!("{s:.1}")),
            agent.interval.map_or_else(dash, |[low, high]| format!("{low:.0}-{high:.0}")),
            agent.n.to_string(),
            rate(&agent.success),
            duration(agent.p50_ms, agent.p50_at_least),
            duration(agent.p95_ms, agent.p95_at_least),
            agent.censored.to_string(),
            agent.cost_per_success.map_or_else(dash, |c| Unit::Money.show(c)),
            agent.health.map_or_else(dash, |h| format!("{h:.2}")),
        ]);
    }
    table.write(out, |out, row, column, text| match (column, agents[row].class) {
        (1, Class::High) => out.green(text),
        (1, Class::Low) => out.red(text),
        (1, Class::InsufficientData) => out.dim(text),
        (10, _) if agents[row].health.is_some_and(|h| h < 0.8) => out.yellow(text),
        _ => text,
    })
}

/// The word of a class, for people.
pub fn class(class: Class) -> &'static str {
    match class {
        Class::High => "high",
        Class::Normal => "normal",
        Class::Low => "low",
        Class::InsufficientData => "insufficient data",
    }
}

/// A share with its interval: `94.3% (92.9-95.5)`.
pub fn rate(rate: &RateView) -> String {
    match (rate.rate, rate.lower, rate.upper) {
        (Some(value), Some(lower), Some(upper)) => {
            format!("{} ({:.0}-{:.0})", shown::share(value), lower * 100.0, upper * 100.0)
        }
        _ => dash(),
    }
}

/// A duration; `>=` when the true one lies beyond the cut-off.
pub fn duration(ms: Option<f64>, at_least: bool) -> String {
    ms.map_or_else(dash, |ms| format!("{}{}", if at_least { ">=" } else { "" }, Unit::Duration.show(ms)))
}

/// What stands for "not known".
pub fn dash() -> String {
    "-".to_owned()
}
