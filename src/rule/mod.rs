//! Alert rules: YAML shape, then expression, then checks; what comes out can only be right.
//!
//! `lex` turns a condition into tokens with byte spans, `syntax` holds them to the grammar and lets
//! the expression parser build a tree, `condition` checks names, units and ranges and lowers it to
//! a slot-resolved [`Program`]; [`load`] puts rules together and returns every diagnostic of every
//! file.

mod aggregate;
pub mod annotation;
mod condition;
mod contradiction;
mod cover;
pub mod deciding;
pub mod export;
pub mod foreign;
mod hours;
pub mod left_out;
mod levels;
mod lex;
pub mod load;
pub mod matcher;
pub mod names;
pub mod places;
pub mod program;
mod range;
pub mod reference;
pub mod shipped;
pub mod slo;
pub mod story;
mod syntax;
pub mod takes;
mod terms;
pub mod threshold;
mod trial;
mod volume;

use std::collections::BTreeMap;

pub use aggregate::Aggregate;
pub use hours::ActiveHours;
pub use takes::Takes;
pub use terms::{LEVEL_LIMIT, Level, NoData, OVERRIDE_LIMIT, Override, Recover, Terms};

use crate::model::{Dimension, Metric, Severity, Span, Timestamp, Unit};

/// A checked rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Unique among the loaded rules.
    pub name: String,
    /// The condition as it was written.
    pub condition: String,
    /// The condition as it is evaluated.
    pub program: Program,
    /// How far back the metrics look that have no time range of their own.
    pub window: Span,
    /// The budget that the condition reads.
    pub budget: Option<String>,
    /// The labels that make a subject; empty is the whole fleet.
    pub by: Vec<Dimension>,
    /// Which executions count at all; every matcher must match.
    pub filter: Vec<Matcher>,
    /// How long the condition must hold before the alert fires (`for`).
    pub hold: Span,
    /// How long the alert keeps firing after the condition stopped holding.
    pub keep_firing_for: Span,
    /// Fewer samples than this in the window are no data.
    pub min_samples: u32,
    /// How bad it is.
    pub severity: Severity,
    /// Labels added to the alert's own.
    pub labels: BTreeMap<String, String>,
    /// Texts for people, such as `summary`; may hold template fields, see [`annotation`].
    pub annotations: BTreeMap<String, String>,
    /// Levels, recovery, missing data, overrides, shadow and hours.
    pub terms: Terms,
    /// The file and line where it stands, for messages.
    pub place: String,
}

impl Rule {
    /// Every condition on which it fires: its own or those of its levels, then those of overrides.
    pub fn roots(&self) -> impl Iterator<Item = &Node> {
        let own = self.terms.levels.is_empty().then_some(&self.program.root);
        let levels = self.terms.levels.iter().chain(self.terms.overrides.iter().flat_map(|o| &o.levels));
        own.into_iter().chain(levels.map(|level| &level.root))
    }

    /// What it looks at alone, in words; `None` when that is everything. Without those labels that make its subjects
    /// when `own` is false: what it counts of what a subject did.
    pub fn looks_only_at(&self, own: bool) -> Option<String> {
        let counts = self.filter.iter().filter(|matcher| own || !self.by.contains(&matcher.dimension));
        let words: Vec<String> = counts.map(ToString::to_string).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The same, to be changed.
    pub fn roots_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        let own = self.terms.levels.is_empty().then_some(&mut self.program.root);
        let levels = self.terms.levels.iter_mut().chain(self.terms.overrides.iter_mut().flat_map(|o| &mut o.levels));
        own.into_iter().chain(levels.map(|level| &mut level.root))
    }

    /// How far back it looks at all.
    pub fn reach(&self) -> Span {
        self.program.inputs.iter().filter_map(Input::window).fold(self.window, Span::max)
    }

    /// When its alerts may be told again; `None`: they may be told at `now`.
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        self.terms.active_hours.as_ref().filter(|hours| !hours.contain(now)).and_then(|hours| hours.changes_after(now))
    }
}

/// A condition on one label of the executions that count: `agent: reviewer`, `model: "claude-*"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Matcher {
    /// The label.
    pub dimension: Dimension,
    /// The values, any of which matches; `*` stands for any run of characters.
    pub patterns: Vec<String>,
    /// Whether a match excludes instead (`!pattern`).
    pub negated: bool,
}

/// What a slot of a program reads.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The value of a metric in a window of its own, or in the rule's.
    Metric(Metric, Option<Span>),
    /// What the values of a numeric record field come to.
    Field {
        /// The field.
        name: String,
        /// What is taken of its values.
        aggregate: Aggregate,
        /// The window, when it is not the rule's.
        window: Option<Span>,
    },
    /// The used share of the rule's budget.
    Budget,
    /// Of the metric's values in the preceding windows, the tested one left out: the one that `percent` of
    /// them do not exceed; 50 is their robust centre.
    Baseline {
        /// The metric.
        metric: Metric,
        /// The percentile.
        percent: u8,
    },
    /// The centre of the metric's values among the other agents on the same task types, in the same window.
    Peers(Metric),
    /// The agent's score in points.
    Score,
    /// The points that the peers reach on the agent's own mix of tasks.
    PeersScore,
}

