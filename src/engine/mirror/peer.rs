//! One Alertmanager: what it was told of each alert, what it is told next and when, and what is on its way to it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{BATCH, Mirrored};
use crate::engine::event::Delivery;
use crate::engine::split::NEVER;
use crate::engine::view::RefusedView;
use crate::model::{Severity, Timestamp};
use crate::settings::Resend;

/// What one Alertmanager was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    pub resend: Resend,
    pub min_severity: Severity,
    pub send_resolved: bool,
    /// What it was told last, by alert.
    pub told: BTreeMap<u64, Told>,
    /// Alerts of which it refused the newest request.
    pub refused: BTreeMap<u64, RefusedView>,
    /// What it is to be told next and when; one entry per alert at most.
    pub due: BTreeSet<(Timestamp, u64)>,
    pub due_of: BTreeMap<u64, Timestamp>,
    pub flight: Option<Flight>,
    pub not_before: Option<Timestamp>,
    pub failures: u32,
    pub failing_since: Option<Timestamp>,
    pub last_error: String,
    pub delivered: u64,
    pub failed: u64,
    pub retries: u64,
}

/// What a peer was told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub version: u64,
    /// Of this episode.
    pub took: Option<Took>,
}

/// Requests with an alert in them that a peer took, none of them so late that it had given the alert up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Took {
    /// When the first was made.
    pub first: Timestamp,
    /// When the newest was made.
    pub last: Timestamp,
    /// Until when it believes that one.
    pub until: Timestamp,
}

/// A request that was handed out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flight {
    pub delivery: Delivery,
    /// The alerts and the versions in it.
    pub holds: Vec<(u64, u64)>,
}

impl Peer {
    pub fn new(resend: Resend) -> Peer {
        Peer {
            resend,
            min_severity: Severity::Info,
            send_resolved: true,
            told: BTreeMap::new(),
            refused: BTreeMap::new(),
            due: BTreeSet::new(),
            due_of: BTreeMap::new(),
            flight: None,
            not_before: None,
            failures: 0,
            failing_since: None,
            last_error: String::new(),
            delivered: 0,
            failed: 0,
            retries: 0,
        }
    }

    pub fn wants(&self, alert: &Mirrored) -> bool {
        alert.event.severity >= self.min_severity && (self.send_resolved || alert.ended().is_none())
    }

    pub fn flies(&self, key: u64) -> bool {
        self.flight.as_ref().is_some_and(|f| f.holds.iter().any(|(k, _)| *k == key))
    }

    /// Puts an alert on the list, or moves it to the front of where it is.
    pub fn schedule(&mut self, key: u64, at: Timestamp) {
        let at = self.due_of.get(&key).map_or(at, |known| at.min(*known));
        self.unschedule(key);
        self.due.insert((at, key));
        self.due_of.insert(key, at);
    }

    pub fn unschedule(&mut self, key: u64) {
        if let Some(at) = self.due_of.remove(&key) {
            self.due.remove(&(at, key));
        }
    }

    pub fn deadline(&self) -> Timestamp {
        match (self.flight.is_some(), self.due.first()) {
            (false, Some((at, _))) => self.not_before.map_or(*at, |t| t.max(*at)),
            _ => NEVER,
        }
    }

    /// Takes the next batch off the list.
    pub fn take(&mut self, now: Timestamp, alerts: &BTreeMap<u64, Mirrored>) -> Vec<u64> {
        let mut keys = Vec::new();
        while keys.len() < BATCH
            && let Some((_, key)) = self.due.first().copied().filter(|(at, _)| *at <= now)
        {
            self.unschedule(key);
            match alerts.get(&key) {
                Some(alert) if self.wants(alert) => keys.push(key),
                _ => {}
            }
        }
        keys
    }
}
