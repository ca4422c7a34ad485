//! `evenkeel rules`: the rules as they are loaded, with their subjects by state, and as Prometheus has them.

use std::io::Write as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::output::plural;
use super::ranking::{Table, dash};
use super::recording;
use super::remote::{self, Call, DaemonArgs};
use super::{Exit, Failure, Output};
use crate::engine::margin::{RuleView, States};
use crate::model::Timestamp;
use crate::rule::left_out::LeftOut;
use crate::rule::{export, shipped};
use crate::shell::policy_files;

const EXAMPLES: &str = "\
Examples:
  evenkeel rules                         the rules that the running daemon obeys, with states
  evenkeel rules rules/                  the rules of files and folders
  evenkeel rules --json | jq '.rules[] | select(.subjects.no_data > 0)'
  evenkeel rules export > evenkeel.rules.yaml
                                         alerting rules for a Prometheus that scrapes evenkeel
  evenkeel rules print > rules.yaml      the built-in rules, to start from

States are of subjects: inactive, pending (the condition holds, `for` has not passed), firing, and
no data (fewer samples than min_samples). Exit codes: 0 listed, 64 wrong usage, 74 no daemon
answers, 78 the files have faults.";

/// List the rules with severity, window, `by`, `for`, states and source; export them for Prometheus.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,

    #[command(flatten)]
    rules: RuleArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Write alerting rules for Prometheus over evenkeel's own /metrics; what does not map is said
    /// rule by rule, in the file and on standard error.
    Export(RuleArgs),
    /// Write a file of built-in rules as it is, to read or to start from.
    Print {
        /// The file; `budgets.yaml` has the rules of the configuration's budgets.
        #[arg(value_name = "FILE", default_value = "default.yaml", value_parser = shipped::PACKS.map(|(name, _)| name))]
        file: String,
        /// The configuration whose budgets are meant, evenkeel.yaml by default.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct RuleArgs {
    /// Rule files or folders; without any, the running daemon is asked (`export`: the files of its
    /// configuration are read).
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The configuration that the daemon runs with, evenkeel.yaml by default; with PATHs it says
    /// which labels and budgets there are.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The list as it comes and goes.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    /// When the states were counted; null for files.
    at: Option<Timestamp>,
    rules: Vec<RuleView>,
    /// Rules of the files that the configuration has nothing for.
    left_out: Vec<LeftOut>,
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    match &args.verb {
        Some(Verb::Export(args)) => return export(args, out),
        Some(Verb::Print { file, config }) => return print(file, config.clone(), out),
        None => {}
    }
    let RuleArgs { paths, config } = &args.rules;
    let daemon = DaemonArgs::of(config.as_deref());
    let listed = if paths.is_empty() {
        let answer = daemon.call("/api/v1/rules", Call::Get);
        remote::read(answer.map_err(|failure| remote::or(failure, "name PATHs of rule files"))?)?
    } else {
        let policy = recording::policy(config.as_deref(), paths)?;
        Listed { at: None, rules: policy.rules.iter().map(RuleView::of).collect(), left_out: policy.left_out }
    };
    if out.json {
        out.json(&listed)?;
    } else {
        text(out, &listed)?;
        if paths.is_empty() {
            daemon.notes(out)?;
        }
    }
    Ok(Exit::Ok)
}

