//! What goes into the engine and what comes out.

mod alert;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use alert::{AlertEvent, AlertState, Muted};

use crate::model::{Befell, Part, Record, Severity, Span, Subject, Timestamp};
use crate::settings::ParameterKind;
use crate::wire::matcher::LabelMatcher;

/// Something that happened. `now` is given beside it.
#[derive(Debug)]
pub enum Event<'a> {
    /// Records that were read, in the order of their source.
    Records(&'a [Record<'a>]),
    /// A person or the shell wants something.
    Command(Command),
    /// How an effect went.
    Receipt(Receipt),
    /// Time passed; due deadlines are handled (every event does that first).
    Deadline,
}

/// What a person or the shell may want.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// History is being read: decide, but send and apply nothing until [`Command::EndBackfill`].
    BeginBackfill,
    /// The history is read: alerts that still fire are sent now.
    EndBackfill,
    /// The values that stand in a target file at this moment.
    Target {
        /// The target's name.
        target: String,
        /// Its values; an agent whose path is absent is absent here.
        values: Vec<CurrentValue>,
    },
    /// Lines that could not become records, to be counted.
    Quarantined {
        /// The source's name.
        source: String,
        /// How many lines.
        lines: u64,
    },
    /// Nobody is told of some alerts for a while.
    Silence(Silence),
    /// A silence ends now.
    ExpireSilence {
        /// Which one.
        id: String,
    },
    /// Somebody takes an alert on.
    Acknowledge(Acknowledgement),
    /// Something befell a part of evenkeel itself.
    Befell(Part, Befell),
}

/// Until it ends nobody is told of the alerts that match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its identity.
    pub id: String,
    /// All must hold for an alert to be silenced.
    pub matchers: Vec<LabelMatcher>,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// From this instant on.
    pub starts: Timestamp,
    /// Up to this instant.
    pub ends: Timestamp,
}

/// Somebody works on an alert: it is not repeated until it ends or gets worse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The alert's id.
    pub alert: String,
    /// Who works on it.
    pub author: String,
    /// What they want to say.
    pub note: String,
    /// When they said so.
    pub at: Timestamp,
}

/// A tunable value as it stands in a file, in the parameter's inner unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurrentValue {
    /// Index of the parameter in its target.
    pub parameter: u32,
    /// The agent.
    pub agent: String,
    /// The value (milliseconds, points or a count).
    pub value: f64,
}

/// Identity of a delivery: the same for every attempt, before and after a crash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub String);

/// Identity of a recommendation that was handed to the patcher.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChangeId(pub String);

/// How an effect went, as the shell saw it. Receipts of unknown or settled effects are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Receipt {
    /// One attempt at a delivery ended.
    Delivery {
        /// Which one.
        id: DeliveryId,
        /// How it went.
        result: Attempt,
    },
    /// A patch was written or a target edited, or not.
    Change {
        /// Which one.
        id: ChangeId,
        /// How it went.
        result: ChangeResult,
    },
}

/// Three outcomes of an attempt, not two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Attempt {
    /// The receiver has it.
    Done,
    /// Not now; try again, not before the given span when the receiver named one.
    Retry {
        /// What was seen.
        reason: String,
        /// The receiver's Retry-After.
        after: Option<Span>,
    },
    /// Never: the receiver says the message itself is wrong.
    Refuse {
        /// What was seen.
        reason: String,
    },
}

/// How a change to a target went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ChangeResult {
    /// The patch files are written, the target is untouched.
    Suggested,
    /// The target holds the new value.
    Applied,
    /// The target was left alone.
    Refused {
        /// Why: changed since, not writable, path absent.
        reason: String,
    },
}

/// Something the shell shall do or write down, in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Effect {
    /// Make one attempt at this delivery and report a [`Receipt::Delivery`].
    Deliver(Delivery),
    /// Write or apply this change and report a [`Receipt::Change`].
    Apply(Change),
    /// Write down what happened; no receipt.
    Report(Report),
}

/// One attempt of one message to one receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Stable over attempts and restarts.
    pub id: DeliveryId,
    /// The receiver's name.
    pub receiver: String,
    /// 1 for the first.
    pub attempt: u32,
    /// What is said.
    pub message: Message,
}

impl Delivery {
    /// The alerts that it is about; `None` for a digest.
    pub fn notification(&self) -> Option<&Notification> {
        if let Message::Alerts(notification) = &self.message { Some(notification) } else { None }
    }
}

/// What a delivery says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Something changed that somebody is to know at once.
    Alerts(Notification),
    /// What happened in a stretch of time.
    Digest(Digest),
}

impl Message {
    /// When it was decided to say it, by the engine's clock.
    pub fn at(&self) -> Timestamp {
        match self {
            Message::Alerts(notification) => notification.at,
            Message::Digest(digest) => digest.to,
        }
    }

    /// Identity of what it is one message of: those of one group keep their order.
    pub fn group(&self) -> &str {
        match self {
            Message::Alerts(notification) => &notification.group,
            Message::Digest(digest) => &digest.group,
        }
    }
}

/// What happened from one time to another, in the words of its messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// Its name in the configuration.
    pub name: String,
    /// Identity of all digests of that name.
    pub group: String,
    /// From this instant on.
    pub from: Timestamp,
    /// Up to this instant, when it was made.
    pub to: Timestamp,
    /// Both on the clock of its zone, for people.
    pub period: String,
    /// One sentence that says it all.
    pub headline: String,
    /// The gravest severity of what fires; `None` when nothing does.
    pub worst: Option<Severity>,
    /// What there is to tell, the most pressing first; none when nothing happened.
    pub sections: Vec<DigestSection>,
}

/// One part of a digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestSection {
    /// What it is about.
    pub title: String,
    /// A line each.
    pub lines: Vec<String>,
    /// How many more there are.
    pub more: u64,
}

