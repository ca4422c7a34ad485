//! What only some rules say: levels, recovery, no data, overrides, and when an alert is told.

use super::hours::ActiveHours;
use super::slo::Slo;
use super::{Matcher, Node};
use crate::model::{Dimension, Severity, Span, Subject};

/// Levels of one rule, at most: one per severity.
pub const LEVEL_LIMIT: usize = Severity::ALL.len();

/// Overrides of one rule, at most.
pub const OVERRIDE_LIMIT: usize = 50;

/// The terms of a rule beyond its one condition; the default is a rule that has only that.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Terms {
    /// All levels, mildest first; empty when the rule has the one condition. The rule's own
    /// condition, severity and `for` are those of the first.
    pub levels: Vec<Level>,
    /// What must hold before a firing alert may end.
    pub recover: Option<Recover>,
    /// What missing data means.
    pub no_data: NoData,
    /// Other thresholds for some subjects; the first that matches a subject counts.
    pub overrides: Vec<Override>,
    /// Names of rules whose alerts this one counts, and holds back while it fires.
    pub covers: Vec<String>,
    /// Evaluate and record, tell nobody.
    pub shadow: bool,
    /// When alerts are told; `None`: always.
    pub active_hours: Option<ActiveHours>,
    /// The objective whose rule it is.
    pub slo: Option<Slo>,
}

/// One severity of a rule and what it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// How bad it is.
    pub severity: Severity,
    /// The condition as it was written.
    pub condition: String,
    /// The condition as it is evaluated, on the slots of the rule's program.
    pub root: Node,
    /// How long it must hold.
    pub hold: Span,
}

/// The condition under which a firing alert may end.
#[derive(Debug, Clone, PartialEq)]
pub struct Recover {
    /// As it was written.
    pub condition: String,
    /// As it is evaluated, on the slots of the rule's program.
    pub root: Node,
}

/// Levels of their own for the subjects that every matcher matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// On labels of `by`.
    pub filter: Vec<Matcher>,
    /// Instead of the rule's, mildest first; at least one.
    pub levels: Vec<Level>,
    /// Instead of the rule's, if given.
    pub recover: Option<Recover>,
}

/// What it means that there is no data to decide on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoData {
    /// The condition does not hold: a firing alert ends.
    #[default]
    Ok,
    /// It is as bad as the mildest level.
    Alert,
    /// Everything stays as it was.
    Keep,
}

impl NoData {
    /// The words of rule files.
    pub const WORDS: [&'static str; 3] = ["ok", "alert", "keep"];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            NoData::Ok => "ok",
            NoData::Alert => "alert",
            NoData::Keep => "keep",
        }
    }

    /// From the word of rule files.
    pub fn from_word(word: &str) -> Option<NoData> {
        Some(match word {
            "ok" => NoData::Ok,
            "alert" => NoData::Alert,
            "keep" => NoData::Keep,
            _ => return None,
        })
    }
}

impl Terms {
    /// The levels and the recovery of the override at `case - 1`; of the rule itself at 0.
    pub fn case(&self, case: usize) -> (&[Level], Option<&Recover>) {
        match case.checked_sub(1).and_then(|at| self.overrides.get(at)) {
            Some(own) => (&own.levels, own.recover.as_ref().or(self.recover.as_ref())),
            None => (&self.levels, self.recover.as_ref()),
        }
    }

    /// The case of a subject, by its labels alone.
    pub fn case_of(&self, subject: &Subject) -> (&[Level], Option<&Recover>) {
        let value = |dimension: Dimension| subject.get(dimension.as_str()).unwrap_or_default();
        let own = |o: &Override| o.filter.iter().all(|matcher| matcher.matches(value(matcher.dimension)));
        self.case(self.overrides.iter().position(own).map_or(0, |at| at + 1))
    }

    /// Whether the verdict hangs on the one condition alone.
    pub fn plain(&self) -> bool {
        self.levels.is_empty() && self.overrides.is_empty() && self.recover.is_none() && self.no_data == NoData::Ok
    }
}
