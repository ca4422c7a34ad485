//! `evenkeel init`: writes a commented configuration to start from; never over one that is there.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Exit, Failure, Output};

/// The file that is written.
const NAME: &str = "evenkeel.yaml";

/// The text of the file; it reads the first of [`KNOWN`].
const STARTER: &str = include_str!("starter.yaml");

/// Where agents are known to log their executions, relative to their working folder.
const KNOWN: [&str; 3] = [".claude/metrics/executions.jsonl", "metrics/executions.jsonl", "executions.jsonl"];

/// Write a commented evenkeel.yaml to start from.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel init            into the current folder
  evenkeel init ops/agents into another one

An evenkeel.yaml that is already there is left alone (exit 1).")]
pub struct Args {
    /// The folder to write into.
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    config: &'a Path,
    executions: &'a str,
    found: bool,
}

/// Writes the file and says what to do next.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let found = KNOWN.into_iter().find(|known| args.folder.join(known).is_file());
    let executions = found.unwrap_or(KNOWN[0]);
    let here = args.folder == Path::new(".");
    let config = if here { PathBuf::from(NAME) } else { args.folder.join(NAME) };
    let shown = config.display();
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&config) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = format!("{shown} is already there and was left alone; move it away to start afresh");
            if out.json {
                out.json(&serde_json::json!({ "error": text }))?;
            } else {
                writeln!(out, "{text}")?;
            }
            return Ok(Exit::Finding);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Failure::Usage(format!("cannot write {shown}: the folder is not there; create it first")));
        }
        Err(error) => return Err(Failure::Machine(format!("cannot write {shown}: {error}"))),
    };
    file.write_all(STARTER.replace(KNOWN[0], executions).as_bytes())
        .map_err(|error| Failure::Machine(format!("cannot write {shown}: {error}")))?;
    if out.json {
        out.json(&Written { config: &config, executions, found: found.is_some() })?;
        return Ok(Exit::Ok);
    }
    writeln!(out, "wrote {}", out.bold(&shown))?;
    match found {
        Some(path) => writeln!(out, "it reads {path}, which is there")?,
        None => writeln!(out, "it reads {executions}, which is not there yet; change `path` if yours is elsewhere")?,
    }
    match here {
        true => writeln!(out, "next: evenkeel check && evenkeel run")?,
        false => writeln!(out, "next: evenkeel check {shown} && evenkeel run --config {shown}")?,
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::settings::Settings;

    #[test]
    fn the_starter_loads_as_it_is_and_with_its_examples() {
        let load = |text: &str| Settings::load(&SourceFile::new(NAME, text), Path::new(""));
        let (settings, diagnostics) = load(STARTER);
        assert_eq!(diagnostics, []);
        assert_eq!(settings.map(|s| s.sources[0].path.clone()), Some(PathBuf::from(KNOWN[0])));
        // What is code behind a `#` begins without a blank or with an indent.
        let uncommented = STARTER.lines().map(|line| match line.split_once('#') {
            Some((indent, code)) if indent.trim().is_empty() && (!code.starts_with(' ') || code.starts_with("  ")) => {
                format!("{indent}{code}\n")
            }
            _ => format!("{line}\n"),
        });
        let (settings, diagnostics) = load(&uncommented.collect::<String>());
        assert_eq!(diagnostics, []);
        let settings = settings.expect("no faults");
        assert_eq!((settings.receivers.len(), settings.tune.targets.len(), settings.rules.len()), (2, 1, 1));
        assert!(settings.api_token.is_some());
        assert_eq!(settings.sources[0].mapping.agent.as_deref(), Some("worker"));
    }
}
