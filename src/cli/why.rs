//! `evenkeel why`: why a rule fires on a subject at a time, or does not.

use std::io::Write as _;
use std::path::PathBuf;

use super::recording::{self, RecordingArgs};
use super::{Exit, Failure, Output};
use crate::engine::event::AlertState;
use crate::engine::inspect::Inspection;
use crate::model::{Subject, Timestamp};
use crate::replay;
use crate::wire::fields::one_of;

const EXAMPLES: &str = "\
Examples:
  evenkeel why error_burst reviewer runs.jsonl
  evenkeel why error_burst agent=reviewer --at 2026-03-05T14:30:00Z runs.jsonl
  evenkeel why cost_spike reviewer --config evenkeel.yaml      the files of the configuration's sources

The recording is played by the engine up to the time; without --at, to its end.
Exit codes: 0 the rule does not hold, 1 it holds, 2 there is no data.";

/// Show why a rule fires on a subject, or does not: every value in its condition.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The rule's name.
    rule: String,

    /// Whom: `agent=reviewer`, several labels with a comma between them, or the value of a label alone;
    /// `fleet` for a rule that is not split.
    subject: String,

    #[command(flatten)]
    recording: RecordingArgs,

    /// The time, as RFC 3339.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// Rule files or folders, instead of those of the configuration.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let at = match &args.at {
        Some(text) => Some(Timestamp::parse(text, &jiff::tz::TimeZone::UTC).ok_or_else(|| {
            Failure::Usage(format!("--at is `{text}`, not a time: write it like 2026-03-05T14:30:00Z"))
        })?),
        None => None,
    };
    let policy = recording::policy(args.recording.config.as_deref(), &args.rules)?;
    let names: Vec<String> = policy.rules.iter().map(|rule| rule.name.clone()).collect();
    if !names.contains(&args.rule) {
        let help = one_of(&args.rule, names.iter().map(String::as_str));
        return Err(Failure::Usage(format!("there is no rule `{}`: {help}", args.rule)));
    }
    let (engine, _) = recording::read_until(policy, &args.recording, at, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |_, _| {});
    })?;
    let all = engine.inspect(&args.rule).unwrap_or_default();
    let found: Vec<&Inspection> = all.iter().filter(|i| means(&args.subject, &i.subject)).collect();
    let inspection = match found.as_slice() {
        [one] => *one,
        [] => {
            let known: Vec<String> = all.iter().take(20).map(|i| i.subject.to_string()).collect();
            let why = format!("the rule looks at no `{}` by then; it looks at: {}", args.subject, known.join(", "));
            return Err(Failure::Usage(why));
        }
        many => {
            let subjects: Vec<String> = many.iter().take(20).map(|i| i.subject.to_string()).collect();
            return Err(Failure::Usage(format!("`{}` may be any of: {}", args.subject, subjects.join("; "))));
        }
    };
    if out.json {
        out.json(inspection)?;
    } else {
        text(out, inspection)?;
    }
    Ok(match inspection.holds {
        Some(true) => Exit::Finding,
        Some(false) => Exit::Ok,
        None => Exit::NotEnoughData,
    })
}

fn means(wanted: &str, subject: &Subject) -> bool {
    if wanted == "fleet" {
        return subject.0.is_empty();
    }
    wanted.split(',').all(|part| match part.split_once('=') {
        Some((label, value)) => subject.get(label.trim()) == Some(value.trim()),
        None => subject.0.values().any(|value| value == part.trim()),
    })
}

fn text(out: &mut Output, found: &Inspection) -> Result<(), Failure> {
    writeln!(out, "{} on {} at {}", out.bold(&found.rule), found.subject, found.at)?;
    writeln!(out, "  {}\n", found.condition)?;
    for node in &found.nodes {
        let line = format!("  {}{}", "  ".repeat(node.depth), node.node);
        let shown = match node.shown.as_str() {
            "true" => out.red("true"),
            "no data" => out.dim("no data"),
            other => other.to_owned(),
        };
        writeln!(out, "{line:<40}{shown}")?;
    }
    writeln!(out, "\n  read in a window of {}, at least {} samples:", found.window, found.min_samples)?;
    for input in &found.inputs {
        let n = input.n.map_or_else(|| "past windows".to_owned(), |n| format!("n {n}"));
        let few = input.n.is_some_and(|n| n < u64::from(found.min_samples));
        let few = if few { ", too few" } else { "" };
        writeln!(out, "    {:<34}  {} ({n}{few})", input.name, input.shown)?;
    }
    writeln!(out, "  last record {} ago, at {}", found.at.since(found.last_seen), found.last_seen)?;
    let held = |since: Timestamp| found.at.since(since);
    let state = match &found.alert {
        None => match found.holds {
            None => "inactive: there is no data, and no data does not fire".to_owned(),
            _ => "inactive".to_owned(),
        },
        Some(alert) => match (alert.state, alert.fired_at) {
            (AlertState::Pending, _) => {
                format!("pending: true for {} of {}", held(alert.active_since), found.hold)
            }
            (_, fired) => {
                let kept =
                    if found.holds == Some(true) { "" } else { "; it holds no more and is kept firing for a while" };
                let since = fired.unwrap_or(alert.active_since);
                format!("firing since {since}, for {}{kept}", held(since))
            }
        },
    };
    writeln!(out, "  {state}")?;
    if let Some(margin) = found.margin {
        let side = if margin < 0.0 { "beyond" } else { "away from" };
        writeln!(out, "  the value is {:.1} % of the threshold {side} it", margin.abs() * 100.0)?;
    }
    Ok(())
}
