//! `evenkeel alerts --margin`: how far every subject is from firing.

use std::io::Write as _;
use std::path::PathBuf;

use super::output::plural;
use super::ranking::{Table, dash};
use super::recording::{self, RecordingArgs};
use super::remote::{self, Call, DaemonArgs};
use super::{Exit, Failure, Output};
use crate::engine::event::AlertState;
use crate::engine::margin::{MarginView, Margins};
use crate::model::{Timestamp, shown};
use crate::replay;

/// Lists the distances in the running daemon, or at the end of a recording.
pub fn run(
    args: &RecordingArgs,
    rules: &[PathBuf],
    rule: Option<&str>,
    limit: usize,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let live = args.files.is_empty() && rules.is_empty();
    let daemon = live.then(|| DaemonArgs::of(args.config.as_deref()));
    let margins = if let Some(daemon) = &daemon {
        let limit = limit.to_string();
        let mut pairs = vec![("limit", limit.as_str())];
        pairs.extend(rule.map(|rule| ("rule", rule)));
        let answer = daemon.call(&remote::query("/api/v1/margins", &pairs), Call::Get);
        remote::read(answer.map_err(remote::or_files)?)?
    } else {
        let policy = recording::policy(args.config.as_deref(), rules)?;
        let (engine, _) = recording::read(policy, args, |engine, now, effects| {
            replay::perfect_world(engine, now, effects, &mut |_, _| {});
        })?;
        engine.margins(engine.now().unwrap_or_default(), rule, limit).map_err(Failure::Usage)?
    };
    if out.json {
        out.json(&margins)?;
    } else {
        text(out, &margins, rule)?;
        daemon.map_or(Ok(()), |daemon| daemon.notes(out))?;
    }
    let fires = margins.margins.iter().any(|margin| margin.state == AlertState::Firing);
    Ok(match fires {
        true => Exit::Finding,
        false if margins.subjects == margins.without_data => Exit::NotEnoughData,
        false => Exit::Ok,
    })
}

/// The distance as people read it: what is left, or how far beyond.
fn distance(margin: &MarginView) -> String {
    match margin.margin {
        Some(share) if share < 0.0 => format!("{} beyond", shown::share(-share)),
        Some(share) => shown::share(share),
        None => dash(),
    }
}

fn text(out: &mut Output, margins: &Margins, rule: Option<&str>) -> Result<(), Failure> {
    let (some, none): (Vec<&MarginView>, Vec<&MarginView>) =
        margins.margins.iter().partition(|margin| margin.lacking.is_empty());
    if margins.subjects == 0 {
        match margins.at == Timestamp::default() {
            true => writeln!(out, "no executions were read")?,
            false if !margins.lacking.is_empty() => writeln!(out, "{} by {}", margins.lacking, margins.at)?,
            false => writeln!(out, "no rule has seen a record by {}", margins.at)?,
        }
        return Ok(());
    }
    let shown = |value: Option<f64>, margin: &MarginView| value.map_or_else(dash, |value| margin.unit.show(value));
    if !some.is_empty() {
        let mut table = Table::new(&["rule", "subject", "state", "to firing", "value", "threshold", "n"], 3);
        for margin in &some {
            table.row([
                margin.rule.clone(),
                margin.subject.to_string(),
                margin.state.as_str().to_owned(),
                distance(margin),
                shown(margin.value, margin),
                shown(margin.threshold, margin),
                margin.n.to_string(),
            ]);
        }
        table.write(out, |out, row, column, text| match (column, some[row].state, some[row].margin) {
            (2, AlertState::Firing, _) => out.red(text),
            (2, AlertState::Pending, _) => out.yellow(text),
            (3, _, Some(share)) if share < 0.0 => out.red(text),
            (3, _, Some(share)) if share < 0.1 => out.yellow(text),
            _ => text,
        })?;
    }
    if !none.is_empty() {
        let gap = if some.is_empty() { "" } else { "\n" };
        writeln!(out, "{gap}not enough data, the nearest to having it first:")?;
        let mut table = Table::new(&["rule", "subject", "state", "why"], 4);
        for margin in none {
            let (state, why) = (margin.state.as_str().to_owned(), margin.lacking.clone());
            table.row([margin.rule.clone(), margin.subject.to_string(), state, why]);
        }
        table.write(out, |_, _, _, text| text)?;
    }
    let reasons: Vec<&MarginView> = margins.margins.iter().filter(|margin| !margin.reason.is_empty()).collect();
    if !reasons.is_empty() {
        writeln!(out, "\ngo on for another reason than that the condition holds:")?;
        for margin in reasons {
            writeln!(out, "{} on {}: {}", margin.rule, margin.subject, margin.reason)?;
        }
    }
    let more = margins.subjects - margins.margins.len() as u64;
    let one_rule = if rule.is_none() { ", --rule one rule" } else { "" };
    let more = if more > 0 { format!("; {more} more: --limit shows more{one_rule}") } else { String::new() };
    let watched = plural(margins.subjects as usize, "watched value");
    writeln!(out, "\n{watched} at {}, {} without data{more}", margins.at, margins.without_data)?;
    Ok(())
}
