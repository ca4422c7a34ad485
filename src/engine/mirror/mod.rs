//! Alerts that are kept up at Alertmanagers: said again while they fire, and for a while after their end.
//!
//! An Alertmanager forgets what it is not told again, and groups, mutes and routes by itself. So there is no
//! line of messages to it but a state per alert: a batch is made of the newest states at the moment it is
//! handed out, and what was superseded while a peer was down never was a message. An alert that ended is kept
//! until every peer has heard of it. Peers do not wait for each other; each has one batch in flight.

mod history;
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
use super::words;
use crate::model::{Span, Timestamp};
use crate::settings::Receiver;
use crate::wire::alertmanager::fingerprint;
use history::{NO_ROOM, UNWANTED};
use peer::{Flight, Peer};

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
    /// Those for which there was no room, in the same way.
    waiting: BTreeMap<String, u64>,
    peers: BTreeMap<String, Peer>,
    batches: u64,
    /// Alerts that were not taken because there are too many.
    pub dropped: u64,
}

/// The newest state of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Mirrored {
    event: AlertEvent,
    /// The same whenever an alert is in the same state of the same episode.
    version: u64,
}

impl Mirrored {
    fn new(event: AlertEvent) -> Mirrored {
        let version = fingerprint(&[(event.id.clone(), event.state.as_str().to_owned())].into());
        Mirrored { event, version }
    }

    fn ended(&self) -> Option<Timestamp> {
        (self.event.state == AlertState::Resolved).then_some(self.event.at)
    }

    /// Whether an event under the same labels is of the same episode and state.
    fn says(&self, event: &AlertEvent) -> bool {
        (&self.event.id, self.event.state) == (&event.id, event.state)
    }
}

