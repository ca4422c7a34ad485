//! Alerts that are kept up at Alertmanagers: said again while they fire, and for a while after their end.
//!
//! An Alertmanager forgets what it is not told again, and groups, mutes and routes by itself. So there is no
//! line of messages to it but a state per alert: a batch is made of the newest states at the moment it is
//! handed out, and what was superseded while a peer was down never was a message. An alert that ended is kept
//! until every peer has heard of it. Peers do not wait for each other; each has one batch in flight.

mod peer;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::alert::hex;
use super::event::{
    AlertEvent, AlertState, Attempt, Delivery, DeliveryId, Effect, Message, Notification, NotificationStatus,
};
use super::notify::{self, Settled};
use super::split::NEVER;
use super::view::RefusedView;
use crate::model::{Span, Timestamp};
use crate::settings::Receiver;
use crate::wire::alertmanager::fingerprint;
use peer::{Flight, Peer, Told, Took};

/// Alerts in one request.
const BATCH: usize = 64;
/// The end of an alert that a peer could not be told for so long is given up.
const EXPIRY: Span = Span::hours(24);

/// What every Alertmanager shall know.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mirror {
    /// By the fingerprint of their labels, as Alertmanager tells them apart.
    alerts: BTreeMap<u64, Mirrored>,
    /// The alerts that fire, by the identity of their episode.
    firing: BTreeMap<String, u64>,
    peers: BTreeMap<String, Peer>,
    version: u64,
    batches: u64,
    /// Alerts that were not taken because there are too many.
    pub dropped: u64,
}

/// The newest state of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Mirrored {
    event: AlertEvent,
    /// Another one for every state.
    version: u64,
}

impl Mirrored {
    fn ended(&self) -> Option<Timestamp> {
        (self.event.state == AlertState::Resolved).then_some(self.event.at)
    }
}

impl Mirror {
    /// Brings the peers in line with the policy; a new one is told everything. What is on its way to one that goes.
    pub fn adopt(&mut self, receivers: &[Receiver]) -> Vec<Delivery> {
        let mut old = std::mem::take(&mut self.peers);
        for receiver in receivers {
            let Some(resend) = receiver.resend() else { continue };
            let mut peer = old.remove(&receiver.name).unwrap_or_else(|| {
                let mut peer = Peer::new(resend);
                self.alerts.iter().for_each(|(key, alert)| peer.schedule(*key, alert.event.at));
                peer
            });
            peer.resend = resend;
            // What it was not to hear before it may be to hear now.
            if (peer.min_severity, peer.send_resolved) != (receiver.min_severity, receiver.send_resolved) {
                self.alerts.iter().for_each(|(key, alert)| peer.schedule(*key, alert.event.at));
            }
            peer.min_severity = receiver.min_severity;
            peer.send_resolved = receiver.send_resolved;
            self.peers.insert(receiver.name.clone(), peer);
        }
        if self.peers.is_empty() {
            self.alerts.clear();
            self.firing.clear();
        }
        old.into_values().filter_map(|peer| peer.flight).map(|flight| flight.delivery).collect()
    }

    /// Takes in that an alert fires; at most `limit` alerts are kept.
    pub fn fire(&mut self, event: &AlertEvent, limit: u32) {
        if self.peers.is_empty() {
            return;
        }
        let key = fingerprint(&event.identity());
        // The same episode with other labels is another alert to Alertmanager.
        if self.firing.get(&event.id).is_some_and(|old| *old != key) {
            self.end(event);
        }
        if !self.alerts.contains_key(&key) && self.alerts.len() >= limit as usize && !self.make_room() {
            self.dropped += 1;
            return;
        }
        self.firing.insert(event.id.clone(), key);
        self.put(key, event.clone(), event.at);
    }

    /// Takes in that an alert ended; one that is not known to fire is nobody's business.
    pub fn end(&mut self, event: &AlertEvent) {
        let Some(key) = self.firing.remove(&event.id) else { return };
        let Some(known) = self.alerts.get(&key) else { return };
        let mut ended = AlertEvent { state: AlertState::Resolved, ..event.clone() };
        // It keeps the labels under which it fired.
        ended.severity = known.event.severity;
        ended.labels.clone_from(&known.event.labels);
        ended.fired_at = known.event.fired_at;
        self.put(key, ended, event.at);
    }

