//! How long runs take that were left alone, learned from runs of which some were stopped.
//!
//! A stopped run was either slow, and would have ended later, or hung, and would not. Taking all
//! for slow lets one outage raise a limit for ever; taking all for hung makes every killed run
//! evidence for a shorter limit. So two explanations are fitted and the likelier one is taken:
//! few runs hang and the durations reach beyond the limit, or the durations end well before it
//! and what was stopped hung. What separates them is whether runs still ended shortly before the
//! limit. The share of hung runs is then settled run by run against the tail of the rest.
//!
//! The shape is not assumed: below the 95 % quantile it is the Kaplan-Meier curve, smoothed by
//! the profile's log-normal that counts as 12 runs, above it a Pareto tail, because a good limit
//! lies where nearly no run has been seen (about the 99.95 % quantile).

use crate::stats::{Durations, normal};

/// The profile's belief counts as this many runs.
pub const PRIOR_RUNS: f64 = 12.0;
/// Uncertainty of the profile's median, as a deviation of its logarithm.
const PRIOR_MEDIAN_DEVIATION: f64 = 0.5;
/// Share and width of the wide part of the smoothing log-normal.
const WIDE: (f64, f64) = (0.07, 1.9);
/// The tail begins where this share is left.
const TAIL_SHARE: f64 = 0.05;
/// Pareto index of a tail without data, and how many runs in the tail it counts as.
const TAIL_PRIOR: (f64, f64) = (0.4, 25.0);
/// As many runs must have been seen for the tail to be half what was seen and half Pareto.
const TAIL_RUNS: f64 = 800.0;
/// Below 1 the mean excess is finite; the margin keeps it moderate.
const TAIL_LIMITS: (f64, f64) = (0.05, 0.9);
/// The curve is followed while at least this many runs are still going.
const FEW: f64 = 5.0;
/// Runs that hang, and runs, seen before data: one in two hundred.
const HANG_PRIOR: (f64, f64) = (1.0, 201.0);
/// The same while the two explanations compete: outages come in bursts, so a burst must not have
/// to outweigh the long-run rate.
const BURST_PRIOR: (f64, f64) = (1.0, 21.0);
/// Width of the grid in ln(ms): 5 %.
const STEP: f64 = 0.05;

/// What is believed of durations before data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyPrior {
    /// The median in milliseconds, above 0; `None` when nothing is known.
    pub typical_ms: Option<f64>,
    /// Deviation of the logarithm of durations, above 0: about 0.6 for one model and task type.
    pub spread: f64,
}

/// The distribution of durations of runs that do not hang, and the share of those that do.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    /// ln(ms) of the grid's first point.
    first: f64,
    /// Points of the grid.
    points: usize,
    /// Share of runs that last longer, from the first point to the tail's first.
    body: Vec<f64>,
    /// The same from there on as it was seen, as far as it was.
    seen: Vec<f64>,
    /// Weight of what was seen in the tail.
    seen_weight: f64,
    /// Pareto index of the tail: the mean of ln(duration / tail start).
    pub tail_index: f64,
    /// Runs that ended in the tail.
    pub tail_runs: f64,
    /// Share of runs that hang.
    pub hung: f64,
    /// Expected number of hung ones among the runs that were stopped.
    pub hung_runs: f64,
    /// Standard error of the median's logarithm.
    pub location_error: f64,
}

/// A log-normal core and the share of runs beside it that never end.
#[derive(Debug, Clone, Copy)]
struct Core {
    median: f64,
    deviation: f64,
    hung: f64,
}

/// Logarithms of durations with their counts.
struct Sample {
    ended: Vec<(f64, f64)>,
    stopped: Vec<(f64, f64)>,
    n: f64,
}

