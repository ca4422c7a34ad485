//! The command line: one file per verb, one frame around them.
//!
//! A verb is a file with `Args` (clap) and `run(args, &mut Output) -> Result<Exit, Failure>`; adding one is a
//! `mod` line and a line of `Verb`. What a verb finds goes to standard output, as text or (`--json`) as
//! JSON; what keeps it from looking goes to standard error and becomes an exit code here, in one place.

pub mod agents;
pub mod alerts;
mod budgets;
pub mod check;
pub mod completions;
pub mod explain;
pub mod init;
pub mod junit;
pub mod margin;
mod meant;
pub mod notify;
pub mod output;
pub mod profiles;
pub mod ranking;
pub mod recording;
pub mod remote;
pub mod replay;
pub mod report;
pub mod rules;
pub mod run;
pub mod silence;
pub mod slos;
pub mod test;
mod tune;
pub mod why;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::diagnostic::Diagnostic;
pub use output::Output;

/// What a process that ends tells its caller. The numbers above 2 are those of sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// The command worked and found something: a fault, a regression, a refused change.
    Finding = 1,
    /// The command worked and there is too little data for an answer.
    NotEnoughData = 2,
    /// The command line is wrong, or names an input that cannot be read.
    Usage = 64,
    /// The machine failed: a disk is full, an address is taken.
    Failure = 74,
    /// Configuration, rules, profiles or prices are wrong.
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a verb gave up.
#[derive(Debug)]
pub enum Failure {
    /// The command line cannot be obeyed; the text names the value and the remedy.
    Usage(String),
    /// The policy cannot be used.
    Configuration(Vec<Diagnostic>),
    /// The machine failed; the text names what was tried.
    Machine(String),
    /// Writing to standard output failed.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    /// Only for writing to [`Output`]; other I/O names its file in [`Failure::Machine`] or [`Failure::Usage`].
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

const EXAMPLES: &str = "\
Examples:
  evenkeel init                     write a commented evenkeel.yaml here
  evenkeel check                    all that is wrong in it, and in rules and profiles
  evenkeel report executions.jsonl  who does well, who does not
  evenkeel run                      watch, alert and tune until stopped

Exit codes: 0 all is well, 1 something was found, 2 not enough data, 64 wrong usage,
74 the machine failed, 78 wrong configuration.";

/// Keeps fleets of LLM agents on an even keel: scores, alerts and tuned limits from the
/// executions they already log.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, about, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,

    /// Write JSON for programs instead of text for people.
    #[arg(long, global = true)]
    json: bool,

    /// When to colour text; `auto` colours a terminal unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    color: Color,
}

/// When to colour text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Whether to colour what goes to a stream that is a terminal or not.
    /// An empty NO_COLOR counts as unset, see <https://no-color.org>.
    fn wanted(self, terminal: bool) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Args),
    Check(check::Args),
    Run(run::Args),
    Report(report::Args),
    Agents(agents::Args),
    Alerts(alerts::Args),
    Budgets(budgets::Args),
    Silence(silence::Args),
    Explain(explain::Args),
    Replay(replay::Args),
    Rules(rules::Args),
    Slos(slos::Args),
    Test(test::Args),
    Why(why::Args),
    Tune(tune::Args),
    Notify(notify::Args),
    Profiles(profiles::Args),
    Completions(completions::Args),
}

impl Verb {
    fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Verb::Report(args) => report::run(args, out),
            Verb::Agents(args) => agents::run(args, out),
            Verb::Alerts(args) => alerts::run(args, out),
            Verb::Budgets(args) => budgets::run(args, out),
            Verb::Silence(args) => silence::run(args, out),
            Verb::Explain(args) => explain::run(args, out),
            Verb::Replay(args) => replay::run(args, out),
            Verb::Rules(args) => rules::run(args, out),
            Verb::Slos(args) => slos::run(args, out),
            Verb::Test(args) => test::run(args, out),
            Verb::Why(args) => why::run(args, out),
            Verb::Init(args) => init::run(args, out),
            Verb::Run(args) => run::run(args, out),
            Verb::Check(args) => check::run(args, out),
            Verb::Profiles(args) => profiles::run(args, out),
            Verb::Notify(args) => notify::run(args, out),
            Verb::Tune(args) => tune::run(args, out),
            Verb::Completions(args) => completions::run(args, out),
        }
    }
}

/// Runs the program: parses `arguments` (the first is the program's name), obeys, reports failures
/// on standard error and says how the process shall end.
///
/// A reader that closes our standard output early (`| head`) is no failure, and changes nothing of what was found.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => {
            // clap sends help and version to standard output, faults to standard error; a closed
            // stream is nobody's fault here.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    let mut out = Output::stdout(args.json, args.color.wanted(io::stdout().is_terminal()));
    let result = args.verb.run(&mut out).and_then(|exit| Ok(out.flush().map(|()| exit)?));
    result.unwrap_or_else(|failure| report(failure, args.color.wanted(io::stderr().is_terminal())))
}

/// Says on standard error why a verb gave up. A closed standard error silences it.
fn report(failure: Failure, color: bool) -> Exit {
    let mut err = Output::stderr(color);
    let (exit, text) = match failure {
        Failure::Output(error) => (Exit::Failure, format!("cannot write to standard output: {error}")),
        Failure::Machine(text) => (Exit::Failure, text),
        Failure::Usage(text) => (Exit::Usage, text),
        Failure::Configuration(diagnostics) => {
            let _ = err.diagnostics(&diagnostics);
            return Exit::Configuration;
        }
    };
    let _ = writeln!(err, "{} {text}", err.red("error:"));
    exit
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// What clap breaks lines of help at.
    const WIDTH: usize = 100;

    fn commands(command: &clap::Command, found: &mut Vec<(String, String)>) {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        found.push((command.get_name().to_owned(), text));
        command.get_subcommands().for_each(|command| commands(command, found));
    }

    #[test]
    fn what_is_laid_out_by_hand_fits_into_the_width_of_help() {
        let mut found = Vec::new();
        commands(&Args::command(), &mut found);
        assert!(found.len() > 20, "{}", found.len());
        for (name, text) in found {
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH, "{name}: {line}");
            }
        }
    }
}
