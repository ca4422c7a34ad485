//! The daemon's own settings: a table of fields, the YAML shape (`raw`), then checks; what comes out is
//! whole, with every default filled in.
//!
//! Secrets are never part of the settings: a receiver names where its secret is to be read from.

pub mod budget;
mod channel;
mod check;
pub mod digest;
mod mapping;
mod raw;
mod receiver;
pub mod reference;
pub mod routing;
mod source;
pub mod table;
mod target;
mod tune;

use std::path::PathBuf;

pub use channel::{Channel, Heartbeat, Receiver, Resend, Secret, SmtpTls};
pub use mapping::{CostTrust, Mapping, Source};
pub use tune::{Guard, Mode, Parameter, ParameterKind, Target, TargetFormat, TuneSettings};

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
