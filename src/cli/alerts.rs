//! `evenkeel alerts`: what is active in the running daemon, and who is told of it when.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::meant::{Kind, meant};
use super::recording::RecordingArgs;
use super::remote::{Call, DaemonArgs, author};
use super::{Exit, Failure, Output};
use crate::engine::dispatch::AckView;
use crate::engine::event::{AlertEvent, AlertState};
use crate::engine::view::{DigestView, RefusedView, WaitingView, told};
use crate::model::Subject;
use crate::wire::notice;

const EXAMPLES: &str = "\
Examples:
  evenkeel alerts                                    what fires, who knows, what comes next
  evenkeel alerts --ack 5f0c2d91 --note 'on it'      stop repeats until it ends or gets worse
  evenkeel alerts --json | jq '.alerts[].messages'
  evenkeel alerts --margin                           how far every subject is from firing
  evenkeel alerts --margin runs.jsonl --rules rules/ the same at the end of a recording

Below each alert stands a line per receiver: the next message and why then, or why not now
(silenced, inhibited, maintenance, outside active hours, waiting for its group, acknowledged,
receiver failing). An alert that ended is shown until its receivers are told so: its group waits,
it flaps, which is to begin and end too often, or a receiver is down. The distance of --margin,
nearest first, is how much the value may still move, as a share of the threshold, of the
comparison that decides: of `and` the furthest of those that fail, when all hold the last; of `or`
the nearest, when some hold the first of these.
Exit codes: 0 nothing fires, 1 something fires, 2 no subject has enough data (--margin),
64 the daemon refuses, 74 no daemon answers.";

/// Show active alerts and when their next message goes, or why it does not.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    recording: RecordingArgs,
    /// How far every subject is from firing, in the running daemon or at the end of the FILEs.
    #[arg(long, conflicts_with = "ack")]
    margin: bool,
    /// With --margin: this rule only.
    #[arg(long, value_name = "NAME", requires = "margin")]
    rule: Option<String>,
    /// With --margin: show as many, the nearest first.
    #[arg(long, value_name = "N", default_value_t = 50, requires = "margin")]
    limit: usize,
    /// With --margin: rule files or folders, instead of those of the configuration.
    #[arg(long, value_name = "PATH", requires = "margin")]
    rules: Vec<PathBuf>,
    /// Take on the alert of this id (its beginning is enough).
    #[arg(long, value_name = "ID")]
    ack: Option<String>,
    /// What to say with --ack.
    #[arg(long, value_name = "TEXT", default_value = "", requires = "ack")]
    note: String,
    /// Who takes it on; by default $USER, else the user that runs this.
    #[arg(long, value_name = "NAME", requires = "ack")]
    author: Option<String>,
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    if args.margin {
        return super::margin::run(&args.recording, &args.rules, args.rule.as_deref(), args.limit, out);
    }
    if !args.recording.files.is_empty() {
        return Err(Failure::Usage("FILEs go with --margin; what fired in a recording shows `evenkeel replay`".into()));
    }
    let daemon = DaemonArgs::of(args.recording.config.as_deref());
    let mut answer = daemon.call("/api/v1/alerts", Call::Get)?;
    if let Some(start) = args.ack {
        let firing = firing(answer["alerts"].as_array().map_or(&[], Vec::as_slice));
        let id = meant(&FIRING, &firing, &start)?;
        let body = json!({"author": author(args.author)?, "note": args.note});
        answer = daemon.call(&format!("/api/v1/alerts/{id}/ack"), Call::Post(body))?;
        if out.json {
            return super::remote::as_json(out, &answer);
        }
        writeln!(out, "acknowledged {id}: no repeats until it ends or gets worse")?;
        return Ok(Exit::Ok);
    }
    let none = Vec::new();
    let alerts = answer["alerts"].as_array().unwrap_or(&none);
    let fires = alerts.iter().any(|alert| alert["state"] == "firing");
    if out.json {
        out.json(&answer)?;
    } else {
        if alerts.is_empty() {
            writeln!(out, "no alert is pending or firing")?;
        }
        let ended = answer["ended"].as_array().unwrap_or(&none);
        for alert in alerts.iter().chain(ended.iter().take(ENDED)) {
            show(out, alert)?;
        }
        if ended.len() > ENDED {
            writeln!(out, "and {} more that ended, which --json shows", ended.len() - ENDED)?;
        }
        for digest in answer["digests"].as_array().unwrap_or(&none) {
            let digest: DigestView = super::remote::read(digest.clone())?;
            let next = digest.next.map_or_else(|| "when history is read".to_owned(), |at| at.to_string());
            writeln!(out, "digest {}: next at {next} to {}", digest.digest, digest.receivers.join(", "))?;
        }
        daemon.notes(out)?;
    }
    Ok(if fires { Exit::Finding } else { Exit::Ok })
}

