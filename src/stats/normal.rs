//! The standard normal distribution.

use statrs::distribution::{ContinuousCDF, Normal};

/// P(Z <= x).
pub fn cdf(x: f64) -> f64 {
    Normal::standard().cdf(x)
}

/// The `p` quantile, 0 < p < 1.
pub fn quantile(p: f64) -> f64 {
    debug_assert!(p > 0.0 && p < 1.0, "a probability strictly between 0 and 1, not {p}");
    Normal::standard().inverse_cdf(p)
}

/// Half-width of the central interval that holds `level` of the mass: 1.96 for 0.95.
pub fn z_for_level(level: f64) -> f64 {
    quantile(0.5 + level / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points() {
        for (level, z) in [(0.8, 1.281_551_565_5), (0.95, 1.959_963_984_5), (0.99, 2.575_829_303_5)] {
            assert!((z_for_level(level) - z).abs() < 1e-8);
            assert!((cdf(z) - cdf(-z) - level).abs() < 1e-9);
        }
    }
}
