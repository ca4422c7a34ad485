//! The life of an alert: inactive, pending, firing, resolved, as Prometheus has it.
//!
//! Pure: the state before, what was found, and the rule's timing give the state after.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::event::{AlertEvent, AlertState};
use crate::model::{Subject, Timestamp, Unit};
use crate::rule::{Rule, Verdict, annotation};

/// An alert that is pending or firing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Stable identity of this episode.
    pub id: String,
    /// Since when the condition held.
    pub since: Timestamp,
    /// When it began to fire; `None` while pending.
    pub fired: Option<Timestamp>,
    /// Since when the condition has not held while `keep_firing_for` keeps it firing.
    pub cleared: Option<Timestamp>,
    /// The newest evidence.
    pub evidence: Evidence,
}

/// The numbers of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The left side of the deciding comparison; `None` without data.
    pub value: Option<f64>,
    /// The right side.
    pub threshold: Option<f64>,
    /// The unit of both.
    pub unit: Unit,
    /// Samples in the window.
    pub n: u64,
}

impl Evidence {
    /// The evidence of a verdict over `n` samples.
    pub fn new(verdict: Option<Verdict>, n: u64) -> Evidence {
        Evidence {
            value: verdict.map(|v| v.value),
            threshold: verdict.map(|v| v.threshold),
            unit: verdict.map_or(Unit::Any, |v| v.unit),
            n,
        }
    }
}

/// Takes one evaluation in; the state the alert changed to, if it changed.
///
/// `slot` holds the alert while it is pending or firing and is emptied when it ends; the ended
/// alert comes back with the transition.
pub fn step(
    slot: &mut Option<Alert>,
    now: Timestamp,
    verdict: Option<Verdict>,
    n: u64,
    rule: &Rule,
    subject: impl FnOnce() -> Subject,
) -> Option<(AlertState, Alert)> {
    let holds = verdict.is_some_and(|v| v.holds);
    let evidence = Evidence::new(verdict, n);
    match slot {
        None if !holds => None,
        None => {
            let id = identity(&rule.name, &subject(), now);
            let fires = rule.hold.0 <= 0;
            let fired = fires.then_some(now);
            let alert = Alert { id, since: now, fired, cleared: None, evidence };
            *slot = Some(alert.clone());
            Some((if fires { AlertState::Firing } else { AlertState::Pending }, alert))
        }
        Some(alert) if holds => {
            alert.cleared = None;
            alert.evidence = evidence;
            if alert.fired.is_some() || now.since(alert.since) < rule.hold {
                return None;
            }
            alert.fired = Some(now);
            Some((AlertState::Firing, alert.clone()))
        }
        Some(alert) if alert.fired.is_some() && now.since(alert.cleared.unwrap_or(now)) < rule.keep_firing_for => {
            alert.cleared.get_or_insert(now);
            None
        }
        Some(_) => {
            let mut alert = slot.take()?;
            let was_firing = alert.fired.is_some();
            // Without data there is no value, but the threshold is still what it was.
            let before = std::mem::replace(&mut alert.evidence, evidence);
            if verdict.is_none() {
                alert.evidence = Evidence { value: None, n, ..before };
            }
            Some((if was_firing { AlertState::Resolved } else { AlertState::Inactive }, alert))
        }
    }
}

/// The instant at which time alone moves the alert on, if it does.
pub fn due(alert: &Alert, rule: &Rule) -> Option<Timestamp> {
    match alert.fired {
        None => Some(alert.since + rule.hold),
        Some(_) => alert.cleared.map(|t| t + rule.keep_firing_for),
    }
}

