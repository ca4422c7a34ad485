//! What is sent: one attempt of one message, about alerts or about a stretch of time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Acknowledgement, AlertEvent, AlertState, DeliveryId};
use crate::model::{Severity, Timestamp};

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
    /// The matchers of the route of the group when it began; empty where it has none, or an alert is told alone.
    pub matched: String,
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
    /// There is news that nobody took on, of a group whose incident was acknowledged at its receiver: it is to open a new one.
    pub reopens: bool,
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

    /// The alert that the message is named after: the first that fires, else the first.
    pub fn lead(&self) -> &AlertEvent {
        &self.alerts[self.leading()]
    }

    /// The others.
    pub fn others(&self) -> impl Iterator<Item = &AlertEvent> {
        let leading = self.leading();
        self.alerts.iter().enumerate().filter(move |(at, _)| *at != leading).map(|(_, alert)| alert)
    }

    fn leading(&self) -> usize {
        self.alerts.iter().position(|alert| alert.state != AlertState::Resolved).unwrap_or(0)
    }

    /// `firing` while any alert fires.
    pub fn state(&self) -> AlertState {
        let firing = self.alerts.iter().any(|a| a.state != AlertState::Resolved);
        if firing { AlertState::Firing } else { AlertState::Resolved }
    }
}
