//! Count, mean and variance of a stream of numbers.
//!
//! Welford's update (1962) loses no digits to large means. Rounding depends on the order of the numbers,
//! in the last digits.

use serde::{Deserialize, Serialize};

/// Count, mean and sum of squared deviations.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    n: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// The moments of `n` numbers with this mean and sample variance.
    pub fn from_parts(n: u64, mean: f64, variance: f64) -> Moments {
        Moments { n, mean, squares: variance * n.saturating_sub(1) as f64 }
    }

    /// Adds a finite number.
    pub fn insert(&mut self, value: f64) {
        debug_assert!(value.is_finite(), "moments take finite values, not {value}");
        self.n += 1;
        let before = value - self.mean;
        self.mean += before / self.n as f64;
        self.squares += before * (value - self.mean);
    }

    /// Number of values.
    pub fn len(&self) -> u64 {
        self.n
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The mean; `None` when empty.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then_some(self.mean)
    }

    /// The variance with n - 1 below the line; `None` below two values.
    pub fn variance(&self) -> Option<f64> {
        (self.n > 1).then(|| self.squares.max(0.0) / (self.n - 1) as f64)
    }
}

impl Extend<f64> for Moments {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.insert(value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        moments.extend(values.iter().copied());
        moments
    }

    #[test]
    fn a_small_sample_far_from_zero() {
        // NIST StRD NumAcc3: 1000001 values around 1000000.2 have a deviation of 0.1; the first of them.
        let moments = of(&[1_000_000.2, 1_000_000.1, 1_000_000.3, 1_000_000.1, 1_000_000.3]);
        assert!((moments.mean().expect("values") - 1_000_000.2).abs() < 1e-9);
        assert!((moments.variance().expect("values") - 0.01).abs() < 1e-6);
        assert_eq!((of(&[]).mean(), of(&[3.0]).variance()), (None, None));
    }

    proptest! {
        #[test]
        fn streaming_equals_batch(values in proptest::collection::vec(-1e6f64..1e6, 2..100)) {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let moments = of(&values);
            prop_assert_eq!(moments.len(), values.len() as u64);
            prop_assert!((moments.mean().expect("values") - mean).abs() <= 1e-6);
            prop_assert!((moments.variance().expect("values") - variance).abs() <= 1e-9 * variance.max(1.0));
            let parts = Moments::from_parts(moments.len(), mean, variance);
            prop_assert!((parts.variance().expect("values") - variance).abs() <= 1e-9 * variance.max(1.0));
        }
    }
}
