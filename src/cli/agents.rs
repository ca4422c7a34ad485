//! `evenkeel agents`: the ranking of the agents in a recording.

use std::io::Write as _;

use super::recording::{self, RecordingArgs};
use super::{Exit, Failure, Output, ranking};
use crate::engine::view::Class;

const EXAMPLES: &str = "\
Examples:
  evenkeel agents .claude/metrics/executions.jsonl
  evenkeel agents --config evenkeel.yaml runs.jsonl --json | jq '.[] | select(.class == \"low\")'

The score is what an agent reaches with 90% certainty, 0 to 100, on the fleet's mix of task types;
the class compares the 95% interval with the other agents on the same tasks.";

/// Rank agents: who does well, who does badly, and how sure that is.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    recording: RecordingArgs,
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let policy = recording::policy(args.recording.config.as_deref(), &[])?;
    let (engine, reading) = recording::read(policy, &args.recording, |_, _, _| {})?;
    let agents = engine.view().agents;
    if out.json {
        out.json(&agents)?;
    } else if agents.is_empty() {
        writeln!(out, "no executions were read")?;
        for reason in &reading.reasons {
            writeln!(out, "  {reason}")?;
        }
    } else {
        ranking::write(out, &agents)?;
    }
    let enough = agents.iter().any(|a| a.class != Class::InsufficientData);
    Ok(if enough { Exit::Ok } else { Exit::NotEnoughData })
}
