//! What is said of the Alertmanagers to those who ask.

use std::collections::BTreeMap;

use super::history::NO_ROOM;
use super::peer::{Peer, Took};
use super::{Mirror, Mirrored};
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

    /// By alert: how it ended, and the peers that have not heard so.
    pub fn endings(&self, now: Timestamp) -> BTreeMap<&str, (&AlertEvent, Vec<MessageView>)> {
        let mut found: BTreeMap<&str, (&AlertEvent, Vec<MessageView>)> = BTreeMap::new();
        // One that goes on under other labels has not ended.
        let over = |alert: &Mirrored| alert.ended().is_some() && !self.firing.contains_key(&alert.event.id);
        for (key, alert) in self.alerts.iter().filter(|(_, alert)| over(alert)) {
            for peer in self.peers.values().filter(|peer| peer.lacks(*key, alert)) {
                let (event, messages) = found.entry(&alert.event.id).or_insert_with(|| (&alert.event, Vec::new()));
                // Under other labels than those it had before it is one alert all the same.
                if event.at < alert.event.at {
                    *event = &alert.event;
                }
                if messages.iter().all(|message| message.receiver != peer.name) {
                    messages.push(peer.ending(now, *key, alert.event.at));
                }
            }
        }
        found
    }

    /// What is said of the peers that have not heard of the newest end of an alert of this rule on this subject.
    pub fn end_of(&self, now: Timestamp, event: &AlertEvent) -> Vec<MessageView> {
        let endings = self.endings(now);
        let own = endings.into_values().filter(|(e, _)| (&e.rule, &e.subject) == (&event.rule, &event.subject));
        own.max_by_key(|(event, _)| event.at).map(|(_, messages)| messages).unwrap_or_default()
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
            refusing_since: peer.refusing_since,
            last_error: peer.last_error.clone(),
        })
    }
}

impl Peer {
    /// Since when it fails, and when the next attempt is made that is due then.
    fn failing(&self, now: Timestamp, due: Option<Timestamp>) -> Option<String> {
        let next = due.filter(|due| *due > now).map_or_else(String::new, |due| format!("; next attempt at {due}"));
        self.failing_since.map(|since| format!("{} fails since {since}: {}{next}", self.name, self.last_error))
    }

    /// The same of an alert that ended, as it has not heard.
    fn ending(&self, now: Timestamp, key: u64, at: Timestamp) -> MessageView {
        let message = self.message(now, Some(key));
        let why = match self.failing(now, message.next) {
            Some(failing) => format!("its end at {at} is not told yet; {failing}"),
            None => format!("its end at {at} is told now"),
        };
        MessageView { why, ..message }
    }

    /// What it was told of an alert, and when it is told again; of one without a key there was no room.
    fn message(&self, now: Timestamp, key: Option<u64>) -> MessageView {
        let took = key.and_then(|key| self.told.get(&key)?.took);
        let due = key.and_then(|key| self.due_of.get(&key)).map(|at| self.not_before.map_or(*at, |t| t.max(*at)));
        let refused = key.and_then(|key| self.refused.get(&key)).cloned();
        let failing = self.failing(now, due);
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