/// Alerts that ended and are shown.
const ENDED: usize = 20;

/// The alerts that somebody may take on.
const FIRING: Kind = Kind { one: "alert", candidate: "firing alert", none: "none fires", these: "these fire" };

/// The id of each alert that fires, and what it is of.
fn firing(alerts: &[Value]) -> Vec<(String, String)> {
    let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
    let one = |alert: &Value| {
        let subject: Subject = serde_json::from_value(alert["subject"].clone()).unwrap_or_default();
        let rule = alert["rule"].as_str().unwrap_or_default();
        Some((alert["id"].as_str()?.to_owned(), format!("{rule} on {subject}")))
    };
    firing.filter_map(one).collect()
}

fn show(out: &mut Output, alert: &Value) -> Result<(), Failure> {
    let event: AlertEvent = super::remote::read(alert.clone())?;
    let state = match event.state {
        AlertState::Firing => out.red("firing"),
        AlertState::Resolved => out.green("ended"),
        state => out.yellow(state.as_str()),
    };
    let head = out.bold(format!("{} on {}", event.rule, event.subject));
    let since = match event.state {
        AlertState::Resolved => format!("at {}", event.at),
        _ => format!("since {}", event.fired_at.unwrap_or(event.active_since)),
    };
    writeln!(out, "{head}  {state}  {}  {since}", event.severity.as_str())?;
    writeln!(out, "  {} {}  id {}", notice::compared(&event), notice::samples(&event), event.id)?;
    if !event.reason.is_empty() {
        writeln!(out, "  {}", event.reason)?;
    }
    let messages = &alert["messages"];
    let mut said = Vec::new();
    for receiver in messages["receivers"].as_array().into_iter().flatten() {
        let last = serde_json::from_value(receiver["last"].clone()).ok();
        let waiting: Option<WaitingView> = serde_json::from_value(receiver["waiting"].clone()).ok();
        let refused: Option<RefusedView> = serde_json::from_value(receiver["refused"].clone()).ok();
        let mut told = told(last, event.fired_at, waiting.as_ref(), refused.as_ref());
        if told.is_empty() {
            told.push_str("not told yet");
        }
        let why = receiver["why"].as_str().unwrap_or_default();
        writeln!(out, "  {}: {told}; {why}", receiver["receiver"].as_str().unwrap_or_default())?;
        said.push(why);
    }
    if let Some(why) = messages["why"].as_str().filter(|why| !why.is_empty()) {
        writeln!(out, "  {why}")?;
    }
    // A receiver that is told no more because of it says so itself.
    let ack: Option<AckView> = serde_json::from_value(alert["acknowledged"].clone()).ok();
    if let Some(ack) = ack.filter(|ack| !said.iter().any(|why| why.starts_with(&ack.to_string()))) {
        let graver = if ack.graver { ", before it got graver" } else { "" };
        writeln!(out, "  {ack}{graver}")?;
    }
    Ok(())
}
