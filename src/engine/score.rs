//! Who performs well and who badly, against peers on the same kinds of tasks.
//!
//! Success is standardised to the fleet's mix of task types, and each type's rate is shrunk to the
//! peers' by a Beta prior of [`PRIOR`] pseudo-executions: 5 of 5 is promising, not better than 94
//! of 100. Latency and cost count only as far as the work succeeds, so failing fast earns nothing.
//! The points shown are those an agent reaches with 90 % certainty; its class compares the whole
//! 95 % interval with the peers' level.

mod work;

use std::collections::BTreeMap;

use super::baseline::{self, Body};
use super::names::Name;
use super::pane::Counts;
use super::peers::Standing;
use super::plan::{Plan, RECENT};
use super::view::{AgentView, BaselineView, Class, Component, HealthReason, PercentileView, RateView, TaskTypeView};
use super::{Engine, age};
use crate::model::{Timestamp, Unit};
use crate::stats::proportion::wilson;
use work::{Fleet, Work};

/// Weight of the peers' rate, in executions.
const PRIOR: f64 = 10.0;
/// Weights of the components; of those that are known, scaled to one.
const WEIGHTS: [(&str, f64); 4] = [("success", 0.6), ("quality", 0.2), ("latency", 0.1), ("cost", 0.1)];
/// Differences below this share (two points) are not worth a class of their own.
const EFFECT: f64 = 0.02;
/// Variance of a judge's verdicts that is assumed before there are many, in points squared.
const SCATTER: f64 = 400.0;
/// The success rate that counts as full attainment of health.
const SUCCESS_TARGET: f64 = 0.95;
/// The quantiles of an agent's durations that are shown.
const PERCENTILES: [f64; 5] = [0.5, 0.75, 0.9, 0.95, 0.99];
/// Samples kept exactly while digests are merged for show.
const EXACT: usize = 512;
const Z_90_ONE_SIDED: f64 = 1.281_551_565_545;
const Z_95: f64 = 1.959_963_984_540;

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

    /// Weighted attainment of targets; the last day's numbers where there are enough, else the
    /// score window's.
    fn health(&self, recent: &Body, all: &Body, base: &Body, model: Option<&str>) -> (Option<f64>, Vec<HealthReason>) {
        let enough = recent.counts.known >= u64::from(self.policy.settings.scores.min_samples);
        let (now, span) = if enough { (recent, "last 24h") } else { (all, "score window") };
        let mut parts: Vec<(f64, HealthReason)> = Vec::new();
        let mut add = |metric, weight: f64, attainment: f64, detail: String| {
            parts.push((weight, HealthReason { metric, attainment: attainment.clamp(0.0, 1.0), detail }));
        };
        if let Some(success) = now.counts.success_rate() {
            let (shown, target) = (Unit::Ratio.show(success), Unit::Ratio.show(SUCCESS_TARGET));
            let detail = format!("{shown} of {} over the {span}, target {target}", now.counts.known);
            add("success_rate", 0.4, success / SUCCESS_TARGET, detail);
        }
        if let Some(quality) = now.counts.mean_quality() {
            let (profile, _) = self.policy.profiles.resolve(model.unwrap_or_default());
            let target = profile.quality.complex;
            let detail = format!("{quality:.1} points over {} verdicts, target {target}", now.counts.judged);
            add("quality", 0.2, quality / target, detail);
        }
        if now.counts.durations > 0 {
            let kept = 1.0 - now.counts.censored as f64 / now.counts.durations as f64;
            let detail = format!("{} of {} runs were cut off", now.counts.censored, now.counts.durations);
            add("timeout_rate", 0.2, kept, detail);
        }
        if enough && base.counts.n >= baseline::READY {
            if let (Some(a), Some(b)) = (now.durations.quantile(0.5), base.durations.quantile(0.5)) {
                let (shown, usual) = (Unit::Duration.show(a.value), Unit::Duration.show(b.value));
                add("p50_latency", 0.2, b.value / a.value.max(1e-9), format!("{shown}, baseline {usual}"));
            }
            let cost = |c: &Counts| (c.priced > 0).then(|| c.cost as f64 / 1e9 / c.priced as f64);
            if let (Some(a), Some(b)) = (cost(&now.counts), cost(&base.counts)) {
                let (shown, usual) = (Unit::Money.show(a), Unit::Money.show(b));
                add("cost_per_execution", 0.2, b / a.max(1e-12), format!("{shown}, baseline {usual}"));
            }
        }
        let weight: f64 = parts.iter().map(|p| p.0).sum();
        let health = (weight > 0.0).then(|| parts.iter().map(|(w, r)| w * r.attainment).sum::<f64>() / weight);
        let mut reasons: Vec<HealthReason> = parts.into_iter().map(|p| p.1).collect();
        reasons.sort_by(|a, b| a.attainment.total_cmp(&b.attainment).then(a.metric.cmp(b.metric)));
        (health, reasons)
    }
}

