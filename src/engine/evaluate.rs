//! What the values of one subject say under the terms of its rule: levels, overrides, recovery.
//!
//! A rule without such terms costs one match more than its condition.

use super::alert::{Context, Finding};
use super::names::Names;
use super::split::Split;
use crate::rule::{LEVEL_LIMIT, Level, Rule, Verdict};

/// The verdicts of one subject.
pub struct Judged<'a> {
    levels: &'a [Level],
    verdicts: [Option<Verdict>; LEVEL_LIMIT],
    recovers: bool,
}

impl Judged<'_> {
    /// As the alert takes it, over `n` samples, with what its annotations say beside.
    pub fn finding(&self, n: u64, context: Context) -> Finding<'_> {
        let verdicts = &self.verdicts[..self.levels.len().clamp(1, LEVEL_LIMIT)];
        Finding { verdicts, levels: self.levels, recovers: self.recovers, n, context }
    }
}

/// Evaluates every level of the `case` that the subject is, on the values of the rule's slots.
pub fn judge<'a>(rule: &'a Rule, case: usize, values: &[Option<f64>]) -> Judged<'a> {
    let (levels, recover) = rule.terms.case(case);
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
    Judged { levels, verdicts, recovers }
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
