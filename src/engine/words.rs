//! An alert in words: the event that is reported, sent and shown, its annotations filled in.

use std::collections::BTreeMap;

use super::alert::Alert;
use super::carry::Said;
use super::event::{AlertEvent, AlertState, Muted};
use super::finding::Context;
use crate::model::{Subject, Timestamp, Unit};
use crate::rule::slo::said::Found;
use crate::rule::{Input, Level, Rule, annotation};

/// The transition as it is reported and sent, annotations filled in.
/// `levels` are those of its subject, empty for a rule without.
pub fn event(
    state: AlertState,
    alert: &Alert,
    rule: &Rule,
    levels: &[Level],
    subject: &Subject,
    now: Timestamp,
) -> AlertEvent {
    let level = levels.get(alert.level as usize);
    // Of a pending one another level may be what holds.
    let says = levels.get(alert.evidence.level.unwrap_or(alert.level) as usize);
    let said = alert.carried.as_ref().and_then(|carried| carried.said.as_ref());
    let muted = match alert.opens {
        _ if rule.terms.shadow => Some(Muted::Shadow),
        Some(until) => Some(Muted::Hours { until }),
        None => None,
    };
    // What a start changes ends with that, though the engine's clock stands at the last event then.
    let changed = alert.carried.as_ref().filter(|carried| state == AlertState::Resolved && carried.ends());
    let changed = changed.map(|carried| carried.when());
    let mut event = AlertEvent {
        at: changed.map_or(now, |changed| changed.max(now)),
        id: alert.id.clone(),
        rule: rule.name.clone(),
        subject: subject.clone(),
        state,
        severity: level.map_or(rule.severity, |level| level.severity),
        condition: said.map_or(says.map_or(&rule.condition, |level| &level.condition), |said| &said.condition).clone(),
        value: alert.evidence.value,
        threshold: alert.evidence.threshold,
        unit: alert.evidence.unit,
        n: alert.evidence.n,
        window: alert.evidence.window,
        active_since: alert.since,
        fired_at: alert.fired,
        labels: rule.labels.clone(),
        annotations: Default::default(),
        muted,
        reason: String::new(),
        trend: None,
    };
    let templates = said.map_or(&rule.annotations, |said| &said.annotations);
    let ended = usize::from(state == AlertState::Resolved);
    let kept = |field: &str| said.and_then(|said| Some(said.fields.get(field)?[ended].clone()));
    event.annotations =
        filled(templates, &event, |field| kept(field).unwrap_or_else(|| field_text(&event, rule, alert, field)));
    explain(&mut event, alert.why(state, now, rule, levels));
    event
}

/// Says why an alert is in its state, instead of what was said of that: beside its summary, too, which may be all that
/// somebody reads.
pub fn explain(event: &mut AlertEvent, reason: String) {
    let beside = |reason: &str| if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    if let Some(summary) = event.annotations.get_mut("summary") {
        let bare = summary.strip_suffix(&beside(&event.reason)).unwrap_or(summary);
        *summary = format!("{bare}{}", beside(&reason));
    }
    event.reason = reason;
}

/// What changes with time alone, and is filled in whenever it is said.
const PASSING: [&str; 4] = ["state", "severity", "level", "duration"];

/// The words for what a firing alert was last judged by.
pub fn said(alert: &Alert, rule: &Rule, levels: &[Level], subject: &Subject, now: Timestamp) -> Said {
    let event = event(AlertState::Firing, alert, rule, levels, subject, now);
    let ended = AlertEvent { state: AlertState::Resolved, ..event.clone() };
    let text = |field: &str| [&event, &ended].map(|event| field_text(event, rule, alert, field));
    let names = rule.annotations.values().flat_map(|template| annotation::names(template));
    let fields = names.filter_map(|(name, _)| name.filter(|name| !PASSING.contains(name)));
    let fields = fields.map(|field| (field.to_owned(), text(field))).collect();
    Said { condition: event.condition, annotations: rule.annotations.clone(), fields }
}

/// Annotations with their fields. A sentence about a value that there is none of is left out, and what there is
/// instead is said before the others.
fn filled(
    templates: &BTreeMap<String, String>,
    event: &AlertEvent,
    text: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let none = event.without_value();
    let lacks = |field: &str| match field {
        "value" => event.value.is_none(),
        "threshold" => event.threshold.is_none(),
        _ => false,
    };
    let one = |template: &String| match annotation::without(template, lacks).filter(|_| event.value.is_none()) {
        None => annotation::fill(template, &text),
        Some(rest) => {
            let none = format!("{} on {}", none.as_deref().unwrap_or_default(), event.subject);
            if rest.is_empty() { none } else { format!("{none}. {}", annotation::fill(&rest, &text)) }
        }
    };
    templates.iter().map(|(name, template)| (name.clone(), one(template))).collect()
}

/// What there is to say of an objective; a reload may have made a plain rule of it.
fn burn(event: &AlertEvent, rule: &Rule) -> String {
    let AlertEvent { value, threshold, unit, n, window, .. } = *event;
    let found = Found { ended: event.state == AlertState::Resolved, value, threshold, unit, n, window };
    rule.terms.slo.as_ref().map_or_else(|| "burned its error budget".to_owned(), |slo| slo.said(found))
}

/// The text of a template field; `None` for one that the alert does not have.
fn field_text(event: &AlertEvent, rule: &Rule, alert: &Alert, field: &str) -> Option<String> {
    let shown_in = |unit: Unit, value: Option<f64>| value.map_or("no data".to_owned(), |v| unit.show(v));
    let Context { baseline, peers, score, exhausted_at } = alert.evidence.context;
    let of = |found: fn(&Input) -> bool, value| {
        let input = rule.program.inputs.iter().find(|input| found(input));
        shown_in(input.map_or(Unit::Any, Input::unit), value)
    };
    Some(match field {
        "baseline" => of(Input::is_of_past, baseline),
        "peers" => of(Input::is_of_peers, peers),
        "score" => shown_in(Unit::Points, score),
        "exhausted_at" => exhausted_at.map_or("not within the period".to_owned(), Timestamp::to_rfc3339),
        "burn" => burn(event, rule),
        "objective" => Unit::Ratio.show(rule.terms.slo.as_ref()?.objective),
        "window" => return event.field(field),
        _ => event.field(field).unwrap_or_else(|| {
            let label = field.strip_prefix("label.").unwrap_or(field);
            let own = event.labels.get(label).map(String::as_str);
            own.or_else(|| event.subject.get(label)).unwrap_or_default().to_owned()
        }),
    })
}
