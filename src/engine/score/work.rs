//! What agents did, by task type: one agent's work at a time, and the fleet's.

use std::collections::{BTreeMap, BTreeSet};

use super::EXACT;
use crate::engine::Engine;
use crate::engine::baseline::Body;
use crate::engine::names::Name;
use crate::engine::pane::Counts;
use crate::engine::plan::Plan;
use crate::model::{Dimension, Timestamp};

/// One agent's executions by task type.
#[derive(Default)]
pub(super) struct Work {
    pub types: BTreeMap<Name, Body>,
    pub models: BTreeMap<Name, u64>,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
}

/// The whole fleet by task type, and where each agent's work is.
#[derive(Default)]
pub(super) struct Fleet {
    pub types: BTreeMap<Name, Body>,
    /// The median duration by task type in ms.
    pub medians: BTreeMap<Name, f64>,
    pub all: Counts,
    /// The series of its cells, of agents that did something.
    pub agents: BTreeMap<Name, Vec<usize>>,
}

impl Fleet {
    /// Ok and known outcomes of the others: on one task type, or on all when nobody else did it.
    pub(super) fn others(&self, own: &Work, task_type: Name) -> (u64, u64) {
        let mine = own.types.get(&task_type).map(|b| b.counts).unwrap_or_default();
        let all = self.types.get(&task_type).map(|b| b.counts).unwrap_or_default();
        (all.ok - mine.ok, all.known - mine.known)
    }

    /// The others' success rate on a task type, backing off to all types.
    pub(super) fn peer_rate(&self, own: &Work, task_type: Name) -> Option<f64> {
        let (ok, known) = self.others(own, task_type);
        if known > 0 {
            return Some(ok as f64 / known as f64);
        }
        let mine = own.types.values().fold(Counts::default(), |sum, b| sum.plus(&b.counts));
        let known = self.all.known - mine.known;
        (known > 0).then(|| (self.all.ok - mine.ok) as f64 / known as f64)
    }
}

impl Engine {
    /// What the whole fleet did in the score window.
    pub(super) fn fleet(&self) -> Fleet {
        let split = &self.state.splits[Plan::CELLS];
        let mut fleet = Fleet::default();
        let mut active = BTreeSet::new();
        for index in 0..split.series.len() {
            let label = |dimension| split.label(index, dimension).unwrap_or(Name::NONE);
            let (agent, window) = (label(Dimension::Agent), split.look(index, 0));
            fleet.agents.entry(agent).or_default().push(index);
            let all = fleet.types.entry(label(Dimension::TaskType)).or_default();
            let counts = window.counts();
            all.counts = all.counts.plus(&counts);
            window.durations_up_to(&mut all.durations, EXACT);
            fleet.all = fleet.all.plus(&counts);
            if counts.n > 0 {
                active.insert(agent);
            }
        }
        fleet.agents.retain(|agent, _| active.contains(agent));
        let median = |(name, all): (&Name, &Body)| Some((*name, all.durations.quantile(0.5)?.value));
        fleet.medians = fleet.types.iter().filter_map(median).collect();
        fleet
    }

    /// What was done in some cells of one agent. One agent's at a time: digests of the work of a whole fleet take much
    /// of the memory that its windows take.
    pub(super) fn work(&self, cells: &[usize]) -> Work {
        let split = &self.state.splits[Plan::CELLS];
        let mut own = Work::default();
        for &index in cells {
            let label = |dimension| split.label(index, dimension).unwrap_or(Name::NONE);
            let (series, window) = (&split.series[index], split.look(index, 0));
            let counts = window.counts();
            own.first = Some(own.first.map_or(series.first_seen, |t| t.min(series.first_seen)));
            own.last = Some(own.last.map_or(series.last_seen, |t| t.max(series.last_seen)));
            *own.models.entry(label(Dimension::Model)).or_default() += counts.n;
            let body = own.types.entry(label(Dimension::TaskType)).or_default();
            body.counts = body.counts.plus(&counts);
            window.durations_up_to(&mut body.durations, EXACT);
        }
        own
    }

    /// What is normal in some cells of one agent, and when that was last learned.
    pub(super) fn learned(&self, cells: &[usize]) -> (Body, Option<Timestamp>) {
        let (mut learned, mut updated) = (Body::default(), None);
        for baseline in cells.iter().filter_map(|index| self.state.baselines.get(*index)) {
            baseline.merge_into(&mut learned);
            updated = baseline.updated().max(updated);
        }
        (learned, updated)
    }
}
