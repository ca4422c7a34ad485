//! Who is told what and when: one queue per receiver, kept in the engine's state.
//!
//! A message stays in its queue until the receiver has it or refuses it, so a crash loses
//! nothing: what was in flight is handed out again under the same id. A failing receiver is
//! probed with one message at a time, at most four seconds apart (or after its own Retry-After),
//! so that it gets everything soon after it returns and is not hammered before.

mod queue;
mod queues;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::alert::hex;
use super::dispatch::{Manner, gets_messages, lineage};
use super::event::{
    AlertEvent, AlertState, Attempt, Delivery, DeliveryId, Effect, Message, Notification, NotificationReport,
    NotificationStatus, OtherAlert, Report,
};
use super::split::NEVER;
use crate::model::{Span, Subject, Timestamp};
use crate::settings::Receiver;
use queue::Queue;
pub use queues::Queues;

/// First wait after a failed attempt; it doubles from there.
const BACKOFF: Span = Span(500);
/// Longest wait of our own making.
const BACKOFF_CAP: Span = Span::seconds(4);
/// Longest Retry-After that is honoured.
const RETRY_AFTER_CAP: Span = Span::hours(1);
/// A message that could not be delivered for this long is given up.
const EXPIRY: Span = Span::hours(24);

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Envelope {
    /// The queue's outage when it was handed out first; one that never was does not expire, whatever the clock did.
    tried: Option<Span>,
    /// Place in line; a message that is tried again keeps it.
    number: u64,
    queued: Timestamp,
    delivery: Delivery,
    /// Its group, and the rules on subjects that it shows, as numbers: what it must not overtake.
    about: Vec<u64>,
    /// The receiver has nothing of what it tells of: it is of no use unless a message before it is taken that tells
    /// the beginning.
    hinges: bool,
    /// When the receiver took its newest message about each alert whose end it tells, by its id.
    took: BTreeMap<String, Timestamp>,
}

impl Envelope {
    /// Whether who takes this message has the beginning of something that a later one tells of.
    fn begins(&self, later: &Envelope) -> bool {
        let Some((said, next)) = same_group(&self.delivery, &later.delivery) else { return false };
        let mut begun = said.alerts.iter().filter(|alert| alert.state == AlertState::Firing);
        // What a message does not show it may be about all the same.
        said.acknowledged.is_none()
            && (said.truncated + next.truncated > 0 || begun.any(|alert| next.alerts.iter().any(|a| alike(a, alert))))
    }

    /// Whether it tells the end of all that a later one tells of, which is then about episodes after that.
    fn ends(&self, later: &Envelope) -> bool {
        let Some((said, next)) = same_group(&self.delivery, &later.delivery) else { return false };
        let over = |of: &AlertEvent| said.alerts.iter().any(|a| a.state == AlertState::Resolved && alike(a, of));
        next.truncated == 0 && next.alerts.iter().all(over)
    }
}

/// What a message must not overtake another message about.
fn about(message: &Message) -> Vec<u64> {
    let group = lineage(message.group(), &Subject::default());
    let alerts = match message {
        Message::Alerts(said) => said.alerts.as_slice(),
        Message::Digest(_) => &[],
    };
    std::iter::once(group).chain(alerts.iter().map(key)).collect()
}

/// What both say, if they are about alerts of one group.
fn same_group<'a>(one: &'a Delivery, later: &'a Delivery) -> Option<(&'a Notification, &'a Notification)> {
    let (said, next) = (one.notification()?, later.notification()?);
    (said.group == next.group).then_some((said, next))
}

/// Whether two alerts are of one rule on one subject.
fn alike(one: &AlertEvent, other: &AlertEvent) -> bool {
    (&one.rule, &one.subject) == (&other.rule, &other.subject)
}

/// Whether one of these messages, in order, tells the beginning of what a later one tells of.
fn tell_beginning<'a>(before: impl Iterator<Item = &'a Envelope>, later: &Envelope) -> bool {
    before.fold(false, |begun, message| message.begins(later) || begun && !message.ends(later))
}

