//! An alert event in the words of its messages: labels, annotations, subject line, letter.
//!
//! Every message says value, threshold, samples and window, the resolved one too: a reader must
//! be able to judge an alert without opening anything else.

mod letter;
mod title;

use crate::engine::event::{Acknowledgement, AlertEvent, AlertState, Notification};
use crate::model::{Severity, Timestamp};
use crate::rule::deciding::deciding;
use crate::rule::names::reads_window;
use crate::wire::alertmanager::{Alert, Labels, Postable};
pub use letter::{PICTURED, letter};
use title::subject_line;
pub use title::title;

fn is_resolved(event: &AlertEvent) -> bool {
    event.state == AlertState::Resolved
}

fn starts_at(event: &AlertEvent) -> Timestamp {
    event.fired_at.unwrap_or(event.active_since)
}

/// What decided, as [`compared`] says, and the reason of alerts that have one.
pub fn evidence(event: &AlertEvent) -> String {
    match event.reason.as_str() {
        "" => compared(event),
        reason => format!("{}; {reason}", compared(event)),
    }
}

/// `error_rate 23% > 10%`, of several comparisons the one that decided; for alerts that do not hold, the value and the
/// comparison as written.
pub fn compared(event: &AlertEvent) -> String {
    let Some(number) = event.value else { return event.without_value().unwrap_or_default() };
    let (value, condition) = (event.unit.show(number), &event.condition);
    let Some(threshold) = event.threshold else { return format!("{value} in {condition}") };
    let shown = event.unit.show(threshold);
    match deciding(condition, threshold, event.window) {
        None => format!("{value} against {shown} in {condition}"),
        Some(part) if !is_resolved(event) && part.operator.holds(number, threshold) => {
            format!("{} {value} {} {shown}", part.left, part.sign)
        }
        Some(part) if part.whole == condition.trim() => format!("{} {value}, alert when {condition}", part.left),
        Some(part) => format!("{} {value}, alert when {} among other things", part.left, part.whole),
    }
}

/// `taken on by kim: looking into it`.
pub fn taken_on(ack: &Acknowledgement) -> String {
    let note = if ack.note.is_empty() { String::new() } else { format!(": {}", ack.note) };
    format!("taken on by {}{note}", ack.author)
}

/// The annotation that says who took an alert on before the message was made.
pub const ACKNOWLEDGED: &str = "acknowledged";

/// The annotation that says that what changes of an alert is held, because it changes too often.
pub const FLAPPING: &str = "flapping";

/// `, taken on by kim: looking into it`, `, flapping: held until ...`; empty when there is nothing of the kind.
fn noted(event: &AlertEvent) -> String {
    let flapping = event.annotations.get(FLAPPING).map(|held| format!(", flapping: {held}"));
    let owner = event.annotations.get(ACKNOWLEDGED).map(|by| format!(", {by}"));
    flapping.into_iter().chain(owner).collect()
}

/// One alert of a group on one line: `firing agent=reviewer: error_rate 23% > 10% (n = 120, window 5m)`.
pub fn line(event: &AlertEvent) -> String {
    let (state, subject) = (event.state.as_str(), &event.subject);
    format!("{state} {subject}: {} {}{}", evidence(event), samples(event), noted(event))
}

/// How many samples it rests on, and from which time: `(n = 120, window 5m)`.
pub fn samples(event: &AlertEvent) -> String {
    match reads_window(&event.condition) {
        true => format!("(n = {}, window {})", event.n, event.window),
        false => format!("(n = {})", event.n),
    }
}

/// What is said when only `shown` alerts are listed and there are more.
pub fn more(notification: &Notification, shown: usize) -> Option<String> {
    let more = notification.alerts.len().saturating_sub(shown) as u64 + notification.truncated;
    (more > 0).then(|| format!("and {more} more"))
}

/// The gravest severity of what a message is about: of those that fire, while any does.
pub fn severity(notification: &Notification) -> Severity {
    let state = notification.state();
    let counts = |a: &&AlertEvent| is_resolved(a) == (state == AlertState::Resolved);
    notification.alerts.iter().filter(counts).map(|a| a.severity).max().unwrap_or(Severity::Info)
}

/// The colour of a message: green when all is over, else that of its severity.
pub fn colour(notification: &Notification) -> &'static str {
    if notification.state() == AlertState::Resolved { "#2e7d32" } else { shade(severity(notification)) }
}

/// The alert of a webhook body.
pub fn alert(event: &AlertEvent, external_url: &str) -> Alert {
    let labels = event.identity();
    let mut annotations: Labels = event.annotated();
    let samples = format!("{} {}", evidence(event), samples(event));
    annotations.entry("evidence".to_owned()).or_insert(samples);
    let generator = if external_url.is_empty() { String::new() } else { format!("{external_url}/api/v1/alerts") };
    Alert::new(labels, annotations, starts_at(event), is_resolved(event).then_some(event.at), generator)
}

/// The alert as Alertmanager's API takes it: one that fires is to be believed until `until`.
pub fn postable(event: &AlertEvent, until: Timestamp, external_url: &str) -> Postable {
    let Alert { labels, annotations, generator_url, .. } = alert(event, external_url);
    let ends_at = if is_resolved(event) { event.at } else { until };
    Postable::new(labels, annotations, starts_at(event), ends_at, generator_url)
}

/// Where a message comes from.
pub fn footer(external_url: &str) -> String {
    if external_url.is_empty() { "evenkeel".to_owned() } else { format!("evenkeel {external_url}") }
}

/// The colour of a severity.
pub fn shade(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "#1565c0",
        Severity::Warning => "#f9a825",
        Severity::High => "#ef6c00",
        Severity::Critical => "#c62828",
    }
}

#[cfg(test)]
#[path = "notice_tests.rs"]
pub(super) mod tests;
