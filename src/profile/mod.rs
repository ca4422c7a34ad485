//! Model profiles and prices: what is known about a model before its own data speak.
//!
//! Profiles are the JSON documents of `profiles/`; the formulas of scaled time, timeout, quality
//! target and concurrency read them. `price` is the dated price table.

mod load;
mod names;
pub mod price;

use serde::Serialize;

use crate::diagnostic::{Diagnostic, SourceFile};
use names::Index;

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
    /// Names of the fields above that no file gives and that follow from the others.
    pub derived: Vec<&'static str>,
}

/// Quality targets in points, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct QualityTargets {
    pub simple: f64,
    pub complex: f64,
    pub critical: f64,
    /// For every other task type: the `complex` of the fallback profile, whatever the model.
    pub other: f64,
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

impl Profile {
    /// Time that work of `complexity` (0 is trivial, 1 is hard) takes when the base time is
    /// `base_ms`: base x multiplier x (1 + complexity x factor), the performance-scaling skill's
    /// `scaleExecutionTime`. Milliseconds, rounded to the microsecond so that decimal input gives
    /// decimal output.
    pub fn scaled_time_ms(&self, base_ms: f64, complexity: f64) -> f64 {
        to_microsecond(base_ms * self.time_multiplier * (1.0 + complexity * self.complexity_factor))
    }

    /// The scaled time and the model's buffer: the timeout to begin with. Milliseconds.
    pub fn timeout_ms(&self, base_ms: f64, complexity: f64) -> f64 {
        to_microsecond(self.scaled_time_ms(base_ms, complexity) * (1.0 + self.timeout_buffer))
    }

    /// The wanted quality in points, the skill's `getQualityTarget`: `simple`, `complex`,
    /// `critical`, and for any other task type the fallback's `complex`.
    pub fn quality_target(&self, task_type: &str) -> f64 {
        match task_type {
            "simple" => self.quality.simple,
            "complex" => self.quality.complex,
            "critical" => self.quality.critical,
            _ => self.quality.other,
        }
    }
}

fn to_microsecond(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

/// The id of the profile for models that no profile names.
pub const FALLBACK: &str = "fallback";

/// Every profile, found by any spelling of a model's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Profiles {
    all: Vec<Profile>,
    index: Index,
    fallback: usize,
}

impl Profiles {
    /// The shipped profiles and the user's, which add to and override them. A file is a model
    /// document (`model:`) or a table (`scaling:`). What is at fault is left out and said.
    pub fn load(files: &[SourceFile]) -> (Profiles, Vec<Diagnostic>) {
        load::load(files)
    }

    /// The profiles that ship with evenkeel.
    pub fn shipped() -> Profiles {
        load::load(&[]).0
    }

    /// The profile for a model's name in any spelling, and how it was found.
    pub fn resolve(&self, model: &str) -> (&Profile, Resolution) {
        match self.index.find(model) {
            Some(entry) => {
                let profile = &self.all[entry.target];
                let exact = names::normal(&profile.model) == names::normal(model);
                (profile, if exact { Resolution::Exact } else { Resolution::Alias(entry.written.clone()) })
            }
            None => (&self.all[self.fallback], Resolution::Fallback),
        }
    }

    /// Every profile in the order of its id.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_give_the_published_figures() {
        let profiles = Profiles::shipped();
        for (model, scaled, timeout, targets, concurrency) in [
            ("claude-sonnet", 87_000.0, 95_700.0, [85.0, 90.0, 95.0], (3, 4)),
            ("claude-4.5", 75_600.0, 79_380.0, [88.0, 92.0, 96.0], (4, 5)),
            ("glm-4.6", 120_000.0, 150_000.0, [82.0, 88.0, 92.0], (2, 3)),
            ("fallback", 153_000.0, 229_500.0, [80.0, 85.0, 90.0], (1, 2)),
        ] {
            let (profile, _) = profiles.resolve(model);
            assert_eq!(profile.scaled_time_ms(60_000.0, 0.5), scaled, "{model}");
            assert_eq!(profile.timeout_ms(60_000.0, 0.5), timeout, "{model}");
            assert_eq!(["simple", "complex", "critical"].map(|t| profile.quality_target(t)), targets, "{model}");
            assert_eq!(profile.quality_target("banana"), 85.0, "{model}");
            assert_eq!(profile.concurrency, concurrency, "{model}");
            assert!(profile.derived.is_empty(), "{model}");
        }
    }

    #[test]
    fn names_resolve_in_every_spelling() {
        let profiles = Profiles::shipped();
        let alias = |written: &str| Resolution::Alias(written.to_owned());
        for (model, id, resolution) in [
            ("claude-sonnet-4.5", "claude-sonnet-4.5", Resolution::Exact),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5", Resolution::Exact),
            ("anthropic/claude-sonnet-4-5", "claude-sonnet-4.5", Resolution::Exact),
            ("claude-sonnet", "claude-sonnet-4.5", alias("claude-sonnet")),
            ("claude-3-5-sonnet-20241022", "claude-sonnet-4.5", alias("*claude*sonnet*")),
            ("us.anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4.1", alias("*claude*opus*")),
            ("claude-4.5", "claude-opus-4.1", alias("claude-4.5")),
            ("claude-haiku-4-5", "claude-haiku-4.5", Resolution::Exact),
            ("zai-org/GLM-4.6", "glm-4.6", Resolution::Exact),
            ("fallback", "fallback", Resolution::Exact),
            ("gpt-4o", "fallback", Resolution::Fallback),
            ("", "fallback", Resolution::Fallback),
        ] {
            let (profile, found) = profiles.resolve(model);
            assert_eq!((profile.model.as_str(), found), (id, resolution), "{model}");
        }
    }
}
