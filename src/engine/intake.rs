//! Takes records in: drops doubles, settles their time, interns their labels.

use std::collections::{HashSet, VecDeque};

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use super::names::{Name, Names};
use super::pane::Sample;
use super::split::Labels;
use super::view::Counters;
use crate::model::{Dimension, Label, Record, Span, Timestamp};

/// A record stamped further ahead of the clock than this is counted as being from the future.
const SKEW: Span = Span::seconds(5);

/// The records that were seen last, for dropping doubles.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "VecDeque<u64>", into = "VecDeque<u64>")]
pub struct Seen {
    order: VecDeque<u64>,
    set: HashSet<u64, FixedState>,
}

impl From<VecDeque<u64>> for Seen {
    fn from(order: VecDeque<u64>) -> Self {
        Seen { set: order.iter().copied().collect(), order }
    }
}

impl From<Seen> for VecDeque<u64> {
    fn from(seen: Seen) -> Self {
        seen.order
    }
}

impl Seen {
    /// Remembers an id; `false` when it was seen among the last `limit`.
    pub fn insert(&mut self, id: u64, limit: u32) -> bool {
        if !self.set.insert(id) {
            return false;
        }
        self.order.push_back(id);
        while self.order.len() > limit as usize {
            if let Some(old) = self.order.pop_front() {
                self.set.remove(&old);
            }
        }
        true
    }
}

/// When a record counts: its own time, but never after the clock.
pub fn settle(record: &Record<'_>, now: Timestamp, newest: &mut Timestamp, counters: &mut Counters) -> Timestamp {
    let Some(at) = record.at else {
        counters.undated += 1;
        return now;
    };
    counters.future += u64::from(at.since(now) > SKEW);
    let at = at.min(now);
    counters.out_of_order += u64::from(at < *newest);
    *newest = (*newest).max(at);
    at
}

/// Interns the labels that any split reads; the others stay [`Name::NONE`].
pub fn labels(
    record: &Record<'_>,
    wanted: &[bool; Dimension::PLACES],
    own: &[Label],
    names: &mut Names,
    limit: u32,
    counters: &mut Counters,
) -> Labels {
    let mut labels = [Name::NONE; Dimension::PLACES];
    let texts = [
        (Dimension::Agent, Some(record.agent.as_ref())),
        (Dimension::Model, record.model.as_deref()),
        (Dimension::TaskType, record.task_type.as_deref()),
        (Dimension::Workflow, record.workflow.as_deref()),
        (Dimension::Provider, record.provider.as_deref()),
        (Dimension::Tenant, record.tenant.as_deref()),
        (Dimension::ErrorClass, record.error_class.as_deref()),
        (Dimension::Source, Some(record.source)),
    ];
    for (dimension, text) in texts {
        if let Some(text) = text.filter(|_| wanted[dimension.place()]) {
            let name = names.intern(text, limit);
            counters.names_overflow += u64::from(name == Name::OVERFLOW);
            labels[dimension.place()] = name;
        }
    }
    for (label, text) in &record.labels {
        if let Some(label) = own.iter().find(|own| own.as_str() == *label) {
            let name = names.intern(text, limit);
            counters.names_overflow += u64::from(name == Name::OVERFLOW);
            labels[Dimension::Custom(*label).place()] = name;
        }
    }
    labels
}

/// The numbers of a record, as the windows take them.
pub fn sample(record: &Record<'_>, at: Timestamp) -> Sample {
    Sample {
        at,
        outcome: record.outcome,
        duration_ms: record.duration_ms,
        censored: record.censored,
        tokens: record.tokens,
        cost: record.cost.map(|c| c.0),
        quality: record.quality.map(|q| (f64::from(q.0) * 1e3).round() as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_remembered_up_to_the_limit() {
        let mut seen = Seen::default();
        assert!(seen.insert(1, 2));
        assert!(!seen.insert(1, 2));
        assert!(seen.insert(2, 2));
        assert!(seen.insert(3, 2));
        assert!(seen.insert(1, 2), "1 is beyond the limit");
        assert!(!seen.insert(3, 2));
    }
}
