//! Shares of successes: intervals that hold for few trials and for shares near 0 and 1.

use serde::{Deserialize, Serialize};

use super::normal;

/// Two ends of an interval, `lower <= upper`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

impl Interval {
    /// Whether `value` lies inside, ends included.
    pub fn contains(self, value: f64) -> bool {
        self.lower <= value && value <= self.upper
    }
}

/// Wilson's score interval of a share; counts may be weights. Everything (0 to 1) when `n` is 0.
///
/// (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)  (Wilson 1927; Brown, Cai, DasGupta 2001)
pub fn wilson(successes: f64, n: f64, level: f64) -> Interval {
    if n <= 0.0 {
        return Interval { lower: 0.0, upper: 1.0 };
    }
    let z = normal::z_for_level(level);
    let p = (successes / n).clamp(0.0, 1.0);
    let z2n = z * z / n;
    let centre = (p + z2n / 2.0) / (1.0 + z2n);
    let half = z * (p * (1.0 - p) / n + z2n / (4.0 * n)).sqrt() / (1.0 + z2n);
    // At the ends the formula gives 0 and 1 but for rounding.
    Interval {
        lower: if p == 0.0 { 0.0 } else { (centre - half).max(0.0) },
        upper: if p == 1.0 { 1.0 } else { (centre + half).min(1.0) },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(found: Interval, lower: f64, upper: f64) {
        assert!((found.lower - lower).abs() < 6e-5 && (found.upper - upper).abs() < 6e-5, "{found:?}");
    }

    #[test]
    fn wilson_as_published() {
        // Newcombe 1998 (two-sided intervals for the single proportion), table I, method 3.
        check(wilson(81.0, 263.0, 0.95), 0.2553, 0.3662);
        check(wilson(15.0, 148.0, 0.95), 0.0624, 0.1605);
        check(wilson(0.0, 20.0, 0.95), 0.0, 0.1611);
        check(wilson(1.0, 29.0, 0.95), 0.0061, 0.1718);
        check(wilson(0.0, 0.0, 0.95), 0.0, 1.0);
    }

    proptest! {
        #[test]
        fn intervals_hold_their_share(n in 1u32..5000, part in 0.0f64..=1.0, level in 0.5f64..0.999) {
            let successes = (f64::from(n) * part).round();
            let share = successes / f64::from(n);
            let interval = wilson(successes, f64::from(n), level);
            prop_assert!(interval.contains(share) && interval.lower >= 0.0 && interval.upper <= 1.0);
        }
    }
}