impl Latency {
    /// Fits the model; `None` without durations.
    pub fn fit(durations: &Durations, prior: LatencyPrior) -> Option<Latency> {
        let sample = Sample::of(durations);
        if sample.n == 0.0 {
            return None;
        }
        let core = Core::fit(&sample, prior);
        let mut slow: Vec<(f64, f64)> = sample.weigh(|log| hung_given_stopped(core.hung, core.survival(log)));
        let mut latency = Latency::shape(&sample, &slow, core);
        for _ in 0..8 {
            slow = sample.weigh(|log| hung_given_stopped(latency.hung, latency.survival_at(log)));
            latency = Latency::shape(&sample, &slow, core);
        }
        Some(latency)
    }

    /// The curve that follows when the stopped runs of `slow` were slow and the others hung.
    fn shape(sample: &Sample, slow: &[(f64, f64)], core: Core) -> Latency {
        let slow_runs: f64 = slow.iter().map(|(_, count)| count).sum();
        let hung_runs = sample.stopped.iter().map(|(_, count)| count).sum::<f64>() - slow_runs;
        let runs = sample.n - hung_runs;
        let curve = sample.curve(slow);
        let reach = curve.iter().rev().find(|step| step.2 >= FEW).map_or(f64::NEG_INFINITY, |step| step.0);
        let prior_weight = PRIOR_RUNS / (PRIOR_RUNS + runs);
        let empirical = |log: f64| {
            let after = curve.partition_point(|step| step.0 <= log);
            if after == 0 { 1.0 } else { curve[after - 1].1 }
        };
        let blend = |log: f64| prior_weight * core.smooth(log) + (1.0 - prior_weight) * empirical(log);
        let (at_reach, core_at_reach) = (blend(reach), core.smooth(reach).max(1e-300));

        let longest = sample.longest();
        let shortest = sample.ended.first().map_or(core.median, |(log, _)| *log);
        let first = shortest.min(core.median - 4.0 * core.deviation);
        let points = (((core.median + 7.0).max(longest + 3.0) - first) / STEP).ceil() as usize + 1;
        let mut body = Vec::new();
        for point in 0..points {
            let log = first + STEP * point as f64;
            body.push(if log <= reach { blend(log) } else { at_reach * core.smooth(log) / core_at_reach });
            if body[point] <= TAIL_SHARE {
                break;
            }
        }
        let tail = first + STEP * (body.len() - 1) as f64;
        // Where the last runs were stopped and not ended, nothing is seen of the tail.
        let end = curve.last().filter(|step| step.1 * runs >= 0.5).map_or(f64::INFINITY, |step| step.0);
        let seen = (body.len() - 1..points).map(|point| first + STEP * point as f64);
        let seen = seen.take_while(|log| *log <= end).map(empirical).collect();
        let beyond = |runs: &[(f64, f64)]| runs.iter().map(|(log, n)| n * (log - tail).max(0.0)).sum::<f64>();
        let tail_runs: f64 = sample.ended.iter().filter(|(log, _)| *log > tail).map(|(_, n)| n).sum();
        // Hill's estimate for stopped runs: time spent in the tail per run that ended in it.
        let exposure = TAIL_PRIOR.0 * TAIL_PRIOR.1 + beyond(&sample.ended) + beyond(slow);
        Latency {
            first,
            body,
            points,
            seen,
            seen_weight: runs / (runs + TAIL_RUNS),
            tail_index: (exposure / (TAIL_PRIOR.1 + tail_runs)).clamp(TAIL_LIMITS.0, TAIL_LIMITS.1),
            tail_runs,
            hung: (HANG_PRIOR.0 + hung_runs) / (HANG_PRIOR.1 + sample.n),
            hung_runs,
            location_error: core.deviation / (PRIOR_RUNS + runs).sqrt(),
        }
    }

    /// The same with another tail and share of hung runs, to see how much hangs on them.
    pub fn with(&self, tail_index: f64, hung: f64) -> Latency {
        Latency { tail_index: tail_index.clamp(TAIL_LIMITS.0, TAIL_LIMITS.1), hung, ..self.clone() }
    }

    /// Standard error of the tail index, the prior counted as runs.
    pub fn tail_error(&self) -> f64 {
        self.tail_index / (self.tail_runs + TAIL_PRIOR.1).sqrt()
    }

