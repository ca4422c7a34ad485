//! `evenkeel notify test`: a message through each receiver, and what it replied.
//!
//! Goes the way of real messages, from the sinks on; the state directory is not touched, so it works beside a running
//! daemon. Where an alert would stay open (PagerDuty, Alertmanager) its end is sent after it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::{Exit, Failure, Output};
use crate::engine::event::{AlertEvent, AlertState, Attempt, Delivery, DeliveryId, Message, Notification};
use crate::model::{Severity, Span, Subject, Timestamp, Trend, Unit};
use crate::settings::{Channel, Receiver, Settings};
use crate::shell::policy_files;
use crate::shell::sink::Sinks;

/// Try receivers out.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send a message that is marked as a test through each receiver, and show what it replied.
    #[command(after_help = "\
Examples:
  evenkeel notify test                  through every receiver of ./evenkeel.yaml
  evenkeel notify test oncall           through one; a name stands for all its addresses or peers
  evenkeel notify test --json | jq '.[] | select(.ok | not)'

Nothing is tried again. PagerDuty and Alertmanager are told the end right after.
Exit codes: 0 every receiver took it, 1 one did not, 64 no such receiver.")]
    Test(Test),
}

#[derive(Debug, clap::Args)]
struct Test {
    /// The receivers; all of them without any.
    #[arg(value_name = "RECEIVER")]
    receivers: Vec<String>,

    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG", default_value = "evenkeel.yaml")]
    config: PathBuf,
}

/// What became of one message.
#[derive(Debug, Serialize)]
struct Tried {
    receiver: String,
    channel: &'static str,
    state: AlertState,
    ok: bool,
    /// What was replied, or what went wrong.
    answer: String,
    /// How long the receiver wants to be left alone.
    retry_after_s: Option<f64>,
}

/// Obeys.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let Verb::Test(test) = args.verb;
    let loaded = policy_files::load(Some(&test.config), &[]).map_err(Failure::Configuration)?;
    let settings = loaded.policy.settings;
    let chosen = chosen(&test.config, &settings, &test.receivers)?;
    let external = settings.external_url.clone().unwrap_or_default();
    let sinks = Sinks::new(&settings.receivers, external);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Machine(format!("cannot start: {error}")))?;
    let mut tried = Vec::new();
    for receiver in chosen {
        let one = runtime.block_on(attempt(&sinks, receiver, AlertState::Firing));
        let open = matches!(receiver.channel, Channel::PagerDuty { .. } | Channel::Alertmanager { .. });
        let ended = (one.ok && open).then(|| runtime.block_on(attempt(&sinks, receiver, AlertState::Resolved)));
        for one in [one].into_iter().chain(ended) {
            if !out.json {
                let word = if one.ok { out.green("ok    ") } else { out.red("failed") };
                writeln!(out, "{word} {} by {}, {}: {}", one.receiver, one.channel, one.state.as_str(), one.answer)?;
            }
            tried.push(one);
        }
    }
    if out.json {
        out.json(&tried)?;
    }
    Ok(if tried.iter().all(|one| one.ok) { Exit::Ok } else { Exit::Finding })
}

/// The receivers of these names; `oncall` is also every `oncall/address`.
fn chosen<'a>(config: &Path, settings: &'a Settings, names: &[String]) -> Result<Vec<&'a Receiver>, Failure> {
    let is = |receiver: &Receiver, name: &str| {
        receiver.name == name || receiver.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))
    };
    if settings.receivers.is_empty() {
        return Err(Failure::Usage(format!("{} has no receivers; add some under `receivers:`", config.display())));
    }
    if let Some(name) = names.iter().find(|name| !settings.receivers.iter().any(|r| is(r, name))) {
        let known: Vec<&str> = settings.receivers.iter().map(|r| r.name.as_str()).collect();
        return Err(Failure::Usage(format!("there is no receiver `{name}`; there are: {}", known.join(", "))));
    }
    let wanted = |receiver: &&Receiver| names.is_empty() || names.iter().any(|name| is(receiver, name));
    Ok(settings.receivers.iter().filter(wanted).collect())
}

async fn attempt(sinks: &Sinks, receiver: &Receiver, state: AlertState) -> Tried {
    let said = sinks.say(&delivery(&receiver.name, state), true).await;
    let (ok, answer, after) = match said.attempt {
        Attempt::Done if said.reply.is_empty() => (true, "taken".to_owned(), None),
        Attempt::Done => (true, said.reply, None),
        Attempt::Retry { reason, after } => (false, reason, after),
        Attempt::Refuse { reason } => (false, reason, None),
    };
    let retry_after_s = after.map(|span| span.0 as f64 / 1_000.0);
    Tried { receiver: receiver.name.clone(), channel: receiver.channel.kind(), state, ok, answer, retry_after_s }
}

/// Values that passed the threshold just now, so that a mail shows what its pictures look like.
fn course(now: Timestamp) -> Trend {
    let values = [0.4, 0.6, 0.5, 0.9, 0.8, 1.3, 1.6, 2.0];
    let at = |index: usize| Timestamp(now.0 - 15_000 * (values.len() - 1 - index) as i64);
    Trend { values: values.iter().enumerate().map(|(index, value)| (at(index), *value)).collect(), ..Trend::default() }
}

/// A message that nobody takes for a real one.
fn delivery(receiver: &str, state: AlertState) -> Delivery {
    let now = Timestamp(jiff::Timestamp::now().as_millisecond());
    let summary = "This is a test of evenkeel's messages: nothing is wrong, nothing is to be done.";
    let alert = AlertEvent {
        at: now,
        id: format!("test-{}", now.0),
        rule: "EvenkeelTest".to_owned(),
        subject: Subject::from_iter([("agent", "test")]),
        state,
        severity: Severity::Info,
        condition: "value > 1".to_owned(),
        value: Some(if state == AlertState::Firing { 2.0 } else { 0.0 }),
        threshold: Some(1.0),
        unit: Unit::Any,
        n: 1,
        window: Span::minutes(1),
        active_since: now,
        fired_at: Some(now),
        muted: None,
        reason: String::new(),
        trend: Some(Box::new(course(now))),
        labels: [("test".to_owned(), "true".to_owned())].into(),
        annotations: [("summary".to_owned(), summary.to_owned())].into(),
    };
    Delivery {
        id: DeliveryId(format!("{}-{}", alert.id, state.as_str())),
        receiver: receiver.to_owned(),
        attempt: 1,
        message: Message::Alerts(Notification {
            at: now,
            group: "evenkeel-test".to_owned(),
            matched: String::new(),
            group_labels: [("alertname".to_owned(), alert.rule.clone())].into(),
            alerts: vec![alert],
            truncated: 0,
            summary: String::new(),
            acknowledged: None,
            reopens: false,
        }),
    }
}
