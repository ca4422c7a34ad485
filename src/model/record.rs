//! One execution of one agent, as the engine takes it in.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Extra, Nanodollars, Outcome, Timestamp};

/// What makes a record the same record when it is read twice: a hash of the source's own id, else
/// of the line's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(pub u64);

/// Tokens of one execution. Vendors count cached input differently, so it is kept apart:
/// `input` never contains `cache_read` or `cache_write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// Input tokens that were not served from a cache.
    pub input: u64,
    /// Input tokens read from a cache.
    pub cache_read: u64,
    /// Input tokens written to a cache.
    pub cache_write: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
}

impl Tokens {
    /// All tokens, saturating.
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write).saturating_add(self.output)
    }
}

/// A judge's verdict on the result, 0 to 100 whatever scale the source uses.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quality(pub f32);

/// One execution. Strings borrow from the line they were read from.
///
/// `None` is always "the source does not say", never zero: a missing cost is not free and a
/// missing duration is not instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    /// Identity, for dropping doubles; `None` when the source gives neither an id nor a time.
    pub id: Option<RecordId>,
    /// When the execution ended; `None` takes the engine's clock.
    pub at: Option<Timestamp>,
    /// Name of the source in the configuration.
    pub source: &'a str,
    /// Who did the work.
    pub agent: Cow<'a, str>,
    /// The model as the source writes it.
    pub model: Option<Cow<'a, str>>,
    /// The kind of task.
    pub task_type: Option<Cow<'a, str>>,
    /// The workflow or run that this execution was part of.
    pub workflow: Option<Cow<'a, str>>,
    /// The provider behind the model.
    pub provider: Option<Cow<'a, str>>,
    /// The team or customer that the work was for.
    pub tenant: Option<Cow<'a, str>>,
    /// How it ended.
    pub outcome: Outcome,
    /// The source's class of the failure, e.g. `RateLimitError`.
    pub error_class: Option<Cow<'a, str>>,
    /// Wall time in milliseconds, finite and not negative.
    pub duration_ms: Option<f64>,
    /// Whether the duration was cut off at a limit: the true one is unknown and longer.
    pub censored: bool,
    /// The time limit in force, in milliseconds, when the source says it.
    pub timeout_ms: Option<f64>,
    /// Tokens; `None` when the source does not count them.
    pub tokens: Option<Tokens>,
    /// Cost as far as known: reported by a trusted source, else recomputed from tokens and prices.
    pub cost: Option<Nanodollars>,
    /// The verdict of a judge.
    pub quality: Option<Quality>,
    /// A hash of what was done, tool and arguments, for finding loops.
    pub work: Option<u64>,
    /// Labels of the settings, name and value.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// Numeric fields that rules name and the record has no place for.
    pub extra: Extra<'a>,
}

impl<'a> Record<'a> {
    /// A record that says nothing but who, when and how it ended.
    pub fn new(source: &'a str, agent: impl Into<Cow<'a, str>>, at: Option<Timestamp>, outcome: Outcome) -> Self {
        Record {
            id: None,
            at,
            source,
            agent: agent.into(),
            model: None,
            task_type: None,
            workflow: None,
            provider: None,
            tenant: None,
            outcome,
            error_class: None,
            duration_ms: None,
            censored: false,
            timeout_ms: None,
            tokens: None,
            cost: None,
            quality: None,
            work: None,
            labels: Vec::new(),
            extra: Extra::default(),
        }
    }
}
