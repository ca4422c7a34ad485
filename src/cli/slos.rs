//! `evenkeel slos`: what is left of every error budget.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ranking::{Table, dash, rate};
use super::recording::{self, RecordingArgs};
use super::remote::{self, Call, DaemonArgs};
use super::{Exit, Failure, Output};
use crate::engine::partial::Partial;
use crate::engine::slo::{BurnView, SloView};
use crate::model::{Timestamp, Unit, shown};
use crate::replay;

const EXAMPLES: &str = "\
Examples:
  evenkeel slos                                 error budgets in the running daemon, the least first
  evenkeel slos runs.jsonl --rules rules/       the same at the end of a recording
  evenkeel slos --json | jq '.slos[] | select(.left < 0.25)'

`left` is the share of the error budget that is left of the last days, with its 95% interval; below
zero more was used than there is. `burn` is the share of bad runs over the share that is allowed: at
1 the budget lasts exactly for its period. Exit codes: 0 every budget lasts, 1 one is used up, 2 no
subject has enough runs, 64 wrong usage, 74 no daemon answers, 78 the files have faults.";

/// Show what is left of the error budgets of SLOs, and how fast they burn.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    recording: RecordingArgs,
    /// With FILEs: rule files or folders, instead of those of the configuration.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
}

/// The list as it comes and goes.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    at: Option<Timestamp>,
    slos: Vec<SloView>,
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let config = args.recording.config.as_deref();
    let live = args.recording.files.is_empty() && args.rules.is_empty();
    let daemon = live.then(|| DaemonArgs::of(config));
    let listed: Listed = if let Some(daemon) = &daemon {
        let answer = daemon.call("/api/v1/slos", Call::Get);
        remote::read(answer.map_err(remote::or_files)?)?
    } else {
        let policy = recording::policy(config, &args.rules)?;
        let (engine, _) = recording::read(policy, &args.recording, |engine, now, effects| {
            replay::perfect_world(engine, now, effects, &mut |_, _| {});
        })?;
        Listed { at: engine.now(), slos: engine.view().slos }
    };
    if out.json {
        out.json(&listed)?;
    } else {
        if listed.slos.is_empty() {
            writeln!(out, "no SLO has runs in its period; `slos:` in a rule file says what is to be reached")?;
        } else {
            table(out, &listed.slos)?;
        }
        daemon.map_or(Ok(()), |daemon| daemon.notes(out))?;
    }
    let spent = listed.slos.iter().any(|slo| slo.left.is_some_and(|left| left < 0.0));
    Ok(match listed.slos.iter().any(|slo| slo.left.is_some()) {
        _ if spent => Exit::Finding,
        true => Exit::Ok,
        false => Exit::NotEnoughData,
    })
}

/// One line per objective and subject.
pub fn table(out: &mut Output, slos: &[SloView]) -> Result<(), Failure> {
    let mut table = Table::new(&["slo", "subject", "objective", "period", "bad runs", "n", "budget left", "burn"], 2);
    for slo in slos {
        let share = |share: Option<f64>| share.map_or_else(dash, |share| format!("{:.0}", share * 100.0));
        let left = match slo.left {
            Some(left) => format!("{} ({} to {})", shown::share(left), share(slo.lower), share(slo.upper)),
            None => "not enough data".to_owned(),
        };
        let burn = |burn: &BurnView| {
            let rate = burn.rate.map_or_else(dash, shown::significant);
            format!("{}: {rate}", burn.range)
        };
        table.row([
            slo.slo.clone(),
            slo.subject.to_string(),
            Unit::Ratio.show(slo.objective),
            slo.period.to_string(),
            rate(&slo.bad),
            slo.bad.n.to_string(),
            left,
            match slo.left {
                Some(_) => slo.burns.iter().map(burn).collect::<Vec<_>>().join(", "),
                None => slo.lacking.clone(),
            },
        ]);
    }
    table.write(out, |out, row, column, text| match (column, slos[row].left) {
        (6, Some(left)) if left < 0.0 => out.red(text),
        (6, Some(left)) if left < 0.25 => out.yellow(text),
        (6, None) => out.dim(text),
        _ => text,
    })?;
    let partial: BTreeMap<&str, Partial> =
        slos.iter().filter_map(|slo| Some((slo.slo.as_str(), slo.partial?))).collect();
    for (slo, partial) in partial {
        writeln!(out, "{slo}: {partial}")?;
    }
    Ok(())
}
