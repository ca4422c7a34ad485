//! The timeout that wastes least: waiting on runs that hang against killing runs that are slow.
//!
//! A percentile is the wrong question: a limit at the 99 % quantile kills one good run in a
//! hundred and learns from the survivors to be shorter still. Here every limit has a price, see
//! [`Latency::waste`], and the cheapest one is taken.
//!
//! Where many runs are cut off nothing is known of what lies beyond the limit, so the estimate is
//! not believed there: it may not lower the limit, because the missing durations are exactly the
//! long ones, and may at most double it, and only if runs still ended shortly before the limit.

use super::latency::{Latency, LatencyPrior, PRIOR_RUNS};
use super::{Prior, Wanted, guard};
use crate::model::Unit;
use crate::stats::{Durations, normal};

/// More than this share cut off: the estimate is not believed beyond the limit.
const HEAVY: f64 = 0.10;
/// The most that such a limit grows by, as a factor.
const GROWTH: f64 = 2.0;
/// What shows that a longer limit would let runs end: at least so many runs ended in the last
/// half of the limit, and they are at least this share of those that reached that half.
const ENDING: (u64, f64) = (3, 0.10);
/// A change that saves less is not worth its risk.
const MIN_SAVING: f64 = 0.08;
/// Few runs miss the long ones more often than not: the location is stretched by exp(this / √n).
const SMALL_SAMPLE: f64 = 0.6;
/// Level of the interval around the value.
const LEVEL: f64 = 0.9;

/// The timeout in milliseconds; `None` without durations.
pub fn estimate(durations: &Durations, prior: &Prior, current: Option<f64>, kill_cost: f64) -> Option<Wanted> {
    let belief = LatencyPrior { typical_ms: prior.typical_ms.filter(|ms| *ms > 0.0), spread: prior.spread };
    let latency = Latency::fit(durations, belief)?;
    let (n, censored) = (durations.len(), durations.censored_len());
    let stretch = SMALL_SAMPLE / (n as f64).sqrt();
    let wastes = latency.waste(kill_cost, stretch);
    let (cheapest, least) = minimum(&wastes);
    let (lower, upper) = interval(&latency, kill_cost, stretch, cheapest);

    let mut wanted = Wanted {
        value: cheapest,
        lower,
        upper,
        n,
        censored,
        prior_weight: PRIOR_RUNS / (PRIOR_RUNS + n as f64),
        bound_by: None,
        reason: sentence(&latency, n, censored, cheapest),
        keep: None,
    };
    if censored as f64 > HEAVY * n as f64 {
        hold_back(&mut wanted, durations, current);
    } else if let Some(now) = current {
        let wasted = waste_at(&wastes, latency.hung, now);
        let saving = 1.0 - least / wasted;
        if saving < MIN_SAVING {
            wanted.keep = Some(format!(
                "{} wastes only {} more per run than {}, less than {}",
                Unit::Duration.show(now),
                guard::percent(wasted / least - 1.0),
                Unit::Duration.show(cheapest),
                guard::percent(MIN_SAVING)
            ));
        }
    }
    Some(wanted)
}

/// Limits a value that rests on durations of which too many were cut off.
fn hold_back(wanted: &mut Wanted, durations: &Durations, current: Option<f64>) {
    let limit = durations.censored.quantile(0.5).unwrap_or(wanted.value);
    let (ended, share) = ending_late(durations, limit);
    let cut = format!(
        "{} of {} runs were cut off, half of them by {}",
        wanted.censored,
        wanted.n,
        Unit::Duration.show(limit)
    );
    let kept = current.unwrap_or(limit);
    wanted.lower = wanted.lower.max(kept);
    if ended < ENDING.0 || share < ENDING.1 {
        // The model's interval stands on a tail that nobody saw end: it is no evidence here.
        wanted.value = kept;
        wanted.lower = kept;
        wanted.upper = f64::INFINITY;
        wanted.bound_by = Some("censoring");
        wanted.reason = format!(
            "{cut}, and {} of those that ran for {} ended before it: nothing shows that a longer limit would help, \
             and a shorter one would cut off what may only be slow",
            if ended == 0 { "none".to_owned() } else { guard::percent(share) },
            Unit::Duration.show(limit / 2.0),
        );
    } else {
        let most = kept.max(limit) * GROWTH;
        if wanted.value < kept || wanted.value > most {
            wanted.bound_by = Some("censoring");
        }
        wanted.value = wanted.value.clamp(kept, most);
        wanted.lower = wanted.lower.min(wanted.value);
        wanted.upper = wanted.upper.max(wanted.value);
        wanted.reason = format!(
            "{cut}; {} of those that ran for {} still ended before it, so a longer limit would let more end",
            guard::percent(share),
            Unit::Duration.show(limit / 2.0),
        );
    }
}

