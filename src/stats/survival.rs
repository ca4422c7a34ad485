//! Durations of which some were cut off: the true one is unknown and longer.
//!
//! A percentile over all of them takes limits for durations, one over the survivors forgets the
//! slow ones; the Kaplan-Meier estimate does neither (Kaplan and Meier 1958). Without cut-off
//! durations quantiles are those of the [`Digest`], so nothing changes for those who have none.
//!
//! It takes runs that are cut off to be no slower or faster by nature than others still running
//! at that moment, which holds for a fixed limit and not for a person who stops what hangs.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF};

use super::{Digest, normal};

/// A right-censored sample of durations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Durations {
    /// Durations that were seen to their end.
    pub observed: Digest,
    /// How far durations had come when they were cut off.
    pub censored: Digest,
}

/// A quantile that may lie beyond what could be observed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The quantile, or a lower bound.
    pub value: f64,
    /// Whether `value` is only a lower bound: too many durations were cut off before it.
    pub at_least: bool,
}

/// One step of the survival curve, at a duration at which at least one run ended by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The duration.
    pub time: f64,
    /// Share of runs that last longer.
    pub survival: f64,
    /// Runs that were known to last at least this long.
    pub at_risk: u64,
    /// Greenwood's sum of d / (n (n - d)) up to here: the variance of ln(survival). Infinite once
    /// nothing survives.
    pub log_variance: f64,
}

impl Durations {
    /// Adds a duration; `censored` says that it was cut off there.
    #[inline]
    pub fn insert(&mut self, value: f64, censored: bool) {
        self.insert_up_to(value, censored, Digest::EXACT);
    }

    /// As [`Durations::insert`], with the limit of [`Digest::insert_up_to`] for each of the two.
    #[inline]
    pub fn insert_up_to(&mut self, value: f64, censored: bool, exact: usize) {
        let digest = if censored { &mut self.censored } else { &mut self.observed };
        digest.insert_up_to(value, exact);
    }

    /// Adds another sample.
    pub fn merge(&mut self, other: &Durations) {
        self.merge_up_to(other, Digest::EXACT);
    }

    /// As [`Durations::merge`], with the limit of [`Digest::merge_up_to`] for each of the two.
    pub fn merge_up_to(&mut self, other: &Durations, exact: usize) {
        self.observed.merge_up_to(&other.observed, exact);
        self.censored.merge_up_to(&other.censored, exact);
    }