/// An agent's points as a mean with a variance, and the peers' level on the same tasks.
struct Points {
    mean: f64,
    variance: f64,
    peers: Option<f64>,
    /// How uncertain the peers' own success is.
    peers_variance: f64,
    components: Vec<Component>,
}

impl Points {
    fn new(own: &Work, fleet: &Fleet, counts: &Counts) -> Option<Points> {
        if counts.known == 0 {
            return None;
        }
        let Standardised { mean: success, variance: success_variance, peers: peer_success, peers_variance } =
            standardised_success(own, fleet);
        let mut parts = vec![Part {
            name: "success",
            attainment: success,
            variance: success_variance,
            peers: peer_success,
            n: counts.known,
            detail: {
                let level = peer_success.map_or("no peers".to_owned(), |p| format!("peers {}", Unit::Ratio.show(p)));
                format!("{} on the fleet's mix of tasks, {level}", Unit::Ratio.show(success))
            },
        }];
        if let Some(mean) = counts.mean_quality() {
            let n = counts.judged as f64;
            // Few verdicts that agree are no certainty: the variance begins at that of a judge who
            // scatters by 20 points.
            let seen = counts.quality_variance().unwrap_or(SCATTER);
            let variance = (n * seen + PRIOR * SCATTER) / (n + PRIOR) / n / 1e4;
            let peers = peer_quality(own, fleet);
            let level = peers.map_or("no peers".to_owned(), |p| format!("peers {p:.1} on the same tasks"));
            parts.push(Part {
                name: "quality",
                attainment: mean / 100.0,
                variance,
                peers: peers.map(|p| p / 100.0),
                n: counts.judged,
                detail: format!("{mean:.1} points, {level}"),
            });
        }
        for (name, found) in [("latency", latency_ratio(own, fleet)), ("cost", cost_ratio(own, fleet))] {
            let (Some((ratio, n)), Some(peers)) = (found, peer_success) else { continue };
            let relative = 1.0 / (1.0 + ratio);
            // A ratio of medians or means over n executions with a coefficient of variation near
            // one has a log standard error near 1/sqrt(n).
            let spread = relative * (1.0 - relative) / (n as f64).sqrt();
            let variance = (success * spread).powi(2) + relative * relative * success_variance;
            let detail = format!("{ratio:.2} times the fleet's, times success");
            parts.push(Part { name, attainment: success * relative, variance, peers: Some(0.5 * peers), n, detail });
        }
        Some(Points { peers_variance, ..Points::combine(parts) })
    }

    fn combine(parts: Vec<Part>) -> Points {
        let weight = |name: &str| WEIGHTS.iter().find(|w| w.0 == name).map_or(0.0, |w| w.1);
        let total: f64 = parts.iter().map(|p| weight(p.name)).sum();
        let mut points =
            Points { mean: 0.0, variance: 0.0, peers: Some(0.0), peers_variance: 0.0, components: Vec::new() };
        let mut deviation = 0.0;
        for part in parts {
            let share = weight(part.name) / total;
            points.mean += share * part.attainment;
            // The parts share the success rate, so their deviations add rather than their variances.
            deviation += share * part.variance.sqrt();
            points.peers = points.peers.zip(part.peers).map(|(sum, p)| sum + share * p);
            points.components.push(Component {
                name: part.name,
                attainment: part.attainment,
                weight: share,
                n: part.n,
                detail: part.detail,
            });
        }
        points.variance = deviation * deviation;
        points
    }

