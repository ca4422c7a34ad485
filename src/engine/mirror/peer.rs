//! One Alertmanager: what it was told of each alert, what it is told next and when, and what is on its way to it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::history::UNWANTED;
use super::{BATCH, Mirrored};
use crate::engine::event::{AlertEvent, AlertState, Answers, Delivery, Effect, NotificationStatus, Report};
use crate::engine::split::NEVER;
use crate::engine::view::RefusedView;
use crate::model::{Severity, Timestamp};
use crate::settings::Resend;

/// What one Alertmanager was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    pub name: String,
    pub resend: Resend,
    pub min_severity: Severity,
    pub send_resolved: bool,
    /// What it was told last, by alert.
    pub told: BTreeMap<u64, Told>,
    /// How those end for it that fire and are too mild for it since a reload, or an episode before them did, until it took that.
    pub left: BTreeMap<u64, Mirrored>,
    /// Alerts of which it refused the newest request.
    pub refused: BTreeMap<u64, RefusedView>,
    /// What it is to be told next and when; one entry per alert at most.
    pub due: BTreeSet<(Timestamp, u64)>,
    pub due_of: BTreeMap<u64, Timestamp>,
    pub flight: Option<Flight>,
    /// How often it was tried to tell it a version of an alert that it does not believe.
    pub tried: BTreeMap<(u64, u64), u32>,
    pub not_before: Option<Timestamp>,
    pub failures: u32,
    pub failing_since: Option<Timestamp>,
    pub refusing_since: Option<Timestamp>,
    pub last_error: String,
    pub delivered: u64,
    pub failed: u64,
    pub retries: u64,
}

/// What a peer was told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Told {
    /// The version that it took last: what it believes.
    pub taken: Option<u64>,
    /// Whether by that the alert fires.
    pub fires: bool,
    /// The version that it refused since.
    pub refused: Option<u64>,
    /// Of this episode.
    pub took: Option<Took>,
}

/// Requests with an alert in them that a peer took, none of them so late that it had given the alert up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Took {
    /// When it took the first since it believed otherwise.
    pub first: Timestamp,
    /// When it took the newest.
    pub last: Timestamp,
    /// Until when it believes that one.
    pub until: Timestamp,
}

/// A request that was handed out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flight {
    pub delivery: Delivery,
    /// The alerts and the versions in it, and how often each was tried with it.
    pub holds: Vec<(u64, u64, u32)>,
}

/// What a request says of an alert.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    pub key: u64,
    pub version: u64,
    pub attempt: u32,
    pub event: &'a AlertEvent,
}

impl Flight {
    /// What it says of each alert.
    pub fn held(&self) -> impl Iterator<Item = Held<'_>> {
        let events = self.delivery.notification().map_or(&[][..], |n| &n.alerts);
        let held = |((key, version, attempt), event): (&(u64, u64, u32), _)| Held {
            key: *key,
            version: *version,
            attempt: *attempt,
            event,
        };
        self.holds.iter().zip(events).map(held)
    }
}

impl Peer {
    pub fn new(name: &str, resend: Resend) -> Peer {
        Peer {
            name: name.to_owned(),
            resend,
            min_severity: Severity::Info,
            send_resolved: true,
            told: BTreeMap::new(),
            left: BTreeMap::new(),
            refused: BTreeMap::new(),
            due: BTreeSet::new(),
            due_of: BTreeMap::new(),
            flight: None,
            tried: BTreeMap::new(),
            not_before: None,
            failures: 0,
            failing_since: None,
            refusing_since: None,
            last_error: String::new(),
            delivered: 0,
            failed: 0,
            retries: 0,
        }
    }

    /// Whether it is to know the newest state of an alert: of one that is too mild for it since a reload its end, if it
    /// takes it to fire.
    pub fn wants(&self, key: u64, alert: &Mirrored) -> bool {
        match alert.ended() {
            None => alert.event.severity >= self.min_severity,
            Some(_) => {
                self.send_resolved && (alert.event.severity >= self.min_severity || self.believes(key).is_some())
            }
        }
    }

    /// What it was told of an alert that fires by that.
    pub fn believes(&self, key: u64) -> Option<Told> {
        self.told.get(&key).copied().filter(|told| told.fires)
    }

    /// Whether a version of an alert is what it was told last, or refused since.
    pub fn knows(&self, key: u64, version: u64) -> bool {
        self.told.get(&key).is_some_and(|told| [told.taken, told.refused].contains(&Some(version)))
    }

    /// Whether it believes another state of an alert still, which may become true again.
    pub fn misses(&self, now: Timestamp, key: u64, alert: &Mirrored) -> bool {
        let told = self.told.get(&key).filter(|told| told.taken != Some(alert.version));
        told.and_then(|told| told.took).is_some_and(|took| now < took.until)
    }

    /// Whether it is to know the newest state of an alert and does not.
    pub fn lacks(&self, key: u64, alert: &Mirrored) -> bool {
        self.wants(key, alert) && !self.knows(key, alert.version)
    }

