//! What is said of the Alertmanagers to those who ask.

use super::Mirror;
use super::history::NO_ROOM;
use super::peer::{Peer, Took};
use crate::engine::event::AlertEvent;
use crate::engine::view::{MessageView, ReceiverView};
use crate::model::Timestamp;
use crate::settings::Receiver;

impl Mirror {
    /// One entry per peer that is to know of an alert that fires; `owed` says that it is to be kept up, known or not.
    pub fn told(&self, now: Timestamp, event: &AlertEvent, owed: bool) -> Vec<MessageView> {
        let key = self.firing.get(&event.id);
        let known = key.and_then(|key| Some((key, self.alerts.get(key)?)));
        let wants = |peer: &Peer| match known {
            Some((_, alert)) => peer.wants(alert),
            None => owed && event.severity >= peer.min_severity,
        };
        let key = known.map(|(key, _)| *key);
        self.peers.values().filter(|peer| wants(peer)).map(|peer| peer.message(now, key)).collect()
    }

    /// A peer at a glance: what it has not heard yet counts as queued.
    pub fn view(&self, receiver: &Receiver) -> Option<ReceiverView> {
        let peer = self.peers.get(&receiver.name)?;
        Some(ReceiverView {
            receiver: receiver.name.clone(),
            queued: self.alerts.iter().filter(|(key, alert)| peer.lacks(**key, alert)).count() as u64,
            delivered: peer.delivered,
            failed: peer.failed,
            retries: peer.retries,
            failing_since: peer.failing_since,
            last_error: peer.last_error.clone(),
        })
    }
}

impl Peer {
    /// What it was told of an alert, and when it is told again; of one without a key there was no room.
    fn message(&self, now: Timestamp, key: Option<u64>) -> MessageView {
        let took = key.and_then(|key| self.told.get(&key)?.took);
        let due = key.and_then(|key| self.due_of.get(&key)).map(|at| self.not_before.map_or(*at, |t| t.max(*at)));
        let refused = key.and_then(|key| self.refused.get(&key)).cloned();
        let failing = self.failing_since.map(|since| format!("{} fails since {since}: {}", self.name, self.last_error));
        let again = due.map_or_else(|| "told again now".to_owned(), |at| format!("told again at {at}"));
        let kept = took.map(|took| match took {
            Took { until, .. } if until <= now => format!("kept up until {until}"),
            Took { first, .. } => format!("kept up since {first}"),
        });
        let why = match (key, kept, failing) {
            (None, ..) => format!("not kept up: {NO_ROOM}"),
            (_, Some(kept), Some(failing)) => format!("{kept}; {failing}"),
            (_, None, Some(failing)) => failing,
            _ if refused.is_some() => format!("an Alertmanager, {again}"),
            (_, Some(kept), None) => format!("{kept}, {again}"),
            (_, None, None) => "an Alertmanager, told now".to_owned(),
        };
        let (receiver, group, last) = (self.name.clone(), self.name.clone(), took.map(|took| took.last));
        MessageView { receiver, group, last, waiting: None, refused, next: due, why }
    }
}