impl std::fmt::Display for Input {
    /// The name that a condition has for it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let range = |window: &Option<Span>| window.map_or_else(String::new, |window| format!("[{window}]"));
        match self {
            Input::Metric(metric, window) => write!(f, "{}{}", metric.name(), range(window)),
            Input::Baseline { metric, percent: 50 } => write!(f, "baseline of {}", metric.name()),
            Input::Baseline { metric, percent } => write!(f, "baseline.p{percent} of {}", metric.name()),
            Input::Peers(metric) => write!(f, "peers of {}", metric.name()),
            Input::Score => f.write_str("score"),
            Input::PeersScore => f.write_str("peers of score"),
            Input::Field { name, aggregate, window } => write!(f, "{}({name}{})", aggregate.as_str(), range(window)),
            Input::Budget => f.write_str("budget"),
        }
    }
}

impl Input {
    /// The unit of its values.
    pub fn unit(&self) -> Unit {
        match self {
            Input::Metric(metric, _) | Input::Baseline { metric, .. } | Input::Peers(metric) => metric.unit(),
            Input::Field { .. } => Unit::Any,
            Input::Budget => Unit::Ratio,
            Input::Score | Input::PeersScore => Unit::Points,
        }
    }

    /// The metric that it is of.
    pub fn metric(&self) -> Option<Metric> {
        match self {
            Input::Metric(metric, _) | Input::Baseline { metric, .. } | Input::Peers(metric) => Some(*metric),
            _ => None,
        }
    }

    /// The window that it is read in, when that is not the rule's.
    pub fn window(&self) -> Option<Span> {
        match self {
            Input::Metric(_, window) | Input::Field { window, .. } => *window,
            _ => None,
        }
    }

    /// Whether it is read in the rule's window.
    pub fn reads_rule_window(&self) -> bool {
        match self {
            Input::Budget | Input::Score | Input::PeersScore => false,
            input => !input.runs() && input.usual().is_none() && input.window().is_none(),
        }
    }

    /// Whether what parts of a window hold adds up to what the window holds.
    pub fn adds_up(&self) -> bool {
        use Metric::{Cost, Executions, FailedExecutions, InputTokens, OutputTokens, TotalTokens};
        match self {
            Input::Metric(metric, _) => {
                matches!(metric, Executions | FailedExecutions | InputTokens | OutputTokens | TotalTokens | Cost)
            }
            Input::Field { aggregate, .. } => matches!(aggregate, Aggregate::Sum | Aggregate::Increase),
            _ => false,
        }
    }

    /// Whether it is a time that runs by itself, whatever the window holds.
    pub fn runs(&self) -> bool {
        matches!(self, Input::Metric(metric, _) if metric.runs())
    }

    /// Whether it counts agents by their alerts.
    pub fn is_of_alerts(&self) -> bool {
        matches!(self, Input::Metric(metric, _) if metric.is_of_alerts())
    }

    /// The metric of a baseline, and which percentile of it.
    pub fn baseline(&self) -> Option<(Metric, u8)> {
        match self {
            Input::Baseline { metric, percent } if !metric.runs() => Some((*metric, *percent)),
            _ => None,
        }
    }

    /// Which percentile of the subject's usual silence it is.
    pub fn usual(&self) -> Option<u8> {
        match self {
            Input::Baseline { metric, percent } if metric.runs() => Some(*percent),
            _ => None,
        }
    }

    /// Whether it is what the subject did in the past.
    pub fn is_of_past(&self) -> bool {
        matches!(self, Input::Baseline { .. })
    }

    /// The metric that the peers are asked for.
    pub fn peers(&self) -> Option<Metric> {
        if let Input::Peers(metric) = self { Some(*metric) } else { None }
    }

    /// Whether it is what peers have.
    pub fn is_of_peers(&self) -> bool {
        matches!(self, Input::Peers(_) | Input::PeersScore)
    }

    /// Whether it is something that the subject is held against, rather than a value of its own.
    pub fn is_yardstick(&self) -> bool {
        self.is_of_past() || self.is_of_peers()
    }

    /// Whether only agents have it.
    pub fn is_of_agents(&self) -> bool {
        self.is_of_peers() || *self == Input::Score
    }
}

/// A condition lowered to arithmetic on slots. Missing data is a value of its own: arithmetic and
/// comparison on it give "no data", `a || b` is true when one side is, `a && b` is false when
/// one side is.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// What each slot reads; equal inputs share a slot.
    pub inputs: Vec<Input>,
    /// The tree, its leaves naming slots.
    pub root: Node,
}

/// A node of a [`Program`]. Boolean nodes give 1.0 and 0.0.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Node {
    Const(f64),
    Slot(usize),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    Negate(Box<Node>),
    /// `unit` is the unit that both sides share, for showing the values.
    Compare {
        op: Comparison,
        left: Box<Node>,
        right: Box<Node>,
        unit: Unit,
    },
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
}

/// Arithmetic between two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Comparison of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
}

/// What an evaluation found: whether the condition holds, and the comparison that decided it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Whether the condition holds.
    pub holds: bool,
    /// The left side of the deciding comparison.
    pub value: f64,
    /// The right side of the deciding comparison.
    pub threshold: f64,
    /// The unit of both.
    pub unit: Unit,
}

/// Labels that a rule may split by, at most.
pub const BY_LIMIT: usize = 4;

/// Different values that one condition may read, at most.
pub const INPUT_LIMIT: usize = 16;
