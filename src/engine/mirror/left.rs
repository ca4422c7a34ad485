//! Alerts that fire and end for one Alertmanager alone: a reload made them too mild for it, which may know of them, or of
//! an episode before under the same labels.

use std::collections::{BTreeMap, BTreeSet};

use super::peer::Peer;
use super::{EXPIRY, Mirror, Mirrored, ended};
use crate::engine::event::{AlertEvent, AlertState, Effect, GOES_ON, NotificationStatus};
use crate::model::Timestamp;

impl Mirror {
    /// Ends the alerts that a peer takes to fire and that are too mild for it since a reload, for that peer alone; `own` is
    /// how they end at the severity that they are known by, if that is known.
    pub fn withdraw(&mut self, now: Timestamp, own: &BTreeMap<String, AlertEvent>, effects: &mut Vec<Effect>) {
        for peer in self.peers.values_mut().filter(|peer| peer.send_resolved) {
            let mild = |(key, alert): &(&u64, &Mirrored)| {
                let unwanted = alert.ended().is_none() && !peer.wants(**key, alert);
                unwanted && peer.may_believe(**key) && !peer.left.contains_key(key)
            };
            let mild: Vec<u64> = self.alerts.iter().filter(mild).map(|(key, _)| *key).collect();
            for key in mild {
                let known = &self.alerts[&key].event;
                // The end of an episode before that is on its way is all that it is to hear, also if that fails.
                if let Some(end) = peer.flying(key).filter(|end| end.state == AlertState::Resolved).cloned() {
                    peer.left.insert(key, Mirrored::new(end));
                    continue;
                }
                let end = own.get(&known.id).filter(|end| end.severity == known.severity).unwrap_or(known);
                let reason =
                    format!("{GOES_ON}, but below `min_severity: {}` of {}", peer.min_severity.as_str(), peer.name);
                effects.extend(peer.leave(now, key, ended(known, end.clone(), now, &reason)));
            }
        }
    }
}

impl Peer {
    /// The newest state of an alert for it.
    pub fn state<'a>(&'a self, key: u64, alerts: &'a BTreeMap<u64, Mirrored>) -> Option<&'a Mirrored> {
        self.left.get(&key).or_else(|| alerts.get(&key))
    }

    /// The same of all.
    pub fn states<'a>(
        &'a self,
        alerts: &'a BTreeMap<u64, Mirrored>,
    ) -> impl Iterator<Item = (u64, &'a Mirrored)> + use<'a> {
        alerts.iter().map(|(key, alert)| (*key, self.left.get(key).unwrap_or(alert)))
    }

    /// The same of these.
    pub fn states_of<'a>(
        &'a self,
        keys: &'a BTreeSet<u64>,
        alerts: &'a BTreeMap<u64, Mirrored>,
    ) -> impl Iterator<Item = (u64, &'a Mirrored)> + use<'a> {
        keys.iter().filter_map(|key| Some((*key, self.state(*key, alerts)?)))
    }

    /// Whether it is to know the newest state of an alert and does not.
    pub fn lacks_newest(&self, key: u64, alerts: &BTreeMap<u64, Mirrored>) -> bool {
        self.state(key, alerts).is_some_and(|alert| self.lacks(key, alert))
    }

    /// Whether it takes an alert to fire, or may by what is on its way.
    fn may_believe(&self, key: u64) -> bool {
        self.believes(key).is_some() || self.flying(key).is_some_and(|event| event.state == AlertState::Firing)
    }

    /// Keeps the end of an episode that it is still to hear, or may be, though the next one under the same labels has
    /// begun: whether it does, as that one is too mild for it.
    pub fn keep_end(&mut self, now: Timestamp, key: u64, before: &Mirrored, next: &Mirrored) -> bool {
        let other = before.event.id != next.event.id && before.ended().is_some() && next.ended().is_none();
        let keeps = other && self.send_resolved && self.may_believe(key) && !self.wants(key, next);
        if keeps {
            self.left.insert(key, before.clone());
            self.schedule(key, now);
        }
        keeps
    }

    /// Takes in how an alert ends for it.
    fn leave(&mut self, now: Timestamp, key: u64, end: AlertEvent) -> Option<Effect> {
        let alert = Mirrored::new(end);
        let row = self.lacks(key, &alert).then(|| self.queue(now, key, &alert.event));
        self.left.insert(key, alert);
        self.schedule(key, now);
        row
    }

    /// Takes in that an alert is no more too mild for it.
    pub fn take_back(&mut self, now: Timestamp, key: u64) -> Option<Effect> {
        let alert = self.left.remove(&key)?;
        let waits = self.believes(key).is_some() && !self.knows(key, alert.version) && !self.holds(key, &alert);
        waits.then(|| self.supersede(now, (key, &alert.event), self.tries(key, alert.version)))
    }

    /// Forgets those whose end it has, or is not to know; what becomes of one that it could not be told for too long.
    pub fn settle_left(
        &mut self,
        now: Timestamp,
        expired: impl Fn(&Peer) -> (NotificationStatus, String),
    ) -> Vec<Effect> {
        let waits = |(key, alert): &(&u64, &Mirrored)| {
            let old = alert.ended().is_some_and(|end| now >= end + EXPIRY);
            self.flies(**key) || self.lacks(**key, alert) && !old
        };
        let over: Vec<u64> = self.left.iter().filter(|left| !waits(left)).map(|(key, _)| *key).collect();
        let mut effects = Vec::new();
        for key in over {
            let Some(alert) = self.left.remove(&key) else { continue };
            if self.lacks(key, &alert) {
                let (status, reason) = expired(self);
                self.failed += 1;
                effects.push(self.report(now, (key, &alert.event), self.tries(key, alert.version), status, reason));
            }
        }
        effects
    }
}
