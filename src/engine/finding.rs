//! What an evaluation finds for a rule on one subject, and what that says.

use serde::{Deserialize, Serialize};

use super::evaluate;
use super::rules::Inputs;
use crate::model::{Span, Timestamp, Unit};
use crate::rule::{Level, NoData, Node, Rule, Verdict};

/// The numbers of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The left side of the deciding comparison; `None` without data.
    pub value: Option<f64>,
    /// The right side.
    pub threshold: Option<f64>,
    /// The unit of both.
    pub unit: Unit,
    /// Samples in the window.
    pub n: u64,
    /// The window that the value is of.
    pub window: Span,
    /// The level whose comparison it is; `None` when no level had data.
    pub level: Option<u8>,
    /// What the annotations say beside.
    pub context: Context,
}

/// Values that annotations may name beside the deciding comparison; read only for a rule whose annotations do.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Context {
    /// The first baseline that the rule reads.
    pub baseline: Option<f64>,
    /// The first value of peers that it reads.
    pub peers: Option<f64>,
    /// The agent's points.
    pub score: Option<f64>,
    /// When nothing is left of its budget at this pace, if within the period.
    pub exhausted_at: Option<Timestamp>,
}

/// What one evaluation found for each level of a rule on one subject.
#[derive(Debug, Clone, Copy)]
pub struct Finding<'a> {
    /// By level, mildest first; one for a rule without levels.
    pub verdicts: &'a [Option<Verdict>],
    /// The levels; empty for a rule without.
    pub levels: &'a [Level],
    /// Whether the condition of recovery, if there is one, lets the alert end.
    pub recovers: bool,
    /// What the conditions read, and the samples behind it.
    pub inputs: &'a Inputs,
    /// What the annotations say beside.
    pub context: Context,
}

impl Finding<'_> {
    fn root<'r>(&'r self, rule: &'r Rule, level: usize) -> &'r Node {
        self.levels.get(level).map_or(&rule.program.root, |level| &level.root)
    }

    /// What decides a level, as the alert keeps it.
    pub(super) fn evidence(&self, rule: &Rule, shown: Option<usize>) -> Evidence {
        let root = shown.map(|level| self.root(rule, level));
        let (n, window) = evaluate::behind(rule, root, self.inputs);
        let decides = root.and_then(|root| root.margin(&self.inputs.0));
        Evidence {
            value: decides.map(|margin| margin.value),
            threshold: decides.map(|margin| margin.threshold),
            unit: decides.map_or(Unit::Any, |margin| margin.unit),
            n,
            window,
            level: shown.map(|level| level as u8),
            context: self.context,
        }
    }

    /// Fewest samples behind a value of the rule.
    pub(super) fn samples(&self, rule: &Rule) -> u64 {
        evaluate::behind(rule, None, self.inputs).0
    }

    /// The slots that a level reads and that have no data, as bits; none when it has no data at all.
    pub(super) fn lacks(&self, rule: &Rule, level: usize) -> u16 {
        let slots = self.root(rule, level).slots();
        let dry = |slot: &&usize| self.inputs.0[**slot].is_none();
        let missing = slots.iter().filter(dry).fold(0, |bits, slot| bits | 1 << slot);
        if slots.iter().all(|slot| dry(&slot)) { 0 } else { missing }
    }

    /// Whether no level has data.
    pub(super) fn is_lost(&self) -> bool {
        self.verdicts.iter().all(Option::is_none)
    }

    /// Whether any level holds.
    pub(super) fn any_holds(&self) -> bool {
        (0..self.verdicts.len()).any(|level| self.holds(level))
    }

    pub(super) fn holds(&self, level: usize) -> bool {
        self.verdicts[level].is_some_and(|v| v.holds)
    }

    pub(super) fn hold(&self, level: usize, rule: &Rule) -> Span {
        self.levels.get(level).map_or(rule.hold, |level| level.hold)
    }
}

/// What an evaluation says of an alert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Says {
    /// A level holds, or there is no data, which its rule takes for that.
    Holds,
    /// None does.
    Over,
    /// There is no data, and its rule leaves it as it is.
    Keeps,
    /// Of a rule that a reload changed too little is known to say so.
    Waits,
}

impl Says {
    /// Whether a rule holds.
    pub fn of(found: &Finding<'_>, rule: &Rule) -> Says {
        match rule.terms.no_data {
            NoData::Keep if found.is_lost() => Says::Keeps,
            NoData::Alert if found.is_lost() => Says::Holds,
            _ if found.any_holds() => Says::Holds,
            _ => Says::Over,
        }
    }
}
