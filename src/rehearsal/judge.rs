//! Holds what happened against what was wanted, and draws what was.

use std::sync::Arc;

use super::{Course, Failure, Look, run};
use crate::engine::event::{AlertEvent, AlertState, Delivery};
use crate::engine::verdicts::Said;
use crate::model::{Span, Subject, Timestamp, Unit};
use crate::policy::Policy;
use crate::rule::story::{Expected, MessageCheck, StateCheck, Story, Wanted, Whom};

/// Columns of a timeline.
const COLUMNS: i64 = 60;
/// Subjects that are drawn.
const DRAWN: usize = 3;

/// Every wish that did not come true; `draw` makes the picture of one.
pub(super) fn failures(story: &Story, course: &Course, draw: impl Fn(&StateCheck) -> Vec<String>) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (at, check) in story.states.iter().enumerate() {
        if let Some(found) = state(story, course, check, at) {
            let expected = format!("{} at {}{}", check.state.as_str(), check.at, said(&check.wanted));
            let about = about(&check.whom);
            failures.push(Failure { place: check.place.clone(), about, expected, found, timeline: draw(check) });
        }
    }
    for check in &story.messages {
        if let Some(found) = messages(story, course, check) {
            let receiver = check.receiver.as_deref().map_or_else(String::new, |name| format!(" to {name}"));
            let noun = if check.count == 1 { "message" } else { "messages" };
            let at = check.at.map_or_else(String::new, |at| format!(" decided at {at}"));
            let (count, state) = (check.count, check.state.as_str());
            let expected = format!("{count} {state} {noun}{receiver}{at}{}", said(&check.wanted));
            let (place, about) = (check.place.clone(), about(&check.whom));
            failures.push(Failure { place, about, expected, found, timeline: Vec::new() });
        }
    }
    failures
}

/// What was found instead of the state; `None` when it is as wanted.
fn state(story: &Story, course: &Course, check: &StateCheck, at: usize) -> Option<String> {
    let now = story.start + check.at;
    let said: Vec<&Said> = course.said[at].iter().filter(|s| check.whom.means(&check.whom.rule, &s.subject)).collect();
    let Expected::Alert(wanted) = check.state else {
        let none = |s: &&Said| s.value.is_none() && check.wanted.n.is_none_or(|n| n == s.n);
        return (!said.iter().all(none)).then(|| describe_said(&said));
    };
    let active: Vec<&AlertEvent> = course.seen[at].iter().filter(|e| check.whom.means(&e.rule, &e.subject)).collect();
    let mut ended: Vec<&AlertEvent> = Vec::new();
    for event in course.transitions.iter().filter(|e| e.at <= now && check.whom.means(&e.rule, &e.subject)) {
        ended.retain(|e| e.subject != event.subject);
        if event.state == AlertState::Resolved {
            ended.push(event);
        }
    }
    let alerts = if wanted == AlertState::Resolved && active.is_empty() { ended } else { active };
    if wanted == AlertState::Inactive && alerts.is_empty() && check.asks_the_rule() {
        let right = !said.is_empty() && said.iter().all(|s| check.wanted.is((s.value, s.threshold, s.n), s.unit));
        return (!right).then(|| describe_said(&said));
    }
    let right = match wanted {
        AlertState::Inactive => alerts.is_empty(),
        state => !alerts.is_empty() && alerts.iter().all(|e| e.state == state && shows(&check.wanted, e)),
    };
    if right {
        return None;
    }
    // All must be as wanted, so those that are not decide.
    let (wrong, others): (Vec<&AlertEvent>, Vec<&AlertEvent>) =
        alerts.into_iter().partition(|e| e.state != wanted || !shows(&check.wanted, e));
    let found = wrong.into_iter().chain(others).map(|e| describe(story, e)).collect();
    Some(listed(found, DRAWN, "inactive: no alert"))
}

fn messages(story: &Story, course: &Course, check: &MessageCheck) -> Option<String> {
    let about = |delivery: &Delivery| -> Vec<AlertEvent> {
        let alerts = delivery.notification().into_iter().flat_map(|notification| &notification.alerts);
        alerts.filter(|e| check.whom.means(&e.rule, &e.subject)).cloned().collect()
    };
    let of_state = |alerts: &[AlertEvent]| {
        let firing = alerts.iter().any(|e| e.state != AlertState::Resolved);
        if firing { AlertState::Firing } else { AlertState::Resolved }
    };
    let to = |d: &&Delivery| check.receiver.as_ref().is_none_or(|name| *name == d.receiver);
    let mut mine: Vec<(&Delivery, Vec<AlertEvent>)> =
        course.messages.iter().filter(to).map(|d| (d, about(d))).filter(|(_, alerts)| !alerts.is_empty()).collect();
    let right = mine.iter().filter(|(delivery, alerts)| {
        of_state(alerts) == check.state
            && check.at.is_none_or(|at| story.start + at == delivery.message.at())
            && alerts.iter().all(|e| shows(&check.wanted, e))
    });
    if right.count() as u64 == check.count {
        return None;
    }
    // Those that are nearest to what was expected are shown, in the order of time.
    let at = |delivery: &Delivery| delivery.message.at().since(story.start);
    mine.sort_by_key(|(delivery, alerts)| {
        let apart = check.at.map_or(0, |wanted| (at(delivery).0 - wanted.0).abs());
        (of_state(alerts) != check.state, apart, !alerts.iter().all(|e| shows(&check.wanted, e)), at(delivery))
    });
    let shown = mine.len().min(2 * DRAWN);
    mine[..shown].sort_by_key(|(delivery, _)| at(delivery));
    let message = |(delivery, alerts): &(&Delivery, Vec<AlertEvent>)| {
        let alerts = listed(alerts.iter().map(|e| describe(story, e)).collect(), DRAWN, "");
        format!("to {} at {}: {alerts}", delivery.receiver, at(delivery))
    };
    Some(listed(mine.iter().map(message).collect(), 2 * DRAWN, "no message"))
}

