//! Alerts that are kept up at Alertmanagers: said again while they fire, and for a while after their end.
//!
//! An Alertmanager forgets what it is not told again, and groups, mutes and routes by itself. So there is no
//! line of messages to it but a state per alert: a batch is made of the newest states at the moment it is
//! handed out, and what was superseded while a peer was down never was a message. An alert that ended is kept
//! until every peer has heard of it. Peers do not wait for each other; each has one batch in flight.

mod gone;
mod history;
mod left;
mod peer;
mod requests;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::event::{AlertEvent, AlertState, Effect, GOES_ON, NotificationStatus};
use super::notify;
use super::words;
use crate::model::{Severity, Span, Timestamp};
use crate::settings::Receiver;
use crate::wire::alertmanager::fingerprint;
use gone::Gone;
use history::{NO_ROOM, UNWANTED};
use peer::Peer;

/// Alerts in one request.
const BATCH: usize = 64;
/// The end of an alert that a peer could not be told for so long is given up.
const EXPIRY: Span = Span::hours(24);

/// What every Alertmanager shall know.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mirror {
    /// By the fingerprint of their labels, as Alertmanager tells them apart.
    alerts: BTreeMap<u64, Mirrored>,
    /// What of those is about one episode, by its identity.
    episodes: BTreeMap<String, Episode>,
    /// The alerts that fire, by the identity of their episode.
    firing: BTreeMap<String, u64>,
    /// Those for which there was no room, in the same way.
    waiting: BTreeMap<String, u64>,
    peers: BTreeMap<String, Peer>,
    /// What those were told that a reload removed.
    gone: Gone,
    batches: u64,
    /// Alerts that were not taken because there are too many.
    pub dropped: u64,
}

/// The alerts that one episode is here, or was before its level or its labels changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Episode {
    keys: BTreeSet<u64>,
    /// How it ended; `None` while it fires, though it may be kept up no more.
    end: Option<AlertEvent>,
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
        let version = version(&event.id, event.state);
        Mirrored { event, version }
    }

    /// Whether a version is of the same episode.
    fn is_of(&self, known: Option<u64>) -> bool {
        [AlertState::Firing, AlertState::Resolved].iter().any(|state| known == Some(version(&self.event.id, *state)))
    }

    fn ended(&self) -> Option<Timestamp> {
        (self.event.state == AlertState::Resolved).then_some(self.event.at)
    }

    /// Whether an event under the same labels is of the same episode and state.
    fn says(&self, event: &AlertEvent) -> bool {
        (&self.event.id, self.event.state) == (&event.id, event.state)
    }
}

/// How an alert ends under the labels under which it is known to fire.
fn ended(known: &AlertEvent, end: AlertEvent, at: Timestamp, reason: &str) -> AlertEvent {
    let (labels, fired_at) = (known.labels.clone(), known.fired_at);
    let mut end = AlertEvent { state: AlertState::Resolved, at, labels, fired_at, ..end };
    words::explain(&mut end, reason.to_owned());
    end
}

