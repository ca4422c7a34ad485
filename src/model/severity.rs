//! One ladder of severities; the words of every source map onto it.

use serde::{Deserialize, Serialize};

/// How bad an alert is, from mild to grave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing, nothing to do now. Also written `low`.
    Info,
    /// Look at it today. Also written `medium`.
    Warning,
    /// Look at it within the hour.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// Every severity from mild to grave.
    pub const ALL: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::High, Severity::Critical];

    /// The word used in messages, labels and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// Reads a severity word: critical, high, warning or medium, info or low.
    pub fn from_word(word: &str) -> Option<Severity> {
        Some(match word {
            "critical" => Severity::Critical,
            "high" => Severity::High,
            "warning" | "medium" => Severity::Warning,
            "info" | "low" => Severity::Info,
            _ => return None,
        })
    }
}