fn text(out: &mut Output, listed: &Listed) -> Result<(), Failure> {
    let counted = listed.at.is_some();
    let mut head = vec!["rule", "severity", "condition", "window", "by", "for"];
    if counted {
        head.extend(["inactive", "pending", "firing", "no data", "evaluated"]);
    }
    head.push("source");
    let mut table = Table::new(&head, 3);
    // One line per level; what is of the rule as a whole stands in the first.
    let mut firing = Vec::new();
    for rule in &listed.rules {
        let by = if rule.by.is_empty() { "fleet".to_owned() } else { rule.by.join(",") };
        let mut name = rule.rule.clone();
        if rule.shadow {
            name += " (shadow)";
        }
        let states = rule.subjects.unwrap_or_default();
        let States { inactive, pending, firing: fires, no_data } = states;
        for (number, level) in rule.levels.iter().enumerate() {
            let first = number == 0;
            let once = |text: String| if first { text } else { String::new() };
            let mut row = vec![once(name.clone()), level.severity.as_str().to_owned(), level.condition.clone()];
            let window = rule.window.map_or_else(dash, |window| window.to_string());
            row.extend([once(window), once(by.clone()), level.hold.to_string()]);
            if counted {
                let count = |n: u64| once(if n == 0 { dash() } else { n.to_string() });
                row.extend([inactive, pending, fires, no_data].map(count));
                row.push(once(rule.evaluated.map_or_else(dash, |at| at.to_string())));
            }
            row.push(once(rule.place.clone()));
            firing.push((fires, pending));
            table.row(row);
        }
        for term in terms(rule) {
            firing.push((0, 0));
            table.row([String::new(), String::new(), term].into_iter().chain(vec![String::new(); head.len() - 3]));
        }
    }
    table.write(out, |out, row, column, text| match (column, firing[row]) {
        (8, (fires, _)) if counted && fires > 0 => out.red(text),
        (7, (_, pending)) if counted && pending > 0 => out.yellow(text),
        _ => text,
    })?;
    let at = listed.at.map_or_else(String::new, |at| format!(" at {at}"));
    let left_out = match listed.left_out.len() {
        0 => String::new(),
        n => format!(", {n} left out"),
    };
    writeln!(out, "\n{}{left_out}{at}", plural(listed.rules.len(), "rule"))?;
    for left in listed.left_out.iter().filter(|_| counted) {
        writeln!(out, "left out: {}, {}: {}", left.rule, left.place, left.why)?;
    }
    if let Some(file) = listed.rules.iter().find_map(|rule| rule.place.strip_prefix(shipped::BUILT_IN)) {
        let file = file.split(':').next().unwrap_or_default();
        writeln!(out, "built-in rules are shown by `evenkeel rules print {file}`")?;
    }
    Ok(())
}

/// What a rule says beside its conditions, a line each.
fn terms(rule: &RuleView) -> Vec<String> {
    let filter = (!rule.filter.is_empty()).then(|| format!("where: {}", rule.filter.join(" ")));
    let mut terms: Vec<String> = filter.into_iter().collect();
    terms.extend(rule.recover.iter().map(|recover| format!("recover: {recover}")));
    for own in &rule.overrides {
        let levels = own.levels.iter().map(|level| match rule.levels.len() + own.levels.len() {
            2 => level.condition.clone(),
            _ => format!("{}: {}", level.severity.as_str(), level.condition),
        });
        let recover = own.recover.iter().map(|recover| format!("recover: {recover}"));
        let all: Vec<String> = levels.chain(recover).collect();
        terms.push(format!("{}: {}", own.subjects.join(" "), all.join(", ")));
    }
    terms.extend(rule.partial.map(|partial| partial.to_string()));
    terms.extend(rule.uncounted.iter().map(|uncounted| uncounted.to_string()));
    terms.extend(rule.active_hours.iter().map(|hours| format!("told {hours}")));
    terms
}

fn print(file: &str, config: Option<PathBuf>, out: &mut Output) -> Result<Exit, Failure> {
    let config = config.or_else(recording::at_hand);
    let named = format!("{}{file}", shipped::BUILT_IN);
    let used = policy_files::read(config.as_deref(), &[]).0.rules.into_iter().find(|(path, _)| *path == named);
    let shipped = || shipped::PACKS.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned());
    let text = used.map(|(_, text)| text).or_else(shipped).unwrap_or_default();
    match out.json {
        true => out.json(&serde_json::json!({"file": file, "text": text}))?,
        false => write!(out, "{text}")?,
    }
    Ok(Exit::Ok)
}

fn export(args: &RuleArgs, out: &mut Output) -> Result<Exit, Failure> {
    let known = || args.paths.is_empty().then(|| DaemonArgs::of(None).config().to_owned());
    let config = args.config.clone().or_else(known);
    let policy = recording::policy(config.as_deref(), &args.paths)?;
    let exported = export::prometheus(&policy.rules);
    if out.json {
        out.json(&exported)?;
        return Ok(Exit::Ok);
    }
    write!(out, "{}", exported.text)?;
    let mut notes = Output::stderr(false);
    for lost in &exported.unmapped {
        writeln!(notes, "{}: {}", lost.rule, lost.what)?;
    }
    Ok(Exit::Ok)
}
