//! What the values of one subject say under the terms of its rule: levels, overrides, recovery.
//!
//! A rule without such terms costs one match more than its condition.

use super::finding::{Context, Finding};
use super::names::Names;
use super::rules::Inputs;
use super::split::Split;
use crate::model::Span;
use crate::rule::program::Slots;
use crate::rule::{LEVEL_LIMIT, Level, Node, Recover, Rule, Verdict};

/// The verdicts of one subject.
pub struct Judged<'a> {
    /// The levels of the subject; empty for a rule without.
    pub levels: &'a [Level],
    /// What lets its alert end, if the rule says so.
    pub recover: Option<&'a Recover>,
    verdicts: [Option<Verdict>; LEVEL_LIMIT],
    recovers: bool,
}

impl Judged<'_> {
    /// Whether a level holds.
    pub fn holds(&self, level: usize) -> bool {
        self.verdicts[level].is_some_and(|verdict| verdict.holds)
    }

    /// As the alert takes it, from what was read, with what its annotations say beside.
    pub fn finding<'a>(&'a self, inputs: &'a Inputs, context: Context) -> Finding<'a> {
        let verdicts = &self.verdicts[..self.levels.len().clamp(1, LEVEL_LIMIT)];
        Finding { verdicts, levels: self.levels, recovers: self.recovers, inputs, context }
    }
}

/// Evaluates every level of the subject, and what lets its alert end, on the values of the rule's slots.
pub fn judge<'a>(
    rule: &Rule,
    (levels, recover): (&'a [Level], Option<&'a Recover>),
    values: &[Option<f64>],
) -> Judged<'a> {
    let mut verdicts = [None; LEVEL_LIMIT];
    match levels {
        [] => verdicts[0] = rule.program.eval(values),
        levels => {
            for (verdict, level) in verdicts.iter_mut().zip(levels) {
                *verdict = level.root.eval(values);
            }
        }
    }
    let recovers = recover.is_none_or(|recover| recover.root.eval(values).is_some_and(|v| v.holds));
    Judged { levels, recover, verdicts, recovers }
}

/// Whether the condition or any level of the `case` that a subject is holds; asks only for the values that decide.
pub fn holds(rule: &Rule, case: usize, slots: &(impl Slots + ?Sized)) -> bool {
    match rule.terms.case(case).0 {
        [] => rule.program.root.holds(slots),
        levels => levels.iter().any(|level| level.root.holds(slots)),
    }
}

/// The window that the value of the comparison of `root` that decides is of, and the fewest samples behind a value
/// in it; without a `root`, those of all that the rule reads and the rule's window.
pub fn behind(rule: &Rule, root: Option<&Node>, (values, counts): &Inputs) -> (u64, Span) {
    let inputs = &rule.program.inputs;
    let over = |slot: usize| inputs.get(slot).and_then(|input| input.window()).unwrap_or(rule.window);
    let decides = root.and_then(|root| root.deciding(values)).map(Node::slots);
    let decides = decides.filter(|slots| slots.iter().any(|slot| counts[*slot].is_some()));
    let window = decides.as_ref().and_then(|slots| slots.first().copied()).map_or(rule.window, over);
    let all = || (0..inputs.len().min(counts.len())).collect();
    let slots = decides.unwrap_or_else(all);
    (slots.iter().filter_map(|slot| counts[*slot]).min().unwrap_or(0), window)
}

/// Which case of the rule's terms a subject is: the first override that matches it, else the rule.
pub fn case(rule: &Rule, split: &Split, series: usize, names: &Names) -> usize {
    let value = |dimension| split.label(series, dimension).map_or("", |name| names.text(name));
    let matches = |o: &crate::rule::Override| o.filter.iter().all(|m| m.matches(value(m.dimension)));
    rule.terms.overrides.iter().position(matches).map_or(0, |at| at + 1)
}

/// The levels of a subject; empty when the rule has the one condition.
pub fn levels<'a>(rule: &'a Rule, split: &Split, series: usize, names: &Names) -> &'a [Level] {
    if rule.terms.overrides.is_empty() {
        return &rule.terms.levels;
    }
    rule.terms.case(case(rule, split, series, names)).0
}
