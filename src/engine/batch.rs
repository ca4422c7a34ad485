//! Takes records in, some at a time and in three passes: who they are about, a glance at everything
//! that will be written, and the writing.
//!
//! The windows of a large fleet do not fit into a processor's caches, and a record alone waits for
//! two dozen places in memory one after another. Glances do not depend on each other, so the
//! processor fetches many at once; what they read is thrown away. Which records share a batch makes
//! no difference to what is kept.

use std::hint::black_box;

use super::baseline::Baseline;
use super::intake;
use super::names::Name;
use super::pane::{Counts, Sample};
use super::plan::Plan;
use super::{Engine, State};
use crate::model::{Dimension, Outcome, Record, Timestamp};
use crate::rule::Takes;

/// Records of a batch, at most: what they need fits into a processor's own cache.
const BATCH: usize = 64;
/// References from what a series has in place to what it has furthest away, and one.
pub(super) const DEPTH: usize = 3;
/// The place of a record in a split that does not take it.
const NOWHERE: u32 = u32::MAX;
/// Verdicts kept per agent for show.
const VERDICTS: usize = 20;

/// A record on its way into the windows.
struct Placed<'r> {
    record: &'r Record<'r>,
    agent: Name,
    sample: Sample,
    /// Whether it repeats what its agent did, if a rule asks and the record says.
    repeats: Option<bool>,
}

impl Engine {
    /// Takes records in, in their order.
    pub(super) fn records(&mut self, now: Timestamp, records: &[Record<'_>]) {
        let width = self.state.splits.len();
        let mut places = Vec::with_capacity(BATCH * width);
        for batch in records.chunks(BATCH) {
            places.clear();
            let placed = self.place(now, batch, &mut places);
            self.glance(&places);
            for (placed, places) in placed.iter().zip(places.chunks_exact(width)) {
                self.insert(now, placed, places);
            }
        }
    }

    /// Drops doubles, settles times, and finds the series of the rest: appends one place per split for each.
    fn place<'r>(&mut self, now: Timestamp, records: &'r [Record<'r>], places: &mut Vec<u32>) -> Vec<Placed<'r>> {
        let limits = &self.policy.settings.limits;
        let State { names, seen, splits, counters, newest, homes, works, .. } = &mut self.state;
        black_box(records.iter().filter_map(|r| r.id).fold(0, |sum, id| sum ^ seen.glance(id.0)));
        let mut placed = Vec::with_capacity(records.len());
        for record in records {
            if record.id.is_some_and(|id| !seen.insert(id.0, limits.seen_ids)) {
                counters.duplicates += 1;
                continue;
            }
            counters.records += 1;
            counters.outcomes[record.outcome as usize] += 1;
            counters.unpriced += u64::from(record.cost.is_none());
            let at = intake::settle(record, now, newest.get_or_insert(Timestamp::MIN), counters);
            let labels =
                intake::labels(record, &self.plan.dimensions, &self.plan.labels, names, limits.names, counters);
            for split in splits.iter_mut() {
                let taken = match split.spec.takes {
                    Takes::Executions => true,
                    Takes::Works => record.work.is_some(),
                    _ => false,
                };
                let taken = taken && split.admits(&labels, names);
                places.push(if taken { split.series_of(&labels, at, limits.series) as u32 } else { NOWHERE });
            }
            let own = places[places.len() - splits.len() + Plan::AGENTS] as usize;
            if !self.plan.homes.is_empty() {
                homes.see(own, &labels, record.outcome);
            }
            let agent = labels[Dimension::Agent.place()];
            // Agents beyond the bound are not told apart, so none of them repeats another.
            let known = splits[Plan::AGENTS].label(own, Dimension::Agent) != Some(Name::OVERFLOW);
            let repeats = record.work.filter(|_| self.plan.works).map(|work| known && works.see(own, work));
            placed.push(Placed { record, agent, repeats, sample: intake::sample(record, at) });
        }
        placed
    }

    fn glance(&self, places: &[u32]) {
        let State { splits, baselines, verdicts, .. } = &self.state;
        let mut sum = 0;
        for depth in 0..DEPTH {
            for places in places.chunks_exact(splits.len()) {
                for (split, &series) in splits.iter().zip(places) {
                    if series != NOWHERE {
                        sum ^= split.glance(series as usize, depth);
                    }
                }
                sum ^= baselines.get(places[Plan::CELLS] as usize).map_or(0, |baseline| baseline.glance(depth));
                let verdicts = verdicts.get(places[Plan::AGENTS] as usize);
                sum ^= verdicts.map_or(0, |v| if depth == 0 { v.len() as i64 } else { v.back().copied().unwrap_or(0) })
                    as u64;
            }
        }
        black_box(sum);
    }

    fn insert(&mut self, now: Timestamp, placed: &Placed<'_>, places: &[u32]) {
        let State { names, splits, budgets, baselines, active, counters, verdicts, .. } = &mut self.state;
        let Placed { record, agent, sample, repeats } = placed;
        let counts = Counts::of(sample);
        self.values.clear();
        self.values.resize(self.plan.fields.len(), None);
        let mut next = 0;
        for (field, value) in &record.extra {
            // Readers give the fields in the order in which they were asked for.
            let fields = self.plan.fields.iter().enumerate().cycle().skip(next).take(self.plan.fields.len());
            let place = fields.filter(|(_, own)| own.as_str() == field).map(|(place, _)| place).next();
            if let Some(place) = place {
                self.values[place] = Some(*value);
                next = place + 1;
            }
        }
        let work = repeats.map(|repeats| {
            let outcome = if repeats { Outcome::Error } else { Outcome::Ok };
            let work = Sample { outcome, ..*sample };
            (work, Counts::of(&work))
        });
        for (split, &series) in splits.iter_mut().zip(places) {
            let (sample, counts) = match &work {
                Some((sample, counts)) if split.spec.takes == Takes::Works => (sample, counts),
                _ => (sample, &counts),
            };
            if series != NOWHERE {
                counters.late += split.insert(series as usize, now, sample, counts, &self.values);
            }
        }
        let own = self.policy.settings.budgets.iter().zip(budgets).zip(&self.plan.budgets);
        for ((budget, used), split) in own {
            if places[*split] != NOWHERE {
                used.allot(budget, &splits[*split], names, places[*split] as usize);
                used.insert(budget, places[*split] as usize, now, sample);
            }
        }
        let (cell, series) = (places[Plan::CELLS] as usize, places[Plan::AGENTS] as usize);
        if baselines.len() <= cell {
            baselines.resize(cell + 1, Baseline::default());
        }
        baselines[cell].insert(sample, &counts, active.contains_key(agent));
        if let Some(quality) = sample.quality {
            if verdicts.len() <= series {
                verdicts.resize(series + 1, Default::default());
            }
            let verdicts = &mut verdicts[series];
            if verdicts.len() == VERDICTS {
                verdicts.pop_front();
            }
            verdicts.push_back(quality);
        }
    }
}
