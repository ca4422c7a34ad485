//! Takes records in: drops doubles, settles their time, interns their labels.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::names::{Name, Names};
use super::pane::Sample;
use super::split::Labels;
use super::view::Counters;
use crate::model::{Dimension, Label, Record, Span, Timestamp};

/// A record stamped further ahead of the clock than this is counted as being from the future.
const SKEW: Span = Span::seconds(5);

/// The records that were seen last, for dropping doubles.
///
/// Ids are hashes already, so they are their own places in an open table, at most five eighths full
/// (with the default limit half full, at half the memory of the next size): a
/// look meets one place in memory where a set of any shape would meet two, and it does so twice
/// for every record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "VecDeque<u64>", into = "VecDeque<u64>")]
pub struct Seen {
    order: VecDeque<u64>,
    /// A power of two of places; 0 is a free one, and an id of 0 is kept as the largest.
    table: Vec<u64>,
}

impl From<VecDeque<u64>> for Seen {
    fn from(order: VecDeque<u64>) -> Self {
        let mut seen = Seen { order, table: Vec::new() };
        seen.grow();
        seen
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
        let id = if id == 0 { u64::MAX } else { id };
        if (self.order.len() + 1) * 8 > self.table.len() * 5 {
            self.grow();
        }
        let place = self.place(id);
        if self.table[place] == id {
            return false;
        }
        self.table[place] = id;
        self.order.push_back(id);
        while self.order.len() > limit as usize {
            if let Some(old) = self.order.pop_front() {
                self.remove(old);
            }
        }
        true
    }

    /// Reads the place that [`Seen::insert`] will look at.
    pub fn glance(&self, id: u64) -> u64 {
        self.table.get(id as usize & self.table.len().wrapping_sub(1)).copied().unwrap_or(0)
    }

    /// Reads the places that so many more ids will free.
    pub fn glance_leaving(&self, more: usize, limit: u32) -> u64 {
        let leaving = (self.order.len() + more).saturating_sub(limit as usize);
        self.order.iter().take(leaving).fold(0, |sum, id| sum ^ self.glance(*id))
    }

    /// Where an id is, or where it would go.
    fn place(&self, id: u64) -> usize {
        let mask = self.table.len() - 1;
        let mut place = id as usize & mask;
        while self.table[place] != 0 && self.table[place] != id {
            place = (place + 1) & mask;
        }
        place
    }

    /// Frees the place of an id, and moves up those behind it that would not be found any more
    /// (Knuth, The Art of Computer Programming, volume 3, algorithm 6.4 R).
    fn remove(&mut self, id: u64) {
        let mask = self.table.len() - 1;
        let mut free = self.place(id);
        let mut next = free;
        loop {
            next = (next + 1) & mask;
            let moved = self.table[next];
            if moved == 0 {
                break;
            }
            let home = moved as usize & mask;
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(free) & mask) {
                self.table[free] = moved;
                free = next;
            }
        }
        self.table[free] = 0;
    }

    /// Makes a table that is at most half full.
    fn grow(&mut self) {
        self.table = vec![0; (self.order.len() * 2).next_power_of_two().max(16)];
        for at in 0..self.order.len() {
            let place = self.place(self.order[at]);
            self.table[place] = self.order[at];
        }
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

/// Interns the labels that any split reads; the others stay [`Name::NONE`]. `agent` and `source` are names of theirs that
/// are known already.
pub fn labels(
    record: &Record<'_>,
    [agent, source]: [Option<Name>; 2],
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
            let known = match dimension {
                Dimension::Agent => agent,
                Dimension::Source => source,
                _ => None,
            };
            let name = known.unwrap_or_else(|| names.intern(text, limit));
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

    #[test]
    fn the_table_forgets_what_the_order_forgets() {
        let mut seen = Seen::default();
        let mut model = VecDeque::new();
        let mut state = 1u64;
        for step in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Ids that collide often: few homes, few ids.
            let id = (state >> 33) % 300 * 64;
            let stored = if id == 0 { u64::MAX } else { id };
            let fresh = !model.contains(&stored);
            assert_eq!(seen.insert(id, 100), fresh, "step {step}");
            if fresh {
                model.push_back(stored);
            }
            if model.len() > 100 {
                model.pop_front();
            }
        }
        assert_eq!(seen.table.iter().filter(|place| **place != 0).count(), 100);
        let mut copy = Seen::from(VecDeque::from(seen.clone()));
        assert!(!copy.insert(*model.back().expect("not empty"), 100));
    }
}
