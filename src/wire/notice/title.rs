//! The subject line of a message: that of its alert, or what is true of all of them.

use std::collections::BTreeSet;

use super::{evidence, is_resolved, noted, severity, taken_on};
use crate::engine::event::{AlertEvent, AlertState, Notification};
use crate::model::{Severity, Subject};
use crate::wire::mail::one_line;

/// The longest subject line in characters, before encoding.
pub const SUBJECT_LIMIT: usize = 200;

/// `FIRING high`, `FIRING:2 high`; what is over has no severity any more.
fn headed(state: AlertState, count: &str, severity: Severity) -> String {
    let severity = if state == AlertState::Resolved { String::new() } else { format!(" {}", severity.as_str()) };
    format!("{}{count}{severity}", state.as_str().to_uppercase())
}

/// `[FIRING high] errors on agent=reviewer: error_rate 23% > 10%`, on one line.
pub fn subject_line(event: &AlertEvent) -> String {
    let state = headed(event.state, "", event.severity);
    let text = format!("[{state}] {} on {}: {}{}", event.rule, event.subject, evidence(event), noted(event));
    one_line(&text, SUBJECT_LIMIT)
}

/// The subject of a message: that of its alert, or what is true of all of them.
pub fn title(notification: &Notification) -> String {
    let lead = notification.lead();
    if let Some(ack) = &notification.acknowledged {
        return one_line(
            &format!("[ACKNOWLEDGED] {} on {}: {}", lead.rule, lead.subject, taken_on(ack)),
            SUBJECT_LIMIT,
        );
    }
    if !notification.summary.is_empty() {
        let state = headed(notification.state(), "", severity(notification));
        return one_line(&format!("[{state}] {}: {}", lead.rule, notification.summary), SUBJECT_LIMIT);
    }
    let total = notification.alerts.len() as u64 + notification.truncated;
    if total == 1 {
        return subject_line(lead);
    }
    let firing = notification.alerts.iter().filter(|a| !is_resolved(a)).count() as u64;
    let all = notification.state() == AlertState::Resolved || firing == notification.alerts.len() as u64;
    let count = if all { format!(":{total}") } else { format!(":{firing} of {total}") };
    let state = format!("[{}]", headed(notification.state(), &count, severity(notification)));
    let over = notification.state() == AlertState::Resolved;
    let mut meant: Vec<&AlertEvent> = notification.alerts.iter().filter(|a| is_resolved(a) == over).collect();
    meant.sort_by_key(|alert| (std::cmp::Reverse(alert.severity), &alert.subject));
    let what = listed(meant.iter().map(|alert| alert.rule.as_str()), 0);
    let lead = &lead.subject;
    let one = meant.iter().all(|alert| alert.subject == *lead) && notification.truncated == 0;
    let labels = notification.shared_labels();
    let labels = labels.iter().filter(|(name, _)| *name != "alertname");
    // A single subject says what its group has of it.
    let labels = labels.filter(|(name, value)| !one || lead.get(name) != Some(value.as_str()));
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    let of = if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(" ")) };
    let text = match meant[..] {
        [alert] if notification.truncated == 0 => format!("{state} {what}{of}: {}, {}", alert.subject, evidence(alert)),
        _ if one => format!("{state} {what}{of} on {lead}"),
        _ => format!("{state} {what}{of} on {}", whom(&meant, notification.truncated)),
    };
    one_line(&text, SUBJECT_LIMIT)
}

/// `2 agents: a1, a2`; without a label in common `3 subjects: agent=a1, model=m, fleet`.
fn whom(alerts: &[&AlertEvent], truncated: u64) -> String {
    let single = |subject: &Subject| match subject.0.iter().next() {
        Some((name, _)) if subject.0.len() == 1 => Some(name.clone()),
        _ => None,
    };
    let name = single(&alerts[0].subject);
    let name = name.filter(|name| alerts.iter().all(|alert| single(&alert.subject).as_ref() == Some(name)));
    let shown: BTreeSet<&Subject> = alerts.iter().map(|alert| &alert.subject).collect();
    let n = shown.len() as u64 + truncated;
    match name {
        Some(name) => {
            let values = alerts.iter().filter_map(|alert| alert.subject.get(&name));
            format!("{n} {}s: {}", name.replace('_', " "), listed(values, truncated))
        }
        None => {
            let subjects: Vec<String> = alerts.iter().map(|alert| alert.subject.to_string()).collect();
            format!("{n} subjects: {}", listed(subjects.iter().map(String::as_str), truncated))
        }
    }
}

/// The first few, each once: `a1, a2, a3, a4, a5 and 7 more`.
fn listed<'a>(names: impl Iterator<Item = &'a str>, more: u64) -> String {
    const NAMED: usize = 5;
    let mut all: Vec<&str> = Vec::new();
    names.for_each(|name| {
        if !all.contains(&name) {
            all.push(name);
        }
    });
    let more = all.len().saturating_sub(NAMED) as u64 + more;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", all.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "))
}