/// What an attempt came to.
pub struct Settled {
    /// To whom it was made.
    pub receiver: String,
    /// Whether the receiver has the message.
    pub done: bool,
    /// The message, when it is not tried again.
    pub message: Option<Message>,
}

/// A group of which messages were given up.
pub struct Lost {
    /// Its name in them.
    pub group: String,
    /// The rules on subjects that they told of.
    told: BTreeSet<u64>,
    /// They told of more.
    more: bool,
    /// One of them was to open a new incident.
    pub reopens: bool,
    /// What messages after them tell of.
    waits: BTreeSet<u64>,
}

impl Lost {
    fn of(group: &str) -> Lost {
        Lost { group: group.to_owned(), told: BTreeSet::new(), more: false, reopens: false, waits: BTreeSet::new() }
    }

    /// Whether a rule on a subject is to be told anew: also what those who close the group by its last message took for over.
    pub fn tells(&self, key: u64) -> bool {
        !self.waits.contains(&key) && (self.more || self.waits.is_empty() || self.told.contains(&key))
    }
}

fn key(alert: &AlertEvent) -> u64 {
    lineage(&alert.rule, &alert.subject)
}

/// All messages on their way.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outbox {
    queues: BTreeMap<String, Queue>,
    next_number: u64,
    /// Messages dropped because their queue was full.
    pub dropped: u64,
}

impl Outbox {
    /// Queues a message; whether its queue took it. `limit` bounds each queue, so that a receiver
    /// that is down costs nobody else a message. One that [hinges](Manner::hinges) on those before it is of no use when
    /// all are refused that tell of the beginning.
    pub fn push(
        &mut self,
        receiver: &str,
        limit: u32,
        message: Message,
        manner: Manner,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let (at, number) = (message.at(), self.next_number);
        let id = delivery_id(&message, number, receiver);
        let delivery = Delivery { id, receiver: receiver.to_owned(), attempt: 0, message };
        let (Manner { hinges, took, .. }, about) = (manner, about(&delivery.message));
        let message = Envelope { tried: None, number, queued: at, delivery, about, hinges, took };
        self.next_number += 1;
        let queue = self.queues.entry(receiver.to_owned()).or_default();
        // That somebody took an alert on is said once, by a person; there are no more of these than alerts.
        let taken_on = message.delivery.notification().is_some_and(|said| said.acknowledged.is_some());
        let full = queue.is_full(limit) && !taken_on;
        let status = if full { NotificationStatus::Dropped } else { NotificationStatus::Queued };
        let reason = if full { format!("the queue holds its limit of {limit} messages") } else { String::new() };
        effects.push(report(at, &message.delivery, status, reason));
        if full {
            self.dropped += 1;
            queue.failed += 1;
        } else {
            queue.waiting.push_back(message);
        }
        !full
    }

    /// Whether the queue of a receiver has no room.
    pub fn is_full(&self, receiver: &str, limit: u32) -> bool {
        self.queues.get(receiver).is_some_and(|queue| queue.is_full(limit))
    }

    /// Hands out every attempt that is due.
    pub fn pump(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        for queue in self.queues.values_mut() {
            while let Some(at) = queue.ready(now) {
                if let Some(mut message) = queue.waiting.remove(at) {
                    message.delivery.attempt += 1;
                    message.tried.get_or_insert(queue.outage);
                    effects.push(Effect::Deliver(message.delivery.clone()));
                    queue.flying.push(message);
                }
            }
        }
    }

