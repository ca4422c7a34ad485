//! What is tuned: files, the values in them, and their guards.

use std::path::PathBuf;

use crate::model::Span;

/// What is tuned and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct TuneSettings {
    /// How often targets are looked at.
    pub interval: Span,
    /// Where suggested patches are written.
    pub patch_dir: PathBuf,
    /// One killed run costs as much as this many re-runs (kappa).
    pub kill_cost: f64,
    /// Changes allowed per hour over the whole fleet.
    pub changes_per_hour: u32,
    /// The files that may be patched.
    pub targets: Vec<Target>,
}

impl Default for TuneSettings {
    fn default() -> Self {
        TuneSettings {
            interval: Span::minutes(5),
            patch_dir: PathBuf::from(".evenkeel/patches"),
            kill_cost: 2.0,
            changes_per_hour: 10,
            targets: Vec::new(),
        }
    }
}

/// A file whose values are tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Unique among the targets.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// Its syntax.
    pub format: TargetFormat,
    /// Whether it is left alone, proposed to, or edited.
    pub mode: Mode,
    /// The values in it.
    pub parameters: Vec<Parameter>,
}

/// The syntax of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TargetFormat {
    Json,
    Yaml,
    Toml,
}

/// What evenkeel may do with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Off,
    /// Write patches beside it, for people to apply.
    Suggest,
    /// Edit it.
    Apply,
}

impl Mode {
    /// The word in configurations and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::Suggest => "suggest",
            Mode::Apply => "apply",
        }
    }
}

/// One tuned value per agent in a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// What it controls.
    pub kind: ParameterKind,
    /// Path template such as `agents.{agent}.timeout`; segments are split at dots, a segment in
    /// double quotes keeps its dots.
    pub path: String,
    /// Milliseconds in one unit of the value, for timeouts: 1 ms, 1000 s, 60000 min.
    pub unit_ms: f64,
    /// Whether the value is written as a string (`"600000"`).
    pub as_string: bool,
    /// Guards.
    pub guard: Guard,
    /// The task type whose verdicts and profile target make a quality target; `complex` by default.
    pub task_type: String,
}

/// What a parameter controls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// How long a run may take; milliseconds inside evenkeel.
    Timeout,
    /// The wanted quality, points 0 to 100.
    QualityTarget,
    /// How many runs at once.
    Concurrency,
}

impl ParameterKind {
    /// The word in configurations, messages and the history.
    pub fn as_str(self) -> &'static str {
        match self {
            ParameterKind::Timeout => "timeout",
            ParameterKind::QualityTarget => "quality_target",
            ParameterKind::Concurrency => "concurrency",
        }
    }
}

/// One set of guards for every parameter. Values are in the parameter's inner unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guard {
    /// Never below.
    pub floor: f64,
    /// Never above.
    pub ceiling: f64,
    /// Changes smaller than this share of the current value are not worth making.
    pub dead_band: f64,
    /// One change is at most this factor up.
    pub step_up: f64,
    /// One change is at most this factor down (0.5 halves).
    pub step_down: f64,
    /// At least this long between two changes of the same value.
    pub cooldown: Span,
    /// Fewer executions than this propose nothing.
    pub min_samples: u32,
}
