//! What the others do: for rules that hold an agent against its peers, or read its score.
//!
//! Peers are the other agents on the same task types, and what they do is measured in the same window as the
//! agent itself: what befalls all of them (a slow provider, a busy hour) moves both sides. Each task type
//! has the median of the others' values, which a few wild ones cannot move, and an agent's own mix of
//! task types says how much each counts. The agent itself is never among its peers.
//!
//! Nothing here is done unless a rule asks for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::names::Name;
use super::reading::Reading;
use super::rules::RUNS;
use super::split::Split;
use crate::model::{Dimension, Metric, Span, Timestamp};
use crate::rule::Rule;
use crate::settings::Settings;

/// Fewer others on a task type than this are no peers: of three, one may be wild.
pub const LEAST: usize = 3;
/// An agent has peers when they do the task types of at least this share of its executions.
const COVERED: f64 = 0.5;
/// The part of the score window after which scores are made anew: an hour of 30 days.
const RENEWALS: i64 = 720;
/// The part of a rule's window after which its peers are looked at anew: a slice of a long window.
const LOOKS: i64 = 30;

/// What the peers of every subject of a rule do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Peers {
    /// When they were looked at.
    looked: Option<Timestamp>,
    /// By series of the rule's split, as many as the rule asks for.
    values: Vec<Option<f64>>,
    /// By series of the split by task type: whose it is and which group it is in; made as they appear.
    #[serde(skip)]
    cells: Vec<Option<Cell>>,
    #[serde(skip)]
    groups: BTreeMap<Vec<Name>, u32>,
}

/// One subject on one task type.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    series: u32,
    /// All that have the same labels but for the agent.
    group: u32,
}

/// Where a rule finds the peers: a window of a split that has its labels and the task type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerPlan {
    /// Index of the split.
    pub split: usize,
    /// Index of the window in it.
    pub window: usize,
}

impl Peers {
    /// What the peers of each input of the rule that asks for them do, in their order.
    pub fn of(&self, series: usize, rule: &Rule) -> &[Option<f64>] {
        let asked = asked(rule).count();
        self.values.get(series * asked..(series + 1) * asked).unwrap_or_default()
    }

    /// How far apart the peers over a window are looked at.
    pub fn every(window: Span, step: Span) -> Span {
        let step = step.max(RUNS).0;
        Span((window.0 / LOOKS + step - 1) / step * step).max(Span(step))
    }

    /// When a rule over a window sees other peers after `now`.
    pub fn next(window: Span, step: Span, now: Timestamp) -> Timestamp {
        let every = Peers::every(window, step).0;
        Timestamp((now.0.div_euclid(every) + 1).saturating_mul(every))
    }

    /// Takes in what the peers do now.
    fn renew(&mut self, rule: &Rule, plan: PeerPlan, own: &Split, by_type: &Split, now: Timestamp) {
        self.find_cells(own, by_type);
        let asked = asked(rule);
        let width = asked.clone().count();
        self.looked = Some(now);
        self.values.clear();
        self.values.resize(own.series.len() * width, None);
        for (place, metric) in asked.enumerate() {
            let read = |cell: usize| {
                let reading = Reading::of((by_type, cell), plan.window, now);
                (reading.metric(metric, rule.min_samples).0, reading.counts.n)
            };
            for (series, value) in self.centres(own.series.len(), metric, read).into_iter().enumerate() {
                self.values[series * width + place] = value;
            }
        }
    }

    fn find_cells(&mut self, own: &Split, by_type: &Split) {
        for index in self.cells.len()..by_type.series.len() {
            let label = |dimension| by_type.label(index, dimension).unwrap_or(Name::NONE);
            let by = by_type.spec.by.iter().copied();
            let labels: Vec<Name> = by.filter(|d| *d != Dimension::Agent).map(label).collect();
            let next = self.groups.len() as u32;
            let known = label(Dimension::Agent) != Name::OVERFLOW;
            let series = own.at(label).filter(|_| known);
            self.cells.push(series.map(|series| {
                let group = *self.groups.entry(labels).or_insert(next);
                Cell { series: series as u32, group }
            }));
        }
    }

