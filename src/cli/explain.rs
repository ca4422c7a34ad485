//! `evenkeel explain`: what one agent's score, health and limits rest on.

use std::io::Write as _;

use super::ranking::{self, Table, dash, duration, rate};
use super::recording::{self, RecordingArgs};
use super::{Exit, Failure, Output};
use crate::diagnostic::did_you_mean;
use crate::engine::view::{AgentView, BaselineState, Class};
use crate::model::Unit;
use crate::model::shown;

/// Explain an agent's score: components, peers, task types, health, baseline.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  evenkeel explain reviewer .claude/metrics/executions.jsonl")]
pub struct Args {
    /// The agent.
    agent: String,

    #[command(flatten)]
    recording: RecordingArgs,
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let policy = recording::policy(args.recording.config.as_deref(), &[])?;
    let (engine, _) = recording::read(policy, &args.recording, |_, _, _| {})?;
    let agents = engine.view().agents;
    if agents.is_empty() {
        match out.json {
            true => out.json(&None::<AgentView>)?,
            false => writeln!(out, "no executions were read")?,
        }
        return Ok(Exit::NotEnoughData);
    }
    let Some(rank) = agents.iter().position(|a| a.agent == args.agent) else {
        let names = agents.iter().map(|a| a.agent.as_str());
        let remedy = match did_you_mean(&args.agent, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", names.take(10).collect::<Vec<_>>().join(", ")),
        };
        return Err(Failure::Usage(format!("the recording has no agent `{}`: {remedy}", args.agent)));
    };
    let agent = &agents[rank];
    if out.json {
        out.json(agent)?;
    } else {
        text(out, agent, rank + 1, agents.len())?;
    }
    Ok(if agent.class == Class::InsufficientData { Exit::NotEnoughData } else { Exit::Ok })
}

fn text(out: &mut Output, agent: &AgentView, rank: usize, of: usize) -> Result<(), Failure> {
    let name = out.bold(&agent.agent);
    let class = ranking::class(agent.class);
    match (agent.score, agent.interval) {
        (Some(score), Some([low, high])) => {
            let peers = agent.peers.map_or("no peers to compare with".to_owned(), |p| format!("peers {p:.1}"));
            writeln!(
                out,
                "{name}: {class}, score {score:.1}, interval {low:.1} to {high:.1}, {peers}, rank {rank} of {of}"
            )?;
        }
        _ => writeln!(out, "{name}: {class}")?,
    }
    let model = agent.model.as_deref().unwrap_or("model not known");
    writeln!(out, "{} executions, {} to {}, {model}\n", agent.n, agent.first_seen, agent.last_seen)?;

    let mut table = Table::new(&["component", "attainment", "weight", "n", "  why"], 1);
    for c in &agent.components {
        table.row([
            c.name.to_owned(),
            format!("{:.3}", c.attainment),
            shown::share(c.weight),
            c.n.to_string(),
            format!("  {}", c.detail),
        ]);
    }
    table.write(out, |_, _, _, text| text)?;

    writeln!(out)?;
    let mut table = Table::new(&["task type", "n", "success", "peers", "p50", "p95", "cut off"], 1);
    for t in &agent.task_types {
        table.row([
            if t.task_type.is_empty() { dash() } else { t.task_type.clone() },
            t.n.to_string(),
            rate(&t.success),
            rate(&t.peers),
            duration(t.p50_ms, t.p50_at_least),
            duration(t.p95_ms, t.p95_at_least),
            t.censored.to_string(),
        ]);
    }
    table.write(out, |_, _, _, text| text)?;

    if let Some(health) = agent.health {
        let word = if health < 0.8 { out.yellow("degraded") } else { out.green("healthy") };
        writeln!(out, "\nhealth {health:.2}, {word}")?;
        for reason in &agent.health_reasons {
            writeln!(out, "  {:<20} {:.2}  {}", reason.metric, reason.attainment, reason.detail)?;
        }
    }
    let state = match agent.baseline.state {
        BaselineState::Learning => "learning",
        BaselineState::Ready => "ready",
        BaselineState::Stale => "stale",
        BaselineState::Frozen => "frozen",
    };
    let usual = agent.baseline.p50_ms.map_or_else(dash, |ms| Unit::Duration.show(ms));
    writeln!(out, "\nbaseline {state}, n {}, median {usual}", agent.baseline.n)?;
    if let Some(r) = &agent.relative {
        writeln!(
            out,
            "last day's median is {:.2} times the baseline's (95% interval {:.2} to {:.2}, n {})",
            r.ratio, r.lower, r.upper, r.n
        )?;
    }
    Ok(())
}
