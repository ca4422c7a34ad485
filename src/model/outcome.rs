//! How an execution ended.

use serde::{Deserialize, Serialize};

/// How an execution ended, apart from how long it took.
///
/// A duration that was cut off is marked on the record (`censored`), not here: a run that was
/// stopped at its limit may still have produced the wanted result and be `Ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The wanted result was there.
    Ok,
    /// The run ended without the wanted result.
    Error,
    /// The run was stopped at its time limit without the wanted result.
    Timeout,
    /// The model declined the task.
    Refused,
    /// A rate, quota or concurrency limit turned the run away.
    Limit,
    /// The source does not say.
    Unknown,
}

impl Outcome {
    /// Every outcome in the order of declaration.
    pub const ALL: [Outcome; 6] =
        [Outcome::Ok, Outcome::Error, Outcome::Timeout, Outcome::Refused, Outcome::Limit, Outcome::Unknown];

    /// The word used in records, rules and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Error => "error",
            Outcome::Timeout => "timeout",
            Outcome::Refused => "refused",
            Outcome::Limit => "limit",
            Outcome::Unknown => "unknown",
        }
    }

    /// Reads the word of [`Outcome::as_str`].
    pub fn from_word(word: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|o| o.as_str() == word)
    }
}
