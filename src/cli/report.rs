//! `evenkeel report`: a recording at a glance: totals, the ranking, each agent by task type.

use std::io::Write as _;

use serde::Serialize;

use super::output::plural;
use super::ranking::{self, Table, dash, duration, rate};
use super::recording::{self, Reading, RecordingArgs};
use super::{Exit, Failure, Output, budgets, slos};
use crate::engine::slo::SloView;
use crate::engine::view::{AgentView, BudgetView, Counters, View};
use crate::model::Timestamp;
use crate::model::Unit;

const EXAMPLES: &str = "\
Examples:
  evenkeel report .claude/metrics/executions.jsonl
  evenkeel report --config evenkeel.yaml runs.json --json

Durations that were cut off at a limit are not durations: percentiles take them in by Kaplan-Meier,
and one that lies beyond the cut-offs is shown as `>=`.";

/// Show a recording: totals, the ranking, and each agent by task type.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    recording: RecordingArgs,
}

/// The report as JSON.
#[derive(Debug, Serialize)]
struct Document<'a> {
    reading: &'a Reading,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    totals: Totals,
    counters: Counters,
    agents: &'a [AgentView],
    budgets: &'a [BudgetView],
    slos: &'a [SloView],
}

/// The whole fleet in numbers.
#[derive(Debug, Serialize)]
struct Totals {
    executions: u64,
    ok: u64,
    success_rate: Option<f64>,
    censored: u64,
    cost: Option<f64>,
    cost_unknown: u64,
    total_tokens: Option<u64>,
}

impl Totals {
    fn new(view: &View) -> Totals {
        let agents = &view.agents;
        let known: u64 = agents.iter().map(|a| a.success.n).sum();
        // Each agent's share is of its known outcomes; the product is the count it was made of.
        let ok = agents.iter().filter_map(|a| Some((a.success.rate? * a.success.n as f64).round() as u64)).sum();
        let sum = |f: fn(&AgentView) -> Option<f64>| {
            agents.iter().filter_map(f).fold(None, |sum: Option<f64>, v| Some(sum.unwrap_or(0.0) + v))
        };
        Totals {
            executions: agents.iter().map(|a| a.n).sum(),
            ok,
            success_rate: (known > 0).then(|| ok as f64 / known as f64),
            censored: agents.iter().map(|a| a.censored).sum(),
            cost: sum(|a| a.cost),
            cost_unknown: agents.iter().map(|a| a.cost_unknown).sum(),
            total_tokens: agents.iter().filter_map(|a| a.total_tokens).reduce(|a, b| a + b),
        }
    }
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let policy = recording::policy(args.recording.config.as_deref(), &[])?;
    let (engine, reading) = recording::read(policy, &args.recording, |_, _, _| {})?;
    let view = engine.view();
    let totals = Totals::new(&view);
    let first = view.agents.iter().map(|a| a.first_seen).min();
    let last = view.agents.iter().map(|a| a.last_seen).max();
    if out.json {
        let View { agents, budgets, slos, counters, .. } = &view;
        let counters = *counters;
        out.json(&Document { reading: &reading, first, last, totals, counters, agents, budgets, slos })?;
    } else {
        text(out, &view, &reading, &totals, first.zip(last))?;
    }
    Ok(if view.agents.is_empty() { Exit::NotEnoughData } else { Exit::Ok })
}

fn text(
    out: &mut Output,
    view: &View,
    reading: &Reading,
    totals: &Totals,
    period: Option<(Timestamp, Timestamp)>,
) -> Result<(), Failure> {
    let counters = &view.counters;
    let dated = counters.undated < counters.records;
    let period = match period.filter(|_| dated) {
        Some((first, last)) => format!(", {first} to {last}"),
        None => String::new(),
    };
    let (executions, agents) = (plural(totals.executions as usize, "execution"), plural(view.agents.len(), "agent"));
    let title = out.bold(format!("{executions} of {agents}{period}"));
    writeln!(out, "{title}")?;
    let success = totals.success_rate.map_or_else(dash, |r| Unit::Ratio.show(r));
    let cost = match totals.cost {
        Some(cost) if totals.cost_unknown > 0 => {
            format!("cost >= {} ({} executions without a known cost)", Unit::Money.show(cost), totals.cost_unknown)
        }
        Some(cost) => format!("cost {}", Unit::Money.show(cost)),
        None => "cost not known".to_owned(),
    };
    writeln!(out, "success {success}, {} durations cut off at a limit, {cost}", totals.censored)?;
    for (count, noun, what) in [
        (reading.rejected, "line", "that could not become executions"),
        (counters.duplicates, "record", "read twice and counted once"),
        (counters.undated, "record", "without a time"),
        (counters.out_of_order, "record", "older than one before"),
    ] {
        if count > 0 {
            let line = out.yellow(format!("{} {what}", plural(count as usize, noun)));
            writeln!(out, "{line}")?;
        }
    }
    for reason in &reading.reasons {
        writeln!(out, "  {reason}")?;
    }
    if view.agents.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    ranking::write(out, &view.agents)?;
    writeln!(out)?;
    let mut table = Table::new(
        &["agent", "task type", "n", "success", "peers", "p50", "p95", "cut off", "$/execution", "quality"],
        2,
    );
    for agent in &view.agents {
        for (i, t) in agent.task_types.iter().enumerate() {
            table.row([
                if i == 0 { agent.agent.clone() } else { String::new() },
                if t.task_type.is_empty() { dash() } else { t.task_type.clone() },
                t.n.to_string(),
                rate(&t.success),
                rate(&t.peers),
                duration(t.p50_ms, t.p50_at_least),
                duration(t.p95_ms, t.p95_at_least),
                t.censored.to_string(),
                t.cost_per_execution.map_or_else(dash, |c| Unit::Money.show(c)),
                t.quality.map_or_else(dash, |q| format!("{q:.1}")),
            ]);
        }
    }
    table.write(out, |_, _, _, text| text)?;
    if !view.budgets.is_empty() {
        writeln!(out)?;
    }
    budgets::table(out, &view.budgets)?;
    if !view.slos.is_empty() {
        writeln!(out)?;
        slos::table(out, &view.slos)?;
    }
    Ok(())
}
