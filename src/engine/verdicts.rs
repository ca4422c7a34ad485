//! What a rule says of every subject at this moment, whether it has an alert or not.

use serde::Serialize;

use super::gaze::Gaze;
use super::{Engine, budget};
use crate::model::{Subject, Unit};

/// What a rule says of one subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// The subject.
    pub subject: Subject,
    /// The left side of the deciding comparison; `None` without data.
    pub value: Option<f64>,
    /// Its right side.
    pub threshold: Option<f64>,
    /// The unit of both.
    pub unit: Unit,
    /// Samples in the window.
    pub n: u64,
}

impl Engine {
    /// What a rule says of every subject that it looks at; of several levels the gravest that holds, else the
    /// mildest. Empty when there is no such rule.
    pub fn said_by(&self, name: &str) -> Vec<Said> {
        let Some(index) = self.policy.rules.iter().position(|rule| rule.name == name) else { return Vec::new() };
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        let gaze = Gaze::new(self, index, self.state.clock.unwrap_or_default(), &budgets);
        let said = |series: usize| {
            let sight = gaze.at(series);
            let verdict = sight.root.eval(&sight.values.0);
            Said {
                subject: gaze.subject(series),
                value: verdict.map(|v| v.value),
                threshold: verdict.map(|v| v.threshold),
                unit: verdict.map_or(Unit::Any, |v| v.unit),
                n: sight.samples(gaze.rule),
            }
        };
        (0..gaze.split.series.len()).map(said).collect()
    }
}
