//! `evenkeel run`: the daemon, with a summary for the person who starts it.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use super::output::plural;
use super::{Exit, Failure, Output, ranking};
use crate::engine::event::{AlertEvent, AlertState, Decision, Recommendation};
use crate::engine::view::{MessageView, View};
use crate::model::{Severity, Span, Unit};
use crate::settings::{Mode, ParameterKind, Settings};
use crate::shell::daemon::{self, Options, Seen};
use crate::shell::log;
use crate::shell::refusal::RunError;
use crate::shell::source::pattern;

/// The configuration that is looked for when none is named.
const DEFAULT_CONFIG: &str = "evenkeel.yaml";

/// A newest record that is older than this is said to be.
const OLD: Span = Span::hours(1);

/// Watch, alert and tune until stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel run                             with ./evenkeel.yaml
  evenkeel run --config ops/evenkeel.yaml  with another
  evenkeel run --once                      read what is there, alert, write patches, end

Ctrl-C or SIGTERM end it, and nothing is lost; SIGHUP loads configuration and rules
again, all or nothing. EVENKEEL_LOG=debug says more.
Exit codes: 0 stopped, 1 `--once` and an alert fires, 74 the machine failed,
78 wrong configuration.")]
pub struct Args {
    /// The configuration.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG", default_value = DEFAULT_CONFIG)]
    config: PathBuf,

    /// Read what is there, tell whom it concerns, write patches, and end.
    #[arg(long)]
    once: bool,
}

/// Runs the daemon.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    if args.config == Path::new(DEFAULT_CONFIG) && !args.config.exists() {
        let text =
            format!("there is no {DEFAULT_CONFIG} here; name one with --config, or write one with `evenkeel init`");
        return Err(Failure::Usage(text));
    }
    log::init(out.color && std::io::stderr().is_terminal());
    // Two threads answer for API and receivers; the engine has this one.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Machine(format!("cannot start threads: {error}")))?;
    let options = Options { config: Some(args.config), once: args.once };
    let mut printed = Ok(());
    let mut settings = None;
    let ended = runtime.block_on(daemon::run(&options, &mut |seen| {
        let result = match seen {
            Seen::Started { settings: started, listen } => {
                settings = Some(started.clone());
                if out.json { Ok(()) } else { started_with(out, started, listen) }
            }
            Seen::CaughtUp(engine) => {
                let view = engine.view();
                match out.json {
                    true => out.json(&view).map_err(Failure::from),
                    false => summary(out, &view, settings.as_ref(), args.once),
                }
            }
        };
        // A closed standard output ends the talking, not the daemon.
        printed = std::mem::replace(&mut printed, Ok(())).and(result.and_then(|()| Ok(out.flush()?)));
    }));
    runtime.shutdown_background();
    match ended {
        Ok(firing) => {
            printed?;
            Ok(if args.once && firing { Exit::Finding } else { Exit::Ok })
        }
        Err(RunError::Policy(diagnostics)) => Err(Failure::Configuration(diagnostics)),
        Err(error) => Err(Failure::Machine(error.to_string())),
    }
}

fn started_with(out: &mut Output, settings: &Settings, listen: Option<std::net::SocketAddr>) -> Result<(), Failure> {
    writeln!(out, "{} {}", out.bold("evenkeel"), env!("CARGO_PKG_VERSION"))?;
    for source in &settings.sources {
        let none = pattern::matching(&source.path).is_ok_and(|files| files.is_empty());
        let note = if none { out.yellow(", not there yet") } else { String::new() };
        writeln!(out, "  reads   {} ({}){note}", source.path.display(), source.name)?;
    }
    for receiver in &settings.receivers {
        let how = receiver.channel.kind();
        writeln!(out, "  tells   {} by {how}, from {} up", receiver.name, receiver.min_severity.as_str())?;
    }
    for target in &settings.tune.targets {
        writeln!(out, "  tunes   {} ({})", target.file.display(), target.mode.as_str())?;
    }
    writeln!(out, "  keeps   {}", settings.state_dir.display())?;
    if let Some(address) = listen {
        writeln!(out, "  serves  http://{address}")?;
    }
    Ok(writeln!(out)?)
}

