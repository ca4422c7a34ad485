//! Model profiles and prices: what is known about a model before its own data speak.
//!
//! Profiles are the JSON documents of `profiles/`; the formulas of scaled time, timeout, quality
//! target and concurrency read them. `price` is the dated price table.

use serde::Serialize;

/// What a profile gives for one model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// Its id, e.g. `claude-sonnet-4.5`.
    pub model: String,
    /// Factor on the base time.
    pub time_multiplier: f64,
    /// Factor on the complexity: above 1 for weaker models.
    pub complexity_factor: f64,
    /// Share added to the scaled time to make a timeout: 0.10 is 10 %.
    pub timeout_buffer: f64,
    /// Quality targets in points by task type.
    pub quality: QualityTargets,
    /// Fewest and most tasks at once.
    pub concurrency: (u32, u32),
    /// Factor on throughput of parallel work.
    pub parallel_processing: f64,
}

/// Quality targets in points, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct QualityTargets {
    pub simple: f64,
    pub complex: f64,
    pub critical: f64,
}

/// How a model name found its profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The name itself, once dots, dashes and a trailing date are made alike.
    Exact,
    /// An alias or glob, which is named.
    Alias(String),
    /// Nothing matched: the fallback profile, with a warning.
    Fallback,
}
