//! The quality target: the score that nine of ten results reach, so that a target says what an
//! agent can do and not what one would wish.
//!
//! While scores are few the profile's target holds. A flagged fall never moves it: a target that
//! follows a fall hides it.

use super::{Evidence, Prior, Wanted};
use crate::stats::{Moments, normal};

/// This share of results is to miss the target.
const MISSED: f64 = 0.10;
/// The profile counts as this many scores, with this deviation in points.
const PRIOR_SCORES: f64 = 4.0;
const PRIOR_DEVIATION: f64 = 6.0;
/// Judges and rounding alone move a target by less than this many points.
const HYSTERESIS: f64 = 1.5;
/// Level of the interval around the value.
const LEVEL: f64 = 0.9;

/// The target in points; `None` without scores.
///
/// The 10 % quantile of a normal distribution whose mean and deviation are those of the scores
/// and of the profile's 4 pseudo-scores together.
pub fn estimate(evidence: &Evidence<'_>, prior: &Prior, current: Option<f64>) -> Option<Wanted> {
    let (n, mean) = (evidence.scores.len(), evidence.scores.mean()?);
    let z = -normal::quantile(MISSED);
    let (mean, deviation) = shrunk(&evidence.scores, mean, prior.quality_target + z * PRIOR_DEVIATION);
    let value = (mean - z * deviation).clamp(0.0, 100.0);
    // Variance of a normal quantile: sd² (1/n + z²/2n).
    let weight = PRIOR_SCORES + n as f64;
    let half = normal::z_for_level(LEVEL) * deviation * ((1.0 + z * z / 2.0) / weight).sqrt();

    let keep = if evidence.quality_fallen {
        Some("a fall of the scores is flagged, and the target does not follow it".to_owned())
    } else {
        current
            .filter(|now| (now - value).abs() < HYSTERESIS)
            .map(|now| format!("{now:.1} is within {HYSTERESIS} points of it"))
    };
    Some(Wanted {
        value: value.round(),
        lower: (value - half).max(0.0),
        upper: (value + half).min(100.0),
        n,
        censored: 0,
        prior_weight: PRIOR_SCORES / weight,
        bound_by: keep.is_some().then_some(if evidence.quality_fallen { "flagged_fall" } else { "hysteresis" }),
        reason: format!(
            "{n} scores with mean {mean:.1} and deviation {deviation:.1}: nine of ten reach {value:.1} points"
        ),
        keep,
    })
}

/// Mean and deviation of the scores and the pseudo-scores together.
fn shrunk(scores: &Moments, mean: f64, prior_mean: f64) -> (f64, f64) {
    let n = scores.len() as f64;
    let weight = n + PRIOR_SCORES;
    let squares = scores.variance().unwrap_or(0.0) * (n - 1.0).max(0.0)
        + PRIOR_DEVIATION * PRIOR_DEVIATION * PRIOR_SCORES
        + (mean - prior_mean).powi(2) * n * PRIOR_SCORES / weight;
    ((n * mean + PRIOR_SCORES * prior_mean) / weight, (squares / weight).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tune::concurrency::Load;
    use crate::stats::Durations;

    const PRIOR: Prior = Prior { typical_ms: None, spread: 0.6, quality_target: 90.0, concurrency: (2, 4) };

    /// `n` scores at evenly spaced quantiles of a normal distribution.
    fn wanted(n: u32, mean: f64, deviation: f64, current: Option<f64>, quality_fallen: bool) -> Option<Wanted> {
        let mut scores = Moments::default();
        scores.extend((0..n).map(|i| mean + deviation * normal::quantile((f64::from(i) + 0.5) / f64::from(n))));
        let durations = Durations::default();
        let evidence = Evidence { durations: &durations, scores, load: Load::default(), quality_fallen };
        estimate(&evidence, &PRIOR, current)
    }

    #[test]
    fn the_target_leaves_the_profile_for_what_nine_of_ten_reach() {
        // 90 - 1.2816 * 6 = 82.3 with many scores, the profile's 90 with few.
        for (n, least, most) in [(1, 88.0, 91.0), (10, 82.0, 86.0), (1_000, 82.0, 82.0)] {
            let wanted = wanted(n, 90.0, 6.0, None, false).expect("scores");
            assert!((least..=most).contains(&wanted.value), "{n}: {wanted:?}");
            assert!(wanted.lower <= wanted.value + 0.5 && wanted.value <= wanted.upper + 0.5);
        }
        assert_eq!(wanted(0, 0.0, 0.0, None, false), None);
    }

    #[test]
    fn small_moves_and_flagged_falls_keep_the_target() {
        let keep = |current, fallen| wanted(500, 90.0, 6.0, Some(current), fallen).expect("scores").keep;
        assert!(keep(83.0, false).is_some_and(|why| why.contains("1.5 points")));
        assert_eq!(keep(90.0, false), None);
        assert!(keep(90.0, true).is_some_and(|why| why.contains("flagged")));
    }
}
