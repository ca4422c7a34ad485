//! `evenkeel tune`: what tuning proposes, what became of it, and the way back.

mod ledger;
mod plan;

use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, Failure, Output};
use crate::settings::Settings;
use crate::shell::policy_files;

/// Show what tuning proposes and did, and take changes back.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what every tunable value should be, and why; write nothing.
    #[command(after_help = "\
Examples:
  evenkeel tune plan                from the executions of the configuration's sources
  evenkeel tune plan runs.jsonl     from these
  evenkeel tune plan --json | jq '.[] | select(.decision == \"change\")'

Numbers are in the unit of the file that holds the value, and rounded as they would
be written there.
Exit codes: 0 there was enough data for a value, 2 there was not.")]
    Plan(plan::Args),
    /// List the changes that were proposed, applied, refused or taken back, newest first.
    #[command(after_help = "\
Examples:
  evenkeel tune ledger
  evenkeel tune ledger --limit 5 --json")]
    Ledger(ledger::List),
    /// Show one change: its numbers and the unified diff.
    #[command(
        visible_alias = "diff",
        after_help = "\
Examples:
  evenkeel tune show 3f2a91c07b55
  evenkeel tune show 3f2a91c07b55 --color never | tail -n +2 | patch -p1"
    )]
    Show(ledger::Show),
    /// Take an applied change back.
    #[command(after_help = "\
The file gets its exact old bytes as long as nobody edited it since. After an edit
elsewhere in it only the one value comes back; a value that was edited since is left
alone (exit 1).

Examples:
  evenkeel tune revert 3f2a91c07b55")]
    Revert(ledger::Revert),
}

/// The configuration whose targets are meant.
#[derive(Debug, clap::Args)]
struct Config {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG", default_value = "evenkeel.yaml")]
    config: PathBuf,
}

impl Config {
    /// Its settings; faults of rules and profiles matter as well, for a policy is whole or not at all.
    fn settings(&self) -> Result<Settings, Failure> {
        let loaded = policy_files::load(Some(&self.config), &[]).map_err(Failure::Configuration)?;
        Ok(loaded.policy.settings)
    }
}

/// Obeys.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    match args.verb {
        Verb::Plan(plan) => plan.run(out),
        Verb::Ledger(list) => list.run(out),
        Verb::Show(show) => show.run(out),
        Verb::Revert(revert) => revert.run(out),
    }
}
