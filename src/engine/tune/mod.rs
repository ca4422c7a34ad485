//! From evidence to a value: timeouts, quality targets and concurrency limits, with the interval,
//! the reason and the guard that bound them.
//!
//! Everything here is a pure function of its arguments. Estimators ([`timeout`], [`quality`],
//! [`concurrency`]) say what they would like and why; [`guard`] decides what of it may happen.
//! Doubt widens the interval and the profile's weight; it never inflates the value.

pub mod concurrency;
pub mod guard;
pub mod latency;
pub mod quality;
pub mod timeout;

use crate::engine::event::Decision;
use crate::model::Timestamp;
use crate::settings::{Parameter, ParameterKind};
use crate::stats::{Durations, Moments};
use concurrency::Load;

/// What was seen of one agent in the window that tuning looks at.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Durations in milliseconds.
    pub durations: &'a Durations,
    /// Judges' verdicts in points, of the parameter's task type.
    pub scores: Moments,
    /// What ran at once, and what was turned away.
    pub load: Load,
    /// Whether a fall of the scores is flagged and not yet accepted.
    pub quality_fallen: bool,
}

/// What is believed before data, from the model's profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// The scaled run time in milliseconds; `None` when no base time is known.
    pub typical_ms: Option<f64>,
    /// Deviation of the logarithm of durations; 0.6 when the profile does not say.
    pub spread: f64,
    /// The quality target in points for the parameter's task type.
    pub quality_target: f64,
    /// Fewest and most tasks at once.
    pub concurrency: (u32, u32),
}

/// What an estimator would like, before guards.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The value in the parameter's inner unit.
    pub value: f64,
    /// Lower end of its interval.
    pub lower: f64,
    /// Upper end; infinite when the data do not bound it.
    pub upper: f64,
    /// Executions behind it.
    pub n: u64,
    /// How many of them were cut off.
    pub censored: u64,
    /// Weight of the profile, 0 to 1.
    pub prior_weight: f64,
    /// The limit of the estimator that bound the value, if one did.
    pub bound_by: Option<&'static str>,
    /// The evidence in a sentence without a full stop.
    pub reason: String,
    /// Why the current value should stay although another would be estimated.
    pub keep: Option<String>,
}

/// A value with everything it rests on, ready for a
/// [`Recommendation`](crate::engine::event::Recommendation).
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// What is proposed, in the inner unit; the current value when kept.
    pub proposed: Option<f64>,
    /// Lower end of the interval around the estimate.
    pub lower: Option<f64>,
    /// Upper end; `None` when the data do not bound it.
    pub upper: Option<f64>,
    /// Executions behind the estimate.
    pub n: u64,
    /// How many of them were cut off.
    pub censored: u64,
    /// Weight of the profile's prior, 0 to 1.
    pub prior_weight: f64,
    /// The guard or limit that bound the value.
    pub bound_by: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
    /// Whether something changes.
    pub decision: Decision,
}