    fn interval(&self) -> [f64; 2] {
        let half = Z_95 * self.variance.sqrt();
        [(self.mean - half).max(0.0), (self.mean + half).min(1.0)]
    }

    fn cautious(&self) -> f64 {
        (self.mean - Z_90_ONE_SIDED * self.variance.sqrt()).max(0.0)
    }

    /// Compares the difference to the peers with its own interval: both sides are uncertain.
    fn class(&self) -> Class {
        let half = Z_95 * (self.variance + self.peers_variance).sqrt();
        match self.peers {
            Some(peers) if self.mean - half > peers + EFFECT => Class::High,
            Some(peers) if self.mean + half < peers - EFFECT => Class::Low,
            _ => Class::Normal,
        }
    }
}

struct Part {
    name: &'static str,
    attainment: f64,
    variance: f64,
    peers: Option<f64>,
    n: u64,
    detail: String,
}

/// Success on the fleet's mix of task types (direct standardisation), each type's rate the mean of
/// a Beta posterior whose prior is the peers' rate; with its variance and the peers' own level.
fn standardised_success(own: &Work, fleet: &Fleet) -> Standardised {
    let total: u64 = fleet.types.values().map(|b| b.counts.known).sum();
    let mut sum = Standardised { mean: 0.0, variance: 0.0, peers: Some(0.0), peers_variance: 0.0 };
    for (task_type, all) in fleet.types.iter().filter(|(_, b)| b.counts.known > 0) {
        let weight = all.counts.known as f64 / total as f64;
        let mine = own.types.get(task_type).map(|b| b.counts).unwrap_or_default();
        let peer = fleet.peer_rate(own, *task_type);
        let prior = peer.unwrap_or(0.5);
        let strength = if peer.is_some() { PRIOR } else { 1.0 };
        let a = mine.ok as f64 + strength * prior;
        let b = (mine.known - mine.ok) as f64 + strength * (1.0 - prior);
        sum.mean += weight * a / (a + b);
        sum.variance += weight * weight * a * b / ((a + b).powi(2) * (a + b + 1.0));
        sum.peers = sum.peers.zip(peer).map(|(sum, p)| sum + weight * p);
        // Agresti and Coull's two pseudo-executions of each kind keep one of one from being certain.
        let n = fleet.others(own, *task_type).1 as f64 + 4.0;
        let p = (prior * (n - 4.0) + 2.0) / n;
        sum.peers_variance += weight * weight * p * (1.0 - p) / n;
    }
    sum
}

/// Success on the fleet's mix of tasks, the peers' beside it, both with their variances.
struct Standardised {
    mean: f64,
    variance: f64,
    peers: Option<f64>,
    peers_variance: f64,
}

/// What the others' verdicts are on the agent's own mix of judged tasks.
fn peer_quality(own: &Work, fleet: &Fleet) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0.0);
    for (task_type, body) in own.types.iter().filter(|(_, b)| b.counts.judged > 0) {
        let all = fleet.types.get(task_type)?.counts;
        let others = all.judged - body.counts.judged;
        if others > 0 {
            let mean = (all.quality - body.counts.quality) as f64 / 1e3 / others as f64;
            sum += body.counts.judged as f64 * mean;
            n += body.counts.judged as f64;
        }
    }
    (n > 0.0).then(|| sum / n)
}