    /// Whether the alert of an episode is known to fire, whatever its labels.
    pub fn knows(&self, id: &str) -> bool {
        self.firing.contains_key(id)
    }

    /// Takes in that an alert still fires, if it is not known to fire under the labels that it has now.
    pub fn refresh(&mut self, event: &AlertEvent, limit: u32) {
        if self.firing.get(&event.id) != Some(&fingerprint(&event.identity())) {
            self.fire(event, limit);
        }
    }

    fn put(&mut self, key: u64, event: AlertEvent, now: Timestamp) {
        self.version += 1;
        let id = event.id.clone();
        let before = self.alerts.insert(key, Mirrored { event, version: self.version });
        if before.is_some_and(|before| before.event.id != id) {
            self.peers.values_mut().filter_map(|peer| peer.told.get_mut(&key)).for_each(|told| told.took = None);
        }
        self.peers.values_mut().for_each(|peer| peer.schedule(key, now));
    }

    /// Forgets the alert that ended first.
    fn make_room(&mut self) -> bool {
        let ended = self.alerts.iter().filter_map(|(key, alert)| Some((alert.ended()?, *key))).min();
        ended.map(|(_, key)| self.forget(key)).is_some()
    }

    fn forget(&mut self, key: u64) {
        self.alerts.remove(&key);
        for peer in self.peers.values_mut() {
            peer.unschedule(key);
            peer.told.remove(&key);
            peer.refused.remove(&key);
        }
    }

    /// When [`Mirror::pump`] could hand something out next.
    pub fn deadline(&self) -> Timestamp {
        self.peers.values().map(Peer::deadline).min().unwrap_or(NEVER)
    }

