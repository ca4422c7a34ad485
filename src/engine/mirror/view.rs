//! What is said of the Alertmanagers to those who ask.

use std::collections::{BTreeMap, BTreeSet};

use super::history::NO_ROOM;
use super::peer::{Peer, Took};
use super::{Episode, Mirror, Mirrored};
use crate::engine::event::{AlertEvent, Muted};
use crate::engine::view::{MessageView, ReceiverView};
use crate::model::{Severity, Timestamp};
use crate::settings::Receiver;

impl Mirror {
    /// One entry per peer that is to know of an alert that fires, and whether as it is now or only that it is over under
    /// labels of before; `owed` says that it is to be kept up, known or not.
    pub fn told(&self, now: Timestamp, event: &AlertEvent, owed: bool) -> Vec<(bool, MessageView)> {
        let key = self.firing.get(&event.id);
        let known = key.and_then(|key| Some((key, self.alerts.get(key)?)));
        let wants = |peer: &Peer| match known {
            Some((key, alert)) => peer.wants(*key, alert),
            None => owed && event.severity >= peer.min_severity,
        };
        let key = known.map(|(key, _)| *key);
        // What it came to outside of its rule's hours it is not there.
        let kept = match known.map(|(_, alert)| alert.event.severity).filter(|severity| *severity != event.severity) {
            Some(severity) => format!("kept up as severity={}", severity.as_str()),
            None => "kept up".to_owned(),
        };
        let keys: Vec<u64> = match self.episodes.get(&event.id) {
            Some(Episode { keys, end: None }) => keys.iter().copied().collect(),
            _ => Vec::new(),
        };
        let one = |peer: &Peer| {
            let current = wants(peer).then(|| peer.message(now, key, &kept));
            let former = keys.iter().filter(|of| Some(**of) != key || peer.left.contains_key(of));
            let former = former.filter_map(|key| peer.leaving(now, *key, peer.state(*key, &self.alerts)?, event));
            let Some(current) = current else {
                let mut message = former.reduce(both)?;
                message.why.extend(peer.failing(now, message.next).map(|failing| format!("; {failing}")));
                return Some((false, message));
            };
            Some((true, former.fold(current, both)))
        };
        self.peers.values().filter_map(one).collect()
    }

    /// By alert: how it ended, and the peers that have not heard so.
    pub fn endings(&self, now: Timestamp) -> BTreeMap<&str, (&AlertEvent, Vec<MessageView>)> {
        // One that goes on under other labels has not ended.
        let over =
            self.episodes.iter().filter_map(|(id, episode)| Some((id.as_str(), &episode.keys, episode.end.as_ref()?)));
        let one = |(id, keys, end): (_, &BTreeSet<u64>, _)| {
            let messages = |peer: &Peer| peer.ending(now, peer.states_of(keys, &self.alerts), end);
            let messages: Vec<MessageView> = self.peers.values().filter_map(messages).collect();
            (!messages.is_empty()).then_some((id, (end, messages)))
        };
        over.filter_map(one).collect()
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
            queued: peer.states(&self.alerts).filter(|(key, alert)| peer.lacks(*key, alert)).count() as u64,
            delivered: peer.delivered,
            failed: peer.failed,
            retries: peer.retries,
            failing_since: peer.failing_since,
            refusing_since: peer.refusing_since,
            last_error: peer.last_error.clone(),
        })
    }
}

/// What is said of one peer of two alerts there that are one.
fn both(one: MessageView, other: MessageView) -> MessageView {
    MessageView {
        last: one.last.max(other.last),
        refused: one.refused.or(other.refused),
        next: [one.next, other.next].into_iter().flatten().min(),
        why: format!("{}; {}", one.why, other.why),
        ..one
    }
}

impl Took {
    fn kept(self, how: &str, now: Timestamp) -> String {
        match self {
            Took { until, .. } if until <= now => format!("{how} until {until}"),
            Took { first, .. } => format!("{how} since {first}"),
        }
    }
}

impl Peer {
    /// Since when it fails, and when the next attempt is made that is due then.
    fn failing(&self, now: Timestamp, due: Option<Timestamp>) -> Option<String> {
        let next = due.filter(|due| *due > now).map_or_else(String::new, |due| format!("; next attempt at {due}"));
        self.failing_since.map(|since| format!("{} fails since {since}: {}{next}", self.name, self.last_error))
    }