/// How many runs ended in the last half of `limit`, and which share they are of those that got
/// that far (Kaplan-Meier). Cut-offs come a little late, so a little is allowed beyond.
fn ending_late(durations: &Durations, limit: f64) -> (u64, f64) {
    let (half, end) = (durations.survival(limit / 2.0), durations.survival(limit * 1.02));
    let ended = durations
        .observed
        .atoms()
        .iter()
        .filter(|(ms, _)| *ms > limit / 2.0 && *ms <= limit * 1.02)
        .map(|(_, n)| n)
        .sum();
    (ended, if half > 0.0 { 1.0 - end / half } else { 0.0 })
}

fn minimum(wastes: &[(f64, f64)]) -> (f64, f64) {
    wastes.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).expect("a grid has points")
}

/// The waste of a limit anywhere: on a line between grid points, beyond the grid by the hung runs.
fn waste_at(wastes: &[(f64, f64)], hung: f64, limit: f64) -> f64 {
    let after = wastes.partition_point(|(at, _)| *at < limit);
    match (after.checked_sub(1).map(|before| wastes[before]), wastes.get(after)) {
        (None, Some(first)) => first.1,
        (Some(last), None) => last.1 + hung * (limit - last.0),
        (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (limit - a.0) / (b.0 - a.0),
        (None, None) => f64::INFINITY,
    }
}

/// By the delta method: how far the cheapest limit moves with the standard errors of location,
/// tail index and share of hung runs, added as squares.
fn interval(latency: &Latency, kill_cost: f64, stretch: f64, cheapest: f64) -> (f64, f64) {
    let z = normal::z_for_level(LEVEL);
    let hung_error = 1.0 / (1.0 + latency.hung_runs).sqrt();
    let moved = |variant: Latency| (minimum(&variant.waste(kill_cost, stretch)).0 / cheapest).ln();
    let side = |sign: f64| {
        let location = z * latency.location_error;
        let tail = moved(latency.with(latency.tail_index + sign * z * latency.tail_error(), latency.hung));
        let hung = (latency.hung * (-sign * z * hung_error).exp()).min(0.99);
        let hanging = moved(latency.with(latency.tail_index, hung));
        (location * location + tail * tail + hanging * hanging).sqrt()
    };
    (cheapest * (-side(-1.0)).exp(), cheapest * side(1.0).exp())
}

fn sentence(latency: &Latency, n: u64, censored: u64, cheapest: f64) -> String {
    let cut = match censored {
        0 => "none cut off".to_owned(),
        _ => format!("{censored} cut off, about {:.0} of them hung", latency.hung_runs),
    };
    format!(
        "{n} runs, {cut}: waiting for hung runs and killing slow ones together waste least at {}",
        Unit::Duration.show(cheapest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Prior = Prior { typical_ms: Some(30_000.0), spread: 0.6, quality_target: 90.0, concurrency: (2, 4) };

    /// Waste per run under a limit if the truth is a mixture of (weight, median in ms, deviation)
    /// and a share of hung runs, with the closed form of a log-normal's partial mean.
    fn true_waste(parts: &[(f64, f64, f64)], hung: f64, kill_cost: f64, limit: f64) -> f64 {
        let (mut longer, mut killed) = (0.0, 0.0);
        for (weight, median, deviation) in parts {
            let z = (median / limit).ln() / deviation;
            longer += weight * normal::cdf(z);
            killed += weight * median * (deviation * deviation / 2.0).exp() * normal::cdf(z + deviation);
        }
        hung * limit + (1.0 - hung) * (limit * longer + kill_cost * killed)
    }

    fn least_waste(parts: &[(f64, f64, f64)], hung: f64) -> f64 {
        (0..400).map(|i| true_waste(parts, hung, 2.0, 1e3 * (0.02 * f64::from(i)).exp())).fold(f64::MAX, f64::min)
    }

    /// `n` runs of such a truth under a limit, by a linear congruential generator.
    fn draw(parts: &[(f64, f64, f64)], hung: f64, n: u32, limit: f64, seed: u64) -> Durations {
        let mut state = seed;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        let mut durations = Durations::default();
        for _ in 0..n {
            let mut pick = uniform();
            let (_, median, deviation) = parts
                .iter()
                .find(|(weight, ..)| {
                    pick -= weight;
                    pick <= 0.0
                })
                .unwrap_or(&parts[0]);
            let ms =
                if uniform() < hung { f64::INFINITY } else { median * (deviation * normal::quantile(uniform())).exp() };
            durations.insert(ms.min(limit), ms > limit);
        }
        durations
    }

    /// Three kinds of task and a few runs that are four times as slow.
    const MIXED: [(f64, f64, f64); 4] =
        [(0.4, 6_000.0, 0.6), (0.4, 16_000.0, 0.6), (0.18, 30_000.0, 0.6), (0.02, 50_000.0, 0.5)];

    /// `n` runs at evenly spaced quantiles of a log-normal, cut at `limit` (ms), and `hung` more
    /// that only end there.
    fn runs(n: u32, median_ms: f64, deviation: f64, hung: u32, limit: f64) -> Durations {
        let mut durations = Durations::default();
        for i in 0..n {
            let ms = median_ms * (deviation * normal::quantile((f64::from(i) + 0.5) / f64::from(n))).exp();
            durations.insert(ms.min(limit), ms > limit);
        }
        (0..hung).for_each(|_| durations.insert(limit, true));
        durations
    }

    #[test]
    fn the_waste_is_near_the_least_possible() {
        // Mean of true waste over least waste, 20 samples each; the limit is at first too long.
        for (n, hung, most) in [
            (30, 0.005, 1.6),
            (100, 0.005, 1.4),
            (300, 0.005, 1.35),
            (1_000, 0.005, 1.2),
            (3_000, 0.005, 1.15),
            (300, 0.002, 1.35),
            (300, 0.02, 1.2),
        ] {
            let regret = |seed| {
                let wanted = estimate(&draw(&MIXED, hung, n, 600_000.0, seed), &PRIOR, None, 2.0).expect("durations");
                assert!(wanted.lower <= wanted.value && wanted.value <= wanted.upper);
                true_waste(&MIXED, hung, 2.0, wanted.value) / least_waste(&MIXED, hung)
            };
            let mean = (1..=20).map(regret).sum::<f64>() / 20.0;
            assert!(mean < most, "{n} runs, {hung} hung: {mean:.2}");
        }
    }

    #[test]
    fn a_burst_of_hung_runs_never_raises_the_limit() {
        for n in [30, 100, 1_000] {
            for limit in [120_000.0, 300_000.0, 600_000.0] {
                let calm = estimate(&runs(n, 10_000.0, 0.6, 0, limit), &PRIOR, Some(limit), 2.0).expect("durations");
                for percent in [3, 5, 8, 12, 20, 40] {
                    let hung = (n * percent / 100).max(1);
                    let burst = estimate(&runs(n, 10_000.0, 0.6, hung, limit), &PRIOR, Some(limit), 2.0);
                    let value = burst.expect("durations").value;
                    assert!(
                        value <= calm.value.max(limit),
                        "{hung} of {n} hung at {limit}: {value} after {}",
                        calm.value
                    );
                }
            }
        }
    }

    #[test]
    fn a_short_limit_frees_itself_and_a_good_one_does_not_creep() {
        let least = least_waste(&MIXED, 0.005);
        for start in [6_000.0, 12_000.0, 30_000.0, 200_000.0, 3_000_000.0] {
            for n in [50, 300, 2_000] {
                let mut limit = start;
                for round in 1..=12 {
                    let seen = draw(&MIXED, 0.005, n, limit, round);
                    let wanted = estimate(&seen, &PRIOR, Some(limit), 2.0).expect("durations");
                    let heavy = wanted.censored as f64 > HEAVY * wanted.n as f64;
                    assert!(!heavy || (limit..=GROWTH * limit).contains(&wanted.value), "{limit}: {wanted:?}");
                    if wanted.keep.is_none() {
                        limit = wanted.value.clamp(limit / 2.0, limit * 6.0);
                    }
                }
                let regret = true_waste(&MIXED, 0.005, 2.0, limit) / least;
                assert!(
                    regret < 2.2,
                    "from {start} with {n} runs a window: {limit:.0} wastes {regret:.2} of the least"
                );
            }
        }
    }

    /// Shapes of public benchmark runs of coding agents in 2023 (Auto-GPT-Benchmarks): size of the
    /// sample, share cut off by 60 s or more, and where the runs that ended did so.
    #[test]
    fn heavily_cut_off_agents() {
        // 1327 runs, 21 % cut off, median 33.5 s: runs end all the way to the limit.
        let many = runs(1_327, 33_500.0, 0.73, 0, 60_000.0);
        // 705 runs, 56 % cut off, three quarters of the others between 35 and 60 s.
        let most = runs(705, 64_000.0, 0.5, 0, 60_000.0);
        // 108 runs of which 94 cut off; the other 14 failed within a second or two.
        let mut nearly_all = runs(14, 1_100.0, 0.15, 0, 60_000.0);
        (0..94).for_each(|_| nearly_all.insert(60_000.0, true));
        for (durations, censored, value, text) in [
            (
                &many,
                282,
                120_000.0,
                "282 of 1327 runs were cut off, half of them by 1m; 62.4% of those that ran for 30s still ended",
            ),
            (&most, 391, 120_000.0, "so a longer limit would let more end"),
            (
                &nearly_all,
                94,
                60_000.0,
                "94 of 108 runs were cut off, half of them by 1m, and none of those that ran for 30s ended",
            ),
        ] {
            let wanted = estimate(durations, &PRIOR, Some(60_000.0), 2.0).expect("durations");
            assert_eq!((wanted.n, wanted.bound_by), (durations.len(), Some("censoring")));
            assert!(wanted.censored.abs_diff(censored) <= 12, "{wanted:?}");
            assert!((wanted.value - value).abs() < 1.0 && wanted.reason.contains(text), "{wanted:?}");
            assert!(wanted.lower >= 60_000.0 && wanted.upper >= wanted.value);
        }
    }

    #[test]
    fn a_saving_below_the_threshold_keeps_the_limit() {
        let durations = runs(1_000, 10_000.0, 0.6, 5, 300_000.0);
        let cheapest = estimate(&durations, &PRIOR, None, 2.0).expect("durations").value;
        let keep = |current: f64| estimate(&durations, &PRIOR, Some(current), 2.0).expect("durations").keep;
        assert!(keep(cheapest * 1.1).is_some_and(|why| why.contains("wastes only")));
        assert_eq!((keep(cheapest * 4.0), keep(cheapest / 4.0)), (None, None));
    }

    #[test]
    fn killed_work_that_is_dear_makes_the_limit_longer() {
        let durations = runs(1_000, 10_000.0, 0.6, 5, 300_000.0);
        let of = |kill_cost| estimate(&durations, &PRIOR, None, kill_cost).expect("durations").value;
        assert!(of(0.5) < of(2.0) && of(2.0) < of(8.0));
        assert_eq!(estimate(&Durations::default(), &PRIOR, Some(1e4), 2.0), None);
    }
}
