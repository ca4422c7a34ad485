//! The body of ntfy's publishing as JSON: topic, title, message, priority, tags.

use serde_json::{Value, json};

use super::mail::one_line;
use super::notice;
use crate::engine::event::{AlertState, Notification};
use crate::model::Severity;

/// Alerts that are listed.
const SHOWN: usize = 10;
/// Characters of one line; with it a message stays below ntfy's 4,096 bytes.
const LINE: usize = 90;

/// The message.
pub fn body(notification: &Notification, topic: &str, tags: &[String], external_url: &str) -> Value {
    let resolved = notification.state() == AlertState::Resolved;
    let severity = notice::severity(notification);
    let mut lines: Vec<String> = Vec::new();
    if let Some(summary) = notification.lead().annotations.get("summary") {
        lines.push(one_line(summary, LINE));
    }
    lines.extend(notification.alerts.iter().take(SHOWN).map(|alert| one_line(&notice::line(alert), LINE)));
    lines.extend(notice::more(notification, SHOWN));
    let emoji = match severity {
        _ if notification.acknowledged.is_some() => "eyes",
        _ if resolved => "white_check_mark",
        Severity::High | Severity::Critical => "rotating_light",
        Severity::Warning => "warning",
        Severity::Info => "information_source",
    };
    let tags: Vec<&str> = [emoji].into_iter().chain(tags.iter().map(String::as_str)).collect();
    let mut message = json!({
        "topic": topic,
        "title": one_line(&notice::title(notification), 2 * LINE),
        "message": lines.join("\n"),
        "priority": match severity {
            _ if notification.acknowledged.is_some() => 2,
            _ if resolved => 3,
            Severity::Critical => 5,
            Severity::High => 4,
            Severity::Warning => 3,
            Severity::Info => 2,
        },
        "tags": tags,
    });
    if !external_url.is_empty() {
        message["click"] = json!(format!("{external_url}/api/v1/alerts"));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::notice::tests::{event, group};

    #[test]
    fn the_body_is_what_ntfy_takes() {
        let one = group(vec![event("error_rate > 10%", AlertState::Firing)]);
        assert_eq!(
            body(&one, "ops", &["fleet".to_owned()], "http://keel"),
            json!({
                "topic": "ops",
                "title": "[FIRING high] errors on agent=reviewer: error_rate 23% > 10%",
                "message": "Many errors\nfiring agent=reviewer: error_rate 23% > 10% (n = 120, window 5m)",
                "priority": 4,
                "tags": ["rotating_light", "fleet"],
                "click": "http://keel/api/v1/alerts",
            })
        );
        let over = body(&group(vec![event("error_rate > 10%", AlertState::Resolved)]), "ops", &[], "");
        assert_eq!((&over["priority"], &over["tags"]), (&json!(3), &json!(["white_check_mark"])));
    }

    #[test]
    fn a_large_group_is_no_attachment() {
        let mut alert = event("error_rate > 10%", AlertState::Firing);
        alert.rule = "ü".repeat(5_000);
        let body = body(&group(vec![alert; 40]), "ops", &[], "");
        let text = body["message"].as_str().expect("text");
        assert!(text.len() < 4_096 && text.ends_with("\nand 30 more"), "{}", text.len());
    }
}