    /// What is said of an alert that ended, if it has not heard so; under labels that it had before it is one alert all
    /// the same.
    fn ending<'a>(
        &self,
        now: Timestamp,
        alerts: impl Iterator<Item = (u64, &'a Mirrored)>,
        end: &AlertEvent,
    ) -> Option<MessageView> {
        let lacking: Vec<(u64, &Mirrored)> = alerts.filter(|(key, alert)| self.lacks(*key, alert)).collect();
        let newest = lacking.iter().map(|(_, alert)| &alert.event).max_by_key(|event| event.at)?;
        let message = lacking.iter().map(|(key, _)| self.message(now, Some(*key), "kept up")).reduce(both)?;
        let what = match newest.at == end.at {
            true => String::new(),
            false => format!(" as severity={}", newest.severity.as_str()),
        };
        // What it hears nothing of it takes for ended at last.
        let took = lacking.iter().filter_map(|(key, alert)| Some((alert.event.severity, self.believes(*key)?.took?)));
        let took: Vec<(Severity, Took)> = took.collect();
        let alone = took.iter().all(|(severity, _)| *severity == end.severity);
        let how =
            |severity: Severity| if alone { String::new() } else { format!(" as severity={}", severity.as_str()) };
        let kept = took.iter().map(|(severity, took)| took.kept(&format!(", kept up there{}", how(*severity)), now));
        let kept: String = kept.collect();
        let why = match self.failing(now, message.next) {
            Some(failing) => format!("its end{what} at {} is not told yet{kept}; {failing}", newest.at),
            None => format!("its end{what} at {} is told now", newest.at),
        };
        Some(MessageView { why, ..message })
    }

    /// What is said of an alert that it knows under labels of before and did not take the end of under those, while that
    /// goes on as `event`.
    fn leaving(&self, now: Timestamp, key: u64, alert: &Mirrored, event: &AlertEvent) -> Option<MessageView> {
        let told = self.believes(key).filter(|_| self.wants(key, alert))?;
        let took = told.took?;
        let message = self.message(now, Some(key), "kept up");
        let AlertEvent { at, severity, reason, .. } = &alert.event;
        let labels =
            match event.muted != Some(Muted::Shadow) && *severity == event.severity && !self.left.contains_key(&key) {
                true => "with its labels of before".to_owned(),
                false => format!("as severity={}", severity.as_str()),
            };
        let told = match told.refused == Some(alert.version) {
            _ if self.failing_since.is_some() => "not told yet",
            true => "refused",
            false => "told now",
        };
        let why = format!("its end {labels} at {at} is {told} ({reason}), {}", took.kept("kept up there", now));
        Some(MessageView { why, ..message })
    }

    /// What it was told of an alert, and when it is told again; of one without a key there was no room.
    fn message(&self, now: Timestamp, key: Option<u64>, kept: &str) -> MessageView {
        let took = key.and_then(|key| self.believes(key)?.took);
        let due = key.and_then(|key| self.due_of.get(&key)).map(|at| self.not_before.map_or(*at, |t| t.max(*at)));
        let failing = self.failing(now, due);
        // While it answers otherwise, or not at all, that is what keeps it from being told.
        let refused = key.and_then(|key| self.refused.get(&key)).filter(|_| failing.is_none()).cloned();
        let later = due.filter(|due| *due > now);
        let again = later.map_or_else(|| "told again now".to_owned(), |at| format!("told again at {at}"));
        let kept = took.map(|took| took.kept(kept, now));
        let why = match (key, kept, failing) {
            (None, ..) => format!("not kept up: {NO_ROOM}"),
            (_, Some(kept), Some(failing)) => format!("{kept}; {failing}"),
            (_, None, Some(failing)) => failing,
            _ if refused.is_some() => format!("an Alertmanager, {again}"),
            (_, Some(kept), None) => format!("{kept}, {again}"),
            (_, None, None) => "an Alertmanager, told now".to_owned(),
        };
        let (receiver, group, last) = (self.name.clone(), self.name.clone(), took.map(|took| took.last));
        MessageView { receiver, group, last, waiting: None, refused, next: due.map(|due| due.max(now)), why }
    }
}
