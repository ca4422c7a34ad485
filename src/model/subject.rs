//! Whom a number is about: a set of labels such as `{agent: "reviewer", task_type: "review"}`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::label::{LABELS, Label};

/// A label by which series may be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Who did the work.
    Agent,
    /// The model as written by the source.
    Model,
    /// The kind of task.
    TaskType,
    /// The workflow or run that the execution was part of.
    Workflow,
    /// The provider behind the model.
    Provider,
    /// The team or customer that the work was for.
    Tenant,
    /// The class of the error; empty on success.
    ErrorClass,
    /// The source of the record, as named in the configuration.
    Source,
    /// A receiver of notifications; splits deliveries, not executions.
    Receiver,
    /// A part of evenkeel itself; splits what befalls it, not executions.
    Part,
    /// A label of the settings.
    Custom(Label),
}

impl Dimension {
    /// How many places the labels of one record take.
    pub const PLACES: usize = Dimension::ALL.len() + LABELS;

    /// Every built-in dimension in the order of declaration.
    pub const ALL: [Dimension; 10] = [
        Dimension::Agent,
        Dimension::Model,
        Dimension::TaskType,
        Dimension::Workflow,
        Dimension::Provider,
        Dimension::Tenant,
        Dimension::ErrorClass,
        Dimension::Source,
        Dimension::Receiver,
        Dimension::Part,
    ];

    /// The label name in rules, subjects and the API.
    pub fn as_str(&self) -> &str {
        match self {
            Dimension::Agent => "agent",
            Dimension::Model => "model",
            Dimension::TaskType => "task_type",
            Dimension::Workflow => "workflow",
            Dimension::Provider => "provider",
            Dimension::Tenant => "tenant",
            Dimension::ErrorClass => "error_class",
            Dimension::Source => "source",
            Dimension::Receiver => "receiver",
            Dimension::Part => "part",
            Dimension::Custom(label) => label.as_str(),
        }
    }

    /// Its place among the labels of a record, below [`Dimension::PLACES`].
    pub fn place(self) -> usize {
        match self {
            Dimension::Agent => 0,
            Dimension::Model => 1,
            Dimension::TaskType => 2,
            Dimension::Workflow => 3,
            Dimension::Provider => 4,
            Dimension::Tenant => 5,
            Dimension::ErrorClass => 6,
            Dimension::Source => 7,
            Dimension::Receiver => 8,
            Dimension::Part => 9,
            Dimension::Custom(label) => Dimension::ALL.len() + label.slot(),
        }
    }

    /// Reads the name of a built-in label.
    pub fn from_word(word: &str) -> Option<Dimension> {
        Dimension::ALL.into_iter().find(|d| d.as_str() == word)
    }
}

/// A set of labels, ordered by name; the empty set is the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject(pub BTreeMap<String, String>);

impl Subject {
    /// Whether a person means it who writes it out, or `agent=reviewer`, several labels with a comma
    /// between them, the value of a label alone, or `fleet` for the empty set.
    pub fn is_meant_by(&self, wanted: &str) -> bool {
        let one = |part: &str| match part.split_once('=') {
            Some((label, value)) => self.get(label.trim()) == Some(value.trim()),
            None => self.0.values().any(|value| value == part.trim()),
        };
        self.to_string() == wanted || one(wanted) || wanted.split(',').all(one)
    }

    /// The value of a label, if the subject has it.
    pub fn get(&self, label: &str) -> Option<&str> {
        self.0.get(label).map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Subject {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        Subject(labels.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

impl fmt::Display for Subject {
    /// `agent=reviewer task_type=review`; the empty subject is `fleet`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("fleet");
        }
        for (i, (name, value)) in self.0.iter().enumerate() {
            let gap = if i == 0 { "" } else { " " };
            write!(f, "{gap}{name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_name_a_subject_in_several_ways() {
        let one: Subject = [("agent", "code, reviewer")].into_iter().collect();
        let two: Subject = [("agent", "a"), ("task_type", "review")].into_iter().collect();
        for (subject, wanted, expected) in [
            (&one, "code, reviewer", true),
            (&one, "agent=code, reviewer", true),
            (&one, "agent=code", false),
            (&two, "agent=a task_type=review", true),
            (&two, "agent=a, task_type=review", true),
            (&two, "a,review", true),
            (&two, "review", true),
            (&two, "agent=review", false),
            (&two, "fleet", false),
            (&Subject::default(), "fleet", true),
            (&Subject::default(), "", false),
        ] {
            assert_eq!(subject.is_meant_by(wanted), expected, "{subject} {wanted}");
        }
    }
}