    /// Hands out every request that is due. `newest` gives the alerts of these episodes that still fire as
    /// they are now.
    pub fn pump(
        &mut self,
        now: Timestamp,
        newest: impl Fn(&BTreeSet<&str>) -> Vec<AlertEvent>,
        effects: &mut Vec<Effect>,
    ) {
        let names: Vec<String> =
            self.peers.iter().filter(|(_, p)| p.deadline() <= now).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(peer) = self.peers.get_mut(&name) else { continue };
            let keys = peer.take(now, &self.alerts);
            let ids: BTreeSet<&str> = keys
                .iter()
                .filter_map(|key| self.alerts.get(key).filter(|a| a.ended().is_none()))
                .map(|alert| alert.event.id.as_str())
                .collect();
            for event in if ids.is_empty() { Vec::new() } else { newest(&ids) } {
                // By its episode: under the labels that it has now another one may have ended.
                if let Some(alert) = self.firing.get(&event.id).and_then(|key| self.alerts.get_mut(key)) {
                    let (severity, labels) = (alert.event.severity, std::mem::take(&mut alert.event.labels));
                    alert.event = AlertEvent { severity, labels, ..event };
                }
            }
            let told = keys.iter().filter_map(|key| self.alerts.get(key).map(|alert| (*key, alert)));
            let (holds, alerts): (Vec<_>, Vec<_>) =
                told.map(|(key, alert)| ((key, alert.version), alert.event.clone())).unzip();
            if alerts.is_empty() {
                continue;
            }
            self.batches += 1;
            let Some(peer) = self.peers.get_mut(&name) else { continue };
            let delivery = Delivery {
                id: batch_id(&name, self.batches),
                receiver: name.clone(),
                attempt: peer.failures + 1,
                message: Message::Alerts(Notification {
                    at: now,
                    group: name,
                    group_labels: BTreeMap::new(),
                    alerts,
                    truncated: 0,
                    summary: String::new(),
                    acknowledged: None,
                }),
            };
            effects.push(Effect::Deliver(delivery.clone()));
            peer.flight = Some(Flight { delivery, holds });
        }
    }

    /// Takes the result of a request in; `None` when no such request was in flight.
    pub fn receipt(
        &mut self,
        now: Timestamp,
        id: &DeliveryId,
        result: &Attempt,
        effects: &mut Vec<Effect>,
    ) -> Option<Settled> {
        let of = |peer: &Peer| peer.flight.as_ref().is_some_and(|f| f.delivery.id == *id);
        let (name, peer) = self.peers.iter_mut().find(|(_, peer)| of(peer))?;
        let Flight { delivery, holds } = peer.flight.take()?;
        let (status, reason) = match result {
            Attempt::Retry { reason, after } => {
                // It is said that it fails when it begins to.
                if peer.failures == 0 {
                    effects.push(notify::report(now, &delivery, NotificationStatus::Queued, reason.clone()));
                }
                peer.retries += 1;
                peer.failing_since.get_or_insert(now);
                peer.not_before = Some(now + notify::pause(peer.failures, *after));
                peer.failures += 1;
                peer.last_error.clone_from(reason);
                for (key, _) in holds.iter().filter(|(key, _)| self.alerts.contains_key(key)) {
                    peer.schedule(*key, delivery.message.at());
                }
                return Some(Settled { receiver: name.clone(), done: false, message: None });
            }
            Attempt::Done => (NotificationStatus::Delivered, String::new()),
            Attempt::Refuse { reason } => (NotificationStatus::Refused, reason.clone()),
        };
        peer.failures = 0;
        peer.failing_since = None;
        peer.not_before = None;
        let done = status == NotificationStatus::Delivered;
        if !done {
            peer.last_error.clone_from(&reason);
        }
        let next = delivery.message.at() + peer.resend.every;
        for ((key, version), event) in holds.iter().zip(delivery.notification().map_or(&[][..], |n| &n.alerts)) {
            let Some(alert) = self.alerts.get(key) else { continue };
            match (done, peer.refused.get_mut(key)) {
                (true, _) => drop(peer.refused.remove(key)),
                (false, Some(known)) => known.reason.clone_from(&reason),
                (false, None) => {
                    peer.refused.insert(*key, RefusedView { since: now, reason: reason.clone() });
                }
            }
            let before = peer.told.get(key).copied();
            let mut took = before.and_then(|before| before.took);
            if done && alert.event.id == event.id {
                let at = delivery.message.at();
                let first = took.filter(|took| at < took.until).map_or(at, |took| took.first);
                took = Some(Took { first, last: at, until: at + peer.resend.ahead });
            }
            peer.told.insert(*key, Told { version: *version, took });
            if before.is_none_or(|before| before.version != *version) {
                *(if done { &mut peer.delivered } else { &mut peer.failed }) += 1;
                effects.push(notify::report_of(now, &delivery, event, status, reason.clone()));
            }
            let over = alert.ended().is_some_and(|end| next > end + peer.resend.resolved_for);
            // One that changed meanwhile is due already.
            if alert.version == *version && !over {
                peer.schedule(*key, next);
            }
        }
        let receiver = name.clone();
        self.sweep(now);
        Some(Settled { receiver, done, message: None })
    }

    /// Forgets ended alerts that no peer is to be told of any more.
    fn sweep(&mut self, now: Timestamp) {
        let over: Vec<u64> = self
            .alerts
            .iter()
            .filter(|(key, alert)| {
                let idle = |p: &Peer| !p.due_of.contains_key(key) && !p.flies(**key);
                alert.ended().is_some_and(|end| self.peers.values().all(idle) || now >= end + EXPIRY)
            })
            .map(|(key, _)| *key)
            .collect();
        over.into_iter().for_each(|key| self.forget(key));
    }

    /// Requests that are in flight, for the shell after a restart.
    pub fn unsettled(&self) -> impl Iterator<Item = Effect> {
        self.peers.values().filter_map(|p| p.flight.as_ref()).map(|f| Effect::Deliver(f.delivery.clone()))
    }
}

/// The id of a request; the same whenever the same events make it.
fn batch_id(peer: &str, number: u64) -> DeliveryId {
    let mut hash = Sha256::new();
    hash.update(peer);
    hash.update([0]);
    hash.update(number.to_le_bytes());
    DeliveryId(format!("evk_{}", hex(&hash.finalize()[..12])))
}
