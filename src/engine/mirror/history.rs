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
pub const UNWANTED: &str = "the receiver takes it no more since a reload";

impl Peer {
    /// What became of a state that it was to know, after so many attempts.
    pub fn report(
        &self,
        now: Timestamp,
        (key, event): (u64, &AlertEvent),
        attempts: u32,
        status: NotificationStatus,
        reason: String,
    ) -> Effect {
        Effect::Report(Report::Notification(NotificationReport {
            at: now,
            id: self.id(key, event),
            receiver: self.name.clone(),
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

    /// The id of a state, the same whenever it is said.
    fn id(&self, key: u64, event: &AlertEvent) -> DeliveryId {
        let mut hash = Sha256::new();
        for part in [&self.name, &event.id, event.state.as_str()] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(key.to_le_bytes());
        DeliveryId(format!("evk_{}", hex(&hash.finalize()[..12])))
    }

    /// The row of a state that it is to know from now on.
    pub fn queue(&self, now: Timestamp, key: u64, event: &AlertEvent) -> Effect {
        let why = self.failing_since.map(|_| self.last_error.clone());
        self.report(now, (key, event), self.failures, NotificationStatus::Queued, why.unwrap_or_default())
    }

    /// The row of a state that another one took the place of before it was told.
    pub fn supersede(&self, now: Timestamp, key: u64, event: &AlertEvent) -> Effect {
        let why = self.failing_since.map_or_else(String::new, |_| format!(": {}", self.last_error));
        let reason = format!("the alert changed before it was told{why}");
        self.report(now, (key, event), self.failures, NotificationStatus::Superseded, reason)
    }

    /// The row of a state that it is not to know any more.
    pub fn give_up(&self, now: Timestamp, key: u64, event: &AlertEvent, why: &str) -> Effect {
        self.report(now, (key, event), self.failures, NotificationStatus::Dropped, why.to_owned())
    }

    /// That no request reaches it from now on: the reason of all rows that wait.
    pub fn fail(&self, now: Timestamp) -> Effect {
        let (receiver, reason) = (self.name.clone(), self.last_error.clone());
        Effect::Report(Report::Failing(Failing { at: now, receiver, reason }))
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