    /// The centre of the peers of each of `series` subjects; `read` gives a cell's value and its executions.
    fn centres(&self, series: usize, metric: Metric, read: impl Fn(usize) -> (Option<f64>, u64)) -> Vec<Option<f64>> {
        let values: Vec<(Option<f64>, u64)> = (0..self.cells.len()).map(read).collect();
        let mut groups: Vec<Vec<(f64, usize)>> = vec![Vec::new(); self.groups.len()];
        for (index, (cell, (value, _))) in self.cells.iter().zip(&values).enumerate() {
            if let (Some(cell), Some(value)) = (cell, value) {
                groups[cell.group as usize].push((*value, index));
            }
        }
        groups.iter_mut().for_each(|group| group.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))));
        let mut sums = vec![Mix::default(); series];
        for (index, (cell, (value, n))) in self.cells.iter().zip(&values).enumerate() {
            let Some(cell) = cell.filter(|_| *n > 0) else { continue };
            let group = &groups[cell.group as usize];
            let own = value.map(|v| group.partition_point(|e| e.0.total_cmp(&v).then(e.1.cmp(&index)).is_lt()));
            sums[cell.series as usize].add(*n as f64, median_without(group, own));
        }
        sums.iter().map(|mix| mix.centre(is_total(metric))).collect()
    }
}

/// The task types of one subject.
#[derive(Debug, Clone, Copy, Default)]
struct Mix {
    n: f64,
    /// Executions on task types that have peers.
    covered: f64,
    weighted: f64,
    total: f64,
}

impl Mix {
    fn add(&mut self, n: f64, centre: Option<f64>) {
        self.n += n;
        if let Some(centre) = centre {
            self.covered += n;
            self.weighted += n * centre;
            self.total += centre;
        }
    }

    /// Of a total, what the peers have on all of the subject's task types; else the mean over its executions.
    fn centre(&self, total: bool) -> Option<f64> {
        let enough = self.covered > 0.0 && self.covered >= COVERED * self.n;
        enough.then(|| if total { self.total * self.n / self.covered } else { self.weighted / self.covered })
    }
}

/// The median of sorted values, the one at `own` left out; `None` when too few are left.
fn median_without(sorted: &[(f64, usize)], own: Option<usize>) -> Option<f64> {
    let own = own.filter(|own| *own < sorted.len());
    let left = sorted.len() - usize::from(own.is_some());
    if left < LEAST {
        return None;
    }
    let at = |place: usize| sorted[place + usize::from(own.is_some_and(|own| place >= own))].0;
    let (lower, upper) = (at((left - 1) / 2), at(left / 2));
    Some(lower + (upper - lower) / 2.0)
}

/// Whether the values of an agent's task types add up to its own.
fn is_total(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::Executions
            | Metric::FailedExecutions
            | Metric::InputTokens
            | Metric::OutputTokens
            | Metric::TotalTokens
            | Metric::Cost
            | Metric::HourlyCost
            | Metric::Throughput
    )
}

/// The metrics that a rule asks the peers for.
fn asked(rule: &Rule) -> impl Iterator<Item = Metric> + Clone {
    rule.program.inputs.iter().filter_map(crate::rule::Input::peers)
}

/// An agent's points and those of its peers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Points that it reaches with 90 % certainty.
    pub score: f64,
    /// The peers' points on the same mix of tasks.
    pub peers: Option<f64>,
    /// Executions behind them.
    pub n: u64,
}

/// The scores as rules read them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Standings {
    made: Option<Timestamp>,
    of: BTreeMap<Name, Standing>,
}

impl Standings {
    /// Whether the agent of a series has a standing, or ran since they were made and may get one.
    pub fn may_be_of(&self, split: &Split, series: usize) -> bool {
        self.of(split, series).is_some() || self.made.is_none_or(|made| split.series[series].last_seen >= made)
    }

    /// How far apart scores are made anew.
    pub fn every(settings: &Settings) -> Span {
        let step = settings.evaluation_interval.0.max(1);
        let wanted = (settings.scores.window.0 / RENEWALS).max(Span::minutes(1).0);
        Span((wanted + step - 1) / step * step)
    }

    /// The standing of the agent of a series, if it has executions enough.
    pub fn of(&self, split: &Split, series: usize) -> Option<&Standing> {
        self.of.get(&split.label(series, Dimension::Agent)?)
    }
}

