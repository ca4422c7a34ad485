//! The body of PagerDuty's Events API, version 2.
//!
//! The group is the incident: its deduplication key is the same in all its messages, so that what fires again updates
//! the incident and the end of its last alert resolves it. What is added to an incident that somebody acknowledged calls
//! nobody: where that is news which nobody took on, the incident is closed and a new one opened.

use serde_json::{Value, json};

use super::mail::one_line;
use super::notice;
use super::signature::token;
use crate::engine::event::{AlertState, Notification};
use crate::model::Severity;

/// Characters of a summary and of a key, by PagerDuty's documentation.
const SUMMARY: usize = 1_024;
const KEY: usize = 255;
/// Alerts in the details.
const SHOWN: usize = 50;

/// The event.
pub fn body(notification: &Notification, routing_key: &str, external_url: &str) -> Value {
    let lead = notification.lead();
    let resolved = notification.state() == AlertState::Resolved;
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": match &notification.acknowledged {
            Some(_) => "acknowledge",
            None if resolved => "resolve",
            None => "trigger",
        },
        "dedup_key": key(&notification.group),
        "client": "evenkeel",
        "payload": {
            "summary": one_line(&notice::title(notification), SUMMARY),
            "source": if lead.subject.0.is_empty() { "evenkeel".to_owned() } else { lead.subject.to_string() },
            "severity": severity(notice::severity(notification)),
            "timestamp": notification.at.to_rfc3339(),
            "component": lead.subject.to_string(),
            "class": lead.rule,
            "custom_details": {
                "labels": notification.shared_labels(),
                "annotations": lead.annotated(),
                "alerts": notification.alerts.iter().take(SHOWN).map(notice::line).collect::<Vec<_>>(),
                "more": notice::more(notification, SHOWN),
            },
        },
    });
    if let Some(ack) = &notification.acknowledged {
        event["payload"]["custom_details"]["acknowledged"] = json!(notice::taken_on(ack));
    }
    if !external_url.is_empty() {
        event["client_url"] = json!(format!("{external_url}/api/v1/alerts"));
    }
    event
}

/// Closes the incident of a group, so that the event after it opens a new one, which calls people.
pub fn closing(notification: &Notification, routing_key: &str) -> Value {
    json!({ "routing_key": routing_key, "event_action": "resolve", "dedup_key": key(&notification.group) })
}

/// The group itself while it is short; a longer one is cut and made distinct again by its token.
fn key(group: &str) -> String {
    if group.chars().count() <= KEY { group.to_owned() } else { token(group) }
}

/// PagerDuty's four words.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::High => "error",
        Severity::Critical => "critical",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::notice::tests::{event, group};

    #[test]
    fn a_group_is_an_incident() {
        let firing = event("error_rate > 10%", AlertState::Firing);
        let resolved = event("error_rate > 10%", AlertState::Resolved);
        let said = body(&group(vec![firing.clone()]), "R0UT1NG", "http://keel");
        assert_eq!((&said["routing_key"], &said["event_action"]), (&json!("R0UT1NG"), &json!("trigger")));
        assert_eq!(said["dedup_key"], "group-1");
        assert_eq!(said["client_url"], "http://keel/api/v1/alerts");
        let payload = &said["payload"];
        assert_eq!(payload["summary"], "[FIRING high] errors on agent=reviewer: error_rate 23% > 10%");
        assert_eq!((&payload["source"], &payload["severity"]), (&json!("agent=reviewer"), &json!("error")));
        assert_eq!(payload["timestamp"], "2025-11-14T10:31:45.123Z");
        assert_eq!(
            payload["custom_details"]["alerts"],
            json!(["firing agent=reviewer: error_rate 23% > 10% (n = 120, window 5m)"])
        );
        let half = body(&group(vec![firing, resolved.clone()]), "k", "");
        assert_eq!(half["event_action"], "trigger", "one of two still fires");
        let over = body(&group(vec![resolved]), "k", "");
        assert_eq!((&over["event_action"], &over["dedup_key"]), (&json!("resolve"), &json!("group-1")));
    }

    #[test]
    fn long_keys_are_short_and_distinct() {
        let (one, two) = (format!("{}1", "x".repeat(300)), format!("{}2", "x".repeat(300)));
        assert!(key(&one).chars().count() <= KEY && key(&one) != key(&two));
    }
}