/// A stable name for one episode of one rule on one subject.
fn identity(rule: &str, subject: &Subject, since: Timestamp) -> String {
    let mut hash = Sha256::new();
    hash.update(rule);
    hash.update([0]);
    for (label, value) in &subject.0 {
        hash.update(label);
        hash.update([1]);
        hash.update(value);
        hash.update([2]);
    }
    hash.update(since.0.to_le_bytes());
    hex(&hash.finalize()[..8])
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The transition as it is reported and sent, annotations filled in.
pub fn event(state: AlertState, alert: &Alert, rule: &Rule, subject: &Subject, now: Timestamp) -> AlertEvent {
    let mut event = AlertEvent {
        at: now,
        id: alert.id.clone(),
        rule: rule.name.clone(),
        subject: subject.clone(),
        state,
        severity: rule.severity,
        condition: rule.condition.clone(),
        value: alert.evidence.value,
        threshold: alert.evidence.threshold,
        unit: alert.evidence.unit,
        n: alert.evidence.n,
        window: rule.window,
        active_since: alert.since,
        fired_at: alert.fired,
        labels: rule.labels.clone(),
        annotations: Default::default(),
    };
    let filled = rule
        .annotations
        .iter()
        .map(|(name, template)| (name.clone(), annotation::fill(template, |field| field_text(&event, field))));
    event.annotations = filled.collect();
    event
}

/// The text of a template field; `None` for one that the alert does not have.
fn field_text(event: &AlertEvent, field: &str) -> Option<String> {
    let shown = |value: Option<f64>| value.map_or("no data".to_owned(), |v| event.unit.show(v));
    Some(match field {
        "value" => shown(event.value),
        "threshold" => shown(event.threshold),
        "n" => event.n.to_string(),
        "window" => event.window.to_string(),
        "severity" => event.severity.as_str().to_owned(),
        "state" => event.state.as_str().to_owned(),
        "rule" => event.rule.clone(),
        "condition" => event.condition.clone(),
        "subject" => event.subject.to_string(),
        "since" => event.active_since.to_rfc3339(),
        "duration" => event.at.since(event.active_since).to_string(),
        _ => {
            let label = field.strip_prefix("label.").unwrap_or(field);
            event
                .labels
                .get(label)
                .map(String::as_str)
                .or_else(|| event.subject.get(label))
                .unwrap_or_default()
                .to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Severity, Span};
    use crate::rule::{Node, Program};

    fn rule(hold: i64, keep: i64) -> Rule {
        Rule {
            name: "r".into(),
            condition: "error_rate > 10%".into(),
            program: Program { inputs: Vec::new(), root: Node::Const(1.0) },
            window: Span::minutes(5),
            by: Vec::new(),
            filter: Vec::new(),
            hold: Span::seconds(hold),
            keep_firing_for: Span::seconds(keep),
            min_samples: 1,
            severity: Severity::Warning,
            labels: Default::default(),
            annotations: Default::default(),
            place: String::new(),
        }
    }

    /// Evaluates once per 10 s: `x` holds, `.` does not, `?` is no data; returns the transitions.
    fn story(rule: &Rule, story: &str) -> Vec<(i64, AlertState)> {
        let mut slot = None;
        let mut transitions = Vec::new();
        for (i, c) in story.chars().enumerate() {
            let verdict = |holds| Some(Verdict { holds, value: 0.2, threshold: 0.1, unit: Unit::Ratio });
            let verdict = match c {
                'x' => verdict(true),
                '.' => verdict(false),
                _ => None,
            };
            let now = Timestamp(i as i64 * 10_000);
            if let Some((state, _)) = step(&mut slot, now, verdict, 7, rule, Subject::default) {
                transitions.push((i as i64 * 10, state));
            }
        }
        transitions
    }

    #[test]
    fn alerts_live_as_in_prometheus() {
        use AlertState::{Firing, Inactive, Pending, Resolved};
        for (hold, keep, text, expected) in [
            (0, 0, "..x.", vec![(20, Firing), (30, Resolved)]),
            (0, 0, "x?", vec![(0, Firing), (10, Resolved)]),
            (20, 0, "xx.x", vec![(0, Pending), (20, Inactive), (30, Pending)]),
            (20, 0, "xxxx.", vec![(0, Pending), (20, Firing), (40, Resolved)]),
            (0, 20, "x.x...x", vec![(0, Firing), (50, Resolved), (60, Firing)]),
            (0, 20, "x.x.x", vec![(0, Firing)]),
            (30, 0, "xx?xx", vec![(0, Pending), (20, Inactive), (30, Pending)]),
        ] {
            assert_eq!(story(&rule(hold, keep), text), expected, "for {hold}s keep {keep}s: {text}");
        }
    }

    #[test]
    fn an_episode_keeps_its_identity_and_the_next_has_another() {
        let rule = rule(0, 0);
        let verdict = |holds| Some(Verdict { holds, value: 0.2, threshold: 0.1, unit: Unit::Ratio });
        let mut slot = None;
        let mut ids = Vec::new();
        for (t, holds) in [(0, true), (1, false), (2, true), (3, false)] {
            let found = step(&mut slot, Timestamp(t), verdict(holds), 7, &rule, Subject::default);
            ids.push(found.expect("a transition each time").1.id);
        }
        assert_eq!(ids[0], ids[1]);
        assert_eq!(ids[2], ids[3]);
        assert_ne!(ids[0], ids[2]);
    }
}
