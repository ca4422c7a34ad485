//! The letter about a message.

use super::{colour, evidence, footer, is_resolved, line, more, starts_at, subject_line, title};
use crate::engine::event::{AlertEvent, Notification};
use crate::rule::names::reads_window;
use crate::wire::mail::{Letter, Picture};
use crate::wire::picture;
use crate::wire::signature::token;

/// Alerts of a group that a letter lists.
const LISTED: usize = 100;

/// The letter about a message.
pub fn letter(notification: &Notification, external_url: &str) -> Letter {
    if notification.alerts.len() == 1 && notification.truncated == 0 && notification.summary.is_empty() {
        return alone(notification, external_url);
    }
    let mut rows: Vec<(String, String)> = notification.shared_labels().into_iter().collect();
    for alert in notification.alerts.iter().take(LISTED) {
        let summary = alert.annotations.get("summary").map(|s| format!("\n{s}")).unwrap_or_default();
        let since = starts_at(alert).to_rfc3339();
        rows.push((alert.subject.to_string(), format!("{}: {}, since {since}{summary}", alert.rule, line(alert))));
    }
    if let Some(more) = more(notification, LISTED) {
        rows.push(("more".to_owned(), more));
    }
    let firing = notification.alerts.iter().filter(|a| !is_resolved(a)).count();
    let resolved = notification.alerts.len() - firing;
    Letter {
        subject: title(notification),
        headline: match notification.summary.as_str() {
            "" => format!("{firing} firing, {resolved} resolved"),
            summary => summary.to_owned(),
        },
        colour: colour(notification),
        rows,
        pictures: pictures(notification),
        footer: footer(external_url),
    }
}

/// Alerts of a group whose course a letter shows.
pub const PICTURED: usize = 3;

fn pictures(notification: &Notification) -> Vec<Picture> {
    let one = |event: &AlertEvent| {
        let png = picture::png(event)?;
        let caption = format!("{}: {}", event.subject, picture::words(event)?);
        let id = token(&format!("trend-{}-{}", event.id, event.at.0));
        Some(Picture { id: format!("{id}@evenkeel"), png, size: (picture::WIDTH, picture::HEIGHT), caption })
    };
    notification.alerts.iter().filter_map(one).take(PICTURED).collect()
}

/// The letter about one alert.
fn alone(notification: &Notification, external_url: &str) -> Letter {
    let event = notification.lead();
    let shown = |value: Option<f64>| value.map_or_else(|| "no data".to_owned(), |v| event.unit.show(v));
    let mut rows = vec![
        ("rule", event.rule.clone()),
        ("subject", event.subject.to_string()),
        ("state", event.state.as_str().to_owned()),
        ("severity", event.severity.as_str().to_owned()),
        ("value", shown(event.value)),
        ("threshold", shown(event.threshold)),
        ("n", event.n.to_string()),
        ("window", event.window.to_string()),
        ("condition", event.condition.clone()),
        ("since", event.active_since.to_rfc3339()),
    ];
    rows.retain(|(name, _)| *name != "window" || reads_window(&event.condition));
    if let (Some(bars), Some(course)) = (picture::sparkline(event), picture::words(event)) {
        rows.insert(6, ("course", format!("{bars}\n{course}")));
    }
    if let Some(fired) = event.fired_at {
        rows.push(("fired", fired.to_rfc3339()));
    }
    if is_resolved(event) {
        rows.push(("resolved", event.at.to_rfc3339()));
        rows.push(("lasted", event.at.since(starts_at(event)).shown()));
    }
    rows.push(("alert id", event.id.clone()));
    let mut rows: Vec<(String, String)> = rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let annotated = event.annotated();
    let own = annotated.iter().filter(|(name, _)| *name != "summary");
    rows.extend(event.labels.iter().chain(own).map(|(name, value)| (name.clone(), value.clone())));
    Letter {
        subject: subject_line(event),
        headline: match event.annotations.get("summary") {
            Some(summary) => summary.clone(),
            None => format!("{} on {}: {}", event.rule, event.subject, evidence(event)),
        },
        colour: colour(notification),
        rows,
        pictures: pictures(notification),
        footer: footer(external_url),
    }
}
