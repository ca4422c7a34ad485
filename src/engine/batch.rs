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
use super::split::Labels;
use super::{Engine, State};
use crate::model::{Dimension, Extra, Outcome, Record, Timestamp};
use crate::rule::Takes;

/// Records of a batch, at most: what they need fits into a processor's own cache.
const BATCH: usize = 64;
/// References from what a series has in place to what it has furthest away, and one.
pub(super) const DEPTH: usize = 3;
/// The place of a record in a split that does not take it.
const NOWHERE: u32 = u32::MAX;
/// The place of a record whose series is still to be made.
const NEW: u32 = u32::MAX - 1;
/// Verdicts kept per agent for show.
const VERDICTS: usize = 20;

/// A record on its way into the windows.
struct Placed<'r> {
    record: &'r Record<'r>,
    labels: Labels,
    sample: Sample,
    /// Whether it repeats what its agent did, if a rule asks and the record says.
    repeats: Option<bool>,
}

impl Engine {
    /// Takes records in, in their order.
    pub(super) fn records(&mut self, now: Timestamp, records: &[Record<'_>]) {
        let width = self.state.splits.len();
        let mut places = Vec::with_capacity(BATCH.min(records.len()) * width);
        let (mut known, mut found) = (None, Vec::new());
        for batch in records.chunks(BATCH) {
            places.clear();
            let placed = self.place(now, batch, &mut places);
            self.glance(&places);
            for (placed, places) in placed.iter().zip(places.chunks_exact(width)) {
                let values = self.values(&placed.record.extra, &mut known, &mut found);
                self.insert(now, placed, places, values);
            }
        }
    }

    /// Drops doubles, settles times, and finds the series of the rest: appends one place per split for each.
    fn place<'r>(&mut self, now: Timestamp, records: &'r [Record<'r>], places: &mut Vec<u32>) -> Vec<Placed<'r>> {
        let limits = &self.policy.settings.limits;
        let State { names, seen, splits, counters, newest, homes, works, .. } = &mut self.state;
        let ids = records.iter().filter_map(|r| r.id).fold(0, |sum, id| sum ^ seen.glance(id.0));
        black_box(ids ^ seen.glance_leaving(records.len(), limits.seen_ids));
        let values =
            |record: &Record<'_>| record.extra.as_shared().map_or(0, |(_, v)| v.first().map_or(0, |v| v.to_bits()));
        black_box(records.iter().fold(0, |sum, record| sum ^ values(record)));
        // One after another and nothing between them, so that no look waits for the memory of the one before.
        let mut agents = [None; BATCH];
        agents.iter_mut().zip(records).for_each(|(agent, record)| *agent = names.find(&record.agent));
        let mut placed = Vec::with_capacity(records.len());
        // The text of the source is one text for all that is read from it.
        let mut source: Option<(&str, Name)> = None;
        for (record, agent) in records.iter().zip(agents) {
            if record.id.is_some_and(|id| !seen.insert(id.0, limits.seen_ids)) {
                counters.duplicates += 1;
                continue;
            }
            counters.records += 1;
            counters.outcomes[record.outcome as usize] += 1;
            counters.unpriced += u64::from(record.cost.is_none());
            let at = intake::settle(record, now, newest.get_or_insert(Timestamp::MIN), counters);
            let Plan { dimensions, labels, .. } = &self.plan;
            let known = [agent, source.filter(|(text, _)| std::ptr::eq(*text, record.source)).map(|(_, name)| name)];
            let labels = intake::labels(record, known, dimensions, labels, names, limits.names, counters);
            source = Some((record.source, labels[Dimension::Source.place()]))
                .filter(|_| dimensions[Dimension::Source.place()]);
            placed.push(Placed { record, labels, repeats: None, sample: intake::sample(record, at) });
        }
        let width = splits.len();
        places.resize(placed.len() * width, NOWHERE);
        for (at, split) in splits.iter_mut().enumerate() {
            let takes = split.spec.takes;
            if !matches!(takes, Takes::Executions | Takes::Works) {
                continue;
            }
            for (placed, places) in placed.iter().zip(places.chunks_exact_mut(width)) {
                let taken = takes == Takes::Executions || placed.record.work.is_some();
                if taken && split.admits(&placed.labels, names) {
                    places[at] = split.at(|dimension| placed.labels[dimension.place()]).map_or(NEW, |at| at as u32);
                }
            }
        }
        for (placed, places) in placed.iter_mut().zip(places.chunks_exact_mut(width)) {
            let Placed { record, labels, sample, .. } = placed;
            for (split, place) in splits.iter_mut().zip(places.iter_mut()).filter(|(_, place)| **place == NEW) {
                *place = split.series_of(labels, sample.at, limits.series) as u32;
            }
            let own = places[Plan::AGENTS] as usize;
            homes.see(own, labels, record.outcome);
            if let Some(work) = record.work.filter(|_| self.plan.works) {
                // Agents beyond the bound are not told apart, so none of them repeats another.
                let known = splits[Plan::AGENTS].label(own, Dimension::Agent) != Some(Name::OVERFLOW);
                placed.repeats = Some(known && works.see(own, work));
            }
        }
        placed
    }

    /// The values of the plan's fields: those of the record as they are if it has the same fields, `known` being names
    /// that were found to be the same before; else in `found`.
    fn values<'v, 'r>(
        &self,
        extra: &'v Extra<'r>,
        known: &mut Option<&'r [String]>,
        found: &'v mut Vec<f64>,
    ) -> &'v [f64] {
        let fields = &self.plan.fields;
        if let Some((names, values)) = extra.as_shared()
            && (known.is_some_and(|known| std::ptr::eq(known, names)) || names == fields)
        {
            *known = Some(names);
            return values;
        }
        found.clear();
        found.resize(fields.len(), f64::NAN);
        for (name, value) in extra.iter() {
            if let Some(place) = fields.iter().position(|field| field == name) {
                found[place] = value;
            }
        }
        found
    }

    fn glance(&self, places: &[u32]) {
        let State { splits, baselines, verdicts, .. } = &self.state;
        let (mut sum, width) = (0, splits.len());
        for (at, split) in splits.iter().enumerate().filter(|(_, split)| split.series.len() > BATCH) {
            for depth in 0..DEPTH {
                let series = places.iter().skip(at).step_by(width).filter(|series| **series != NOWHERE);
                sum = series.fold(sum, |sum, series| sum ^ split.glance(*series as usize, depth));
            }
        }
        for depth in 0..DEPTH {
            for places in places.chunks_exact(width) {
                sum ^= baselines.get(places[Plan::CELLS] as usize).map_or(0, |baseline| baseline.glance(depth));
                let verdicts = verdicts.get(places[Plan::AGENTS] as usize);
                sum ^= verdicts.map_or(0, |v| if depth == 0 { v.len() as i64 } else { v.back().copied().unwrap_or(0) })
                    as u64;
            }
        }
        black_box(sum);
    }

    fn insert(&mut self, now: Timestamp, placed: &Placed<'_>, places: &[u32], values: &[f64]) {
        let State { names, splits, budgets, baselines, active, counters, verdicts, .. } = &mut self.state;
        let Placed { labels, sample, repeats, .. } = placed;
        let counts = Counts::of(sample);
        let work = repeats.map(|repeats| {
            let outcome = if repeats { Outcome::Error } else { Outcome::Ok };
            let work = Sample { outcome, ..*sample };
            (work, Counts::of(&work))
        });
        let mut missed = 0;
        for (split, &series) in splits.iter_mut().zip(places) {
            let (sample, counts) = match &work {
                Some((sample, counts)) if split.spec.takes == Takes::Works => (sample, counts),
                _ => (sample, &counts),
            };
            if series != NOWHERE {
                missed += split.insert(series as usize, now, sample, counts, values);
            }
        }
        // However many windows it came too late for, it is one record.
        counters.late += u64::from(missed > 0);
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
        baselines[cell].insert(sample, &counts, active.contains_key(&labels[Dimension::Agent.place()]));
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
