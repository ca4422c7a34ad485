//! The body of a Slack incoming webhook: a text for notifications, one coloured attachment with blocks.
//!
//! Mattermost and others that take Slack's webhooks show the same. Slack's limits hold here: 3,000 characters in the
//! text of a section, and `&`, `<`, `>` are its only special characters.

use serde_json::{Value, json};

use super::mail::one_line;
use super::notice;
use crate::engine::event::Notification;

/// Alerts that are listed.
const SHOWN: usize = 20;
/// Characters of one line; twenty of them stay below Slack's 3,000.
const LINE: usize = 140;

/// The message.
pub fn body(notification: &Notification, external_url: &str) -> Value {
    let subject = notice::title(notification);
    let lead = notification.lead();
    let mut text = format!("*{}*", escape(&one_line(&subject, LINE)));
    if let Some(summary) = lead.annotations.get("summary").filter(|_| notification.alerts.len() == 1) {
        text += &format!("\n{}", escape(&one_line(summary, LINE)));
    }
    for alert in notification.alerts.iter().take(SHOWN) {
        text += &format!("\n• {}", escape(&one_line(&notice::line(alert), LINE)));
    }
    if let Some(more) = notice::more(notification, SHOWN) {
        text += &format!("\n{more}");
    }
    message(&escape(&subject), &text, notice::colour(notification), external_url)
}

/// A message of one coloured attachment; `fallback` and `text` are escaped already.
pub fn message(fallback: &str, text: &str, colour: &str, external_url: &str) -> Value {
    let mut blocks = vec![json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})];
    if !external_url.is_empty() {
        let link = format!("<{}/api/v1/alerts|evenkeel>", escape(external_url));
        blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": link}]}));
    }
    json!({
        "text": fallback,
        "attachments": [{"color": colour, "fallback": fallback, "blocks": blocks}],
    })
}

/// Text as Slack takes it.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::AlertState;
    use crate::wire::notice::tests::{event, group};

    #[test]
    fn the_body_is_what_slack_takes() {
        let one = group(vec![event("error_rate > 10%", AlertState::Firing)]);
        assert_eq!(
            body(&one, "http://keel"),
            json!({
                "text": "[FIRING high] errors on agent=reviewer: error_rate 23% &gt; 10%",
                "attachments": [{
                    "color": "#ef6c00",
                    "fallback": "[FIRING high] errors on agent=reviewer: error_rate 23% &gt; 10%",
                    "blocks": [
                        {"type": "section", "text": {"type": "mrkdwn", "text":
                            "*[FIRING high] errors on agent=reviewer: error_rate 23% &gt; 10%*\nMany errors\n\
                             • firing agent=reviewer: error_rate 23% &gt; 10% (n = 120, window 5m)"}},
                        {"type": "context", "elements": [{"type": "mrkdwn", "text": "<http://keel/api/v1/alerts|evenkeel>"}]},
                    ],
                }],
            })
        );
    }

    #[test]
    fn a_large_group_stays_within_slacks_limits() {
        let mut alert = event("error_rate > 10%", AlertState::Firing);
        alert.rule = "<&>".repeat(2_000);
        let mut many = group(vec![alert; 50]);
        many.truncated = 700;
        let body = body(&many, "");
        let text = body["attachments"][0]["blocks"][0]["text"]["text"].as_str().expect("text").to_owned();
        assert!(text.ends_with("\nand 730 more"), "{text}");
        let shown = text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
        assert!(shown.chars().count() <= 3_000, "{}", shown.chars().count());
    }
}