    /// Takes the result of an attempt in; `None` when no such attempt was in flight.
    pub fn receipt(
        &mut self,
        now: Timestamp,
        id: &DeliveryId,
        result: Attempt,
        effects: &mut Vec<Effect>,
    ) -> Option<Settled> {
        let (name, queue, at) = self.queues.iter_mut().find_map(|(name, queue)| {
            let at = queue.flying.iter().position(|m| m.delivery.id == *id)?;
            Some((name, queue, at))
        })?;
        let message = queue.flying.remove(at);
        let done = matches!(result, Attempt::Done);
        let settled = match result {
            Attempt::Done => {
                queue.delivered += 1;
                queue.refusing_since = None;
                for at in 0..queue.waiting.len() {
                    let (next, mut before) = (&queue.waiting[at], queue.waiting.iter().take(at));
                    if next.hinges && message.begins(next) && !before.any(|m| m.ends(next)) {
                        queue.waiting[at].hinges = false;
                    }
                }
                queue.hear(now, &message.delivery);
                queue.recover();
                effects.push(report(now, &message.delivery, NotificationStatus::Delivered, String::new()));
                Some(message.delivery.message)
            }
            Attempt::Refuse { reason } => {
                // The receiver is there and answers: only this message is lost.
                queue.failed += 1;
                queue.refusing_since.get_or_insert(now);
                queue.recover();
                queue.last_error.clone_from(&reason);
                effects.push(report(now, &message.delivery, NotificationStatus::Refused, reason));
                queue.drop_hinging(now, message.delivery.message.group(), "its beginning was refused", effects);
                Some(message.delivery.message)
            }
            Attempt::Retry { reason, after } => {
                queue.retries += 1;
                queue.failing_since.get_or_insert(now);
                queue.endure(now);
                queue.not_before = Some(now + pause(queue.failures, None));
                queue.asked_for = queue.asked_for.max(after.map(|after| now + after.min(RETRY_AFTER_CAP)));
                queue.failures += 1;
                queue.last_error.clone_from(&reason);
                effects.push(report(now, &message.delivery, NotificationStatus::Queued, reason));
                queue.put_back(message);
                None
            }
        };
        Some(Settled { receiver: name.clone(), done, message: settled })
    }

    /// Takes back the messages of a group, if there are any and none was handed out yet.
    pub fn withdraw(&mut self, group: &str, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
        let own = |m: &&Envelope| m.delivery.message.group() == group;
        let all = || self.queues.values().flat_map(|q| q.flying.iter().chain(&q.waiting)).filter(own);
        if all().next().is_none() || all().any(|message| message.tried.is_some()) {
            return false;
        }
        for queue in self.queues.values_mut() {
            let (gone, kept): (VecDeque<_>, _) = std::mem::take(&mut queue.waiting).into_iter().partition(|m| own(&m));
            queue.waiting = kept;
            for message in gone {
                let reason = "the next one tells of it".to_owned();
                effects.push(report(now, &message.delivery, NotificationStatus::Superseded, reason));
            }
        }
        true
    }

    /// Gives up what could not be delivered for too long, and what hinges on that; of which groups, and what is still told
    /// of these. Follows on a failure, never on time alone: what frees room in a queue must be an event that a restart sees
    /// too.
    pub fn expire(&mut self, now: Timestamp, receiver: &str, effects: &mut Vec<Effect>) -> Vec<Lost> {
        let mut lost: BTreeMap<String, Lost> = BTreeMap::new();
        let Some(queue) = self.queues.get_mut(receiver) else { return Vec::new() };
        let outage = queue.outage;
        let over = |m: &Envelope| m.tried.is_some_and(|tried| outage.0 - tried.0 >= EXPIRY.0);
        while let Some(at) = queue.waiting.iter().position(over) {
            if let Some(Envelope { delivery, .. }) = queue.waiting.remove(at) {
                queue.failed += 1;
                let reason = format!("not delivered within {EXPIRY}: {}", queue.last_error);
                effects.push(report(now, &delivery, NotificationStatus::Expired, reason));
                let group = delivery.message.group();
                queue.drop_hinging(now, group, "its beginning was given up", effects);
                let lost = lost.entry(group.to_owned()).or_insert_with(|| Lost::of(group));
                lost.told.extend(delivery.notification().iter().flat_map(|said| said.alerts.iter().map(key)));
                lost.more |= delivery.notification().is_some_and(|said| said.truncated > 0);
                lost.reopens |= delivery.notification().is_some_and(|said| said.reopens);
            }
        }
        for message in queue.flying.iter().chain(&queue.waiting) {
            let said = message.delivery.notification().filter(|said| said.acknowledged.is_none());
            let Some((said, lost)) = said.and_then(|said| Some((said, lost.get_mut(&said.group)?))) else { continue };
            lost.waits.extend(said.alerts.iter().map(key));
        }
        lost.into_values().collect()
    }

