//! `evenkeel tune plan`: what every tunable value should be, and why. Nothing is written.

use std::io::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::ranking::Table;
use crate::cli::recording::{self, RecordingArgs};
use crate::cli::{Exit, Failure, Output};
use crate::engine::Engine;
use crate::engine::event::{Command, Decision, Event, Recommendation};
use crate::model::Timestamp;
use crate::settings::{Mode, Parameter, ParameterKind, Target};
use crate::shell::patch::{as_written, current_values, read_target};
use crate::wire::target::{Reading, Scalar};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration; its targets say which values are meant.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG", default_value = "evenkeel.yaml")]
    config: PathBuf,
    /// Executions to learn from: JSON lines, or one JSON array. `-` is standard input; without any,
    /// the files of the configuration's sources are read.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The source of the configuration whose field mapping applies; by default the one whose path
    /// matches the file, else the only one.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

/// One value of one agent. Numbers are in the unit of the file, which `unit` names.
#[derive(Debug, Serialize)]
struct Row {
    target: String,
    agent: String,
    model: Option<String>,
    parameter: ParameterKind,
    path: String,
    unit: String,
    current: Option<f64>,
    proposed: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
    n: u64,
    censored: u64,
    prior_weight: f64,
    bound_by: Option<String>,
    reason: String,
    decision: Decision,
    /// Fewest executions that propose anything.
    #[serde(skip)]
    min_samples: u64,
}

impl Args {
    pub(super) fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let policy = recording::policy(Some(&self.config), &[])?;
        let settings = policy.settings.clone();
        let targets: Vec<&Target> = settings.tune.targets.iter().filter(|t| t.mode != Mode::Off).collect();
        if targets.is_empty() {
            let config = self.config.display();
            return Err(Failure::Usage(format!("{config} has no target to tune; add one under `tune: targets:`")));
        }
        let readings: Vec<(&Target, Reading)> = targets
            .into_iter()
            .map(|target| match read_target(target) {
                Ok(reading) => Ok((target, reading)),
                Err(why) => {
                    let (name, config) = (&target.name, self.config.display());
                    Err(Failure::Usage(format!(
                        "the target `{name}` cannot be read: {why}; mend its `file` in {config}"
                    )))
                }
            })
            .collect::<Result<_, _>>()?;
        let args = RecordingArgs { files: self.files, config: Some(self.config), source: self.source };
        let (engine, seen) = recording::read(policy, &args, |_, _, _| {})?;
        let rows = plan(engine, &readings);
        if out.json {
            out.json(&rows)?;
        } else {
            text(&rows, seen.records, out)?;
        }
        let enough = rows.iter().any(|row| row.n >= row.min_samples);
        Ok(if enough { Exit::Ok } else { Exit::NotEnoughData })
    }
}

/// Tells the engine what stands in the targets and asks what it would have there.
fn plan(mut engine: Engine, readings: &[(&Target, Reading)]) -> Vec<Row> {
    let now = engine.now().unwrap_or(Timestamp(0));
    for (target, reading) in readings {
        let values = current_values(reading);
        engine.handle(now, Event::Command(Command::Target { target: target.name.clone(), values }));
    }
    let recommendations = engine.view().recommendations;
    let mut rows = Vec::new();
    for (target, reading) in readings {
        for (index, parameter) in target.parameters.iter().enumerate() {
            let mine = |r: &&Recommendation| r.target == target.name && r.parameter_index as usize == index;
            rows.extend(recommendations.iter().filter(mine).map(|r| row(r, parameter, reading)));
            let left = reading.untunable.iter().filter(|u| u.parameter as usize == index);
            rows.extend(left.map(|u| Row {
                target: target.name.clone(),
                agent: u.agent.clone(),
                model: None,
                parameter: parameter.kind,
                path: u.path.clone(),
                unit: unit(parameter),
                current: None,
                proposed: None,
                lower: None,
                upper: None,
                n: 0,
                censored: 0,
                prior_weight: 0.0,
                bound_by: None,
                reason: format!("left alone: {}", u.reason),
                decision: Decision::Keep,
                min_samples: parameter.guard.min_samples.into(),
            }));
        }
    }
    rows
}

