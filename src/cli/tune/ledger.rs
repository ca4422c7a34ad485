//! The verbs on changes that were made or proposed: `ledger`, `show`, `revert`.

use std::io::Write as _;

use serde::Serialize;

use super::Config;
use crate::cli::ranking::Table;
use crate::cli::{Exit, Failure, Output};
use crate::settings::Settings;
use crate::shell::ledger::{Entry, Status};
use crate::shell::patch::{Patcher, Restored};
use crate::shell::store;

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    config: Config,
    /// How many changes at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// The change, as `tune ledger` names it.
    #[arg(value_name = "CHANGE_ID")]
    id: String,
    #[command(flatten)]
    config: Config,
}

#[derive(Debug, clap::Args)]
pub(super) struct Revert {
    /// The change, as `tune ledger` names it.
    #[arg(value_name = "CHANGE_ID")]
    id: String,
    #[command(flatten)]
    config: Config,
}

/// A patcher over the database of a state directory, `None` where there is none yet.
fn patcher(settings: &Settings) -> Result<Option<Patcher>, Failure> {
    if !settings.state_dir.is_dir() {
        return Ok(None);
    }
    let connection = store::connect(&settings.state_dir).map_err(|e| Failure::Machine(e.to_string()))?;
    let patcher = Patcher::new(settings, connection);
    Ok(Some(patcher.map_err(|e| Failure::Machine(format!("cannot use the ledger: {e}")))?))
}

impl List {
    pub(super) fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let settings = self.config.settings()?;
        let entries = match patcher(&settings)? {
            Some(patcher) => patcher.ledger(self.limit).map_err(|e| Failure::Machine(e.to_string()))?,
            None => Vec::new(),
        };
        if out.json {
            out.json(&entries)?;
        } else if entries.is_empty() {
            writeln!(out, "no change was proposed yet")?;
        } else {
            table(&entries, out)?;
        }
        Ok(Exit::Ok)
    }
}

fn table(entries: &[Entry], out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&["change", "at (UTC)", "status", "target", "agent", "parameter", "value"], 7);
    for entry in entries {
        let value = |json: &Option<String>| json.clone().unwrap_or_else(|| "?".into());
        table.row([
            entry.change_id.clone(),
            entry.at.get(..19).unwrap_or(&entry.at).replace('T', " "),
            entry.status.to_string(),
            entry.target.clone(),
            entry.agent.clone(),
            entry.parameter.clone(),
            format!("{} -> {}", value(&entry.old), value(&entry.new)),
        ]);
    }
    table.write(out, |out, row, column, text| match (column, entries[row].status) {
        (2, Status::Applied) => out.green(text),
        (2, Status::Refused) => out.red(text),
        (2, Status::Superseded | Status::Reverted) => out.dim(text),
        _ => text,
    })?;
    for entry in entries.iter().filter(|e| e.status == Status::Refused) {
        writeln!(out, "{} {} {}", entry.change_id, out.red("refused:"), entry.reason)?;
    }
    Ok(())
}

impl Show {
    pub(super) fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        #[derive(Serialize)]
        struct Shown {
            #[serde(flatten)]
            entry: Entry,
            diff: Option<String>,
        }
        let settings = self.config.settings()?;
        let Some(patcher) = patcher(&settings)? else { return Err(unknown(&self.id)) };
        let entry = patcher.entry(&self.id).map_err(|e| Failure::Machine(e.to_string()))?;
        let entry = entry.ok_or_else(|| unknown(&self.id))?;
        let diff = patcher.diff(&self.id).ok();
        if out.json {
            out.json(&Shown { entry, diff })?;
            return Ok(Exit::Ok);
        }
        let n = match entry.n {
            0 => String::new(),
            n => format!(" (n = {n})"),
        };
        let head = format!("{} {} {} of {}", entry.change_id, entry.status, entry.parameter, entry.agent);
        writeln!(out, "{}: {}{n}", out.bold(head), entry.reason)?;
        match &diff {
            None => writeln!(out, "its patch is no longer kept; the value was {}", change(&entry))?,
            Some(diff) => {
                for line in diff.split_inclusive('\n') {
                    write_diff_line(line, out)?;
                }
            }
        }
        Ok(Exit::Ok)
    }
}

fn change(entry: &Entry) -> String {
    let value = |json: &Option<String>| json.clone().unwrap_or_else(|| "unknown".into());
    format!("{}, to become {}", value(&entry.old), value(&entry.new))
}

/// A line in its colour. Its end stays outside, so that carriage returns do not part the two.
fn write_diff_line(line: &str, out: &mut Output) -> Result<(), Failure> {
    let body = line.trim_end_matches(['\r', '\n']);
    let end = &line[body.len()..];
    let body = match line.as_bytes().first() {
        _ if line.starts_with("--- ") || line.starts_with("+++ ") => out.bold(body),
        Some(b'-') => out.red(body),
        Some(b'+') => out.green(body),
        Some(b'@' | b'\\') => out.dim(body),
        _ => body.to_owned(),
    };
    write!(out, "{body}{end}")?;
    Ok(())
}

impl Revert {
    pub(super) fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        #[derive(Serialize)]
        struct Outcome<'a> {
            change_id: &'a str,
            restored: Option<Restored>,
            reason: &'a str,
        }
        let settings = self.config.settings()?;
        let patcher = patcher(&settings)?.ok_or_else(|| unknown(&self.id))?;
        if patcher.entry(&self.id).map_err(|e| Failure::Machine(e.to_string()))?.is_none() {
            return Err(unknown(&self.id));
        }
        let result = patcher.revert(&self.id);
        let (restored, reason, exit) = match &result {
            Ok((restored, row)) => (Some(*restored), row.reason.as_str(), Exit::Ok),
            Err(reason) => (None, reason.as_str(), Exit::Finding),
        };
        if out.json {
            out.json(&Outcome { change_id: &self.id, restored, reason })?;
        } else if exit == Exit::Ok {
            writeln!(out, "{} {reason}", out.green("done:"))?;
        } else {
            writeln!(out, "{} {reason}", out.red("left alone:"))?;
        }
        Ok(exit)
    }
}

fn unknown(id: &str) -> Failure {
    Failure::Usage(format!("no change `{id}` is in the ledger; `evenkeel tune ledger` lists them"))
}
