//! What the history says of an Alertmanager: a row for each state of an alert that it is to know, settled when it knows.
//!
//! A request holds whatever is due and is made anew at each attempt, so no row can be about one. A row is about an
//! episode that fires, or that ended, under some labels. What is only said again changes no row.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::peer::{Flight, Peer};
use super::{Mirrored, version};
use crate::engine::alert::hex;
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
            severity: Some(event.severity),
            state: Some(event.state),
            others: Vec::new(),
            truncated: 0,
            status,
            attempts,
            reason,
        }))
    }

    /// What there is to say of a state that it took: of one that ended that the alert has not.
    pub fn beside(event: &AlertEvent) -> String {
        if event.goes_on() { event.reason.clone() } else { String::new() }
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
        let tries = self.tries(key, version(&event.id, event.state));
        self.report(now, (key, event), tries, NotificationStatus::Queued, why.unwrap_or_default())
    }

    /// The row of a state that another one took the place of before it was told, after so many attempts.
    pub fn supersede(&self, now: Timestamp, (key, event): (u64, &AlertEvent), attempts: u32) -> Effect {
        let why = self.failing_since.map_or_else(String::new, |_| format!(": {}", self.last_error));
        let reason = format!("the alert changed before it was told{why}");
        self.report(now, (key, event), attempts, NotificationStatus::Superseded, reason)
    }

    /// The row of a state that it is not to know any more, after so many attempts.
    pub fn give_up(&self, now: Timestamp, (key, event): (u64, &AlertEvent), attempts: u32, why: &str) -> Effect {
        self.report(now, (key, event), attempts, NotificationStatus::Dropped, why.to_owned())
    }

    /// That no request reaches it from now on, which is the reason of all rows that wait; `flight` is the one that did not.
    pub fn fail(&self, now: Timestamp, flight: &Flight, alerts: &BTreeMap<u64, Mirrored>) -> Effect {
        let waits = |key: u64, event: &AlertEvent| {
            self.state(key, alerts).is_some_and(|alert| alert.says(event) && self.lacks(key, alert))
        };
        let waiting = flight.held().filter(|held| waits(held.key, held.event));
        let attempts = waiting.map(|held| (self.id(held.key, held.event), held.attempt)).collect();
        let (receiver, reason) = (self.name.clone(), self.last_error.clone());
        Effect::Report(Report::Failing(Failing { at: now, receiver, reason, attempts }))
    }

    /// How often a version of an alert was tried.
    pub fn tries(&self, key: u64, version: u64) -> u32 {
        self.tried.get(&(key, version)).copied().unwrap_or_default()
    }

    /// The same is another one's from now on.
    pub fn forget_tries(&mut self, key: u64) {
        let known: Vec<(u64, u64)> = self.tried.range((key, 0)..=(key, u64::MAX)).map(|(of, _)| *of).collect();
        for of in known {
            self.tried.remove(&of);
        }
    }

    /// What it is to know and does not, and what was on its way to it and is not true any more: all rows that wait, each
    /// with its attempts.
    pub fn open<'a>(&'a self, alerts: &'a BTreeMap<u64, Mirrored>) -> Vec<(u64, &'a AlertEvent, u32)> {
        let lacking = self.states(alerts).filter(|(key, alert)| self.lacks(*key, alert));
        let mut open: Vec<_> =
            lacking.map(|(key, alert)| (key, &alert.event, self.tries(key, alert.version))).collect();
        let flying = self.flight.iter().flat_map(|flight| flight.held());
        for held in flying.filter(|held| !self.knows(held.key, held.version)) {
            if self.state(held.key, alerts).is_none_or(|alert| !(alert.says(held.event) && self.lacks(held.key, alert)))
            {
                open.push((held.key, held.event, held.attempt));
            }
        }
        open
    }
}
