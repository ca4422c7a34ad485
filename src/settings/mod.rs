//! The daemon's own settings: a table of fields, the YAML shape (`raw`), then checks; what comes out is
//! whole, with every default filled in.
//!
//! Secrets are never part of the settings: a receiver names where its secret is to be read from.

pub mod budget;
mod channel;
mod check;
pub mod digest;
mod raw;
mod receiver;
pub mod reference;
pub mod routing;
mod source;
pub mod table;
mod target;
mod ways;

use std::path::PathBuf;

pub use channel::{Channel, Heartbeat, Receiver, Resend, Secret, SmtpTls};

use crate::model::{Dimension, Label, Span};

/// Everything that `evenkeel.yaml` says. Paths are resolved against the folder of that file.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where journal, snapshot and database live.
    pub state_dir: PathBuf,
    /// Files and folders of rules; none: the shipped pack.
    pub rules: Vec<PathBuf>,
    /// Files and folders of model profiles, added to the shipped ones.
    pub profiles: Vec<PathBuf>,
    /// Price tables, later ones win over the shipped one.
    pub prices: Vec<PathBuf>,
    /// What drives the engine's clock.
    pub clock: Clock,
    /// How often rules are evaluated; 1 s to 1 h.
    pub evaluation_interval: Span,
    /// How much may be used.
    pub budgets: Vec<budget::Budget>,
    /// What is read.
    pub sources: Vec<Source>,
    /// Who is told.
    pub receivers: Vec<Receiver>,
    /// The sign of life that somebody else watches.
    pub heartbeat: Option<Heartbeat>,
    /// Summaries of what happened, and who gets them when.
    pub digests: Vec<digest::Digest>,
    /// Who of them is told of what, and when.
    pub routing: routing::Routing,
    /// Where the HTTP API listens; `None` switches it off.
    pub listen: Option<std::net::SocketAddr>,
    /// Where the API's bearer token is read from; must be there to listen beyond loopback.
    pub api_token: Option<Secret>,
    /// Where people find the API, for messages; `None` for the address that is listened to.
    pub external_url: Option<String>,
    /// How agents are scored.
    pub scores: ScoreSettings,
    /// What is tuned and where it is written.
    pub tune: TuneSettings,
    /// Named bounds of the engine.
    pub limits: Limits,
}

impl Default for Settings {
    /// What holds without a configuration file: the shipped rules, nothing to read, nobody to tell,
    /// nothing to tune, the API on loopback. Paths are relative to the working folder.
    fn default() -> Self {
        Settings {
            state_dir: PathBuf::from(".evenkeel"),
            rules: Vec::new(),
            profiles: Vec::new(),
            prices: Vec::new(),
            clock: Clock::Wall,
            evaluation_interval: Span::seconds(15),
            budgets: Vec::new(),
            sources: Vec::new(),
            receivers: Vec::new(),
            heartbeat: None,
            digests: Vec::new(),
            routing: routing::Routing::default(),
            listen: Some(LISTEN),
            api_token: None,
            external_url: None,
            scores: ScoreSettings::default(),
            tune: TuneSettings::default(),
            limits: Limits::default(),
        }
    }
}

/// Where the API listens when the configuration does not say.
const LISTEN: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9533);

/// What drives the engine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The wall clock, once the history has been read.
    Wall,
    /// The newest record's time, going on at normal speed from there: for recordings and demos.
    Records,
}

impl Settings {
    /// The labels that the sources define beside the built-in ones, in order of their names.
    pub fn labels(&self) -> Vec<Label> {
        source::labels_of(&self.sources)
    }
}

/// Something that is read for executions.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Unique among the sources; a label of the records.
    pub name: String,
    /// A file, or a glob in the last component such as `metrics/*.jsonl`; may appear later.
    pub path: PathBuf,
    /// How its lines become records.
    pub mapping: Mapping,
}

