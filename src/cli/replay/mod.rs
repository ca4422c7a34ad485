//! `evenkeel replay`: what the rules would have done over a recording. Nothing is sent or written.

mod account;
mod curve;
mod diff;
mod fixture;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::output::plural;
use super::ranking::Table;
use super::recording::{self, Reading, RecordingArgs};
use super::{Exit, Failure, Output};
use crate::engine::event::{
    AlertEvent, AlertState, Effect, NotificationReport, NotificationStatus, Recommendation, Report,
};
use crate::model::{Severity, Timestamp};
use crate::replay;
use crate::rule::left_out::LeftOut;
use crate::rule::names::reads_window;
use account::{Account, Firings, Messages, RuleSummary};

const EXAMPLES: &str = "\
Examples:
  evenkeel replay runs.jsonl                       the shipped rules over a recording
  evenkeel replay runs.jsonl --rules rules/        your rules instead
  evenkeel replay --config evenkeel.yaml runs.jsonl --json | jq 'select(.type == \"alert\")'
  evenkeel replay runs.jsonl --curve error_burst   at which threshold it would have fired how often
  evenkeel replay runs.jsonl --diff old.yaml new.yaml
  evenkeel replay runs.jsonl --rules rules/ --fixture 5f0c2d91 --to rules/burst.test.yaml
                                                   one alert as a test of its rule

The engine, the rules and the decisions are those of `evenkeel run`; the clock is the records' own.
Exit codes: 0 nothing fired, 1 something fired, 2 no execution was read.";

/// Run rules over a recording: what would have fired, when, with which values.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    recording: RecordingArgs,

    /// Rule files or folders, instead of those of the configuration.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,

    /// How often this rule would have fired at other thresholds, with a suggestion.
    #[arg(long, value_name = "RULE", conflicts_with = "diff")]
    curve: Option<String>,

    /// Firings a week that are wanted at most, for the suggestion of --curve.
    #[arg(long, value_name = "N", default_value_t = curve::WANTED)]
    per_week: f64,

    /// What another file of rules would have fired: gained and lost per rule and subject.
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with = "rules")]
    diff: Vec<PathBuf>,

    /// Write the stretch of the alert with this id (its beginning is enough) as a test of its rule.
    #[arg(long, value_name = "ALERT", conflicts_with_all = ["diff", "curve"])]
    fixture: Option<String>,

    /// Where to; by default the rule and the alert name a file in this folder.
    #[arg(long, value_name = "FILE", requires = "fixture")]
    to: Option<PathBuf>,
}

/// One line of the JSON stream.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Alert(Value),
    Notification(&'a NotificationReport),
    Recommendation {
        at: Timestamp,
        #[serde(flatten)]
        recommendation: &'a Recommendation,
    },
    Summary(&'a Summary<'a>),
}

/// The recording in numbers.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    at: Option<Timestamp>,
    reading: Reading,
    evaluations: u64,
    rules: &'a BTreeMap<String, RuleSummary>,
    /// Rules that the configuration has nothing for.
    left_out: Vec<LeftOut>,
    /// Messages per receiver.
    messages: BTreeMap<&'a str, u64>,
    /// The same by what they say.
    messages_by_state: &'a BTreeMap<String, Messages>,
}

/// Subjects that the text lists, at most.
const SUBJECTS: usize = 20;

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    if let [old, new] = args.diff.as_slice() {
        return diff::run(old, new, &args.recording, out);
    }
    let policy = recording::policy(args.recording.config.as_deref(), &args.rules)?;
    if let Some(alert) = &args.fixture {
        return fixture::run(policy, alert, args.to, &args.recording, out);
    }
    if let Some(rule) = &args.curve {
        return curve::run(policy, rule, args.per_week, &args.recording, out);
    }
    let mut account = Account::new(policy.rules.iter().map(|rule| rule.name.as_str()));
    let left_out = policy.left_out.clone();
    let mut failed = None;
    let (engine, reading) = recording::read(policy, &args.recording, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |now, effect| {
            if failed.is_none()
                && let Err(e) = show(out, now, effect, &mut account)
            {
                failed = Some(e);
            }
        });
    })?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    account.finish(engine.now().unwrap_or_default());
    let messages =
        account.messages.iter().map(|(name, n)| (name.as_str(), n.firing + n.resolved + n.digests)).collect();
    let summary = Summary {
        at: engine.now(),
        reading,
        evaluations: engine.view().counters.evaluations,
        rules: &account.rules,
        left_out,
        messages,
        messages_by_state: &account.messages,
    };
    if out.json {
        out.json_line(&Line::Summary(&summary))?;
    } else {
        text(out, &summary)?;
    }
    if summary.reading.records == 0 {
        return Ok(Exit::NotEnoughData);
    }
    let fired = account.rules.values().any(|rule| rule.all.fired > 0);
    Ok(if fired { Exit::Finding } else { Exit::Ok })
}

