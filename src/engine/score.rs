//! Who performs well and who badly, against peers on the same kinds of tasks: what people and rules see of it.

mod health;
mod points;
mod work;

use std::collections::BTreeMap;

use super::baseline::{self, Body};
use super::names::Name;
use super::pane::Counts;
use super::peers::Standing;
use super::plan::{Plan, RECENT};
use super::view::{AgentView, BaselineView, Class, PercentileView, RateView, TaskTypeView};
use super::{Engine, age};
use crate::model::Timestamp;
use crate::stats::proportion::wilson;
use points::Points;
use work::{Fleet, Work};

/// The quantiles of an agent's durations that are shown.
const PERCENTILES: [f64; 5] = [0.5, 0.75, 0.9, 0.95, 0.99];
/// Samples kept exactly while digests are merged for show.
const EXACT: usize = 512;

impl Engine {
    /// Every agent, best first; those with insufficient data last.
    pub(super) fn agents(&self, now: Timestamp) -> Vec<AgentView> {
        let fleet = self.fleet();
        let mut agents: Vec<AgentView> =
            fleet.agents.iter().map(|(name, cells)| self.agent(*name, cells, &fleet, now)).collect();
        let insufficient = |a: &AgentView| a.class == Class::InsufficientData;
        agents.sort_by(|a, b| {
            insufficient(a)
                .cmp(&insufficient(b))
                .then(b.score.unwrap_or(-1.0).total_cmp(&a.score.unwrap_or(-1.0)))
                .then_with(|| a.agent.cmp(&b.agent))
        });
        agents
    }

    /// The points of every agent that has executions enough.
    pub(super) fn standings(&self) -> BTreeMap<Name, Standing> {
        let fleet = self.fleet();
        let least = u64::from(self.policy.settings.scores.min_samples);
        let standing = |(name, cells): (&Name, &Vec<usize>)| {
            let own = self.work(cells);
            let counts = own.types.values().fold(Counts::default(), |sum, body| sum.plus(&body.counts));
            let points = Points::new(&own, &fleet, &counts).filter(|_| counts.known >= least)?;
            let peers = points.peers.map(|peers| 100.0 * peers);
            Some((*name, Standing { score: 100.0 * points.cautious(), peers, n: counts.known }))
        };
        fleet.agents.iter().filter_map(standing).collect()
    }

    /// The newest verdicts on an agent in thousandths of a point, oldest first.
    fn verdicts(&self, agent: Name) -> impl Iterator<Item = &i64> {
        let series = self.state.splits[Plan::AGENTS].find(agent);
        series.and_then(|series| self.state.verdicts.get(series)).into_iter().flatten()
    }

    fn agent(&self, name: Name, cells: &[usize], fleet: &Fleet, now: Timestamp) -> AgentView {
        let own = &self.work(cells);
        let (baseline, updated) = self.learned(cells);
        let names = &self.state.names;
        let settings = &self.policy.settings.scores;
        let mut all = Body::default();
        for body in own.types.values() {
            all.counts = all.counts.plus(&body.counts);
            all.durations.merge_up_to(&body.durations, EXACT);
        }
        let counts = all.counts;
        let points = Points::new(own, fleet, &counts);
        let class = match &points {
            Some(_) if counts.known < u64::from(settings.min_samples) => Class::InsufficientData,
            None => Class::InsufficientData,
            Some(p) => p.class(),
        };
        let percentiles = all.durations.quantiles(PERCENTILES);
        let [p50, .., p95, _] = percentiles;
        let named = own.models.iter().filter(|(name, _)| **name != Name::NONE);
        let model =
            named.max_by_key(|(name, n)| (**n, std::cmp::Reverse(**name))).map(|(m, _)| names.text(*m).to_owned());
        let recent = self.recent(name, now);
        let (health, health_reasons) = self.health(&recent, &all, &baseline, model.as_deref());
        let active = self.state.active.contains_key(&name);
        AgentView {
            agent: names.text(name).to_owned(),
            n: counts.n,
            class,
            score: points.as_ref().map(|p| 100.0 * p.cautious()),
            interval: points.as_ref().map(|p| p.interval().map(|v| 100.0 * v)),
            peers: points.as_ref().and_then(|p| p.peers).map(|p| 100.0 * p),
            health,
            health_reasons,
            success: rate(counts.ok, counts.known),
            percentiles: PERCENTILES
                .into_iter()
                .zip(percentiles)
                .filter_map(|(q, e)| e.map(|e| PercentileView { q, ms: e.value, at_least: e.at_least }))
                .collect(),
            p50_ms: p50.map(|e| e.value),
            p50_at_least: p50.is_some_and(|e| e.at_least),
            p95_ms: p95.map(|e| e.value),
            p95_at_least: p95.is_some_and(|e| e.at_least),
            censored: counts.censored,
            cost_per_success: counts.cost_per_success(),
            cost: (counts.priced > 0).then(|| counts.cost as f64 / 1e9),
            cost_unknown: counts.n - counts.priced,
            quality: counts.mean_quality(),
            quality_scores: self.verdicts(name).map(|q| *q as f64 / 1e3).collect(),
            total_tokens: (counts.counted > 0).then(|| counts.input + counts.output),
            mean_ms: counts.mean_ms(),
            total_duration_ms: counts.duration_us as f64 / 1e3,
            relative: baseline::relative(&recent.durations, &baseline.durations),
            baseline: BaselineView {
                state: baseline::state(baseline.counts.n, updated, now, active),
                n: baseline.counts.n,
                updated,
                p50_ms: baseline.durations.quantile(0.5).map(|e| e.value),
            },
            first_seen: own.first.unwrap_or(now),
            last_seen: own.last.unwrap_or(now),
            model,
            components: points.map(|p| p.components).unwrap_or_default(),
            task_types: own.types.iter().map(|(t, body)| self.task_type(*t, body, own, fleet)).collect(),
        }
    }

    fn task_type(&self, name: Name, body: &Body, own: &Work, fleet: &Fleet) -> TaskTypeView {
        let c = &body.counts;
        let [p50, p95] = body.durations.quantiles([0.5, 0.95]);
        let (ok, known) = fleet.others(own, name);
        TaskTypeView {
            task_type: self.state.names.text(name).to_owned(),
            n: c.n,
            success: rate(c.ok, c.known),
            peers: rate(ok, known),
            p50_ms: p50.map(|e| e.value),
            p50_at_least: p50.is_some_and(|e| e.at_least),
            p95_ms: p95.map(|e| e.value),
            p95_at_least: p95.is_some_and(|e| e.at_least),
            censored: c.censored,
            cost_per_execution: (c.priced > 0).then(|| c.cost as f64 / 1e9 / c.priced as f64),
            quality: c.mean_quality(),
        }
    }

    /// The agent's executions of the last day.
    pub(super) fn recent(&self, agent: Name, now: Timestamp) -> Body {
        let split = &self.state.splits[Plan::AGENTS];
        let mut body = Body::default();
        if let Some(index) = split.find(agent).filter(|i| age(now, split.series[*i].last_seen) <= RECENT) {
            body.counts = split.look(index, 0).counts();
            split.look(index, 0).durations_up_to(&mut body.durations, EXACT);
        }
        body
    }
}

fn rate(ok: u64, known: u64) -> RateView {
    if known == 0 {
        return RateView::default();
    }
    let interval = wilson(ok as f64, known as f64, 0.95);
    RateView {
        rate: Some(ok as f64 / known as f64),
        lower: Some(interval.lower),
        upper: Some(interval.upper),
        n: known,
    }
}
