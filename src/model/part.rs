//! The parts of evenkeel itself that a rule may watch.

use serde::{Deserialize, Serialize};

/// A part of evenkeel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Configuration and rules: stale while their files have faults.
    Policy,
    /// Lines of the sources: lost when they could not become records.
    Lines,
    /// Names of labels: those beyond `limits.names` are lost, executions count under the overflow name.
    Names,
    /// Subjects: executions of those beyond `limits.series` are lost to them, and count for the overflow subject.
    Series,
    /// Messages: lost when a receiver's queue has no room.
    Outbox,
    /// Rows of the history: lost when the database could not take them for too long.
    History,
}

/// What may befall a part of evenkeel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Befell {
    /// It lost so much of what it handles.
    Lost(u64),
    /// From now on it works with what is old.
    Stale,
    /// It does no more.
    Fresh,
}

impl Part {
    /// Every part.
    pub const ALL: [Part; 6] = [Part::Policy, Part::Lines, Part::Names, Part::Series, Part::Outbox, Part::History];

    /// Its name, the value of the label `part`.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Policy => "policy",
            Part::Lines => "lines",
            Part::Names => "names",
            Part::Series => "series",
            Part::Outbox => "outbox",
            Part::History => "history",
        }
    }

    /// Reads a name.
    pub fn from_word(word: &str) -> Option<Part> {
        Part::ALL.into_iter().find(|part| part.as_str() == word)
    }

    /// When it is stale, or what it loses.
    pub fn meaning(self) -> &'static str {
        match self {
            Part::Policy => "stale while its files have faults and an older policy stays in force",
            Part::Lines => "lost: lines that could not become records; also by `source`",
            Part::Names => "lost: names of labels beyond `limits.names`",
            Part::Series => "lost: executions of subjects beyond `limits.series`, which share one subject",
            Part::Outbox => "lost: messages for which a receiver's queue had no room",
            Part::History => "lost: rows of the history that could not be written",
        }
    }
}
