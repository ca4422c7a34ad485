//! Location and spread that a few wild values cannot move.
//!
//! The spread has a floor: 24 equal predecessors have none at all, and a score that divides by
//! the deviation of a sample with the point inside can never exceed (n - 1) / √n, so the point
//! under judgement stays outside its sample and the spread never falls below the floor.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use super::{Interval, normal};

/// Makes the median absolute deviation of normal numbers their standard deviation: 1 / Φ⁻¹(3/4).
pub const MAD_SCALE: f64 = 1.482_602_218_505_602;
/// The same for the mean absolute deviation: √(π/2).
pub const MEAN_DEVIATION_SCALE: f64 = 1.253_314_137_315_5;

/// Centre, spread and size of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Robust {
    /// The median.
    pub centre: f64,
    /// The scaled median absolute deviation; when more than half of the sample is one value, the
    /// scaled mean absolute deviation (Iglewicz and Hoaglin 1993). Zero when all are equal.
    pub spread: f64,
    /// Number of values.
    pub n: u64,
}

/// The least spread that a score divides by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// As a share of the centre: 0.05 is 5 %.
    pub relative: f64,
    /// In the unit of the values.
    pub absolute: f64,
}

impl Floor {
    /// The floor around `centre`.
    pub fn at(self, centre: f64) -> f64 {
        (self.relative * centre.abs()).max(self.absolute)
    }
}

impl Robust {
    /// Centre and spread of finite values; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Robust> {
        let mut work = values.to_vec();
        let centre = median(&mut work)?;
        let mut spread = MAD_SCALE * mad(values, centre)?;
        if spread == 0.0 {
            let sum: f64 = values.iter().map(|v| (v - centre).abs()).sum();
            spread = MEAN_DEVIATION_SCALE * sum / values.len() as f64;
        }
        Some(Robust { centre, spread, n: values.len() as u64 })
    }

    /// How many spreads `x` lies above the centre (below: negative).
    pub fn z(&self, x: f64, floor: Floor) -> f64 {
        robust_z(x, self.centre, self.spread, floor.at(self.centre))
    }
}

/// The median of finite values, which are reordered; `None` when there are none.
pub fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let odd = values.len() % 2 == 1;
    let (below, &mut upper, _) = values.select_nth_unstable_by(values.len() / 2, f64::total_cmp);
    if odd {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp).unwrap_or(upper);
    Some(lower + (upper - lower) / 2.0)
}

/// The median absolute deviation from `centre`, unscaled; `None` when there are no values.
pub fn mad(values: &[f64], centre: f64) -> Option<f64> {
    median(&mut values.iter().map(|v| (v - centre).abs()).collect::<Vec<_>>())
}

/// (x - centre) / max(spread, spread_floor); 0 at the centre, infinite beside it when both
/// spreads are 0.
pub fn robust_z(x: f64, centre: f64, spread: f64, spread_floor: f64) -> f64 {
    if x == centre { 0.0 } else { (x - centre) / spread.max(spread_floor) }
}

/// The ratio of the medians of two samples of positive values, `a / b`, with its interval: a
/// normal interval of the difference of the medians of logarithms, whose standard errors come
/// from order statistics (Price and Bonett 2002). `None` below 5 values in either.
pub fn median_ratio(a: &[f64], b: &[f64], level: f64) -> Option<(f64, Interval)> {
    let (centre_a, error_a) = log_median(a)?;
    let (centre_b, error_b) = log_median(b)?;
    let (log, half) = (centre_a - centre_b, normal::z_for_level(level) * error_a.hypot(error_b));
    Some((log.exp(), Interval { lower: (log - half).exp(), upper: (log + half).exp() }))
}

/// Median of the logarithms and its standard error.
fn log_median(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 5 || values.iter().any(|v| *v <= 0.0) {
        return None;
    }
    let mut logs: Vec<f64> = values.iter().map(|v| v.ln()).collect();
    logs.sort_unstable_by(f64::total_cmp);
    let n = logs.len();
    let rank = (((n + 1) as f64 / 2.0 - (n as f64).sqrt()).round().max(1.0)) as usize;
    let below = Binomial::new(0.5, n as u64).ok()?.cdf(rank as u64 - 1);
    let error = (logs[n - rank] - logs[rank - 1]) / (2.0 * normal::quantile(1.0 - below));
    Some((median(&mut logs)?, error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLOOR: Floor = Floor { relative: 0.05, absolute: 1e-9 };

    #[test]
    fn a_tenfold_value_after_equal_ones_scores_far_above_the_ceiling_of_plain_scores() {
        let calm = Robust::of(&[120.0; 24]).expect("values");
        assert_eq!((calm.centre, calm.spread, calm.n), (120.0, 0.0, 24));
        assert!(calm.z(1200.0, FLOOR) > 10.0 * 23f64.sqrt());
        assert_eq!(calm.z(120.0, FLOOR), 0.0);
        assert!(calm.z(119.0, FLOOR) > -1.0);
        assert_eq!(Robust::of(&[]), None);
    }

    #[test]
    fn spread_of_known_samples() {
        // R: mad(c(1, 2, 3, 4, 100)) = 1.4826, median 3
        let wild = Robust::of(&[100.0, 1.0, 3.0, 2.0, 4.0]).expect("values");
        assert_eq!(wild.centre, 3.0);
        assert!((wild.spread - 1.4826).abs() < 1e-4);
        // More than half equal: the mean deviation steps in.
        let mostly = Robust::of(&[5.0, 5.0, 5.0, 9.0]).expect("values");
        assert!((mostly.spread - MEAN_DEVIATION_SCALE).abs() < 1e-12);
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn a_doubling_shows_in_the_ratio() {
        let before: Vec<f64> = (0..100).map(|i| 10.0 * (f64::from(i % 10) / 20.0).exp()).collect();
        let after: Vec<f64> = before.iter().map(|v| v * 2.0).collect();
        let (ratio, interval) = median_ratio(&after, &before, 0.95).expect("enough values");
        assert!((ratio - 2.0).abs() < 1e-9 && interval.contains(2.0) && interval.lower > 1.5, "{interval:?}");
        assert!(median_ratio(&after[..4], &before, 0.95).is_none());
    }

    proptest! {
        #[test]
        fn half_of_the_sample_cannot_be_outvoted(
            mut values in proptest::collection::vec(90.0f64..110.0, 20..60), wild in proptest::collection::vec(1e6f64..1e9, 0..15)
        ) {
            values.extend(wild);
            let robust = Robust::of(&values).expect("values");
            prop_assert!((90.0..=110.0).contains(&robust.centre) && robust.z(1e6, FLOOR) > 10.0);
        }
    }
}
