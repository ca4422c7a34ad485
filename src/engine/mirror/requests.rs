//! Requests to Alertmanagers: when one goes, what it holds, and what came of it.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::Mirror;
use super::peer::{Flight, Peer};
use crate::engine::alert::hex;
use crate::engine::event::{AlertEvent, Attempt, Delivery, DeliveryId, Effect, Message, Notification};
use crate::engine::notify::{self, Settled};
use crate::engine::split::NEVER;
use crate::model::{Severity, Span, Timestamp};

/// What was decided on less long ago is told as it was then, as it is to receivers of messages.
const FRESH: Span = Span::seconds(1);

impl Mirror {
    /// When [`Mirror::pump`] could hand something out next.
    pub fn deadline(&self) -> Timestamp {
        self.peers.values().map(Peer::deadline).min().unwrap_or(NEVER)
    }

    /// Hands out every request that is due. `newest` gives the alerts of these episodes that still fire as
    /// they are now at the severities that they are known by.
    pub fn pump(
        &mut self,
        now: Timestamp,
        newest: impl Fn(&BTreeMap<&str, Severity>) -> Vec<AlertEvent>,
        effects: &mut Vec<Effect>,
    ) {
        let names: Vec<String> =
            self.peers.iter().filter(|(_, p)| p.deadline() <= now).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(peer) = self.peers.get_mut(&name) else { continue };
            let keys = peer.take(now, &self.alerts);
            let ids: BTreeMap<&str, Severity> = keys
                .iter()
                .filter_map(|key| peer.state(*key, &self.alerts).filter(|a| a.ended().is_none()))
                // What a reload made of one was decided by no evaluation.
                .filter(|alert| now.since(alert.event.at) >= FRESH || !alert.event.reason.is_empty())
                .map(|alert| (alert.event.id.as_str(), alert.event.severity))
                .collect();
            for event in if ids.is_empty() { Vec::new() } else { newest(&ids) } {
                // By its episode: under the labels that it has now another one may have ended.
                if let Some(alert) = self.firing.get(&event.id).and_then(|key| self.alerts.get_mut(key)) {
                    let labels = std::mem::take(&mut alert.event.labels);
                    alert.event = AlertEvent { labels, ..event };
                }
            }
            let Some(peer) = self.peers.get_mut(&name) else { continue };
            let told = keys.iter().filter_map(|key| Some((*key, peer.state(*key, &self.alerts)?)));
            let (holds, alerts): (Vec<_>, Vec<_>) = told
                .map(|(key, alert)| ((key, alert.version, peer.tries(key, alert.version)), alert.event.clone()))
                .unzip();
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
                    matched: String::new(),
                    group_labels: BTreeMap::new(),
                    alerts,
                    truncated: 0,
                    summary: String::new(),
                    acknowledged: None,
                    reopens: false,
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