    /// Share of runs that do not hang and last longer than `ms`.
    pub fn survival(&self, ms: f64) -> f64 {
        self.survival_at(ms.ln())
    }

    fn survival_at(&self, log: f64) -> f64 {
        let place = ((log - self.first) / STEP).max(0.0);
        let last = self.body.len() - 1;
        if place >= last as f64 {
            let pareto = self.body[last] * (-(place - last as f64) * STEP / self.tail_index).exp();
            return match self.seen.get(place as usize - last) {
                Some(seen) => pareto + (seen - pareto) * self.seen_weight,
                None => pareto,
            };
        }
        let (below, share) = (place.floor() as usize, place.fract());
        self.body[below] + (self.body[below + 1] - self.body[below]) * share
    }

    /// Expected waste of one run in milliseconds for every limit of a grid, as (limit, waste):
    ///
    /// h T + (1 - h) (T S(T) + kappa E\[L; L > T\])
    ///
    /// Hung runs are waited for until the limit; slow ones too and then cost what they would have
    /// taken `kill_cost` times, once for every re-run. All durations are stretched by
    /// exp(`stretch`).
    pub fn waste(&self, kill_cost: f64, stretch: f64) -> Vec<(f64, f64)> {
        let log = |point: usize| self.first + STEP * point as f64;
        let end = log(self.points - 1);
        // Integral of the survival from the end of the grid on, in the Pareto tail.
        let mut rest = self.survival_at(end) * end.exp() * self.tail_index / (1.0 - self.tail_index);
        let mut wastes = Vec::with_capacity(self.points);
        let mut after = None;
        for point in (0..self.points).rev() {
            let limit = log(point).exp();
            let survival = self.survival_at(log(point));
            let density = survival * limit;
            if let Some(density_after) = after {
                rest += (density + density_after) / 2.0 * STEP;
            }
            after = Some(density);
            // E[L; L > T] = T S(T) + integral of S from T on.
            let killed = density + rest;
            let waste = self.hung * limit + (1.0 - self.hung) * (density + kill_cost * killed);
            wastes.push((limit * stretch.exp(), waste * stretch.exp()));
        }
        wastes.reverse();
        wastes
    }
}

impl Sample {
    fn of(durations: &Durations) -> Sample {
        let logs = |atoms: Vec<(f64, u64)>| -> Vec<(f64, f64)> {
            atoms.into_iter().map(|(ms, count)| (ms.max(1e-3).ln(), count as f64)).collect()
        };
        let n = durations.len() as f64;
        Sample { ended: logs(durations.observed.atoms()), stopped: logs(durations.censored.atoms()), n }
    }

    fn longest(&self) -> f64 {
        let last = |runs: &[(f64, f64)]| runs.last().map_or(f64::NEG_INFINITY, |(log, _)| *log);
        last(&self.ended).max(last(&self.stopped))
    }

    /// The stopped runs, counted by their chance of having been slow.
    fn weigh(&self, hung: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        self.stopped.iter().map(|&(log, count)| (log, count * (1.0 - hung(log)))).collect()
    }

    /// Kaplan-Meier with weights: (ln(ms), share that lasts longer, runs at risk) per step.
    fn curve(&self, slow: &[(f64, f64)]) -> Vec<(f64, f64, f64)> {
        let total = |runs: &[(f64, f64)]| runs.iter().map(|(_, count)| count).sum::<f64>();
        let mut at_risk = total(&self.ended) + total(slow);
        let mut survival = 1.0;
        let mut cuts = slow.iter().peekable();
        self.ended
            .iter()
            .map(|&(log, count)| {
                while let Some((_, cut)) = cuts.next_if(|(cut, _)| *cut < log) {
                    at_risk -= cut;
                }
                survival *= (1.0 - count / at_risk).max(0.0);
                let step = (log, survival, at_risk);
                at_risk -= count;
                step
            })
            .collect()
    }
}