impl Mirror {
    /// Brings the peers in line with the policy; a new one is told everything. What the history says of it.
    pub fn adopt(&mut self, now: Timestamp, receivers: &[Receiver]) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut old = std::mem::take(&mut self.peers);
        for receiver in receivers {
            let Some(resend) = receiver.resend() else { continue };
            let (mut peer, new) = match old.remove(&receiver.name) {
                Some(peer) => (peer, false),
                None => (Peer::new(&receiver.name, resend), true),
            };
            let wanted = (peer.min_severity, peer.send_resolved);
            let lacked = self.alerts.iter().filter(|(key, alert)| !new && peer.lacks(**key, alert));
            let lacked: BTreeSet<u64> = lacked.map(|(key, _)| *key).collect();
            peer.resend = resend;
            peer.min_severity = receiver.min_severity;
            peer.send_resolved = receiver.send_resolved;
            // What it was not to hear before it may be to hear now.
            if new || wanted != (peer.min_severity, peer.send_resolved) {
                for (key, alert) in &self.alerts {
                    peer.schedule(*key, alert.event.at);
                    match (lacked.contains(key), peer.lacks(*key, alert)) {
                        (false, true) => effects.push(peer.queue(now, *key, &alert.event)),
                        // What is on its way to it may yet be taken.
                        (true, false) if !peer.holds(*key, alert) => {
                            effects.push(peer.give_up(now, (*key, &alert.event), peer.tries(*key), UNWANTED))
                        }
                        _ => {}
                    }
                }
            }
            self.peers.insert(receiver.name.clone(), peer);
        }
        for peer in old.values() {
            let open = peer.open(&self.alerts).into_iter();
            effects.extend(open.map(|(key, event, tried)| peer.give_up(now, (key, event), tried, notify::GONE)));
        }
        if self.peers.is_empty() {
            self.alerts.clear();
            self.firing.clear();
            self.waiting.clear();
        }
        effects
    }

    /// Takes in that an alert fires; at most `limit` alerts are kept.
    pub fn fire(&mut self, event: &AlertEvent, limit: u32, effects: &mut Vec<Effect>) {
        if self.peers.is_empty() {
            return;
        }
        let key = fingerprint(&event.identity());
        // The same episode with other labels is another alert to Alertmanager.
        if let Some(old) = self.firing.get(&event.id).copied().filter(|old| *old != key) {
            self.rename(old, event, effects);
        }
        let full = !self.alerts.contains_key(&key) && self.alerts.len() >= limit as usize;
        if full && !self.make_room(event.at, effects) {
            // What finds none again is no further loss.
            if self.waiting.insert(event.id.clone(), key) != Some(key) {
                self.dropped += 1;
                let wanting = self.peers.values().filter(|peer| event.severity >= peer.min_severity);
                effects.extend(wanting.map(|peer| peer.give_up(event.at, (key, event), 0, NO_ROOM)));
            }
            return;
        }
        self.waiting.remove(&event.id);
        self.firing.insert(event.id.clone(), key);
        self.put(key, event.clone(), event.at, effects);
    }

    /// Takes in that an alert ended; one that is not known to fire is nobody's business.
    pub fn end(&mut self, event: &AlertEvent, effects: &mut Vec<Effect>) {
        self.waiting.remove(&event.id);
        let Some(key) = self.firing.remove(&event.id) else { return };
        let Some(known) = self.alerts.get(&key) else { return };
        let mut ended = AlertEvent { state: AlertState::Resolved, ..event.clone() };
        // It keeps the labels under which it fired.
        ended.severity = known.event.severity;
        ended.labels.clone_from(&known.event.labels);
        ended.fired_at = known.event.fired_at;
        self.put(key, ended, event.at, effects);
    }

    /// Ends the alert at `old`, as it was told last, that goes on under other labels.
    fn rename(&mut self, old: u64, event: &AlertEvent, effects: &mut Vec<Effect>) {
        self.firing.remove(&event.id);
        let Some(known) = self.alerts.get(&old) else { return };
        let mut ended = AlertEvent { state: AlertState::Resolved, at: event.at, ..known.event.clone() };
        let how = match ended.severity == event.severity {
            true => "with other labels".to_owned(),
            false => format!("as severity={}", event.severity.as_str()),
        };
        words::explain(&mut ended, format!("goes on {how}"));
        self.put(old, ended, event.at, effects);
    }

    /// Whether alerts that fire found no room, and some is there now.
    pub fn has_room_again(&self, limit: u32) -> bool {
        !self.waiting.is_empty() && (self.alerts.len() < limit as usize || self.dispensable().is_some())
    }

    /// Whether the alert of an episode that fires found no room.
    pub fn waits(&self, id: &str) -> bool {
        self.waiting.contains_key(id)
    }

    /// Whether the alert of an episode is known to fire, whatever its labels, and if there is no room.
    pub fn knows(&self, id: &str) -> bool {
        self.firing.contains_key(id) || self.waits(id)
    }

    /// Takes in that an alert still fires, if it is not known to fire under the labels that it has now.
    pub fn refresh(&mut self, event: &AlertEvent, limit: u32, effects: &mut Vec<Effect>) {
        if self.firing.get(&event.id) != Some(&fingerprint(&event.identity())) {
            self.fire(event, limit, effects);
        }
    }

    fn put(&mut self, key: u64, event: AlertEvent, now: Timestamp, effects: &mut Vec<Effect>) {
        let alert = Mirrored::new(event);
        let before = self.alerts.get(&key);
        let other = before.is_some_and(|before| before.event.id != alert.event.id);
        for peer in self.peers.values_mut() {
            // What is on its way may yet be taken.
            if let Some(before) = before.filter(|before| !alert.says(&before.event))
                && peer.lacks(key, before)
                && !peer.holds(key, before)
            {
                effects.push(peer.supersede(now, (key, &before.event), peer.tries(key)));
            }
            peer.tried.remove(&key);
            // What it has not heard otherwise meanwhile it knows still.
            if peer.lacks(key, &alert) {
                effects.push(peer.queue(now, key, &alert.event));
            }
            if let Some(told) = peer.told.get_mut(&key).filter(|_| other) {
                told.took = None;
            }
            peer.schedule(key, now);
        }
        self.alerts.insert(key, alert);
    }

    /// Forgets an alert that may be.
    fn make_room(&mut self, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
        let dropped = |_: &Peer| (NotificationStatus::Dropped, NO_ROOM.to_owned());
        self.dispensable().map(|key| self.forget(now, key, dropped, effects)).is_some()
    }

    /// The alert that ended first, of those that every peer has the end of, or else cannot be told; none that is on its way.
    fn dispensable(&self) -> Option<u64> {
        let lacks = |key: u64, alert: &Mirrored| self.peers.values().any(|peer| peer.lacks(key, alert));
        let kept = |key: u64, alert: &Mirrored| {
            self.peers.values().any(|peer| peer.flies(key) || peer.failing_since.is_none() && peer.lacks(key, alert))
        };
        let ended = self.alerts.iter().filter_map(|(key, alert)| Some((alert.ended()?, *key, alert)));
        let spare = ended.filter(|(_, key, alert)| !kept(*key, alert));
        spare.map(|(end, key, alert)| (lacks(key, alert), end, key)).min().map(|(.., key)| key)
    }

    /// Forgets an alert; what becomes of it where it was to be known and is not.
    fn forget(
        &mut self,
        now: Timestamp,
        key: u64,
        lost: impl Fn(&Peer) -> (NotificationStatus, String),
        effects: &mut Vec<Effect>,
    ) {
        let Some(alert) = self.alerts.remove(&key) else { return };
        for peer in self.peers.values_mut() {
            if peer.lacks(key, &alert) {
                let (status, reason) = lost(peer);
                peer.failed += 1;
                effects.push(peer.report(now, (key, &alert.event), peer.tries(key), status, reason));
            }
            peer.unschedule(key);
            peer.told.remove(&key);
            peer.refused.remove(&key);
            peer.tried.remove(&key);
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
            let Some(peer) = self.peers.get_mut(&name) else { continue };
            let told = keys.iter().filter_map(|key| self.alerts.get(key).map(|alert| (*key, alert)));
            let (holds, alerts): (Vec<_>, Vec<_>) =
                told.map(|(key, alert)| ((key, alert.version, peer.tries(key)), alert.event.clone())).unzip();
            if alerts.is_empty() {
                // Of what nobody is to hear no receipt comes.
                self.sweep(now, effects);
                continue;
            }
            self.batches += 1;
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
        let peer = self.peers.values_mut().find(|peer| of(peer))?;
        let flight = peer.flight.take()?;
        let receiver = peer.name.clone();
        let done = match result {
            Attempt::Retry { reason, after } => {
                peer.retries += 1;
                // It is said that it fails when it begins to, and when it fails otherwise.
                if peer.failing_since.is_none() || peer.last_error != *reason {
                    peer.failing_since.get_or_insert(now);
                    peer.last_error.clone_from(reason);
                    effects.push(peer.fail(now, &flight, &self.alerts));
                }
                peer.not_before = Some(now + notify::pause(peer.failures, *after));
                peer.failures += 1;
                peer.put_back(now, &flight, &self.alerts, effects);
                false
            }
            Attempt::Done => {
                peer.settle(now, &flight, None, &self.alerts, effects);
                true
            }
            Attempt::Refuse { reason } => {
                peer.settle(now, &flight, Some(reason), &self.alerts, effects);
                false
            }
        };
        self.sweep(now, effects);
        Some(Settled { receiver, done, message: None })
    }

    /// Forgets ended alerts that no peer is to be told of any more.
    fn sweep(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let over = |(key, alert): &(&u64, &Mirrored)| {
            let due = || self.peers.values().any(|peer| peer.due_of.contains_key(key) && peer.wants(alert));
            let kept = || self.peers.values().any(|peer| peer.flies(**key) || peer.misses(now, **key, alert));
            alert.ended().is_some_and(|end| (now >= end + EXPIRY || !due()) && !kept())
        };
        let over: Vec<u64> = self.alerts.iter().filter(over).map(|(key, _)| *key).collect();
        let expired =
            |peer: &Peer| (NotificationStatus::Expired, format!("not delivered within {EXPIRY}: {}", peer.last_error));
        over.into_iter().for_each(|key| self.forget(now, key, expired, effects));
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
