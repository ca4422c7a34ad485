//! Silences and acknowledgements: what people said of alerts, until it lapses.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine::event::{Acknowledgement, AlertEvent, Silence};
use crate::model::{Severity, Span, Timestamp};
use crate::wire::matcher::all_match;

/// Silences kept at a time; the one that ended first goes first. The shell refuses more that are in
/// force.
pub const SILENCES: usize = 1_000;
/// How long a silence that ended can still be read.
const KEPT: Span = Span::days(5);
/// Acknowledgements kept at a time, each until its alert ends. The shell refuses more.
pub const ACKS: usize = 20_000;

impl Silence {
    /// How many of these alerts its matchers fit, whether it is in force or not.
    pub fn count(&self, alerts: &[AlertEvent]) -> usize {
        alerts.iter().filter(|alert| all_match(&self.matchers, &alert.identity())).count()
    }
}

/// Silences by id.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Silences {
    all: BTreeMap<String, Silence>,
}

impl Silences {
    /// Takes a silence in; one with the same id takes its place.
    pub fn add(&mut self, now: Timestamp, silence: Silence) {
        self.all.retain(|_, s| s.ends + KEPT > now);
        if self.all.len() >= SILENCES
            && let Some(oldest) = self.all.values().min_by_key(|s| (s.ends, s.id.clone())).map(|s| s.id.clone())
        {
            self.all.remove(&oldest);
        }
        self.all.insert(silence.id.clone(), silence);
    }

    /// Ends a silence now.
    pub fn expire(&mut self, now: Timestamp, id: &str) {
        if let Some(silence) = self.all.get_mut(id).filter(|s| s.ends > now) {
            silence.ends = now;
            silence.starts = silence.starts.min(now);
        }
    }

    /// The silences in force that cover these labels, the one that ends last first.
    pub fn covering(&self, labels: &BTreeMap<String, String>, now: Timestamp) -> Vec<&Silence> {
        let covers = |s: &&Silence| s.starts <= now && now < s.ends && all_match(&s.matchers, labels);
        let mut found: Vec<&Silence> = self.all.values().filter(covers).collect();
        found.sort_by_key(|silence| std::cmp::Reverse(silence.ends));
        found
    }

    /// When one begins or ends next, if any does after `now`.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.all.values().flat_map(|silence| [silence.starts, silence.ends]).filter(|at| *at > now).min()
    }

    /// All that are known, those that end last first.
    pub fn list(&self) -> Vec<Silence> {
        let mut all: Vec<Silence> = self.all.values().cloned().collect();
        all.sort_by(|a, b| (b.ends, &a.id).cmp(&(a.ends, &b.id)));
        all
    }
}

/// Who took an alert on, whether or not anybody is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckView {
    /// Who works on it.
    pub author: String,
    /// What they want to say.
    pub note: String,
    /// When they said so.
    pub at: Timestamp,
    /// Whether it got graver since, so that it is repeated again.
    pub graver: bool,
}

impl fmt::Display for AckView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acknowledged by {} at {}", self.author, self.at)?;
        if self.note.is_empty() { Ok(()) } else { write!(f, ": {}", self.note) }
    }
}

/// That somebody took an alert on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Taken {
    ack: Acknowledgement,
    /// The severity that it had then.
    severity: Severity,
    /// It got graver since.
    graver: bool,
}

/// Who took an alert on, at which severity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Acks {
    all: BTreeMap<String, Taken>,
}

impl Acks {
    /// Somebody takes on an alert that fires at `severity`.
    pub fn add(&mut self, severity: Severity, ack: Acknowledgement) {
        if self.takes(&ack.alert) {
            self.all.insert(ack.alert.clone(), Taken { ack, severity, graver: false });
        }
    }

    /// Whether there is room for an acknowledgement of this alert.
    pub fn takes(&self, alert: &str) -> bool {
        self.all.len() < ACKS || self.all.contains_key(alert)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The alert ended.
    pub fn release(&mut self, alert: &str) {
        self.all.remove(alert);
    }

    /// The alert is at this severity: to be graver than what was taken on voids that for good, also when it falls again.
    pub fn rise(&mut self, alert: &str, severity: Severity) {
        if let Some(taken) = self.all.get_mut(alert) {
            taken.graver |= severity > taken.severity;
        }
    }

    /// Whether somebody took the alert on and it got no graver since.
    pub fn cover(&self, alert: &str) -> bool {
        self.all.get(alert).is_some_and(|taken| !taken.graver)
    }

    /// Who took it on, for people who ask.
    pub fn view(&self, alert: &str) -> Option<AckView> {
        let Taken { ack, graver, .. } = self.all.get(alert)?;
        let (author, note, at) = (ack.author.clone(), ack.note.clone(), ack.at);
        Some(AckView { author, note, at, graver: *graver })
    }

    /// Who took it on.
    pub fn of(&self, alert: &str) -> Option<&Acknowledgement> {
        self.all.get(alert).map(|taken| &taken.ack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silences_and_acknowledgements_are_bounded() {
        let (mut silences, mut acks) = (Silences::default(), Acks::default());
        let now = Timestamp(0);
        for i in 0..SILENCES as i64 + 2 {
            let (author, comment) = (String::new(), String::new());
            let (id, ends) = (format!("{i:05}"), now + Span::hours(1) + Span(i));
            silences.add(now, Silence { id, matchers: Vec::new(), author, comment, starts: now, ends });
        }
        let list = silences.list();
        assert_eq!((list.len(), list.last().map(|s| s.id.as_str())), (SILENCES, Some("00002")), "the first to end go");
        let ack =
            |i: usize| Acknowledgement { alert: i.to_string(), author: "ada".to_owned(), note: String::new(), at: now };
        (0..ACKS + 1).for_each(|i| acks.add(Severity::High, ack(i)));
        assert_eq!((acks.count(), acks.takes("0"), acks.takes("new")), (ACKS, true, false));
        acks.rise("0", Severity::High);
        assert!(acks.cover("0") && acks.of(&ACKS.to_string()).is_none());
        acks.rise("0", Severity::Critical);
        acks.rise("0", Severity::Info);
        assert!(!acks.cover("0"), "it got graver since");
        acks.release("0");
        assert!(acks.takes("new"));
    }
}