fn show(out: &mut Output, now: Timestamp, effect: &Effect, account: &mut Account) -> Result<(), Failure> {
    match effect {
        Effect::Report(Report::Alert(event)) => {
            account.alert(event);
            if out.json {
                out.json_line(&Line::Alert(event.shown()))?;
            } else if matches!(event.state, AlertState::Firing | AlertState::Resolved) {
                let line = line(out, event);
                writeln!(out, "{line}")?;
            }
        }
        Effect::Deliver(delivery) => account.delivery(delivery),
        Effect::Report(Report::Notification(n)) if out.json && n.status != NotificationStatus::Queued => {
            out.json_line(&Line::Notification(n))?;
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
    let window = if reads_window(&event.condition) { format!(", {} window", event.window) } else { String::new() };
    let reason = if event.reason.is_empty() { String::new() } else { format!("  {}", event.reason) };
    let (found, threshold) = match event.without_value() {
        Some(none) => (none, String::new()),
        None => (shown(event.value), format!("threshold {}, ", shown(event.threshold))),
    };
    format!(
        "{}  {state}  {:<8}  {}  {}  {found} ({threshold}n {}{window})  {}{reason}",
        event.at,
        event.severity.as_str(),
        event.rule,
        event.subject,
        event.n,
        out.dim(&event.id[..event.id.len().min(8)]),
    )
}

fn text(out: &mut Output, summary: &Summary<'_>) -> Result<(), Failure> {
    if summary.reading.records == 0 {
        writeln!(out, "no executions were read, {} rejected", plural(summary.reading.rejected as usize, "line"))?;
        for reason in &summary.reading.reasons {
            writeln!(out, "  {reason}")?;
        }
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(&["rule", "fired", "subjects", "flaps", "total", "longest", "still firing"], 1);
    for (name, rule) in summary.rules {
        let all = &rule.all;
        let (subjects, still) = (rule.subjects.to_string(), all.still_firing.to_string());
        let times = [all.total.shown(), all.longest.shown()];
        table.row(
            [name.clone(), all.fired.to_string(), subjects, all.flaps.to_string()]
                .into_iter()
                .chain(times)
                .chain([still]),
        );
    }
    table.write(out, |_, _, _, text| text)?;
    let mut rows: Vec<(&str, &str, &Firings)> = Vec::new();
    for (name, rule) in summary.rules {
        rows.extend(rule.by_subject.iter().map(|(subject, firings)| (name.as_str(), subject.as_str(), firings)));
    }
    rows.sort_by_key(|(.., firings)| std::cmp::Reverse(firings.total));
    if !rows.is_empty() {
        writeln!(out)?;
        let mut table = Table::new(&["subject", "rule", "fired", "flaps", "total", "longest"], 2);
        for (rule, subject, of) in rows.iter().take(SUBJECTS) {
            let counts = [of.fired.to_string(), of.flaps.to_string(), of.total.shown(), of.longest.shown()];
            table.row([(*subject).to_owned(), (*rule).to_owned()].into_iter().chain(counts));
        }
        table.write(out, |_, _, _, text| text)?;
        if rows.len() > SUBJECTS {
            writeln!(out, "and {} more: --json has them all", rows.len() - SUBJECTS)?;
        }
    }
    let reading = &summary.reading;
    writeln!(
        out,
        "\n{} records, {} lines rejected, {} evaluations",
        reading.records, reading.rejected, summary.evaluations
    )?;
    if !summary.left_out.is_empty() {
        writeln!(out, "{} left out for want of what they read", plural(summary.left_out.len(), "rule"))?;
    }
    for reason in &reading.reasons {
        writeln!(out, "  {reason}")?;
    }
    for (receiver, messages) in summary.messages_by_state {
        let Messages { firing, resolved, digests } = messages;
        let total = firing + resolved + digests;
        let digests = if *digests > 0 { format!(", {digests} digests") } else { String::new() };
        writeln!(out, "{total} messages to {receiver}: {firing} firing, {resolved} resolved{digests}")?;
    }
    Ok(())
}