fn version(id: &str, state: AlertState) -> u64 {
    fingerprint(&[(id.to_owned(), state.as_str().to_owned())].into())
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
                None => (self.gone.again(&receiver.name, resend, &self.alerts), true),
            };
            let wanted = (peer.min_severity, peer.send_resolved);
            let lacked = peer.states(&self.alerts).filter(|(key, alert)| !new && peer.lacks(*key, alert));
            let lacked: BTreeSet<u64> = lacked.map(|(key, _)| key).collect();
            peer.resend = resend;
            peer.min_severity = receiver.min_severity;
            peer.send_resolved = receiver.send_resolved;
            // What it was not to hear before it may be to hear now.
            if new || wanted != (peer.min_severity, peer.send_resolved) {
                for (key, alert) in &self.alerts {
                    peer.schedule(*key, alert.event.at);
                    let mut lacked = lacked.contains(key);
                    if peer.left.contains_key(key) && alert.event.severity >= peer.min_severity {
                        effects.extend(peer.take_back(now, *key));
                        lacked = false;
                    }
                    let Some(alert) = peer.state(*key, &self.alerts) else { continue };
                    match (lacked, peer.lacks(*key, alert)) {
                        (false, true) => effects.push(peer.queue(now, *key, &alert.event)),
                        // What is on its way to it may yet be taken.
                        (true, false) if !peer.holds(*key, alert) => {
                            let tries = peer.tries(*key, alert.version);
                            effects.push(peer.give_up(now, (*key, &alert.event), tries, UNWANTED))
                        }
                        _ => {}
                    }
                }
            }
            self.peers.insert(receiver.name.clone(), peer);
        }
        for (name, peer) in old {
            let open = peer.open(&self.alerts).into_iter();
            effects.extend(open.map(|(key, event, tried)| peer.give_up(now, (key, event), tried, notify::GONE)));
            self.gone.remember(now, name, peer);
        }
        if self.peers.is_empty() {
            self.alerts.clear();
            self.episodes.clear();
            self.firing.clear();
            self.waiting.clear();
        }
        effects
    }

    /// Takes in that an alert fires; at most `limit` alerts are kept. `own` is how it ends at the severity that it is
    /// known by, if that is another one.
    pub fn fire(&mut self, event: &AlertEvent, own: Option<AlertEvent>, limit: u32, effects: &mut Vec<Effect>) {
        if self.peers.is_empty() {
            return;
        }
        let key = fingerprint(&event.identity());
        // The same episode with other labels is another alert to Alertmanager.
        if let Some(old) = self.firing.get(&event.id).copied().filter(|old| *old != key) {
            self.rename(old, event, own, effects);
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

    /// Takes in that an alert ended; one that is not known to fire is nobody's business. `own` is how it did at the
    /// severity that it is known by, if that is another one.
    pub fn end(&mut self, event: &AlertEvent, own: Option<AlertEvent>, effects: &mut Vec<Effect>) {
        if let Some(episode) = self.episodes.get_mut(&event.id) {
            episode.end = Some(event.clone());
        }
        self.leave(event, own, effects);
    }

    /// The same of one that is kept up no more and may fire on.
    pub fn leave(&mut self, event: &AlertEvent, own: Option<AlertEvent>, effects: &mut Vec<Effect>) {
        self.waiting.remove(&event.id);
        if let Some(key) = self.firing.remove(&event.id) {
            self.close(key, own.into_iter().chain([event.clone()]), (event.at, &event.reason), effects);
        }
    }

    /// Ends the alert at `old` that goes on under other labels.
    fn rename(&mut self, old: u64, event: &AlertEvent, own: Option<AlertEvent>, effects: &mut Vec<Effect>) {
        self.firing.remove(&event.id);
        let Some(known) = self.alerts.get(&old) else { return };
        let how = match known.event.severity == event.severity {
            true => " with other labels".to_owned(),
            false => format!(" as severity={}", event.severity.as_str()),
        };
        self.close(old, own, (event.at, &format!("{GOES_ON}{how}")), effects);
    }

    /// Ends an alert under the labels under which it fired: as the first of these of its severity has it, else as it was
    /// told last.
    fn close(
        &mut self,
        key: u64,
        ends: impl IntoIterator<Item = AlertEvent>,
        (at, reason): (Timestamp, &str),
        effects: &mut Vec<Effect>,
    ) {
        let Some(Mirrored { event: known, .. }) = self.alerts.get(&key) else { return };
        let end = ends.into_iter().find(|end| end.severity == known.severity).unwrap_or_else(|| known.clone());
        let end = ended(known, end, at, reason);
        self.put(key, end, at, effects);
    }

    /// The severity that an alert is known by, of one that is known to fire.
    pub fn severity(&self, id: &str) -> Option<Severity> {
        Some(self.alerts.get(self.firing.get(id)?)?.event.severity)
    }

    /// Those of all that are known to fire.
    pub fn severities(&self) -> BTreeMap<String, Severity> {
        self.firing.keys().filter_map(|id| Some((id.clone(), self.severity(id)?))).collect()
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
    pub fn refresh(&mut self, event: &AlertEvent, own: Option<AlertEvent>, limit: u32, effects: &mut Vec<Effect>) {
        if self.firing.get(&event.id) != Some(&fingerprint(&event.identity())) {
            self.fire(event, own, limit, effects);
        }
    }

    fn put(&mut self, key: u64, event: AlertEvent, now: Timestamp, effects: &mut Vec<Effect>) {
        let alert = Mirrored::new(event);
        let before = self.alerts.get(&key);
        let other = before.filter(|before| before.event.id != alert.event.id);
        for peer in self.peers.values_mut() {
            // For whom it was over before.
            if peer.left.contains_key(&key) || before.is_some_and(|before| peer.keep_end(now, key, before, &alert)) {
                continue;
            }
            // What is on its way may yet be taken.
            if let Some(before) = before.filter(|before| !alert.says(&before.event))
                && peer.lacks(key, before)
                && !peer.holds(key, before)
            {
                effects.push(peer.supersede(now, (key, &before.event), peer.tries(key, before.version)));
            }
            if other.is_some() {
                peer.forget_tries(key);
            }
            // What it has not heard otherwise meanwhile it knows still.
            if peer.lacks(key, &alert) {
                effects.push(peer.queue(now, key, &alert.event));
            }
            if let Some(told) = peer.told.get_mut(&key).filter(|told| !alert.is_of(told.taken)) {
                told.took = None;
            }
            peer.schedule(key, now);
        }
        if let Some(other) = other.map(|other| other.event.id.clone()) {
            self.part(&other, key);
        }
        self.episodes.entry(alert.event.id.clone()).or_default().keys.insert(key);
        self.alerts.insert(key, alert);
    }

    /// Takes an alert from an episode that it is no more about.
    fn part(&mut self, id: &str, key: u64) {
        let Some(episode) = self.episodes.get_mut(id) else { return };
        episode.keys.remove(&key);
        if episode.keys.is_empty() {
            self.episodes.remove(id);
        }
    }

    /// Forgets an alert that may be.
    fn make_room(&mut self, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
        let dropped = |_: &Peer| (NotificationStatus::Dropped, NO_ROOM.to_owned());
        self.dispensable().map(|key| self.forget(now, key, dropped, effects)).is_some()
    }

    /// The alert that ended first, of those that every peer has the end of, or else cannot be told; none that is on its way.
    fn dispensable(&self) -> Option<u64> {
        let lacks = |key: u64| self.peers.values().any(|peer| peer.lacks_newest(key, &self.alerts));
        let kept = |key: u64| {
            let waits = |peer: &Peer| peer.failing_since.is_none() && peer.lacks_newest(key, &self.alerts);
            self.peers.values().any(|peer| peer.flies(key) || waits(peer))
        };
        let ended = self.alerts.iter().filter_map(|(key, alert)| Some((alert.ended()?, *key)));
        let spare = ended.filter(|(_, key)| !kept(*key));
        spare.map(|(end, key)| (lacks(key), end, key)).min().map(|(.., key)| key)
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
        self.part(&alert.event.id, key);
        for peer in self.peers.values_mut() {
            let left = peer.left.remove(&key);
            let alert = left.as_ref().unwrap_or(&alert);
            if peer.lacks(key, alert) {
                let (status, reason) = lost(peer);
                peer.failed += 1;
                effects.push(peer.report(now, (key, &alert.event), peer.tries(key, alert.version), status, reason));
            }
            peer.unschedule(key);
            peer.told.remove(&key);
            peer.refused.remove(&key);
            peer.forget_tries(key);
        }
    }

    /// Forgets ended alerts that no peer is to be told of any more.
    fn sweep(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let over = |(key, alert): &(&u64, &Mirrored)| {
            let wants = |peer: &Peer| peer.state(**key, &self.alerts).is_some_and(|alert| peer.wants(**key, alert));
            let due = || self.peers.values().any(|peer| peer.due_of.contains_key(key) && wants(peer));
            let kept = || self.peers.values().any(|peer| peer.flies(**key) || peer.misses(now, **key, alert));
            alert.ended().is_some_and(|end| (now >= end + EXPIRY || !due()) && !kept())
        };
        let over: Vec<u64> = self.alerts.iter().filter(over).map(|(key, _)| *key).collect();
        let expired =
            |peer: &Peer| (NotificationStatus::Expired, format!("not delivered within {EXPIRY}: {}", peer.last_error));
        for key in over {
            // Before its time it is given up where a reload made it too mild to be wanted, which was not told of it.
            let late = self.alerts[&key].ended().is_some_and(|end| now >= end + EXPIRY);
            let unwanted = || (NotificationStatus::Dropped, UNWANTED.to_owned());
            self.forget(now, key, |peer| if late { expired(peer) } else { unwanted() }, effects);
        }
        for peer in self.peers.values_mut() {
            effects.extend(peer.settle_left(now, |peer| expired(peer)));
        }
        // What ended while a reload had removed a peer.
        for peer in self.peers.values_mut().filter(|peer| peer.told.len() > self.alerts.len()) {
            peer.told.retain(|key, _| self.alerts.contains_key(key));
            peer.tried.retain(|(key, _), _| self.alerts.contains_key(key));
        }
    }
}
