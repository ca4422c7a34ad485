//! What a rule looks at: executions, what they repeat, deliveries to receivers, parts of evenkeel itself, or agents by
//! their alerts.

use serde::{Deserialize, Serialize};

use super::{Input, Matcher, Rule};
use crate::model::{Dimension, Metric};

/// What happens that a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Takes {
    /// Executions of agents.
    #[default]
    Executions,
    /// Executions that say what they do, as new work or as a repeat.
    Works,
    /// Deliveries of messages to receivers.
    Deliveries,
    /// What befalls parts of evenkeel.
    Parts,
    /// Agents that other rules have alerts on.
    Alerts,
}

impl Takes {
    /// What these labels are of.
    pub fn of(by: &[Dimension], filter: &[Matcher]) -> Takes {
        let named = |dimension| by.contains(&dimension) || filter.iter().any(|m| m.dimension == dimension);
        match (named(Dimension::Receiver), named(Dimension::Part)) {
            (true, _) => Takes::Deliveries,
            (_, true) => Takes::Parts,
            _ => Takes::Executions,
        }
    }

    /// What a rule looks at that reads such things of what these labels are of.
    pub fn reading(self, inputs: &[Input]) -> Takes {
        let repeats = |input: &Input| matches!(input.metric(), Some(Metric::RepeatRatio));
        if self == Takes::Executions && inputs.iter().any(repeats) { Takes::Works } else { self }
    }

    /// What a metric is of, unless executions have it.
    fn measured(metric: Metric) -> Option<Takes> {
        match metric {
            metric if metric.is_of_parts() => Some(Takes::Parts),
            metric if metric.is_of_alerts() => Some(Takes::Alerts),
            Metric::RepeatRatio => Some(Takes::Works),
            _ => None,
        }
    }

    /// Whether what is looked at has such a label.
    pub fn has(self, dimension: Dimension) -> bool {
        match self {
            Takes::Executions | Takes::Works => !matches!(dimension, Dimension::Receiver | Dimension::Part),
            Takes::Deliveries => dimension == Dimension::Receiver,
            Takes::Parts => matches!(dimension, Dimension::Part | Dimension::Source),
            Takes::Alerts => !matches!(dimension, Dimension::Agent | Dimension::Receiver | Dimension::Part),
        }
    }

    /// Which labels there are, for people who named another.
    pub fn labels(self) -> &'static str {
        match self {
            Takes::Parts => "parts of evenkeel have the labels `part` and `source`",
            Takes::Alerts => "what agents have in common is another label, such as `provider`",
            _ => "deliveries have the one label `receiver`, executions the others",
        }
    }

    /// What is wrong with reading an input here: message and remedy.
    pub fn refuses(self, input: &Input) -> Option<(String, String)> {
        let metric = input.metric();
        let of = metric.and_then(Takes::measured);
        let plain = matches!(input, Input::Metric(_, None));
        match (self, of) {
            (Takes::Alerts, Some(Takes::Alerts)) if !plain => {
                let message = format!("`{input}` is not known: agents are counted now and in no window");
                Some((message, "compare with a number: `alerting_share > 30%`".to_owned()))
            }
            (Takes::Parts | Takes::Alerts, of) if of == Some(self) => None,
            (Takes::Parts, _) => {
                let message = "parts of evenkeel have no executions".to_owned();
                Some((message, "they have `lost` and `stale`; leave `part` out to look at executions".to_owned()))
            }
            (Takes::Alerts, _) => {
                let message = "a rule that covers others counts agents and reads no executions".to_owned();
                Some((message, "it has `alerting_agents` and `alerting_share`; leave `covers` out".to_owned()))
            }
            (Takes::Works, Some(Takes::Works)) if input.peers().is_none() => None,
            (Takes::Works, None | Some(Takes::Works)) => {
                // An agent goes on that no more says what it does: only executions know how long it is silent.
                let of_all = matches!(
                    metric,
                    Some(
                        Metric::SuccessRate
                            | Metric::ErrorRate
                            | Metric::LimitRate
                            | Metric::OutcomeCoverage
                            | Metric::FailedExecutions
                            | Metric::Silence
                    )
                );
                let apart = of_all || input.is_of_agents() || *input == Input::Budget;
                let message = format!("`{input}` cannot stand beside `repeat_ratio`, which only some executions have");
                apart.then(|| (message, "write a rule of its own".to_owned()))
            }
            (Takes::Deliveries, Some(Takes::Works)) => {
                let help = "look at `error_rate`".to_owned();
                Some((format!("deliveries have no `{input}`: executions do"), help))
            }
            (_, Some(Takes::Parts)) => {
                let name = metric.map_or("", |metric| metric.name());
                Some((format!("executions have no `{name}`: parts of evenkeel do"), "add `by: part`".to_owned()))
            }
            (_, Some(_)) => {
                let message = format!("`{input}` counts alerts of other rules, and the rule names none");
                Some((message, "add `covers: [error_burst]`".to_owned()))
            }
            _ => None,
        }
    }
}

impl Rule {
    /// What it looks at.
    pub fn takes(&self) -> Takes {
        if !self.terms.covers.is_empty() {
            return Takes::Alerts;
        }
        Takes::of(&self.by, &self.filter).reading(&self.program.inputs)
    }
}
