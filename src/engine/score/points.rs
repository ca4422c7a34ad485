//! An agent's points, with how sure they are, and its peers' level.
//!
//! Success is standardised to the fleet's mix of task types, and each type's rate is shrunk to the
//! peers' by a Beta prior of [`PRIOR`] pseudo-executions: 5 of 5 is promising, not better than 94
//! of 100. Latency and cost count only as far as the work succeeds, so failing fast earns nothing.
//! The points shown are those an agent reaches with 90 % certainty; its class compares the whole
//! 95 % interval with the peers' level.

use super::work::{Fleet, Work};
use crate::engine::pane::Counts;
use crate::engine::view::{Class, Component};
use crate::model::Unit;

/// Weight of the peers' rate, in executions.
const PRIOR: f64 = 10.0;
/// Weights of the components; of those that are known, scaled to one.
const WEIGHTS: [(&str, f64); 4] = [("success", 0.6), ("quality", 0.2), ("latency", 0.1), ("cost", 0.1)];
/// Differences below this share (two points) are not worth a class of their own.
const EFFECT: f64 = 0.02;
/// Variance of a judge's verdicts that is assumed before there are many, in points squared.
const SCATTER: f64 = 400.0;
const Z_90_ONE_SIDED: f64 = 1.281_551_565_545;
const Z_95: f64 = 1.959_963_984_540;

/// An agent's points as a mean with a variance, and the peers' level on the same tasks.
pub(super) struct Points {
    mean: f64,
    variance: f64,
    pub peers: Option<f64>,
    /// How uncertain the peers' own success is.
    peers_variance: f64,
    pub components: Vec<Component>,
}

impl Points {
    pub fn new(own: &Work, fleet: &Fleet, counts: &Counts) -> Option<Points> {
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

    pub fn interval(&self) -> [f64; 2] {
        let half = Z_95 * self.variance.sqrt();
        [(self.mean - half).max(0.0), (self.mean + half).min(1.0)]
    }

    pub fn cautious(&self) -> f64 {
        (self.mean - Z_90_ONE_SIDED * self.variance.sqrt()).max(0.0)
    }

    /// Compares the difference to the peers with its own interval: both sides are uncertain.
    pub fn class(&self) -> Class {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::baseline::Body;

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
                let mut names = crate::engine::names::Names::default();
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
