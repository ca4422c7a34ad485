//! `replay --diff`: what another rule file would have fired over the same recording.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::ranking::Table;
use super::super::recording::{self, RecordingArgs};
use super::super::{Exit, Failure, Output};
use super::account::Account;
use crate::engine::event::{Effect, Report};
use crate::replay;

/// One rule on one subject under both files.
#[derive(Debug, Serialize)]
struct Change {
    rule: String,
    subject: String,
    old: u64,
    new: u64,
    old_total: crate::model::Span,
    new_total: crate::model::Span,
}

/// Replays both files and shows where they differ.
pub fn run(old: &Path, new: &Path, args: &RecordingArgs, out: &mut Output) -> Result<Exit, Failure> {
    let files = &args.files;
    if files.iter().any(|file| file.as_os_str() == "-") {
        return Err(Failure::Usage("--diff reads the recording twice: give a file instead of -".into()));
    }
    let (old, new) = (account(old, args)?, account(new, args)?);
    let keys = |account: &Account| -> BTreeSet<(String, String)> {
        let subjects = account
            .rules
            .iter()
            .flat_map(|(rule, summary)| summary.by_subject.keys().map(move |subject| (rule.clone(), subject.clone())));
        subjects.collect()
    };
    let of = |account: &Account, (rule, subject): &(String, String)| {
        account.rules.get(rule).and_then(|summary| summary.by_subject.get(subject)).cloned().unwrap_or_default()
    };
    let all: BTreeSet<_> = keys(&old).into_iter().chain(keys(&new)).collect();
    let mut changes: Vec<Change> = Vec::new();
    for key in &all {
        let (before, after) = (of(&old, key), of(&new, key));
        if before != after {
            let (rule, subject) = key.clone();
            let (old_total, new_total) = (before.total, after.total);
            changes.push(Change { rule, subject, old: before.fired, new: after.fired, old_total, new_total });
        }
    }
    if out.json {
        out.json(&changes)?;
    } else if changes.is_empty() {
        writeln!(out, "no difference: both fire the same alerts for as long")?;
    } else {
        let mut table = Table::new(&["rule", "subject", "fired before", "after", "time before", "after"], 2);
        for c in &changes {
            let numbers = [c.old.to_string(), c.new.to_string(), c.old_total.shown(), c.new_total.shown()];
            table.row([c.rule.clone(), c.subject.clone()].into_iter().chain(numbers));
        }
        table.write(out, |out, row, column, text| match (column, changes[row].new.cmp(&changes[row].old)) {
            (3, std::cmp::Ordering::Greater) => out.red(text),
            (3, std::cmp::Ordering::Less) => out.green(text),
            _ => text,
        })?;
        let gained: u64 = changes.iter().map(|c| c.new.saturating_sub(c.old)).sum();
        let lost: u64 = changes.iter().map(|c| c.old.saturating_sub(c.new)).sum();
        writeln!(out, "\n{gained} firings gained, {lost} lost")?;
    }
    Ok(if changes.is_empty() { Exit::Ok } else { Exit::Finding })
}

fn account(rules: &Path, args: &RecordingArgs) -> Result<Account, Failure> {
    let policy = recording::policy(args.config.as_deref(), &[PathBuf::from(rules)])?;
    let mut account = Account::new(policy.rules.iter().map(|rule| rule.name.as_str()));
    let (engine, _) = recording::read(policy, args, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |_, effect| {
            if let Effect::Report(Report::Alert(event)) = effect {
                account.alert(event);
            }
        });
    })?;
    account.finish(engine.now().unwrap_or_default());
    Ok(account)
}