    /// Number of durations, cut off or not.
    pub fn len(&self) -> u64 {
        self.observed.len() + self.censored.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every duration is still kept as it is.
    pub fn is_exact(&self) -> bool {
        self.observed.is_exact() && self.censored.is_exact()
    }

    /// How many were cut off.
    pub fn censored_len(&self) -> u64 {
        self.censored.len()
    }

    /// The longest duration, cut off or not.
    pub fn longest(&self) -> Option<f64> {
        let of = |digest: &Digest| digest.range().map(|(_, high)| high);
        of(&self.observed).into_iter().chain(of(&self.censored)).max_by(f64::total_cmp)
    }

    /// The Kaplan-Meier curve: S(t) = product over steps up to t of (1 - d / n), with d runs
    /// ending at a step and n at risk. A run cut off at a step counts as at risk there.
    pub fn curve(&self) -> Vec<Step> {
        let mut cuts = self.censored.atoms().into_iter().peekable();
        let (mut at_risk, mut survival, mut log_variance) = (self.len(), 1.0, 0.0);
        self.observed
            .atoms()
            .into_iter()
            .map(|(time, ended)| {
                while let Some((_, count)) = cuts.next_if(|&(cut, _)| cut < time) {
                    at_risk -= count;
                }
                let (n, d) = (at_risk as f64, ended as f64);
                survival *= (n - d) / n;
                log_variance += d / (n * (n - d));
                let step = Step { time, survival, at_risk, log_variance };
                at_risk -= ended;
                step
            })
            .collect()
    }

    /// Share of runs that last longer than `t`; beyond the last step the curve stays where it is.
    /// 1 when empty.
    pub fn survival(&self, t: f64) -> f64 {
        self.curve().iter().take_while(|step| step.time <= t).last().map_or(1.0, |step| step.survival)
    }

    /// The `q` quantile (0 to 1): the first duration that a share of at most 1 - q outlasts. When
    /// the curve does not come down that far, the longest duration as a lower bound. Without
    /// cut-off durations that of [`Digest::quantile`]. `None` when empty.
    pub fn quantile(&self, q: f64) -> Option<Estimate> {
        self.quantiles([q])[0]
    }

    /// Several [quantiles](Durations::quantile) from one curve.
    pub fn quantiles<const N: usize>(&self, qs: [f64; N]) -> [Option<Estimate>; N] {
        if self.censored.is_empty() {
            return qs.map(|q| self.observed.quantile(q).map(|value| Estimate { value, at_least: false }));
        }
        let (curve, longest) = (self.curve(), self.longest());
        qs.map(|q| match reaches(&curve, 1.0 - q, |step| step.survival) {
            Some(value) => Some(Estimate { value, at_least: false }),
            None => longest.map(|value| Estimate { value, at_least: true }),
        })
    }

    /// A confidence interval of the `q` quantile (0 < q < 1); its upper end may be infinite.
    ///
    /// Without cut-off durations from order statistics, whose ranks are binomial (conservative,
    /// no assumption on the shape). With them from inverting Greenwood's interval on the scale of
    /// ln(-ln S) (Brookmeyer and Crowley 1982, Klein and Moeschberger 2003, 4.5).
    pub fn quantile_interval(&self, q: f64, level: f64) -> Option<(f64, f64)> {
        if self.is_empty() || !(q > 0.0 && q < 1.0) {
            return None;
        }
        if self.censored.is_empty() {
            return Some(self.order_statistic_interval(q, level));
        }
        let z = normal::z_for_level(level);
        let curve = self.curve();
        // The ends of the interval of S, as powers of it: S^exp(+-z se).
        let bound = |step: &Step, sign: f64| {
            if step.survival <= 0.0 {
                return 0.0;
            }
            let log = step.survival.ln();
            step.survival.powf((sign * z * step.log_variance.sqrt() / log.abs()).exp())
        };
        let lower = reaches(&curve, 1.0 - q, |step| bound(step, 1.0)).or(self.longest())?;
        let upper = reaches(&curve, 1.0 - q, |step| bound(step, -1.0)).unwrap_or(f64::INFINITY);
        Some((lower, upper))
    }

    /// Smallest and largest order statistic that the binomial ranks of the quantile allow.
    fn order_statistic_interval(&self, q: f64, level: f64) -> (f64, f64) {
        let n = self.observed.len();
        let ranks = Binomial::new(q, n).expect("0 < q < 1 was checked by the caller");
        let tail = (1.0 - level) / 2.0;
        // From 0: the number of samples below the quantile is at least `low` with 1 - tail.
        let low = ranks.inverse_cdf(tail);
        let high = ranks.inverse_cdf(1.0 - tail) + 1;
        let (mut seen, mut lower, mut upper) = (0, 0.0, f64::INFINITY);
        for (value, count) in self.observed.atoms() {
            if seen < low && low <= seen + count {
                lower = value;
            }
            if seen < high && high <= seen + count {
                upper = value;
            }
            seen += count;
        }
        (lower, upper)
    }
}

/// The first step whose `height` is `target` or less, but for rounding.
fn reaches(curve: &[Step], target: f64, height: impl Fn(&Step) -> f64) -> Option<f64> {
    curve.iter().find(|step| reached(height(step), target)).map(|step| step.time)
}

/// Whether a survival has come down to `target`, but for rounding.
pub(super) fn reached(survival: f64, target: f64) -> bool {
    survival <= target + 1e-12
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn durations(values: impl IntoIterator<Item = (f64, bool)>) -> Durations {
        let mut durations = Durations::default();
        values.into_iter().for_each(|(value, censored)| durations.insert(value, censored));
        durations
    }

    /// Remission times in weeks of the 21 patients given 6-MP, `true` for those still in remission
    /// (Freireich et al. 1963, as printed in Klein and Moeschberger, Survival Analysis, 2003,
    /// section 1.2; the curve as R's survfit prints it).
    fn remissions() -> Durations {
        let relapse = [6.0, 6.0, 6.0, 7.0, 10.0, 13.0, 16.0, 22.0, 23.0];
        let cut = [6.0, 9.0, 10.0, 11.0, 17.0, 19.0, 20.0, 25.0, 32.0, 32.0, 34.0, 35.0];
        durations(relapse.map(|t| (t, false)).into_iter().chain(cut.map(|t| (t, true))))
    }

    #[test]
    fn the_textbook_curve() {
        let curve = remissions().curve();
        let expected = [
            (6.0, 21, 0.857, 0.076),
            (7.0, 17, 0.807, 0.087),
            (10.0, 15, 0.753, 0.096),
            (13.0, 12, 0.690, 0.107),
            (16.0, 11, 0.627, 0.114),
            (22.0, 7, 0.538, 0.128),
            (23.0, 6, 0.448, 0.135),
        ];
        assert_eq!(curve.len(), expected.len());
        for (step, (time, at_risk, survival, error)) in curve.iter().zip(expected) {
            assert_eq!((step.time, step.at_risk), (time, at_risk));
            assert!((step.survival - survival).abs() < 5e-4, "{step:?}");
            assert!((step.survival * step.log_variance.sqrt() - error).abs() < 6e-4, "{step:?}");
        }
    }

    #[test]
    fn quantiles_of_the_textbook_sample() {
        for (q, value, at_least) in [(0.25, 13.0, false), (0.5, 23.0, false), (0.6, 35.0, true)] {
            assert_eq!(remissions().quantile(q), Some(Estimate { value, at_least }), "{q}");
        }
        // survfit(Surv(time, status) ~ 1, conf.type = "log-log") in R: median 23, 0.95LCL 13, 0.95UCL NA.
        assert_eq!(remissions().quantile_interval(0.5, 0.95), Some((13.0, f64::INFINITY)));
        assert_eq!(remissions().survival(5.9), 1.0);
        assert!((remissions().survival(100.0) - 0.448).abs() < 5e-4);
    }

    #[test]
    fn nothing_but_limits_is_a_lower_bound() {
        let all_cut = durations([(60.0, true), (60.0, true), (75.0, true)]);
        assert_eq!(all_cut.quantile(0.5), Some(Estimate { value: 75.0, at_least: true }));
        assert_eq!(all_cut.quantile_interval(0.5, 0.95), Some((75.0, f64::INFINITY)));
        assert_eq!(Durations::default().quantile(0.5), None);
        assert_eq!(Durations::default().quantile_interval(0.5, 0.95), None);
    }

    #[test]
    fn order_statistic_ranks() {
        // Median of 10: the interval from the 2nd to the 9th covers 97.9 % (Conover, table A3).
        let ten = durations((1..=10).map(|v| (f64::from(v), false)));
        assert_eq!(ten.quantile_interval(0.5, 0.95), Some((2.0, 9.0)));
        let (lower, upper) = ten.quantile_interval(0.99, 0.95).expect("not empty");
        assert!(lower >= 8.0 && upper.is_infinite());
    }

    proptest! {
        #[test]
        fn without_cuts_it_is_the_plain_quantile(values in proptest::collection::vec(0.1f64..1e6, 1..300), q in 0.0f64..=1.0) {
            let durations = durations(values.iter().map(|&v| (v, false)));
            prop_assert_eq!(durations.quantile(q).map(|e| e.value), durations.observed.quantile(q));
            let longer = values.iter().filter(|v| (**v as f32) > 1e5).count() as f64 / values.len() as f64;
            if durations.observed.is_exact() {
                prop_assert!((durations.survival(1e5) - longer).abs() < 1e-9);
            }
        }

        #[test]
        fn the_curve_falls_and_intervals_hold_the_estimate(
            values in proptest::collection::vec((0.1f64..1e6, any::<bool>()), 1..300), q in 0.01f64..0.99
        ) {
            let durations = durations(values);
            let curve = durations.curve();
            prop_assert!(curve.windows(2).all(|w| w[0].time < w[1].time && w[0].survival >= w[1].survival));
            prop_assert!(curve.iter().all(|s| (0.0..=1.0).contains(&s.survival)));
            let estimate = durations.quantile(q).expect("not empty");
            let (lower, upper) = durations.quantile_interval(q, 0.95).expect("not empty");
            prop_assert!(lower <= estimate.value * 1.0201 && estimate.value <= upper * 1.0201, "{lower} {estimate:?} {upper}");
        }

        #[test]
        fn a_cut_never_lowers_a_quantile(values in proptest::collection::vec(0.1f64..1e3, 2..60), cut in 1f64..1e3) {
            // Cutting durations off at a limit must not make the survivors look like everything.
            let whole = durations(values.iter().map(|&v| (v, false)));
            let limited = durations(values.iter().map(|&v| (v.min(cut), v > cut)));
            for t in [cut * 0.3, cut * 0.7, cut * 0.999] {
                prop_assert!((whole.survival(t) - limited.survival(t)).abs() < 1e-9);
            }
        }
    }
}