impl Core {
    /// The likelier of two explanations of the stopped runs.
    fn fit(sample: &Sample, prior: LatencyPrior) -> Core {
        let all = [sample.ended.as_slice(), sample.stopped.as_slice()].concat();
        let stopped_share = sample.stopped.iter().map(|(_, count)| count).sum::<f64>() / sample.n;
        let slow = Core::start(&all, 0.005);
        let hung = Core::start(&sample.ended, stopped_share.clamp(0.005, 0.99));
        let (slow, hung) = (slow.climb(sample, prior), hung.climb(sample, prior));
        if hung.fitness(sample, prior) > slow.fitness(sample, prior) { hung } else { slow }
    }

    fn start(runs: &[(f64, f64)], hung: f64) -> Core {
        let n: f64 = runs.iter().map(|(_, count)| count).sum();
        let mean = runs.iter().map(|(log, count)| log * count).sum::<f64>() / n.max(1.0);
        let squares: f64 = runs.iter().map(|(log, count)| count * (log - mean).powi(2)).sum();
        Core { median: mean, deviation: (squares / n.max(1.0)).sqrt().max(0.1), hung }
    }

    /// Share of runs that last longer than exp(`log`) ms.
    fn survival(&self, log: f64) -> f64 {
        normal::cdf((self.median - log) / self.deviation)
    }

    /// As [`Core::survival`], with a share of wider spread for the outer parts.
    fn smooth(&self, log: f64) -> f64 {
        let wide = Core { deviation: self.deviation * WIDE.1, ..*self };
        (1.0 - WIDE.0) * self.survival(log) + WIDE.0 * wide.survival(log)
    }

    /// Expectation maximisation of a log-normal with a share that never ends (a mixture cure
    /// model; Boag 1949, Maller and Zhou 1996), the profile counting as [`PRIOR_RUNS`].
    fn climb(mut self, sample: &Sample, prior: LatencyPrior) -> Core {
        let (centre, weight) = prior.typical_ms.map_or((0.0, 0.0), |ms| (ms.max(1e-3).ln(), PRIOR_RUNS));
        for _ in 0..300 {
            let stopped: Vec<_> = sample.stopped.iter().map(|&(log, count)| self.beyond(log, count)).collect();
            let ended = || sample.ended.iter().map(|&(log, count)| (count, log, 0.0));
            let runs = || ended().chain(stopped.iter().copied());
            let n: f64 = runs().map(|(count, ..)| count).sum();
            let median = (weight * centre + runs().map(|(count, mean, _)| count * mean).sum::<f64>())
                / (weight + n).max(f64::MIN_POSITIVE);
            let squares: f64 = runs().map(|(count, mean, var)| count * ((mean - median).powi(2) + var)).sum();
            let variance = (PRIOR_RUNS * prior_variance(prior) + squares) / (PRIOR_RUNS + n);
            let hung = (BURST_PRIOR.0 + sample.n - n) / (BURST_PRIOR.1 + sample.n);
            let moved =
                (median - self.median).abs() + (variance.sqrt() - self.deviation).abs() + (hung - self.hung).abs();
            self = Core { median, deviation: variance.sqrt(), hung };
            if moved < 1e-5 {
                break;
            }
        }
        self
    }

