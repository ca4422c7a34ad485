//! An alert as it is reported, sent and shown.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Severity, Span, Subject, Timestamp, Trend, Unit};
use crate::rule::names::reads_window;

/// The states of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The condition does not hold.
    Inactive,
    /// It holds, not yet for long enough.
    Pending,
    /// It held for long enough.
    Firing,
    /// It fired and holds no more.
    Resolved,
}

impl AlertState {
    /// The word used in messages and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
        }
    }
}

/// A change of state of one alert, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// When, by the engine's clock.
    pub at: Timestamp,
    /// Stable identity of this firing: the same in its resolved message.
    pub id: String,
    /// The rule's name.
    pub rule: String,
    /// Whom it is about.
    pub subject: Subject,
    /// The state it changed to.
    pub state: AlertState,
    /// How bad it is.
    pub severity: Severity,
    /// The condition as written.
    pub condition: String,
    /// The left side of the deciding comparison; `None` when there was no data.
    pub value: Option<f64>,
    /// The right side.
    pub threshold: Option<f64>,
    /// The unit of both.
    pub unit: Unit,
    /// Samples in the window.
    pub n: u64,
    /// The window that was looked at; JSON leaves it out where the condition reads none.
    #[serde(default)]
    pub window: Span,
    /// Since when the condition held.
    pub active_since: Timestamp,
    /// Since when it fired; `None` before it did.
    pub fired_at: Option<Timestamp>,
    /// The rule's labels.
    pub labels: BTreeMap<String, String>,
    /// The rule's annotations, filled in.
    pub annotations: BTreeMap<String, String>,
    /// Why the rule has nobody told; `None`: it does not. An end is told to whoever was told of the
    /// beginning, whatever stands here.
    pub muted: Option<Muted>,
    /// Why it is in this state, if there is more to it than that its condition holds or does not: what keeps it firing
    /// that does not hold, it ended without data or with its rule, or a reload changed the rule and it is not judged yet.
    /// JSON leaves it out when it is empty.
    #[serde(default)]
    pub reason: String,
    /// How the value went, for messages that show it; `None` elsewhere, and then JSON leaves it out.
    #[serde(default)]
    pub trend: Option<Box<Trend>>,
}

/// Why a rule has nobody told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Muted {
    /// The rule is on trial.
    Shadow,
    /// It became firing, or graver, outside of its hours.
    Hours {
        /// When they begin.
        until: Timestamp,
    },
}

impl fmt::Display for Muted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Muted::Shadow => f.write_str("a shadow rule tells nobody"),
            Muted::Hours { until } => write!(f, "outside of the rule's active hours until {}", until.to_rfc3339()),
        }
    }
}

/// What the reason of an end says of an alert that fires on: at another severity, or under other labels.
pub const GOES_ON: &str = "goes on";

impl AlertEvent {
    /// Whether it ended for some alone, and fires on.
    pub fn goes_on(&self) -> bool {
        self.state == AlertState::Resolved && self.reason.contains(GOES_ON)
    }

    /// That it is over for who takes graver ones alone, where it fires on.
    pub fn over_as(&self) -> String {
        format!("its end as severity={} at {}", self.severity.as_str(), self.at)
    }

    /// What there is to say instead of a value, if there is none.
    pub fn without_value(&self) -> Option<String> {
        self.value.is_none().then(|| format!("no data for {}", self.condition))
    }

    /// What a field of it is in a text; `None` when it has none of that name, or no window.
    pub fn field(&self, name: &str) -> Option<String> {
        let shown = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), |v| self.unit.show(v));
        Some(match name {
            "value" => shown(self.value),
            "threshold" => shown(self.threshold),
            "n" => self.n.to_string(),
            "window" if reads_window(&self.condition) => self.window.to_string(),
            "severity" | "level" => self.severity.as_str().to_owned(),
            "state" => self.state.as_str().to_owned(),
            "rule" => self.rule.clone(),
            "condition" => self.condition.clone(),
            "subject" => self.subject.to_string(),
            "since" => self.active_since.to_rfc3339(),
            "duration" => self.at.since(self.active_since).shown(),
            _ => return None,
        })
    }

    /// As people and programs read it in JSON, which leaves out what says nothing; a snapshot leaves out nothing.
    pub fn shown(&self) -> Value {
        let mut json = serde_json::to_value(self).expect("its maps have texts for keys");
        let unread = (!reads_window(&self.condition)).then_some("window");
        let fields = unread.into_iter().chain(self.trend.is_none().then_some("trend"));
        let fields = fields.chain(self.reason.is_empty().then_some("reason"));
        fields.for_each(|field| drop(json.as_object_mut().and_then(|all| all.remove(field))));
        json
    }

    /// The annotations and, for those who are shown nothing else, the reason among them.
    pub fn annotated(&self) -> BTreeMap<String, String> {
        let mut all = self.annotations.clone();
        if !self.reason.is_empty() {
            all.insert("reason".to_owned(), self.reason.clone());
        }
        all
    }

    /// The labels that identify the alert to receivers. The name, the severity and the subject win
    /// over equal labels of the rule, so that no rule file can disguise them.
    pub fn identity(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.extend(self.subject.0.clone());
        labels.insert("severity".to_owned(), self.severity.as_str().to_owned());
        labels.insert("alertname".to_owned(), self.rule.clone());
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_leaves_out_what_says_nothing_and_a_snapshot_nothing() {
        let event = |condition: &str, trend: Option<Trend>| AlertEvent {
            at: Timestamp(9),
            id: "a".into(),
            rule: "r".into(),
            subject: Subject::from_iter([("agent", "a")]),
            state: AlertState::Firing,
            severity: Severity::High,
            condition: condition.into(),
            value: None,
            threshold: Some(0.5),
            unit: Unit::Ratio,
            n: 3,
            window: Span::minutes(5),
            active_since: Timestamp(1),
            fired_at: Some(Timestamp(2)),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            muted: Some(Muted::Hours { until: Timestamp(10) }),
            reason: String::new(),
            trend: trend.map(Box::new),
        };
        for (condition, trend, fields) in [
            ("error_rate > 50%", Some(Trend::default()), 18),
            ("error_rate > 50%", None, 17),
            ("budget > 50%", None, 16),
            ("silence > 1h", None, 16),
        ] {
            let event = event(condition, trend);
            let json = event.shown();
            assert_eq!(json.as_object().map(|fields| fields.len()), Some(fields), "{json}");
            assert!(json["value"].is_null() && json.get("value").is_some(), "what is not known is null: {json}");
            let again: AlertEvent = serde_json::from_value(json).expect("reads");
            assert_eq!((again.trend.clone(), again.muted), (event.trend.clone(), event.muted));
            let bytes = postcard::to_stdvec(&event).expect("serialises");
            assert_eq!(postcard::from_bytes::<AlertEvent>(&bytes).expect("reads"), event);
        }
    }
}
