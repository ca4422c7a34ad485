//! Why a rule says what it says of a subject, read off the state without changing it.
//!
//! The inputs are read and the condition is walked by the code that evaluates rules; there is no
//! second opinion here.

use serde::Serialize;

use super::Engine;
use super::budget::{self, Read};
use super::evaluate;
use super::event::AlertEvent;
use super::rules::Evaluation;
use crate::model::{Span, Subject, Timestamp};
use crate::rule::program::Traced;

/// A rule on one subject at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The moment.
    pub at: Timestamp,
    /// The rule's name.
    pub rule: String,
    /// The condition as written.
    pub condition: String,
    /// The subject.
    pub subject: Subject,
    /// The window that is looked at.
    pub window: Span,
    /// How long the condition must hold.
    pub hold: Span,
    /// Fewer samples than this are no data.
    pub min_samples: u32,
    /// What the condition reads.
    pub inputs: Vec<InputView>,
    /// The condition with a value at every node, parents before children.
    pub nodes: Vec<Traced>,
    /// Whether it holds; null without data.
    pub holds: Option<bool>,
    /// How much the value may still move before the rule holds, as a share of the threshold; negative beyond it.
    pub margin: Option<f64>,
    /// The pending or firing alert.
    pub alert: Option<AlertEvent>,
    /// The subject's newest record.
    pub last_seen: Timestamp,
}

/// One value that a condition reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputView {
    /// Its name.
    pub name: String,
    /// Null without data.
    pub value: Option<f64>,
    /// As people write it.
    pub shown: String,
    /// Samples in the window; null for a baseline.
    pub n: Option<u64>,
}

impl Engine {
    /// The rule on every subject that it looks at, in the order of their first records; `None` when there
    /// is no such rule.
    pub fn inspect(&self, name: &str) -> Option<Vec<Inspection>> {
        let index = self.policy.rules.iter().position(|rule| rule.name == name)?;
        let (rule, plan, state) = (&self.policy.rules[index], &self.plan.rules[index], &self.state.rules[index]);
        let split = &self.state.splits[plan.split];
        let now = self.state.clock.unwrap_or_default();
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        let evaluation = self.evaluation(now, plan.split, &budgets);
        let alerts = self.active_alerts();
        let inspections = (0..split.series.len()).map(|series| {
            let (values, counts) = evaluation.inputs(index, split, series, state);
            let subject = split.subject(series, &self.state.names);
            let read = rule.program.inputs.iter().zip(values).zip(counts);
            let inputs = read.map(|((input, value), n)| InputView {
                name: input.to_string(),
                value,
                shown: value.map_or_else(|| "no data".to_owned(), |v| input.unit().show(v)),
                n,
            });
            // Of several levels, the gravest that holds, else the mildest.
            let levels = evaluate::levels(rule, split, series, &self.state.names);
            let holding = levels.iter().rev().find(|level| level.root.eval(&values).is_some_and(|v| v.holds));
            let level = holding.or(levels.first());
            let root = level.map_or(&rule.program.root, |level| &level.root);
            let verdict = root.eval(&values);
            Inspection {
                at: now,
                rule: rule.name.clone(),
                condition: level.map_or(&rule.condition, |level| &level.condition).clone(),
                window: rule.window,
                hold: level.map_or(rule.hold, |level| level.hold),
                min_samples: rule.min_samples,
                inputs: inputs.collect(),
                nodes: rule.program.trace(root, &values),
                holds: verdict.map(|v| v.holds),
                margin: verdict.filter(|v| v.threshold != 0.0).map(|v| {
                    let distance = (v.value - v.threshold).abs() / v.threshold.abs();
                    if v.holds { -distance } else { distance }
                }),
                alert: alerts.iter().find(|e| e.rule == rule.name && e.subject == subject).cloned(),
                last_seen: split.series[series].last_seen,
                subject,
            }
        });
        Some(inspections.collect())
    }

    /// What evaluates the rules of a split, for those who only read.
    pub(super) fn evaluation<'a>(&'a self, now: Timestamp, split: usize, budgets: &'a [Read<'a>]) -> Evaluation<'a> {
        Evaluation {
            now,
            step: self.policy.settings.evaluation_interval,
            rules: &self.policy.rules,
            plans: &self.plan.rules,
            here: &self.here[split],
            unruled: self.plan.unruled(self.state.splits[split].windows.len(), &self.here[split]),
            budgets,
            standings: (&self.state.standings, self.next_standings(now)),
            names: &self.state.names,
        }
    }
}