    /// Whether that state of an alert is on its way to it.
    pub fn holds(&self, key: u64, alert: &Mirrored) -> bool {
        self.flight
            .as_ref()
            .is_some_and(|f| f.holds.iter().any(|(k, version, _)| (*k, *version) == (key, alert.version)))
    }

    /// What the request that is on its way to it says of an alert.
    pub fn flying(&self, key: u64) -> Option<&AlertEvent> {
        self.flight.as_ref()?.held().find(|held| held.key == key).map(|held| held.event)
    }

    pub fn flies(&self, key: u64) -> bool {
        self.flight.as_ref().is_some_and(|f| f.holds.iter().any(|(k, ..)| *k == key))
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
            if self.state(key, alerts).is_some_and(|alert| self.wants(key, alert)) {
                keys.push(key);
            }
        }
        for key in &keys {
            let Some(version) = self.state(*key, alerts).map(|alert| alert.version) else { continue };
            if self.told.get(key).and_then(|told| told.taken) != Some(version) {
                *self.tried.entry((*key, version)).or_default() += 1;
            }
        }
        keys
    }

    /// Takes in that a request was taken, or `refused` and why.
    pub fn settle(
        &mut self,
        now: Timestamp,
        flight: &Flight,
        refused: Option<&String>,
        alerts: &BTreeMap<u64, Mirrored>,
        effects: &mut Vec<Effect>,
    ) {
        self.failures = 0;
        if let Some(since) = self.failing_since.take() {
            let receiver = self.name.clone();
            effects.push(Effect::Report(Report::Answers(Answers { at: now, receiver, since })));
        }
        self.not_before = None;
        match refused {
            Some(reason) => {
                self.refusing_since.get_or_insert(now);
                self.last_error.clone_from(reason);
            }
            None => self.refusing_since = None,
        }
        let at = flight.delivery.message.at();
        let next = at + self.resend.every;
        for Held { key, version, attempt, event } in flight.held() {
            let left = self.left.get(&key).cloned();
            let Some(alert) = left.as_ref().or_else(|| alerts.get(&key)) else { continue };
            match (refused, self.refused.get_mut(&key)) {
                (None, _) => drop(self.refused.remove(&key)),
                (Some(reason), Some(known)) => known.reason.clone_from(reason),
                (Some(reason), None) => {
                    self.refused.insert(key, RefusedView { since: now, reason: reason.clone() });
                }
            }
            let lacked = self.lacks(key, alert);
            let told = self.told.entry(key).or_default();
            let (status, before) = match refused {
                None => {
                    if alert.event.id == event.id {
                        let goes_on = told.took.filter(|took| at < took.until && told.taken == Some(version));
                        let first = goes_on.map_or(now, |took| took.first);
                        told.took = Some(Took { first, last: now, until: at + self.resend.ahead });
                    }
                    (told.refused, told.fires) = (None, event.state == AlertState::Firing);
                    (NotificationStatus::Delivered, told.taken.replace(version))
                }
                // What it took is told, though it refuses to hear it again.
                Some(_) if told.taken == Some(version) => (NotificationStatus::Delivered, told.taken),
                Some(_) => (NotificationStatus::Refused, told.refused.replace(version)),
            };
            if before != Some(version) {
                let count = if refused.is_none() { &mut self.delivered } else { &mut self.failed };
                *count += 1;
                let reason = refused.cloned().unwrap_or_else(|| Peer::beside(event));
                effects.push(self.report(now, (key, event), attempt, status, reason));
            }
            // What is not true any more was on its way: it is to hear again what it knew, or the end of what it is to
            // hear of no more.
            match (lacked, self.lacks(key, alert)) {
                (false, true) => effects.push(self.queue(now, key, &alert.event)),
                // Of an episode before it was told the end, and this one is too mild for it.
                (true, false) if alert.version != version => {
                    effects.push(self.give_up(now, (key, &alert.event), self.tries(key, alert.version), UNWANTED));
                }
                _ => {}
            }
            let over = alert.ended().is_some_and(|end| next > end + self.resend.resolved_for);
            // One that changed meanwhile is due already.
            if alert.version == version && !over {
                self.schedule(key, next);
            }
        }
    }

    /// Takes in that a request did not reach it: what is still true of it is due again.
    pub fn put_back(
        &mut self,
        now: Timestamp,
        flight: &Flight,
        alerts: &BTreeMap<u64, Mirrored>,
        effects: &mut Vec<Effect>,
    ) {
        for Held { key, version, attempt, event } in flight.held() {
            let left = self.left.get(&key).cloned();
            let Some(alert) = left.as_ref().or_else(|| alerts.get(&key)) else { continue };
            self.schedule(key, flight.delivery.message.at());
            if self.knows(key, version) || alert.says(event) && self.lacks(key, alert) {
                continue;
            }
            // One that left is too mild for it by now.
            effects.push(match alert.says(event) || left.is_some() {
                true => self.give_up(now, (key, event), attempt, UNWANTED),
                false => self.supersede(now, (key, event), attempt),
            });
        }
    }
}
