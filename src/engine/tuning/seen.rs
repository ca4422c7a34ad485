//! What was seen of the agents whose values are tuned: one pass over the cells for all of them.
//!
//! Nothing here is kept: it is made from the windows whenever tuning looks at them.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::baseline::READY;
use crate::engine::names::Name;
use crate::engine::pane::Counts;
use crate::engine::plan::{Plan, RECENT};
use crate::engine::tune::concurrency::Load;
use crate::engine::{State, age};
use crate::model::{Dimension, Timestamp};
use crate::stats::{Digest, Durations, Moments};

/// Executions of other agents on a model from which its typical duration is taken.
const POOL: u64 = 30;

/// One agent's executions.
#[derive(Debug, Default)]
pub struct Seen {
    /// Durations in the score window.
    pub durations: Durations,
    /// The most used model in the score window; `None` when no record names one.
    pub model: Option<Name>,
    /// The median duration of other agents on that model, when there are enough of them.
    pub typical_ms: Option<f64>,
    /// The last day's executions at once.
    pub load: Load,
    /// Whether the last day's verdicts lie significantly below the baseline's.
    pub quality_fallen: bool,
    types: BTreeMap<Name, Counts>,
    models: BTreeMap<Name, u64>,
    baseline: Counts,
    first: Option<Timestamp>,
}

impl Seen {
    /// Every one of `agents` that has been seen.
    pub fn all(state: &State, agents: &BTreeSet<Name>, now: Timestamp) -> BTreeMap<Name, Seen> {
        let mut all: BTreeMap<Name, Seen> = BTreeMap::new();
        let mut models: BTreeMap<Name, BTreeMap<Name, Durations>> = BTreeMap::new();
        let split = &state.splits[Plan::CELLS];
        for (index, series) in split.series.iter().enumerate() {
            let label = |dimension| split.label(index, dimension).unwrap_or(Name::NONE);
            let (agent, model, window) = (label(Dimension::Agent), label(Dimension::Model), split.look(index, 0));
            let durations = models.entry(model).or_default().entry(agent).or_default();
            window.durations_up_to(durations, Digest::EXACT);
            if !agents.contains(&agent) {
                continue;
            }
            let seen = all.entry(agent).or_default();
            let counts = seen.types.entry(label(Dimension::TaskType)).or_default();
            *counts = counts.plus(&window.counts());
            *seen.models.entry(model).or_default() += window.counts().n;
            if let Some(baseline) = state.baselines.get(index) {
                seen.baseline = seen.baseline.plus(&baseline.counts());
            }
            seen.first = Some(seen.first.map_or(series.first_seen, |t| t.min(series.first_seen)));
        }
        for seen in all.values_mut() {
            let named = seen.models.iter().filter(|(model, n)| **model != Name::NONE && **n > 0);
            seen.model = named.max_by_key(|(model, n)| (**n, std::cmp::Reverse(**model))).map(|(model, _)| *model);
        }
        for (model, durations) in &models {
            for (agent, own) in durations {
                if let Some(seen) = all.get_mut(agent) {
                    seen.durations.merge(own);
                }
            }
            each_without(durations, |agent, others| {
                if let Some(seen) = all.get_mut(&agent).filter(|seen| seen.model.unwrap_or(Name::NONE) == *model) {
                    seen.typical_ms = typical(others);
                }
            });
        }
        Seen::last_day(&mut all, state, now);
        all
    }

    fn last_day(all: &mut BTreeMap<Name, Seen>, state: &State, now: Timestamp) {
        let split = &state.splits[Plan::AGENTS];
        let slice = split.windows[0].shape.pane;
        for (index, series) in split.series.iter().enumerate() {
            let agent = split.label(index, Dimension::Agent).unwrap_or(Name::NONE);
            let Some(seen) = all.get_mut(&agent).filter(|_| age(now, series.last_seen) <= RECENT) else { continue };
            let span = seen.first.map_or(RECENT, |first| age(now, first).min(RECENT));
            seen.load = Load::new(span, slice, split.look(index, 0).panes());
            seen.quality_fallen = fallen(&split.look(index, 0).counts(), &seen.baseline);
        }
    }

    /// The verdicts in the score window on one task type, and whether there are runs of it: if
    /// not, they are all of the agent's.
    pub fn scores(&self, task_type: Option<Name>) -> (Moments, bool) {
        let own = task_type.and_then(|name| self.types.get(&name)).filter(|counts| counts.n > 0);
        let counts = own.copied().unwrap_or_else(|| self.types.values().fold(Counts::default(), |sum, c| sum.plus(c)));
        let (mean, variance) = (counts.mean_quality(), counts.quality_variance());
        (Moments::from_parts(counts.judged, mean.unwrap_or_default(), variance.unwrap_or_default()), own.is_some())
    }
}

/// Calls `see` for every agent with the durations of all the others. Sums from both ends: each
/// agent's durations are merged twice, however many agents there are.
fn each_without(durations: &BTreeMap<Name, Durations>, mut see: impl FnMut(Name, &Durations)) {
    let mut after = vec![Durations::default()];
    for own in durations.values().rev() {
        let mut sum = after[after.len() - 1].clone();
        sum.merge(own);
        after.push(sum);
    }
    after.pop();
    let mut before = Durations::default();
    for (agent, own) in durations {
        let mut others = after.pop().unwrap_or_default();
        others.merge(&before);
        see(*agent, &others);
        before.merge(own);
    }
}

/// The median, when there are enough runs and not too many of them were cut off.
fn typical(others: &Durations) -> Option<f64> {
    others.quantile(0.5).filter(|median| others.len() >= POOL && !median.at_least).map(|median| median.value)
}

/// Whether the last day's verdicts lie more than three standard errors below the baseline's.
fn fallen(recent: &Counts, baseline: &Counts) -> bool {
    let (Some(now), Some(usual)) = (recent.mean_quality(), baseline.mean_quality()) else { return false };
    let variance = recent.quality_variance().unwrap_or_default();
    let enough = recent.judged >= 10 && baseline.judged >= READY;
    enough && usual - now > 3.0 * (variance / recent.judged as f64).sqrt().max(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::names::Names;

    #[test]
    fn an_agent_is_not_its_own_neighbour() {
        let mut names = Names::default();
        let runs = |n: usize, ms: f64, cut: bool| {
            let mut durations = Durations::default();
            (0..n).for_each(|_| durations.insert(ms, cut));
            durations
        };
        let agents = [
            ("fast", runs(40, 1_000.0, false), Some(9_000.0)),
            ("slow", runs(60, 9_000.0, false), Some(1_000.0)),
            ("idle", runs(0, 0.0, false), Some(9_000.0)),
        ];
        let find = |agents: &[(&str, Durations, Option<f64>)], names: &mut Names| {
            let all = agents.iter().map(|(agent, own, _)| (names.intern(agent, 100), own.clone())).collect();
            let mut found = BTreeMap::new();
            each_without(&all, |agent, others| {
                found.insert(agent, typical(others));
            });
            for (agent, _, expected) in agents {
                let found = found[&names.intern(agent, 100)];
                // Many durations are kept within 1 %.
                let near = |(a, b): (f64, f64)| (a / b - 1.0).abs() < 0.01;
                assert!(found.zip(*expected).map_or(found == *expected, near), "{agent}: {found:?}");
            }
        };
        find(&agents, &mut names);
        // Too few neighbours, and neighbours that were nearly all cut off.
        find(&[("few", runs(29, 1.0, false), None), ("many", runs(90, 1.0, true), None)], &mut names);
    }
}
