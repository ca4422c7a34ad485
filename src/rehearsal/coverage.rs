//! What tests do not test: rules that no test asserts on, and thresholds that may move by a tenth
//! without any test noticing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{play, policy};
use crate::rule::Rule;
use crate::rule::story::{Story, StoryFile};
use crate::rule::threshold::{scaled, thresholds};

/// By how much a threshold is moved.
pub const FACTORS: [f64; 2] = [0.9, 1.1];

/// A threshold moved by a factor.
#[derive(Debug, Clone, PartialEq)]
pub struct Mutant {
    /// Index of the rule.
    pub rule: usize,
    /// Which of its comparisons; of an SLO, whose thresholds follow from one number, all.
    pub which: Option<usize>,
    /// The factor.
    pub factor: f64,
}

/// The rules that some test of the files asserts on.
pub fn asserted<'a>(stories: impl Iterator<Item = &'a Story>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for story in stories {
        names.extend(story.states.iter().map(|check| check.whom.rule.as_str()));
        names.extend(story.messages.iter().map(|check| check.whom.rule.as_str()));
    }
    names
}

/// Every mutant of the rules.
pub fn mutants(rules: &[Rule]) -> Vec<Mutant> {
    let mut all = Vec::new();
    for (rule, checked) in rules.iter().enumerate() {
        let each = (0..thresholds(checked)).map(Some);
        let which: Vec<Option<usize>> = if checked.terms.slo.is_some() { vec![None] } else { each.collect() };
        for which in which {
            all.extend(FACTORS.map(|factor| Mutant { rule, which, factor }));
        }
    }
    all
}

impl Mutant {
    /// Whether a test of the files fails on the mutant; tests of other rules are not asked.
    pub fn noticed(&self, rules: &[Rule], files: &[StoryFile]) -> bool {
        let name = rules[self.rule].name.as_str();
        let mut mutated = rules.to_vec();
        mutated[self.rule] = scaled(&rules[self.rule], self.which, self.factor);
        files.iter().any(|file| {
            let policy = Arc::new(policy(file, mutated.clone()));
            let about = |story: &&Story| asserted(std::iter::once(*story)).contains(name);
            file.stories.iter().filter(about).any(|story| !play(&policy, story).is_empty())
        })
    }

    /// What is not noticed, in words.
    pub fn describe(&self, rules: &[Rule]) -> String {
        let rule = &rules[self.rule];
        let way = if self.factor < 1.0 { "10% lower" } else { "10% higher" };
        let which = match self.which {
            None => "all of its thresholds".to_owned(),
            Some(_) if thresholds(rule) == 1 => "its threshold".to_owned(),
            Some(which) => format!("the threshold of its comparison {}", which + 1),
        };
        format!("{}: {which} may be {way} (`{}`)", rule.name, rule.condition)
    }
}
