//! What goes into the engine and what comes out.

mod alert;
mod message;
mod report;

use serde::{Deserialize, Serialize};

pub use alert::{AlertEvent, AlertState, GOES_ON, Muted};
pub use message::{Delivery, Digest, DigestSection, Message, Notification};
pub use report::{Answers, Failing, NotificationReport, NotificationStatus, OtherAlert, Report};

use crate::model::{Befell, Part, Record, Span, Timestamp};
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
    /// What was written while evenkeel was down or slept comes next, at its own times: decide on it, but tell nobody what
    /// was true then before the next [`Event::Deadline`], by which it is read.
    FallBehind,
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