/// How a JSON object becomes a record: field names, units and what is trusted.
///
/// The default is the 13-key execution record plus the optional fields of `docs/formats.md`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// Zone of times that carry none (IANA name); `UTC` by default.
    pub zone: String,
    /// Key of the end time; `None`: records carry no time.
    pub timestamp: Option<String>,
    /// Key of the start time, used when there is no end time: end = start + duration.
    pub start: Option<String>,
    /// Key of the agent's name.
    pub agent: Option<String>,
    /// Agent when the key is absent; `{file_stem}` stands for the file's name without extension.
    pub agent_default: Option<String>,
    /// Key of the source's own record id.
    pub id: Option<String>,
    /// Key of the model.
    pub model: Option<String>,
    /// Key of the task type.
    pub task_type: Option<String>,
    /// Key of the workflow.
    pub workflow: Option<String>,
    /// Key of the provider.
    pub provider: Option<String>,
    /// Key of the tenant.
    pub tenant: Option<String>,
    /// Key of the tool that was used.
    pub tool: Option<String>,
    /// Key of a hash, or the text, of what it was used on.
    pub arguments: Option<String>,
    /// Labels of our own and their keys, in order of the labels.
    pub labels: Vec<(Label, String)>,
    /// Key of a boolean: true is ok.
    pub success: Option<String>,
    /// Key of an outcome word or of an error that is null or empty when all is well.
    pub error: Option<String>,
    /// Error values that count as `limit`, e.g. `429`, `RateLimitError`.
    pub limit_errors: Vec<String>,
    /// Error values that count as `timeout` and censor the duration, e.g. `TimeoutError`.
    pub timeout_errors: Vec<String>,
    /// Error values whose durations, tokens and cost are void (written as zero).
    pub void_errors: Vec<String>,
    /// Key of the duration.
    pub duration: Option<String>,
    /// Milliseconds in one unit of the duration: 1 for ms, 1000 for s.
    pub duration_unit_ms: f64,
    /// Key of a boolean: the run was stopped at its limit.
    pub timed_out: Option<String>,
    /// Key of the limit in force, same unit as the duration unless it ends in `_ms` or `_s`.
    pub timeout: Option<String>,
    /// Key of input tokens.
    pub input_tokens: Option<String>,
    /// Key of output tokens.
    pub output_tokens: Option<String>,
    /// Key of cached input tokens.
    pub cache_read_tokens: Option<String>,
    /// Key of input tokens that were written to a cache.
    pub cache_write_tokens: Option<String>,
    /// Whether input tokens already contain the cached ones.
    pub input_includes_cached: bool,
    /// Key of the reported cost in USD.
    pub cost: Option<String>,
    /// Whether the reported cost is used or recomputed from tokens and prices.
    pub trust_cost: CostTrust,
    /// Key of the quality score.
    pub quality: Option<String>,
    /// Lowest and highest score of that scale, e.g. (0, 10).
    pub quality_scale: (f64, f64),
}

impl Default for Mapping {
    /// The 13-key execution record that claude-force writes, and the optional keys beside it.
    fn default() -> Self {
        let key = |name: &str| Some(name.to_owned());
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Mapping {
            zone: "UTC".to_owned(),
            timestamp: key("timestamp"),
            start: None,
            agent: key("agent_name"),
            agent_default: None,
            id: key("id"),
            model: key("model"),
            task_type: key("task_type"),
            workflow: key("workflow_name"),
            provider: key("provider"),
            tenant: key("tenant"),
            tool: key("tool_name"),
            arguments: key("arguments_hash"),
            labels: Vec::new(),
            success: key("success"),
            error: key("error_type"),
            limit_errors: words(&["RateLimitError", "429"]),
            timeout_errors: words(&["TimeoutError"]),
            void_errors: Vec::new(),
            duration: key("execution_time_ms"),
            duration_unit_ms: 1.0,
            timed_out: key("timed_out"),
            timeout: key("timeout_ms"),
            input_tokens: key("input_tokens"),
            output_tokens: key("output_tokens"),
            cache_read_tokens: key("cache_read_tokens"),
            cache_write_tokens: key("cache_write_tokens"),
            input_includes_cached: false,
            cost: key("estimated_cost"),
            trust_cost: CostTrust::Auto,
            quality: key("quality_score"),
            quality_scale: (0.0, 100.0),
        }
    }
}

/// Whose cost of an execution is used: the source's or the one recomputed from tokens and prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostTrust {
    /// The reported cost, unless it is about a thousandth of the recomputed one (writers that
    /// mistake dollars per million tokens for dollars per thousand). Where nothing can be
    /// recomputed a reported cost above zero is used, and zero is unknown.
    Auto,
    /// The reported cost, zero included; recomputed only where none is reported.
    Always,
    /// The recomputed cost only; where it cannot be recomputed the cost is unknown.
    Never,
}

impl CostTrust {
    /// Ratio of reported to recomputed cost below which [`CostTrust::Auto`] takes the reported one
    /// for a slip of units: well above 0.001, well below any discount.
    pub const SLIP_OF_UNITS: f64 = 0.005;
}

/// How agents are scored.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreSettings {
    /// How far back scores look.
    pub window: Span,
    /// Fewer executions than this are "insufficient data".
    pub min_samples: u32,
    /// Health below this is degraded.
    pub degraded_below: f64,
}

impl Default for ScoreSettings {
    fn default() -> Self {
        ScoreSettings { window: Span::days(30), min_samples: 20, degraded_below: 0.8 }
    }
}

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

/// Named bounds; what happens at each is described in `docs/config.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Subjects per split; records of further ones count under the overflow subject.
    pub series: u32,
    /// Names the engine keeps; further ones count under the overflow name.
    pub names: u32,
    /// Bytes of one input line; longer ones are quarantined.
    pub line_bytes: u32,
    /// Notifications waiting; further ones are dropped and counted.
    pub outbox: u32,
    /// Records whose identity is remembered for dropping doubles.
    pub seen_ids: u32,
    /// Bytes of the quarantine file; older half is dropped.
    pub quarantine_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            series: 20_000,
            names: 100_000,
            line_bytes: 1 << 20,
            outbox: 10_000,
            seen_ids: 65_536,
            quarantine_bytes: 16 << 20,
        }
    }
}

/// The label value that stands for everything beyond a bound.
pub const OVERFLOW: &str = "~overflow";

/// Label sets that scores, baselines and tuning are kept by.
pub const CELL: [Dimension; 3] = [Dimension::Agent, Dimension::TaskType, Dimension::Model];