/// A recommendation in the unit of the file, rounded as the file would have it.
fn row(r: &Recommendation, parameter: &Parameter, reading: &Reading) -> Row {
    let in_file = |value: Option<f64>| value.filter(|x| x.is_finite()).map(|x| x / parameter.unit());
    let value = reading.find(r.parameter_index, &r.agent).ok();
    let written = value.zip(r.proposed).map(|(value, proposed)| as_written(&value.scalar, proposed, parameter));
    let (proposed, reason, decision) = match (r.decision, written) {
        (Decision::Change, Some(Ok(new))) => (new.number(), r.reason.clone(), Decision::Change),
        (Decision::Change, Some(Err(why))) => (in_file(r.current), format!("{}; {why}", r.reason), Decision::Keep),
        (decision, _) => (in_file(r.proposed), r.reason.clone(), decision),
    };
    Row {
        target: r.target.clone(),
        agent: r.agent.clone(),
        model: r.model.clone(),
        parameter: r.parameter,
        path: value.map_or_else(|| parameter.path.clone(), |v| v.path.to_string()),
        unit: unit(parameter),
        current: value.map_or_else(|| in_file(r.current), |v| v.scalar.number()),
        proposed,
        lower: in_file(r.lower),
        upper: in_file(r.upper),
        n: r.n,
        censored: r.censored,
        prior_weight: r.prior_weight,
        bound_by: r.bound_by.clone(),
        reason,
        decision,
        min_samples: parameter.guard.min_samples.into(),
    }
}

/// The unit of the file's numbers.
fn unit(parameter: &Parameter) -> String {
    match parameter.kind {
        ParameterKind::QualityTarget => "points".into(),
        ParameterKind::Concurrency => "runs".into(),
        ParameterKind::Timeout => match parameter.unit_ms {
            1.0 => "ms".into(),
            1_000.0 => "s".into(),
            60_000.0 => "min".into(),
            3_600_000.0 => "h".into(),
            other => format!("{other} ms"),
        },
    }
}

fn text(rows: &[Row], records: u64, out: &mut Output) -> Result<(), Failure> {
    if rows.is_empty() {
        writeln!(out, "no target holds a value of any agent; see `path` of its parameters")?;
        return Ok(());
    }
    let number = |x: Option<f64>| {
        x.map_or_else(|| "-".to_owned(), |x| Scalar::Float(x).with_number(x).map_or_else(|| x.to_string(), short))
    };
    // The ends of an interval are estimates; more than three digits would only pretend.
    let rough = |x: Option<f64>| {
        x.map_or_else(
            || "?".to_owned(),
            |x| number(Some(if x < 100.0 { (x * 10.0).round() / 10.0 } else { x.round() })),
        )
    };
    let mut table =
        Table::new(&["target", "agent", "parameter", "current", "proposed", "unit", "interval", "n", "cut off"], 3);
    for row in rows {
        let change = row.decision == Decision::Change;
        let interval = match (row.lower, row.upper) {
            (None, None) => "-".to_owned(),
            (lower, upper) => format!("{} to {}", rough(lower), rough(upper)),
        };
        table.row([
            row.target.clone(),
            row.agent.clone(),
            parameter_word(row.parameter).to_owned(),
            number(row.current),
            if change { number(row.proposed) } else { "keep".to_owned() },
            row.unit.clone(),
            interval,
            row.n.to_string(),
            row.censored.to_string(),
        ]);
    }
    table.write(out, |out, index, column, text| match (column, rows[index].decision) {
        (4, Decision::Change) => out.bold(text),
        (4, Decision::Keep) => out.dim(text),
        _ => text,
    })?;
    writeln!(out)?;
    for row in rows {
        let head = format!("{} {}", row.agent, parameter_word(row.parameter));
        writeln!(out, "{}: {}", out.bold(head), row.reason)?;
    }
    let changes = rows.iter().filter(|row| row.decision == Decision::Change).count();
    writeln!(out, "\n{changes} of {} values would change, from {records} executions", rows.len())?;
    Ok(())
}

/// A number without a fraction that is zero.
fn short(scalar: Scalar) -> String {
    let text = scalar.to_string();
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn parameter_word(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Timeout => "timeout",
        ParameterKind::QualityTarget => "quality target",
        ParameterKind::Concurrency => "concurrency",
    }
}