/// What one message says: the alerts of one group at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// When it was decided to say it, by the engine's clock.
    pub at: Timestamp,
    /// Identity of the group, the same in all its messages: mail threads and deduplication keys
    /// hang on it.
    pub group: String,
    /// The labels that the alerts of the group shared when it began; they identify it.
    pub group_labels: BTreeMap<String, String>,
    /// The alerts, never none; at most as many as a message may show.
    pub alerts: Vec<AlertEvent>,
    /// Alerts of the group that are not among `alerts` because there are too many.
    pub truncated: u64,
    /// What is to be said of the group as a whole, when the alerts alone do not say it; else empty.
    pub summary: String,
    /// Somebody took the alerts on, and nothing else is news.
    pub acknowledged: Option<Acknowledgement>,
}

impl Notification {
    /// Forgets the course of the value of all alerts but the first that have one: a queue of thousands of messages
    /// holds what will be drawn, no more.
    pub fn keep_trends(&mut self, pictured: usize) {
        self.alerts
            .iter_mut()
            .filter(|alert| alert.trend.is_some())
            .skip(pictured)
            .for_each(|alert| alert.trend = None);
    }

    /// The labels of the group that all alerts here have: one that got graver since it began has another severity.
    pub fn shared_labels(&self) -> BTreeMap<String, String> {
        let mut shared = self.group_labels.clone();
        for alert in &self.alerts {
            let own = alert.identity();
            shared.retain(|name, value| own.get(name) == Some(value));
        }
        shared
    }

    /// Of the alert that the message is named after: the first one.
    pub fn lead(&self) -> &AlertEvent {
        self.alerts.first().expect("a notification has at least one alert")
    }

    /// `firing` while any alert fires.
    pub fn state(&self) -> AlertState {
        let firing = self.alerts.iter().any(|a| a.state != AlertState::Resolved);
        if firing { AlertState::Firing } else { AlertState::Resolved }
    }
}

/// A change proposed to a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Stable over restarts.
    pub id: ChangeId,
    /// When it was decided.
    pub at: Timestamp,
    /// Whether the target is to be edited, not just proposed to.
    pub apply: bool,
    /// The numbers behind it.
    pub recommendation: Recommendation,
}

/// What is written down for people and for the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Report {
    /// An alert changed its state.
    Alert(AlertEvent),
    /// A delivery was queued, retried, done or given up.
    Notification(NotificationReport),
    /// No request reaches an Alertmanager any more, or not for another reason than before.
    Failing(Failing),
    /// A recommendation was made or kept back.
    Recommendation(Recommendation),
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotificationReport {
    /// When.
    pub at: Timestamp,
    /// The delivery; of an Alertmanager, which is told states, the state of the alert.
    pub id: DeliveryId,
    /// The receiver's name.
    pub receiver: String,
    /// The identity of its first alert; of a digest its name.
    pub alert_id: String,
    /// The rule's name; of a digest empty.
    pub rule: String,
    /// Whom it is about.
    pub subject: Subject,
    /// How grave its first alert is; `None` for a digest.
    pub severity: Option<Severity>,
    /// `firing` or `resolved`; `None` for a digest.
    pub state: Option<AlertState>,
    /// The other alerts that the message shows.
    pub others: Vec<OtherAlert>,
    /// Alerts that it counts and does not show.
    pub truncated: u64,
    /// What became of it.
    pub status: NotificationStatus,
    /// Attempts so far.
    pub attempts: u32,
    /// What the last attempt saw; empty when all is well.
    pub reason: String,
}

/// An Alertmanager to which a request failed otherwise than the one before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failing {
    /// When.
    pub at: Timestamp,
    /// The receiver's name.
    pub receiver: String,
    /// What the attempt saw.
    pub reason: String,
    /// Of the states that the request held and that wait: how often they were tried.
    pub attempts: Vec<(DeliveryId, u32)>,
}

/// One of several alerts of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OtherAlert {
    /// Its identity.
    pub alert_id: String,
    /// The rule's name.
    pub rule: String,
    /// Whom it is about.
    pub subject: Subject,
    /// How grave it is.
    pub severity: Severity,
    /// `firing` or `resolved`.
    pub state: AlertState,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationStatus {
    /// Waiting for its first or next attempt.
    Queued,
    /// Delivered.
    Delivered,
    /// Refused by the receiver; not tried again.
    Refused,
    /// Given up after a day of attempts.
    Expired,
    /// The outbox was full, or the receiver is no more.
    Dropped,
    /// Nobody tried to send a digest before the next one told of its time, too; or an Alertmanager could not be told
    /// that state of an alert before another one took its place.
    Superseded,
}

/// Whether a recommendation changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Propose the new value.
    Change,
    /// Leave the value alone, for the reason given.
    Keep,
}

/// A value for one parameter of one agent, with everything it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// The target's name.
    pub target: String,
    /// Index of the parameter in its target.
    pub parameter_index: u32,
    /// The agent.
    pub agent: String,
    /// The model that the evidence is about; the most used one.
    pub model: Option<String>,
    /// What it controls.
    pub parameter: ParameterKind,
    /// What stands there now, in the inner unit; `None` when the file does not have it.
    pub current: Option<f64>,
    /// What is proposed, in the inner unit; equals `current` or is `None` when kept.
    pub proposed: Option<f64>,
    /// Lower end of the interval around the estimate.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Executions behind the estimate.
    pub n: u64,
    /// How many of them were cut off.
    pub censored: u64,
    /// Weight of the profile's prior in the estimate, 0 to 1.
    pub prior_weight: f64,
    /// The guard that bound the value, if one did.
    pub bound_by: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
    /// Whether something changes.
    pub decision: Decision,
}