/// What `parameter` of one agent should be. `current` and the result are in the inner unit
/// (milliseconds, points, a count); `kill_cost` is what one killed run costs in re-runs.
pub fn recommend(
    evidence: &Evidence<'_>,
    prior: &Prior,
    parameter: &Parameter,
    current: Option<f64>,
    last_change: Option<Timestamp>,
    now: Timestamp,
    kill_cost: f64,
) -> Advice {
    let current = current.filter(|value| value.is_finite() && *value >= 0.0);
    let (wanted, unit) = match parameter.kind {
        ParameterKind::Timeout => (timeout::estimate(evidence.durations, prior, current, kill_cost), parameter.unit_ms),
        ParameterKind::QualityTarget => (quality::estimate(evidence, prior, current), 1.0),
        ParameterKind::Concurrency => {
            let since_change = last_change.map(|at| now.since(at));
            (Some(concurrency::estimate(evidence, prior, current, since_change)), 1.0)
        }
    };
    let Some(wanted) = wanted else {
        return Advice {
            proposed: current,
            lower: None,
            upper: None,
            n: 0,
            censored: 0,
            prior_weight: 1.0,
            bound_by: Some("min_samples".to_owned()),
            reason: format!("too few runs: 0 of {}", parameter.guard.min_samples),
            decision: Decision::Keep,
        };
    };
    let unit = if unit.is_finite() && unit > 0.0 { unit } else { 1.0 };
    let wish = guard::Wish { value: wanted.value, n: wanted.n, current, last_change, unit };
    let mut verdict = guard::apply(&parameter.guard, wish, now);
    // Readiness and cooldown speak first; an estimator's own wish to keep cannot hold a value
    // outside the user's bounds.
    let inside = current.is_none_or(|value| parameter.guard.floor <= value && value <= parameter.guard.ceiling);
    if let Some(why) = wanted.keep.filter(|_| verdict.decision == Decision::Change && inside) {
        verdict = guard::Verdict { decision: Decision::Keep, value: current, bound_by: wanted.bound_by, reason: why };
    }
    let reason = match verdict.reason.as_str() {
        "" => wanted.reason,
        said => format!("{}; {said}", wanted.reason),
    };
    Advice {
        proposed: verdict.value,
        lower: Some(wanted.lower).filter(|value| value.is_finite()),
        upper: Some(wanted.upper).filter(|value| value.is_finite()),
        n: wanted.n,
        censored: wanted.censored,
        prior_weight: wanted.prior_weight,
        bound_by: verdict.bound_by.or(wanted.bound_by).map(str::to_owned),
        reason,
        decision: verdict.decision,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Span;
    use crate::settings::Guard;

    fn parameter(kind: ParameterKind, floor: f64, ceiling: f64, unit_ms: f64) -> Parameter {
        let guard = Guard {
            floor,
            ceiling,
            dead_band: 0.05,
            step_up: 4.0,
            step_down: 0.5,
            cooldown: Span::minutes(10),
            min_samples: 20,
        };
        Parameter {
            kind,
            path: "agents.{agent}.value".to_owned(),
            unit_ms,
            as_string: false,
            guard,
            task_type: "complex".to_owned(),
        }
    }

    const PRIOR: Prior = Prior { typical_ms: Some(20_000.0), spread: 0.6, quality_target: 90.0, concurrency: (2, 4) };

    fn durations(values: &[f64], limit: f64) -> Durations {
        let mut durations = Durations::default();
        values.iter().for_each(|ms| durations.insert(ms.min(limit), *ms > limit));
        durations
    }

    fn evidence(durations: &Durations) -> Evidence<'_> {
        Evidence {
            durations,
            scores: Moments::default(),
            load: Load { known: durations.len(), ..Load::default() },
            quality_fallen: false,
        }
    }

    #[test]
    fn a_timeout_is_proposed_in_whole_units_with_its_reason() {
        let seen: Vec<f64> = (1..=200).map(|i| 5_000.0 + 100.0 * f64::from(i)).collect();
        let seen = durations(&seen, 3_600_000.0);
        let timeout = parameter(ParameterKind::Timeout, 10_000.0, 3_600_000.0, 1_000.0);
        let advice = recommend(&evidence(&seen), &PRIOR, &timeout, Some(3_600_000.0), None, Timestamp(0), 2.0);
        assert_eq!((advice.decision, advice.n, advice.censored), (Decision::Change, 200, 0));
        assert_eq!((advice.proposed, advice.bound_by.as_deref()), (Some(1_800_000.0), Some("step_down")));
        assert!(
            advice.reason.starts_with("200 runs, none cut off: ") && advice.reason.contains("one step is at most 50%")
        );
        let free = recommend(&evidence(&seen), &PRIOR, &timeout, None, None, Timestamp(0), 2.0);
        let proposed = free.proposed.expect("a value without a current one");
        assert_eq!(proposed % 1_000.0, 0.0);
        assert!(free.lower.expect("bounded") < proposed && proposed < free.upper.expect("bounded"), "{free:?}");
    }

    #[test]
    fn nothing_is_proposed_before_there_are_enough_runs() {
        let timeout = parameter(ParameterKind::Timeout, 10_000.0, 3_600_000.0, 1_000.0);
        for (n, text) in [(0, "too few runs: 0 of 20"), (7, "too few runs: 7 of 20")] {
            let seen = durations(&vec![9_000.0; n], 1e6);
            let advice = recommend(&evidence(&seen), &PRIOR, &timeout, Some(60_000.0), None, Timestamp(0), 2.0);
            assert_eq!((advice.decision, advice.proposed), (Decision::Keep, Some(60_000.0)));
            assert!(advice.reason.contains(text) && advice.bound_by.as_deref() == Some("min_samples"), "{advice:?}");
        }
    }

    #[test]
    fn an_estimator_that_would_rather_keep_does_so_inside_the_bounds_only() {
        let seen = durations(&[60_000.0; 50], 59_000.0);
        for (floor, proposed) in [(10_000.0, 60_000.0), (90_000.0, 90_000.0)] {
            let timeout = parameter(ParameterKind::Timeout, floor, 3_600_000.0, 1_000.0);
            let advice = recommend(&evidence(&seen), &PRIOR, &timeout, Some(60_000.0), None, Timestamp(0), 2.0);
            assert_eq!(advice.proposed, Some(proposed), "{advice:?}");
            assert_eq!(advice.upper, None);
        }
    }

    proptest! {
        #[test]
        fn no_recommendation_outside_its_bounds(
            values in proptest::collection::vec(1f64..1e6, 0..120), limit in 1e3f64..1e6,
            scores in proptest::collection::vec(0f64..=100.0, 0..60), hits in 0u64..50, quality_fallen in any::<bool>(),
            refused in 0f64..=1.0, at_once in (0f64..1e3, 0f64..1e3),
            kind in prop_oneof![Just(ParameterKind::Timeout), Just(ParameterKind::QualityTarget), Just(ParameterKind::Concurrency)],
            floor in 1f64..1e5, width in 0f64..1e6, current in proptest::option::of(0f64..1e6), kill_cost in 0.1f64..20.0
        ) {
            let seen = durations(&values, limit);
            let mut evidence = evidence(&seen);
            evidence.scores.extend(scores);
            (evidence.load.refused, evidence.quality_fallen) = (hits, quality_fallen);
            evidence.load.known += hits;
            (evidence.load.refused_there, evidence.load.contested, evidence.load.free) = (refused, at_once.0, at_once.1);
            let parameter = parameter(kind, floor, floor + width, 1.0);
            let advice = recommend(&evidence, &PRIOR, &parameter, current, None, Timestamp(0), kill_cost);
            prop_assert!(!advice.reason.is_empty() && (0.0..=1.0).contains(&advice.prior_weight));
            match advice.decision {
                Decision::Keep => prop_assert_eq!(advice.proposed, current),
                Decision::Change => {
                    let proposed = advice.proposed.expect("a change has a value");
                    prop_assert!(floor <= proposed && proposed <= floor + width, "{advice:?}");
                }
            }
            if let (Some(lower), Some(upper)) = (advice.lower, advice.upper) {
                prop_assert!(lower <= upper, "{advice:?}");
            }
        }
    }
}