/// What was found, as far as it is shown, and how much more there is; `nothing` when it is nothing.
fn listed(mut found: Vec<String>, limit: usize, nothing: &str) -> String {
    if found.is_empty() {
        return nothing.to_owned();
    }
    if found.len() > limit {
        let more = found.split_off(limit).len();
        found.push(format!("and {more} more"));
    }
    found.join("; ")
}

/// Whether the alert shows the numbers, read as people read them.
fn shows(wanted: &Wanted, event: &AlertEvent) -> bool {
    let graded = wanted.severity.is_none_or(|severity| severity == event.severity);
    graded && wanted.is((event.value, event.threshold, event.n), event.unit)
}

impl Wanted {
    fn is(&self, (value, threshold, n): (Option<f64>, Option<f64>, u64), unit: Unit) -> bool {
        let same = |wanted: &Option<(f64, String)>, found: Option<f64>| {
            wanted.as_ref().is_none_or(|(value, _)| found.is_some_and(|f| unit.show(f) == unit.show(*value)))
        };
        same(&self.value, value) && same(&self.threshold, threshold) && self.n.is_none_or(|wanted| wanted == n)
    }
}

/// What the rule says of subjects that have no alert.
fn describe_said(said: &[&Said]) -> String {
    let show = |s: &Said, value: Option<f64>| value.map_or_else(|| "no data".to_owned(), |v| s.unit.show(v));
    let one = |s: &&Said| match s.value {
        Some(_) => format!("{} value {}, threshold {}, n {}", s.subject, show(s, s.value), show(s, s.threshold), s.n),
        None => format!("{} no data, n {}", s.subject, s.n),
    };
    listed(said.iter().map(one).collect(), DRAWN, "no such subject")
}

fn said(wanted: &Wanted) -> String {
    let mut text = String::new();
    for (name, number) in [("value", &wanted.value), ("threshold", &wanted.threshold)] {
        if let Some((_, written)) = number {
            text += &format!(", {name} {written}");
        }
    }
    if let Some(n) = wanted.n {
        text += &format!(", n {n}");
    }
    if let Some(severity) = wanted.severity {
        text += &format!(", severity {}", severity.as_str());
    }
    text
}

fn about(whom: &Whom) -> String {
    let labels: Vec<String> = whom.labels.iter().map(|(d, value)| format!("{}={value}", d.as_str())).collect();
    format!("{} {}", whom.rule, labels.join(" ")).trim_end().to_owned()
}

fn describe(story: &Story, event: &AlertEvent) -> String {
    let show = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), |v| event.unit.show(v));
    let since = event.fired_at.unwrap_or(event.active_since).since(story.start);
    format!(
        "{} {} since {since}, value {}, threshold {}, n {}, severity {}",
        event.subject,
        event.state.as_str(),
        show(event.value),
        show(event.threshold),
        event.n,
        event.severity.as_str()
    )
}

/// The states of whom a check is about, from the start to the end of the story: `.` inactive, `p`
/// pending, `F` firing; `^` below marks the time of the check.
pub(super) fn timeline(policy: &Arc<Policy>, story: &Story, check: &StateCheck) -> Vec<String> {
    let length = story.length.0.max(check.at.0).max(1);
    let at = |column: i64| Span(length * (column + 1) / COLUMNS);
    let times: Vec<Timestamp> = (0..COLUMNS).map(|column| story.start + at(column)).collect();
    let looks: Vec<Look<'_>> = times.iter().map(|at| (*at, None)).collect();
    let course = run(policy, story, &looks);
    let mut subjects: Vec<Subject> = Vec::new();
    for event in course.seen.iter().flatten().chain(&course.transitions) {
        if check.whom.means(&event.rule, &event.subject) && !subjects.contains(&event.subject) {
            subjects.push(event.subject.clone());
        }
    }
    let mut lines = Vec::new();
    for subject in subjects.iter().take(DRAWN) {
        let mut states = String::new();
        let mut highest: Option<&AlertEvent> = None;
        for seen in &course.seen {
            let event = seen.iter().find(|e| e.rule == check.whom.rule && e.subject == *subject);
            states.push(match event.map(|e| e.state) {
                Some(AlertState::Firing) => 'F',
                Some(AlertState::Pending) => 'p',
                _ => '.',
            });
            highest = highest.or(event);
        }
        let value = highest.map_or_else(String::new, |e| format!("  first {}", describe(story, e)));
        lines.push(format!("{states}  {subject}{value}"));
    }
    if subjects.len() > DRAWN {
        lines.push(format!("{}  and {} more", " ".repeat(COLUMNS as usize), subjects.len() - DRAWN));
    }
    if lines.is_empty() {
        lines.push(format!("{}  never pending or firing", ".".repeat(COLUMNS as usize)));
    }
    let column = (0..COLUMNS).find(|column| at(*column) >= check.at).unwrap_or(COLUMNS - 1);
    lines.push(format!("{}^ {}", " ".repeat(column as usize), check.at));
    lines
}