    /// When [`Outbox::pump`] could hand something out next.
    pub fn deadline(&self) -> Timestamp {
        self.queues.values().map(Queue::deadline).min().unwrap_or(NEVER)
    }

    /// Attempts that are in flight, for the shell after a restart.
    pub fn unsettled(&self) -> impl Iterator<Item = Effect> {
        self.queues.values().flat_map(|q| &q.flying).map(|m| Effect::Deliver(m.delivery.clone()))
    }

    /// Drops the queues of receivers that the policy no longer has, or has as Alertmanagers now, and reports their messages.
    pub fn retain(&mut self, receivers: &[Receiver], now: Timestamp, effects: &mut Vec<Effect>) {
        let has = |name: &String| receivers.iter().any(|r| r.name == *name && gets_messages(r));
        let gone: Vec<String> = self.queues.keys().filter(|name| !has(name)).cloned().collect();
        for name in gone {
            let queue = self.queues.remove(&name).unwrap_or_default();
            let why =
                if receivers.iter().any(|r| r.name == name) { "the receiver is an Alertmanager now" } else { GONE };
            for message in queue.flying.iter().chain(&queue.waiting) {
                effects.push(report(now, &message.delivery, NotificationStatus::Dropped, why.to_owned()));
            }
        }
    }
}

/// The id of a message of a group to `receiver`; the same whenever it is made. The number tells
/// messages of one group apart, its alerts those of a life before a lost state.
fn delivery_id(message: &Message, number: u64, receiver: &str) -> DeliveryId {
    let mut hash = Sha256::new();
    let mut put = |part: &str| {
        hash.update(part);
        hash.update([0]);
    };
    put(message.group());
    put(receiver);
    match message {
        Message::Alerts(notification) => {
            notification.alerts.iter().flat_map(|alert| [alert.id.as_str(), alert.state.as_str()]).for_each(put);
        }
        Message::Digest(digest) => put(&digest.to.to_rfc3339()),
    }
    hash.update(number.to_le_bytes());
    DeliveryId(format!("evk_{}", hex(&hash.finalize()[..12])))
}

/// How long a receiver is left alone after a failure that follows on `failures` others.
pub fn pause(failures: u32, after: Option<Span>) -> Span {
    let backoff = Span(BACKOFF.0 << failures.min(8)).min(BACKOFF_CAP);
    after.unwrap_or(Span::ZERO).min(RETRY_AFTER_CAP).max(backoff)
}

/// Why a message is dropped whose receiver is no more.
pub const GONE: &str = "the receiver was removed from the configuration";

/// What became of a message.
pub fn report(now: Timestamp, delivery: &Delivery, status: NotificationStatus, reason: String) -> Effect {
    let (lead, name, others, truncated) = match &delivery.message {
        Message::Alerts(said) => {
            let others = said.others().map(other).collect();
            (Some(other(said.lead())), String::new(), others, said.truncated)
        }
        Message::Digest(digest) => (None, digest.name.clone(), Vec::new(), 0),
    };
    let (severity, state) = lead.as_ref().map(|lead| (lead.severity, lead.state)).unzip();
    let (alert_id, rule, subject) =
        lead.map_or((name, String::new(), Subject::default()), |lead| (lead.alert_id, lead.rule, lead.subject));
    Effect::Report(Report::Notification(NotificationReport {
        at: now,
        id: delivery.id.clone(),
        receiver: delivery.receiver.clone(),
        alert_id,
        rule,
        subject,
        severity,
        state,
        others,
        truncated,
        status,
        attempts: delivery.attempt,
        reason,
    }))
}

fn other(alert: &AlertEvent) -> OtherAlert {
    OtherAlert {
        alert_id: alert.id.clone(),
        rule: alert.rule.clone(),
        subject: alert.subject.clone(),
        severity: alert.severity,
        state: alert.state,
    }
}
