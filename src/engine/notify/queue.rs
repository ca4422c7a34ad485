//! The messages to one receiver: their order, which is tried next and when, and which have become useless.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Envelope, alike, report, same_group, tell_beginning};
use crate::engine::event::{AlertEvent, AlertState, Delivery, Effect, NotificationStatus};
use crate::engine::split::NEVER;
use crate::model::{Span, Timestamp};

/// Attempts in flight to one healthy receiver.
const IN_FLIGHT: usize = 4;
/// What one failure adds to the time of an outage at most, beyond the pause that it came after, which is enough for the
/// timeout of an attempt: the engine's clock leaps when old lines are read, and a day of theirs is no day of attempts.
const PATIENCE: Span = Span::minutes(1);

/// Messages to one receiver.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Envelope>,
    pub(super) flying: Vec<Envelope>,
    /// No attempt before this instant, after failures.
    pub(super) not_before: Option<Timestamp>,
    /// No attempt before this instant, because the receiver said so; another message's success does not end it.
    pub(super) asked_for: Option<Timestamp>,
    pub(super) failures: u32,
    pub(super) failing_since: Option<Timestamp>,
    /// Since when it refused everything that it did not ask to be tried again.
    pub(super) refusing_since: Option<Timestamp>,
    /// When an attempt failed last.
    failed_at: Option<Timestamp>,
    /// Time that passed between failures, so far.
    pub(super) outage: Span,
    pub(super) last_error: String,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) retries: u64,
}

impl Queue {
    /// The message that is tried next, whenever that may be. Those of one group, and those about one rule on one subject,
    /// keep their order: that it ended never overtakes that it fires, nor comes after that it fires again.
    fn free(&self) -> Option<usize> {
        let width = if self.failures > 0 { 1 } else { IN_FLIGHT };
        if self.flying.len() >= width {
            return None;
        }
        let mut taken: BTreeSet<u64> = self.flying.iter().flat_map(|message| &message.about).copied().collect();
        // Whatever is held back holds back in turn.
        let mut waits = |(_, message): &(usize, &Envelope)| {
            let waits = message.about.iter().any(|key| taken.contains(key));
            taken.extend(&message.about);
            waits
        };
        let mut free = self.waiting.iter().enumerate().filter(|message| !waits(message));
        if self.failures == 0 {
            return free.next().map(|(at, _)| at);
        }
        // A message that is refused time and again must not stand before those that would go: the probe is the one
        // that was tried least.
        free.min_by_key(|(_, m)| (m.delivery.attempt, m.number)).map(|(at, _)| at)
    }

    /// The message that may be tried now.
    pub(super) fn ready(&self, now: Timestamp) -> Option<usize> {
        // While a receiver is down thousands of messages may wait, which every event would look through.
        if self.held_until().is_some_and(|t| now < t) { None } else { self.free() }
    }

    fn held_until(&self) -> Option<Timestamp> {
        self.not_before.max(self.asked_for)
    }

    pub(super) fn deadline(&self) -> Timestamp {
        match self.held_until() {
            // Nothing that is under way holds back what waits.
            Some(until) if self.flying.is_empty() && !self.waiting.is_empty() => until,
            until => self.free().map_or(NEVER, |at| until.unwrap_or(self.waiting[at].queued)),
        }
    }

    /// Takes out what tells the end of something whose beginning no receiver has, and why, unless another message that is
    /// yet to be tried tells of the beginning.
    pub(super) fn drop_hinging(&mut self, now: Timestamp, group: &str, why: &str, effects: &mut Vec<Effect>) {
        let waiting = &self.waiting;
        let useless = |(at, m): &(usize, &Envelope)| {
            m.hinges && m.delivery.message.group() == group && !tell_beginning(waiting.iter().take(*at), m)
        };
        let useless: BTreeSet<u64> = waiting.iter().enumerate().filter(useless).map(|(_, m)| m.number).collect();
        for message in waiting.iter().filter(|m| useless.contains(&m.number)) {
            effects.push(report(now, &message.delivery, NotificationStatus::Dropped, why.to_owned()));
        }
        self.waiting.retain(|m| !useless.contains(&m.number));
        self.failed += useless.len() as u64;
    }

    /// The receiver took a message: the ends that wait of the alerts which fire in it are of what it knows since now.
    pub(super) fn hear(&mut self, now: Timestamp, taken: &Delivery) {
        let mut over = BTreeSet::new();
        for Envelope { delivery, took, .. } in &mut self.waiting {
            let Some((said, next)) = same_group(taken, delivery) else { continue };
            let about = |end: &AlertEvent| {
                let shown = said.alerts.iter().any(|a| a.state == AlertState::Firing && alike(a, end));
                // What it does not show it tells of all the same.
                shown || said.truncated > 0 && end.fired_at.is_some_and(|fired| fired <= said.at)
            };
            let ends = next.alerts.iter().filter(|a| said.acknowledged.is_none() && a.state == AlertState::Resolved);
            // An end after that is one of an alert after that.
            for end in ends.filter(|end| about(end) && over.insert((&end.rule, &end.subject))) {
                took.insert(end.id.clone(), now);
            }
        }
    }

    /// Back in line at its old place.
    pub(super) fn put_back(&mut self, message: Envelope) {
        let at = self.waiting.partition_point(|m| m.number < message.number);
        self.waiting.insert(at, message);
    }

    pub(super) fn is_full(&self, limit: u32) -> bool {
        self.waiting.len() + self.flying.len() >= limit as usize
    }

    /// Counts the time since the failure before.
    pub(super) fn endure(&mut self, now: Timestamp) {
        let Some(before) = self.failed_at.replace(now) else { return };
        let pause = self.held_until().map_or(Span::ZERO, |t| t.since(before).max(Span::ZERO));
        self.outage = Span(self.outage.0 + now.since(before).0.min(pause.0 + PATIENCE.0));
    }

    pub(super) fn recover(&mut self) {
        self.failures = 0;
        self.failing_since = None;
        self.not_before = None;
    }
}
