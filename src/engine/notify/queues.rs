//! What is on its way, for those who ask: the queues at a glance, and what of an alert a receiver does not have yet.

use std::collections::BTreeMap;

use super::{Envelope, Outbox, Queue};
use crate::engine::event::{AlertEvent, AlertState, Message};
use crate::engine::split::NEVER;
use crate::engine::view::{FollowingView, MessageView, ReceiverView, WaitingView};
use crate::model::{Subject, Timestamp};
use crate::settings::Receiver;

impl Outbox {
    /// The queues for those who ask about alerts.
    pub fn queues<'a>(&'a self, now: Timestamp, views: &'a [ReceiverView]) -> Queues<'a> {
        let mut on_the_way: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, queue) in &self.queues {
            for message in queue.flying.iter().chain(&queue.waiting) {
                on_the_way.entry((name.as_str(), message.delivery.message.group())).or_default().push(message);
            }
        }
        on_the_way.values_mut().for_each(|messages| messages.sort_by_key(|message| message.number));
        let next = self.queues.iter().map(|(name, queue)| (name.as_str(), queue.deadline()));
        let next = next.filter(|(_, at)| *at > now && *at < NEVER).collect();
        Queues { views, on_the_way, next }
    }

    /// The queues at a glance, one entry per receiver of the policy.
    pub fn view(&self, receivers: &[Receiver]) -> Vec<ReceiverView> {
        let empty = Queue::default();
        let one = |receiver: &Receiver| {
            let queue = self.queues.get(&receiver.name).unwrap_or(&empty);
            ReceiverView {
                receiver: receiver.name.clone(),
                queued: (queue.waiting.len() + queue.flying.len()) as u64,
                delivered: queue.delivered,
                failed: queue.failed,
                retries: queue.retries,
                failing_since: queue.failing_since,
                refusing_since: queue.refusing_since,
                last_error: queue.last_error.clone(),
            }
        };
        receivers.iter().map(one).collect()
    }
}

/// The queues as they are looked at, with what is on its way by receiver and group, in order.
#[derive(Debug)]
pub struct Queues<'a> {
    /// At a glance.
    pub views: &'a [ReceiverView],
    on_the_way: BTreeMap<(&'a str, &'a str), Vec<&'a Envelope>>,
    /// When a receiver is tried next for which something waits.
    next: BTreeMap<&'a str, Timestamp>,
}

impl Queues<'_> {
    /// The messages about an alert that the receiver does not have yet.
    pub fn waiting(&self, receiver: &str, group: &str, alert: &str) -> Option<WaitingView> {
        let about = |envelope: &&&Envelope| match &envelope.delivery.message {
            Message::Alerts(said) => {
                said.acknowledged.is_none() && (said.truncated > 0 || shown(envelope, alert).is_some())
            }
            Message::Digest(_) => false,
        };
        let mut found = self.on_the_way.get(&(receiver, group))?.iter().filter(about);
        let first = found.next()?;
        let said = |envelope: &Envelope| shown(envelope, alert).map(|event| (event.state, event.severity));
        let mut before = said(first);
        let (state, severity) = before.unzip();
        let mut then = Vec::new();
        for message in found {
            // A repeat is no news.
            let says = said(message).filter(|says| before != Some(*says));
            if let Some((state, severity)) = says {
                before = says;
                then.push(FollowingView { since: message.queued, state, severity });
            }
        }
        let view = self.views.iter().find(|view| view.receiver == receiver).filter(|view| view.failing_since.is_some());
        let error = view.map_or_else(String::new, |view| view.last_error.clone());
        let (since, attempts) = (first.queued, first.delivery.attempt);
        let next = self.next.get(receiver).copied();
        Some(WaitingView { since, state, severity, known: false, attempts, error, next, then })
    }

    /// When the receiver took its newest message about an alert whose end is on its way to it.
    pub fn took(&self, receiver: &str, group: &str, alert: &str) -> Option<Timestamp> {
        self.on_the_way.get(&(receiver, group))?.iter().filter_map(|message| message.took.get(alert)).max().copied()
    }

    /// Every alert in messages that their receivers do not have yet.
    fn said(&self) -> impl Iterator<Item = ((&str, &str), &AlertEvent)> {
        let all =
            self.on_the_way.iter().flat_map(|(place, messages)| messages.iter().map(|message| (*place, *message)));
        all.flat_map(|(place, message)| match &message.delivery.message {
            Message::Alerts(said) if said.acknowledged.is_none() => said.alerts.iter().map(|e| (place, e)).collect(),
            _ => Vec::new(),
        })
    }

    /// By alert: how it ended, and the receivers that a message is on its way to that says so.
    pub fn endings(&self) -> BTreeMap<&str, (&AlertEvent, Vec<MessageView>)> {
        let mut found: BTreeMap<&str, (&AlertEvent, Vec<MessageView>)> = BTreeMap::new();
        for ((receiver, group), event) in self.said().filter(|(_, event)| event.state == AlertState::Resolved) {
            let (newest, messages) = found.entry(&event.id).or_insert_with(|| (event, Vec::new()));
            // It may have come back after it was over for some.
            if newest.at < event.at {
                *newest = event;
            }
            messages.retain(|before| (before.receiver.as_str(), before.group.as_str()) != (receiver, group));
            messages.push(MessageView {
                receiver: receiver.to_owned(),
                group: group.to_owned(),
                last: self.took(receiver, group, &event.id),
                waiting: self.waiting(receiver, group, &event.id),
                refused: None,
                next: None,
                why: match event.goes_on() {
                    true => event.over_as(),
                    false => format!("it ended at {}", event.at),
                },
            });
        }
        found
    }

    /// The newest end of an alert of a rule on a subject that is on its way to a receiver.
    pub fn end_of(&self, receiver: &str, rule: &str, subject: &Subject) -> Option<&AlertEvent> {
        let own = |((to, _), event): &((&str, &str), &AlertEvent)| {
            *to == receiver && event.state == AlertState::Resolved && event.rule == rule && event.subject == *subject
        };
        self.said().filter(own).map(|(_, event)| event).max_by_key(|event| event.at)
    }

    /// The messages about the newest alert of a rule on a subject that a receiver does not have all of yet, and when it
    /// took its newest one of those before.
    pub fn newest_of(&self, receiver: &str, rule: &str, subject: &Subject) -> Option<(Option<Timestamp>, WaitingView)> {
        let own = |((to, _), event): &((&str, &str), &AlertEvent)| {
            *to == receiver && event.rule == rule && event.subject == *subject
        };
        let ((_, group), event) = self.said().filter(own).max_by_key(|(_, event)| event.at)?;
        Some((self.took(receiver, group, &event.id), self.waiting(receiver, group, &event.id)?))
    }

    /// The messages about the oldest alert before this one, of its rule on its subject, that a receiver does not have yet.
    pub fn before(&self, receiver: &str, event: &AlertEvent) -> Option<WaitingView> {
        let own = |((to, _), said): &((&str, &str), &AlertEvent)| {
            *to == receiver && said.rule == event.rule && said.subject == event.subject && said.id != event.id
        };
        let ((_, group), oldest) = self.said().filter(own).min_by_key(|(_, said)| said.at)?;
        self.waiting(receiver, group, &oldest.id)
    }
}

/// What a message shows of an alert.
fn shown<'a>(envelope: &'a Envelope, alert: &str) -> Option<&'a AlertEvent> {
    match &envelope.delivery.message {
        Message::Alerts(said) => said.alerts.iter().find(|event| event.id == alert),
        Message::Digest(_) => None,
    }
}
