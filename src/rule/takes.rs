//! What a rule looks at: executions, deliveries to receivers, or parts of evenkeel itself.

use serde::{Deserialize, Serialize};

use super::{Input, Matcher};
use crate::model::Dimension;

/// What happens that a rule looks at; its labels say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Takes {
    /// Executions of agents.
    #[default]
    Executions,
    /// Deliveries of messages to receivers.
    Deliveries,
    /// What befalls parts of evenkeel.
    Parts,
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

    /// Whether what is looked at has such a label.
    pub fn has(self, dimension: Dimension) -> bool {
        match self {
            Takes::Executions => !matches!(dimension, Dimension::Receiver | Dimension::Part),
            Takes::Deliveries => dimension == Dimension::Receiver,
            Takes::Parts => matches!(dimension, Dimension::Part | Dimension::Source),
        }
    }

    /// Which labels there are, for people who named another.
    pub fn labels(self) -> &'static str {
        match self {
            Takes::Parts => "parts of evenkeel have the labels `part` and `source`",
            _ => "deliveries have the one label `receiver`, executions the others",
        }
    }

    /// What is wrong with reading an input here: message and remedy.
    pub fn refuses(self, input: &Input) -> Option<(String, String)> {
        let metric = match input {
            Input::Metric(metric, _) | Input::Baseline { metric, .. } | Input::Peers(metric) => Some(*metric),
            _ => None,
        };
        let of_parts = metric.is_some_and(|metric| metric.is_of_parts());
        match (self == Takes::Parts, of_parts) {
            (true, false) => {
                let message = "parts of evenkeel have no executions".to_owned();
                Some((message, "they have `lost` and `stale`; leave `part` out to look at executions".to_owned()))
            }
            (false, true) => {
                let name = metric.map_or("", |metric| metric.name());
                Some((format!("executions have no `{name}`: parts of evenkeel do"), "add `by: part`".to_owned()))
            }
            _ => None,
        }
    }
}