fn summary(out: &mut Output, view: &View, settings: Option<&Settings>, once: bool) -> Result<(), Failure> {
    let counters = &view.counters;
    let (read, agents) = (plural(counters.records as usize, "execution"), plural(view.known_agents as usize, "agent"));
    write!(out, "{read} of {agents}")?;
    if let Some(newest) = view.newest {
        let age = view.now.unwrap_or(newest).since(newest);
        let old = if age >= OLD { out.yellow(format!(" ({} ago)", age.shown())) } else { String::new() };
        write!(out, ", the newest at {newest}{old}")?;
    }
    if counters.quarantined > 0 {
        let lines = plural(counters.quarantined as usize, "line");
        write!(out, ", {} in quarantine", out.yellow(lines))?;
    }
    writeln!(out)?;
    alerts(out, &view.alerts)?;
    if once {
        unsent(out, view)?;
    }
    if !view.agents.is_empty() {
        writeln!(out, "\n{}", out.bold("Agents"))?;
        ranking::write(out, &view.agents)?;
    } else if let Some(scores) = settings.map(|settings| &settings.scores).filter(|_| view.known_agents > 0) {
        writeln!(out, "\nNo agent ran in the last {}, which scores look at.", scores.window)?;
    }
    changes(out, &view.recommendations, settings)
}

fn alerts(out: &mut Output, alerts: &[AlertEvent]) -> Result<(), Failure> {
    let firing: Vec<&AlertEvent> = alerts.iter().filter(|a| a.state == AlertState::Firing).collect();
    if firing.is_empty() {
        return Ok(writeln!(out, "\n{}", out.green("No alert fires."))?);
    }
    writeln!(out, "\n{}", out.bold("Firing"))?;
    for alert in firing {
        let severity = format!("{:8}", alert.severity.as_str());
        let severity = if alert.severity >= Severity::High { out.red(severity) } else { out.yellow(severity) };
        let value = alert.value.map(|value| format!("{}: {}", alert.condition, alert.unit.show(value)));
        let found = value.or_else(|| alert.without_value()).unwrap_or_default();
        let reason = if alert.reason.is_empty() { String::new() } else { format!("; {}", alert.reason) };
        let since = alert.at.since(alert.fired_at.unwrap_or(alert.active_since));
        let since = since.shown();
        writeln!(
            out,
            "  {severity} {}  {}  {found} (n={}), for {since}{reason}",
            out.bold(&alert.rule),
            alert.subject,
            alert.n
        )?;
    }
    Ok(())
}

/// What receivers are to be told later, for which a process that ends does not wait.
fn unsent(out: &mut Output, view: &View) -> Result<(), Failure> {
    let waits = |message: &&MessageView| message.last.is_none() && message.waiting.is_none() && message.next > view.now;
    let mut unsent = BTreeMap::<(&str, &str), usize>::new();
    for message in view.messages.iter().flat_map(|messages| &messages.receivers).filter(waits) {
        *unsent.entry((&message.receiver, &message.why)).or_default() += 1;
    }
    if unsent.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", out.bold("Not sent yet"))?;
    for ((receiver, why), alerts) in unsent {
        writeln!(out, "  {receiver}  {}: {why}", plural(alerts, "alert"))?;
    }
    Ok(writeln!(out, "  --once does not wait for that: the next `evenkeel run` sends it")?)
}

fn changes(out: &mut Output, recommendations: &[Recommendation], settings: Option<&Settings>) -> Result<(), Failure> {
    let changes: Vec<&Recommendation> = recommendations.iter().filter(|r| r.decision == Decision::Change).collect();
    if changes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", out.bold("Suggested changes"))?;
    for change in &changes {
        let unit = match change.parameter {
            ParameterKind::Timeout => Unit::Duration,
            ParameterKind::QualityTarget => Unit::Points,
            ParameterKind::Concurrency => Unit::Count,
        };
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| unit.show(v));
        writeln!(
            out,
            "  {} {} {} -> {}  {}",
            out.bold(&change.agent),
            change.parameter.as_str(),
            show(change.current),
            out.green(show(change.proposed)),
            out.dim(&change.reason)
        )?;
    }
    let tune = settings.map(|settings| &settings.tune);
    if let Some(tune) = tune.filter(|tune| tune.targets.iter().any(|t| t.mode == Mode::Suggest)) {
        writeln!(out, "  patches are in {}", tune.patch_dir.display())?;
    }
    if tune.is_some_and(|tune| tune.targets.iter().any(|t| t.mode == Mode::Apply)) {
        writeln!(out, "  `evenkeel tune ledger` lists what was edited")?;
    }
    Ok(())
}