impl Engine {
    /// When scores are made anew after `now`.
    pub(super) fn next_standings(&self, now: Timestamp) -> Timestamp {
        let every = Standings::every(&self.policy.settings).0;
        Timestamp((now.0.div_euclid(every) + 1).saturating_mul(every))
    }

    /// Before rules are evaluated at `now`: what those that compare agents will read.
    pub(super) fn look_around(&mut self, now: Timestamp) {
        let every = Standings::every(&self.policy.settings);
        let turn = |at: Timestamp| at.0.div_euclid(every.0);
        if self.plan.scores && self.state.standings.made.is_none_or(|made| turn(made) != turn(now)) {
            self.state.standings = Standings { made: Some(now), of: self.standings() };
        }
        let step = self.policy.settings.evaluation_interval;
        for &index in &self.plan.comparing {
            let (rule, plan) = (&self.policy.rules[index], &self.plan.rules[index]);
            let own = &self.state.splits[plan.split];
            let wake = own.wake.min(self.plan.splits[plan.split].turn(own, now - step));
            let every = Peers::every(rule.window, step);
            let turn = |at: Timestamp| at.0.div_euclid(every.0);
            let anew = self.state.rules[index].peers.looked.is_none_or(|looked| turn(looked) != turn(now));
            let Some(peers) = plan.peers.filter(|_| anew && wake <= now) else { continue };
            self.state.splits[peers.split].age(peers.window, now);
            let (own, by_type) = (&self.state.splits[plan.split], &self.state.splits[peers.split]);
            self.state.rules[index].peers.renew(rule, peers, own, by_type, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_leaves_the_agent_itself_out() {
        let sorted: Vec<(f64, usize)> = [1.0, 2.0, 3.0, 50.0].into_iter().zip(0..).collect();
        for (own, expected) in [(None, Some(2.5)), (Some(0), Some(3.0)), (Some(3), Some(2.0)), (Some(9), Some(2.5))] {
            assert_eq!(median_without(&sorted, own), expected, "{own:?}");
        }
        assert_eq!(median_without(&sorted[..3], Some(1)), None, "two are no peers");
        assert_eq!(median_without(&sorted[..3], None), Some(2.0));
    }

    /// Agents 0 to 4 on the task types `a` (group 0) and `b` (group 1).
    fn centres(metric: Metric, cells: &[(u32, u32, f64, u64)]) -> Vec<Option<f64>> {
        let groups = (0..2).map(|group| (vec![Name::NONE; group + 1], group as u32)).collect();
        let of = |(series, group, ..): &(u32, u32, f64, u64)| Some(Cell { series: *series, group: *group });
        let peers = Peers { looked: None, values: Vec::new(), cells: cells.iter().map(of).collect(), groups };
        peers.centres(5, metric, |cell| (Some(cells[cell].2), cells[cell].3))
    }

    #[test]
    fn an_agent_is_compared_on_its_own_mix_of_tasks() {
        let mut cells: Vec<(u32, u32, f64, u64)> = (0..4).map(|agent| (agent, 0, 10.0, 10)).collect();
        cells.extend((0..4).map(|agent| (agent, 1, 100.0, 10)));
        // Nine of its ten executions are of the dear kind.
        cells.extend([(4, 0, 10.0, 1), (4, 1, 100.0, 9)]);
        assert_eq!(
            centres(Metric::CostPerExecution, &cells),
            [Some(55.0), Some(55.0), Some(55.0), Some(55.0), Some(91.0)]
        );
        assert_eq!(centres(Metric::Cost, &cells)[4], Some(110.0), "totals of its task types add up");
    }

    #[test]
    fn task_types_that_nobody_else_does_count_up_to_a_half() {
        let mut cells: Vec<(u32, u32, f64, u64)> = (0..4).map(|agent| (agent, 0, 10.0, 10)).collect();
        cells.extend([(4, 0, 70.0, 6), (4, 1, 5.0, 4)]);
        assert_eq!(centres(Metric::CostPerExecution, &cells)[4], Some(10.0));
        assert_eq!(centres(Metric::Cost, &cells)[4], Some(10.0 * 10.0 / 6.0), "scaled to all of its executions");
        let last = cells.len() - 1;
        cells[last].3 = 7;
        assert_eq!(centres(Metric::CostPerExecution, &cells)[4], None);
    }
}
