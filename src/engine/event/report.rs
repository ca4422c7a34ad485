//! What is written down for people and for the history.

use serde::{Deserialize, Serialize};

use super::{AlertEvent, AlertState, DeliveryId, Recommendation};
use crate::model::{Severity, Subject, Timestamp};

/// What is written down for people and for the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Report {
    /// An alert changed its state.
    Alert(AlertEvent),
    /// An alert that fires became milder, or a change of the policy made it so or graver.
    Regraded {
        /// As it goes on.
        alert: AlertEvent,
        /// How bad it was until then.
        before: Severity,
    },
    /// A delivery was queued, retried, done or given up.
    Notification(NotificationReport),
    /// No request reaches an Alertmanager any more, or not for another reason than before.
    Failing(Failing),
    /// An Alertmanager answers again.
    Answers(Answers),
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
    /// The identity of its first alert that fires, else of its first; of a digest its name.
    pub alert_id: String,
    /// The rule's name; of a digest empty.
    pub rule: String,
    /// Whom it is about.
    pub subject: Subject,
    /// How grave that alert is; `None` for a digest.
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

/// An Alertmanager that a request reached after others had not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// When.
    pub at: Timestamp,
    /// The receiver's name.
    pub receiver: String,
    /// Since when it had failed.
    pub since: Timestamp,
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
