//! `evenkeel replay`: what the rules would have done over a recording. Nothing is sent or written.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::ranking::Table;
use super::recording::{self, Reading, RecordingArgs};
use super::{Exit, Failure, Output};
use crate::engine::event::{
    AlertEvent, AlertState, Effect, NotificationReport, NotificationStatus, Recommendation, Report,
};
use crate::model::{Severity, Timestamp};
use crate::replay;

const EXAMPLES: &str = "\
Examples:
  evenkeel replay runs.jsonl                       the shipped rules over a recording
  evenkeel replay runs.jsonl --rules rules/        your rules instead
  evenkeel replay --config evenkeel.yaml runs.jsonl --json | jq 'select(.type == \"alert\")'

The engine, the rules and the decisions are those of `evenkeel run`; the clock is the records' own.
Exit code 1 says that something fired.";

/// Run rules over a recording: what would have fired, when, with which values.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    recording: RecordingArgs,

    /// Rule files or folders, instead of those of the configuration.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
}

/// One line of the JSON stream.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Alert(&'a AlertEvent),
    Notification(&'a NotificationReport),
    Recommendation {
        at: Timestamp,
        #[serde(flatten)]
        recommendation: &'a Recommendation,
    },
    Summary(&'a Summary),
}

/// The recording in numbers.
#[derive(Debug, Default, Serialize)]
struct Summary {
    at: Option<Timestamp>,
    reading: Reading,
    evaluations: u64,
    rules: BTreeMap<String, RuleSummary>,
    /// Messages per receiver.
    messages: BTreeMap<String, u64>,
}

/// One rule over the recording.
#[derive(Debug, Default, Serialize)]
struct RuleSummary {
    fired: u64,
    subjects: u64,
    still_firing: u64,
    #[serde(skip)]
    of: std::collections::BTreeSet<String>,
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let policy = recording::policy(args.recording.config.as_deref(), &args.rules)?;
    let mut summary = Summary::default();
    for rule in &policy.rules {
        summary.rules.insert(rule.name.clone(), RuleSummary::default());
    }
    let mut failed = None;
    let (engine, reading) = recording::read(policy, &args.recording, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |now, effect| {
            if failed.is_none()
                && let Err(e) = show(out, now, effect, &mut summary)
            {
                failed = Some(e);
            }
        });
    })?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    summary.at = engine.now();
    summary.reading = reading;
    summary.evaluations = engine.view().counters.evaluations;
    let fired = summary.rules.values().any(|r| r.fired > 0);
    if out.json {
        out.json_line(&Line::Summary(&summary))?;
    } else {
        text(out, &summary)?;
    }
    Ok(if fired { Exit::Finding } else { Exit::Ok })
}

fn show(out: &mut Output, now: Timestamp, effect: &Effect, summary: &mut Summary) -> Result<(), Failure> {
    match effect {
        Effect::Report(Report::Alert(event)) => {
            let rule = summary.rules.entry(event.rule.clone()).or_default();
            match event.state {
                AlertState::Firing => {
                    rule.fired += 1;
                    rule.still_firing += 1;
                    rule.of.insert(event.subject.to_string());
                    rule.subjects = rule.of.len() as u64;
                }
                AlertState::Resolved => rule.still_firing -= 1,
                AlertState::Pending | AlertState::Inactive => {}
            }
            if out.json {
                out.json_line(&Line::Alert(event))?;
            } else if matches!(event.state, AlertState::Firing | AlertState::Resolved) {
                let line = line(out, event);
                writeln!(out, "{line}")?;
            }
        }
        Effect::Report(Report::Notification(n)) if n.status != NotificationStatus::Queued => {
            *summary.messages.entry(n.receiver.clone()).or_default() += 1;
            if out.json {
                out.json_line(&Line::Notification(n))?;
            }
        }
        Effect::Report(Report::Recommendation(recommendation)) if out.json => {
            out.json_line(&Line::Recommendation { at: now, recommendation })?;
        }
        _ => {}
    }
    Ok(())
}

/// One transition on one line: when, what, whom, value against threshold, n.
pub fn line(out: &Output, event: &AlertEvent) -> String {
    let shown = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), |v| event.unit.show(v));
    let state = format!("{:<8}", event.state.as_str().to_uppercase());
    let state = match (event.state, event.severity) {
        (AlertState::Firing, Severity::Critical | Severity::High) => out.red(state),
        (AlertState::Firing, _) => out.yellow(state),
        _ => out.green(state),
    };
    format!(
        "{}  {state}  {:<8}  {}  {}  {} (threshold {}, n {}, {} window)",
        event.at,
        event.severity.as_str(),
        event.rule,
        event.subject,
        shown(event.value),
        shown(event.threshold),
        event.n,
        event.window,
    )
}

fn text(out: &mut Output, summary: &Summary) -> Result<(), Failure> {
    writeln!(out)?;
    let mut table = Table::new(&["rule", "fired", "subjects", "still firing"], 1);
    for (name, rule) in &summary.rules {
        table.row([name.clone(), rule.fired.to_string(), rule.subjects.to_string(), rule.still_firing.to_string()]);
    }
    table.write(out, |_, _, _, text| text)?;
    let reading = &summary.reading;
    writeln!(
        out,
        "\n{} records, {} lines rejected, {} evaluations",
        reading.records, reading.rejected, summary.evaluations
    )?;
    for reason in &reading.reasons {
        writeln!(out, "  {reason}")?;
    }
    for (receiver, messages) in &summary.messages {
        writeln!(out, "{messages} messages to {receiver}")?;
    }
    Ok(())
}
