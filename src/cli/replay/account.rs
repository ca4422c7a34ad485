//! What rules did over a recording, in numbers: per rule and per subject.
//!
//! Only transitions and messages of the engine are counted; nothing is decided here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::engine::event::{AlertEvent, AlertState, Delivery, DeliveryId, Notification};
use crate::model::{Span, Timestamp};

/// One rule on one subject, or on all.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Firings {
    /// Times it began to fire.
    pub fired: u64,
    /// Of these, those that began within a window after the end of the one before.
    pub flaps: u64,
    /// Time that it fired, up to the end of the recording.
    pub total: Span,
    /// The longest of the firings.
    pub longest: Span,
    /// Alerts that fire at the end of the recording.
    pub still_firing: u64,
}

/// One rule over the recording.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct RuleSummary {
    /// All subjects together.
    #[serde(flatten)]
    pub all: Firings,
    /// Subjects that fired.
    pub subjects: u64,
    /// Each of them.
    pub by_subject: BTreeMap<String, Firings>,
}

/// Messages to one receiver.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Messages {
    /// That something fires.
    pub firing: u64,
    /// That it is over.
    pub resolved: u64,
    /// What happened in a day or a week.
    pub digests: u64,
}

/// The account of a recording.
#[derive(Debug, Default)]
pub struct Account {
    /// Every rule by its name.
    pub rules: BTreeMap<String, RuleSummary>,
    /// Messages by receiver.
    pub messages: BTreeMap<String, Messages>,
    /// Firing alerts: since when.
    open: BTreeMap<(String, String), Timestamp>,
    /// When the alert last ended.
    ended: BTreeMap<(String, String), Timestamp>,
    told: BTreeSet<DeliveryId>,
}

impl Account {
    /// An account in which every rule stands, with or without firings.
    pub fn new<'a>(rules: impl Iterator<Item = &'a str>) -> Account {
        Account { rules: rules.map(|name| (name.to_owned(), RuleSummary::default())).collect(), ..Account::default() }
    }

    /// Takes a change of state in.
    pub fn alert(&mut self, event: &AlertEvent) {
        let key = (event.rule.clone(), event.subject.to_string());
        match event.state {
            // Said again because it became graver or its hours began: the same firing goes on.
            AlertState::Firing if self.open.contains_key(&key) => {}
            AlertState::Firing => {
                let flap = self.ended.get(&key).is_some_and(|end| event.at.since(*end) <= event.window);
                self.count(&key, |firings| {
                    firings.fired += 1;
                    firings.still_firing += 1;
                    firings.flaps += u64::from(flap);
                });
                self.open.insert(key, event.at);
            }
            AlertState::Resolved => {
                if let Some(since) = self.open.remove(&key) {
                    self.close(&key, event.at.since(since));
                    self.count(&key, |firings| firings.still_firing -= 1);
                }
                self.ended.insert(key, event.at);
            }
            AlertState::Pending | AlertState::Inactive => {}
        }
    }

    /// Takes an attempt at a delivery in; only the first of a message counts.
    pub fn delivery(&mut self, delivery: &Delivery) {
        if self.told.insert(delivery.id.clone()) {
            let messages = self.messages.entry(delivery.receiver.clone()).or_default();
            match delivery.notification().map(Notification::state) {
                None => messages.digests += 1,
                Some(AlertState::Resolved) => messages.resolved += 1,
                Some(_) => messages.firing += 1,
            }
        }
    }

    /// Ends the account at the end of the recording.
    pub fn finish(&mut self, end: Timestamp) {
        for (key, since) in std::mem::take(&mut self.open) {
            self.close(&key, end.since(since));
        }
        for rule in self.rules.values_mut() {
            rule.subjects = rule.by_subject.len() as u64;
        }
    }

    fn close(&mut self, key: &(String, String), lasted: Span) {
        self.count(key, |firings| {
            firings.total = Span(firings.total.0 + lasted.0);
            firings.longest = firings.longest.max(lasted);
        });
    }

    fn count(&mut self, (rule, subject): &(String, String), mut add: impl FnMut(&mut Firings)) {
        let rule = self.rules.entry(rule.clone()).or_default();
        add(&mut rule.all);
        add(rule.by_subject.entry(subject.clone()).or_default());
    }
}
