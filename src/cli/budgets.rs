//! `evenkeel budgets`: what is used of every budget of the running daemon, and when nothing is left.

use std::io::Write as _;

use super::ranking::{Table, dash};
use super::remote::{self, Call, DaemonArgs};
use super::{Exit, Failure, Output};
use crate::engine::view::BudgetView;
use crate::model::Unit;

const EXAMPLES: &str = "\
Examples:
  evenkeel budgets                                          of the daemon of ./evenkeel.yaml
  evenkeel budgets --json | jq '.budgets[] | select(.share > 0.8)'

`at this pace` is the use by the end of the period, `used up` when nothing is left before that. At
the end of a recording `evenkeel report` shows the same. Exit codes: 0 something is left of every
budget, 1 one is used up, 64 the daemon refuses, 74 no daemon answers.";

/// Show what is used of every budget in its period, and at this pace by its end.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let answer = args.daemon.call("/api/v1/budgets", Call::Get);
    let answer = answer.map_err(|failure| remote::or(failure, "see the end of a recording with `evenkeel report`"))?;
    let budgets: Vec<BudgetView> = remote::read(answer["budgets"].clone())?;
    if out.json {
        out.json(&answer)?;
    } else {
        if budgets.is_empty() {
            writeln!(out, "nothing was used of any budget, or there is none under `budgets:`")?;
        }
        table(out, &budgets)?;
        args.daemon.notes(out)?;
    }
    Ok(if budgets.iter().any(|budget| budget.share >= 1.0) { Exit::Finding } else { Exit::Ok })
}

/// A line per budget and subject.
pub fn table(out: &mut Output, budgets: &[BudgetView]) -> Result<(), Failure> {
    if budgets.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["budget", "subject", "used", "share", "at this pace", "period ends", "used up"], 2);
    for budget in budgets {
        let at_least = if budget.at_least { ">= " } else { "" };
        table.row([
            budget.budget.clone(),
            budget.subject.to_string(),
            format!("{at_least}{} of {}", budget.unit.show(budget.used), budget.unit.show(budget.amount)),
            Unit::Ratio.show(budget.share),
            budget.projected.map_or_else(dash, |all| format!("{at_least}{}", budget.unit.show(all))),
            budget.end.to_string(),
            budget.exhausted_at.map_or_else(dash, |at| at.to_string()),
        ]);
    }
    table.write(out, |out, row, column, text| match (column, budgets[row].share) {
        (3, share) if share >= 1.0 => out.red(text),
        (3, share) if share >= 0.8 => out.yellow(text),
        _ => text,
    })
}