    /// Of `count` runs stopped at `log`: how many were slow, and mean and variance of the
    /// logarithms of the durations that those would have had (moments of a truncated normal).
    fn beyond(&self, log: f64, count: f64) -> (f64, f64, f64) {
        let survival = self.survival(log);
        let z = (log - self.median) / self.deviation;
        // Mills' ratio; its asymptote where the survival is lost to rounding.
        let hazard =
            if z > 8.0 { z + 1.0 / z } else { (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() / survival };
        let slow = count * (1.0 - hung_given_stopped(self.hung, survival));
        let variance = self.deviation.powi(2) * (1.0 + z * hazard - hazard * hazard).max(0.0);
        (slow, self.median + self.deviation * hazard, variance)
    }

    /// The logarithm of likelihood times prior, but for a constant.
    fn fitness(&self, sample: &Sample, prior: LatencyPrior) -> f64 {
        let ended = |log: f64| {
            let z = (log - self.median) / self.deviation;
            (1.0 - self.hung).ln() - self.deviation.ln() - z * z / 2.0
        };
        let stopped = |log: f64| (self.hung + (1.0 - self.hung) * self.survival(log)).ln();
        let distance = prior.typical_ms.map_or(0.0, |ms| (ms.max(1e-3).ln() - self.median) / self.deviation);
        sample.ended.iter().map(|&(log, count)| count * ended(log)).sum::<f64>()
            + sample.stopped.iter().map(|&(log, count)| count * stopped(log)).sum::<f64>()
            + BURST_PRIOR.0 * self.hung.ln()
            + (BURST_PRIOR.1 - BURST_PRIOR.0) * (1.0 - self.hung).ln()
            - PRIOR_RUNS * (distance * distance / 2.0 + self.deviation.ln())
            - PRIOR_RUNS * prior_variance(prior) / (2.0 * self.deviation.powi(2))
    }
}

/// P(hung | stopped) = h / (h + (1 - h) S), with S the share of the others that last to the limit.
fn hung_given_stopped(hung: f64, survival: f64) -> f64 {
    hung / (hung + (1.0 - hung) * survival)
}

/// Variance of the logarithm that the profile expects, the doubt about its median included.
fn prior_variance(prior: LatencyPrior) -> f64 {
    prior.spread * prior.spread + PRIOR_MEDIAN_DEVIATION * PRIOR_MEDIAN_DEVIATION
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: LatencyPrior = LatencyPrior { typical_ms: Some(12_000.0), spread: 0.6 };

    fn fit(n: u32, hung: u32, limit: f64, prior: LatencyPrior) -> Latency {
        let mut durations = Durations::default();
        for i in 0..n {
            let ms = 10_000.0 * (0.6 * normal::quantile((f64::from(i) + 0.5) / f64::from(n))).exp();
            durations.insert(ms.min(limit), ms > limit);
        }
        (0..hung).for_each(|_| durations.insert(limit, true));
        Latency::fit(&durations, prior).expect("durations")
    }

    #[test]
    fn the_body_is_recovered_with_and_without_a_limit() {
        for limit in [1e6, 20_000.0, 9_000.0] {
            for (ms, share) in [(5_000.0, 0.876), (8_000.0, 0.645), (15_000.0, 0.250), (20_000.0, 0.124)] {
                let found = fit(2_000, 0, limit, PRIOR).survival(ms);
                assert!((found - share).abs() < 0.06, "{found:.3} of {share} last {ms} under {limit}");
            }
        }
    }

    #[test]
    fn hung_runs_are_told_from_slow_ones() {
        for (n, hung, limit, least, most) in [
            (1_000, 60, 300_000.0, 59.0, 60.0),
            (1_000, 5, 300_000.0, 4.5, 5.0),
            (1_000, 0, 20_000.0, 0.0, 15.0),
            (1_000, 0, 9_000.0, 0.0, 20.0),
            (50, 10, 120_000.0, 9.0, 10.0),
        ] {
            let found = fit(n, hung, limit, PRIOR).hung_runs;
            assert!((least..=most).contains(&found), "{hung} of {n} hung, limit {limit}: {found:.1}");
        }
    }

    #[test]
    fn nothing_known_and_nothing_seen_to_end() {
        let blank = LatencyPrior { typical_ms: None, spread: 0.6 };
        assert_eq!(Latency::fit(&Durations::default(), blank), None);
        for latency in [fit(0, 30, 60_000.0, blank), fit(1, 0, 60_000.0, blank), fit(0, 1, 0.0, PRIOR)] {
            let waste = latency.waste(2.0, 0.0);
            assert!(waste.iter().all(|(limit, waste)| limit.is_finite() && waste.is_finite() && *waste > 0.0));
            assert!((0.0..=1.0).contains(&latency.hung));
        }
    }
}