/// Geometric mean over task types of own median duration / the fleet's, weighted by own
/// executions; only types that others did too.
fn latency_ratio(own: &Work, fleet: &Fleet) -> Option<(f64, u64)> {
    let (mut log, mut n) = (0.0, 0);
    for (task_type, body) in &own.types {
        let all = fleet.types.get(task_type)?;
        if all.counts.durations == body.counts.durations {
            continue;
        }
        if let (Some(a), Some(b)) = (body.durations.quantile(0.5), fleet.medians.get(task_type)) {
            log += body.counts.durations as f64 * (a.value.max(1e-3) / b.max(1e-3)).ln();
            n += body.counts.durations;
        }
    }
    (n > 0).then(|| ((log / n as f64).exp(), n))
}

/// Own cost / what the fleet pays on average for the same mix of tasks (indirect standardisation).
fn cost_ratio(own: &Work, fleet: &Fleet) -> Option<(f64, u64)> {
    let (mut actual, mut expected, mut n) = (0.0, 0.0, 0);
    for (task_type, body) in &own.types {
        let all = &fleet.types.get(task_type)?.counts;
        let mine = &body.counts;
        if mine.priced == 0 || all.priced == mine.priced || all.cost == 0 {
            continue;
        }
        actual += mine.cost as f64;
        expected += mine.priced as f64 * all.cost as f64 / all.priced as f64;
        n += mine.priced;
    }
    (expected > 0.0).then(|| (actual / expected, n))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ok: u64, known: u64) -> Counts {
        Counts { n: known, known, ok, ..Counts::default() }
    }

    /// Points of the first of several agents, each `(ok, known)` per task type.
    fn points(agents: &[&[(u64, u64)]]) -> Points {
        let mut fleet = Fleet::default();
        let mut first = None;
        for agent in agents {
            let mut own = Work::default();
            for (i, (ok, known)) in agent.iter().enumerate() {
                let mut names = super::super::names::Names::default();
                let name = (0..=i).map(|j| names.intern(&j.to_string(), 99)).last().expect("one at least");
                let body = Body { counts: counts(*ok, *known), ..Body::default() };
                let all = fleet.types.entry(name).or_default();
                all.counts = all.counts.plus(&body.counts);
                fleet.all = fleet.all.plus(&body.counts);
                own.types.insert(name, body);
            }
            first.get_or_insert(own);
        }
        let own = first.expect("one agent at least");
        let all = own.types.values().fold(Counts::default(), |sum, b| sum.plus(&b.counts));
        Points::new(&own, &fleet, &all).expect("known outcomes")
    }

    #[test]
    fn five_of_five_ranks_below_94_of_100() {
        let rest: &[(u64, u64)] = &[(900, 1_000)];
        let small = points(&[&[(5, 5)], &[(94, 100)], rest]);
        let large = points(&[&[(94, 100)], &[(5, 5)], rest]);
        assert!(small.cautious() < large.cautious(), "{} {}", small.cautious(), large.cautious());
    }

    #[test]
    fn classes_need_more_than_chance() {
        let rest: &[(u64, u64)] = &[(600, 1_000)];
        assert_eq!(points(&[&[(95, 100)], &[(1, 2)]]).class(), Class::Normal, "two runs of a peer are no level");
        for (ok, known, class) in
            [(10, 100, Class::Low), (95, 100, Class::High), (60, 100, Class::Normal), (8, 10, Class::Normal)]
        {
            assert_eq!(points(&[&[(ok, known)], rest]).class(), class, "{ok} of {known}");
        }
    }

    #[test]
    fn hard_tasks_do_not_make_a_bad_agent() {
        // The first agent does mostly hard tasks, at the peers' own rate.
        let peers: &[(u64, u64)] = &[(950, 1_000), (60, 200)];
        let own: &[(u64, u64)] = &[(19, 20), (120, 400)];
        assert_eq!(points(&[own, peers]).class(), Class::Normal);
    }

    #[test]
    fn a_lone_agent_is_compared_with_nobody() {
        let lone = points(&[&[(50, 100)]]);
        assert_eq!((lone.peers, lone.class()), (None, Class::Normal));
    }
}
