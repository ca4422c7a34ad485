//! What the history says of an Alertmanager: a row for each state of an alert that it is to know, settled when it knows.
//!
//! A request holds whatever is due and is made anew at each attempt, so no row can be about one. A row is about an
//! episode that fires, or that ended, under some labels. What is only said again changes no row.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::peer::Peer;
use super::{Mirrored, hex};
use crate::engine::event::{AlertEvent, DeliveryId, Effect, Failing, NotificationReport, NotificationStatus, Report};
use crate::model::Timestamp;

/// Why an alert is not kept up for which there is no room.
pub const NO_ROOM: &str = "there are as many alerts already as `limits.outbox` allows";
/// Why a state is not told that an Alertmanager was to know before a reload.
const UNWANTED: &str = "the receiver takes it no more since a reload";

/// A state that a peer is to know: whose, under which labels, and what.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    pub peer: &'a str,
    pub key: u64,
    pub event: &'a AlertEvent,
}

impl Said<'_> {
    /// What became of it.
    pub fn report(self, now: Timestamp, attempts: u32, status: NotificationStatus, reason: String) -> Effect {
        let Said { peer, event, .. } = self;
        Effect::Report(Report::Notification(NotificationReport {
            at: now,
            id: self.id(),
            receiver: peer.to_owned(),
            alert_id: event.id.clone(),
            rule: event.rule.clone(),
            subject: event.subject.clone(),
            state: Some(event.state),
            others: Vec::new(),
            truncated: 0,
            status,
            attempts,
            reason,
        }))
    }

    /// The same whenever it is said.
    fn id(self) -> DeliveryId {
        let mut hash = Sha256::new();
        for part in [self.peer, &self.event.id, self.event.state.as_str()] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(self.key.to_le_bytes());
        DeliveryId(format!("evk_{}", hex(&hash.finalize()[..12])))
    }
}

impl Peer {
    /// The row of a state that it is to know from now on.
    pub fn queue(&self, now: Timestamp, said: Said<'_>) -> Effect {
        let why = self.failing_since.map(|_| self.last_error.clone());
        said.report(now, self.failures, NotificationStatus::Queued, why.unwrap_or_default())
    }

    /// The row of a state that another one took the place of before it was told.
    pub fn supersede(&self, now: Timestamp, said: Said<'_>) -> Effect {
        let why = self.failing_since.map_or_else(String::new, |_| format!(": {}", self.last_error));
        let reason = format!("the alert changed before it was told{why}");
        said.report(now, self.failures, NotificationStatus::Superseded, reason)
    }

    /// The row of a state that it is not to know any more.
    pub fn release(&self, now: Timestamp, said: Said<'_>) -> Effect {
        said.report(now, self.failures, NotificationStatus::Dropped, UNWANTED.to_owned())
    }

    /// That no request reaches it from now on: the reason of all rows that wait.
    pub fn fail(&self, now: Timestamp, peer: &str) -> Effect {
        Effect::Report(Report::Failing(Failing { at: now, receiver: peer.to_owned(), reason: self.last_error.clone() }))
    }

    /// What it is to know and does not, and what was on its way to it and is not true any more: all rows that wait.
    pub fn open<'a>(&'a self, alerts: &'a BTreeMap<u64, Mirrored>) -> Vec<(u64, &'a AlertEvent)> {
        let lacking = alerts.iter().filter(|(key, alert)| self.lacks(**key, alert));
        let mut open: Vec<(u64, &AlertEvent)> = lacking.map(|(key, alert)| (*key, &alert.event)).collect();
        let flying = self.flight.iter().flat_map(|flight| flight.held());
        for (key, version, event) in flying.filter(|(key, version, _)| !self.knows(*key, *version)) {
            if alerts.get(&key).is_none_or(|alert| alert.version != version && !alert.says(event)) {
                open.push((key, event));
            }
        }
        open
    }
}
