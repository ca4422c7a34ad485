//! A body that its owner wrote, with the fields of a message in it.
//!
//! Fields are those of a rule's annotations, of the alert that leads, and a few of the whole message. In a JSON body they
//! are escaped as text inside a string, in a form as its values, elsewhere they stand as they are.

use std::ops::Range;

use super::{digest, notice};
use crate::engine::event::{AlertEvent, AlertState, Digest, Message, Notification};
use crate::rule::annotation;

/// The fields of the whole message, with their meaning.
pub const FIELDS: [(&str, &str); 8] = [
    ("title", "one line: `[FIRING high] errors on agent=reviewer: error_rate 23% > 10%`"),
    ("status", "`firing` while any alert of the message fires, else `resolved`; `digest` of a digest"),
    ("group", "identity of the group, the same in all its messages"),
    ("receiver", "the receiver's name"),
    ("alerts", "how many alerts the group has"),
    ("lines", "one line per alert"),
    ("colour", "a colour of the severity, `#rrggbb`"),
    ("url", "where the alerts can be looked at"),
];
/// The prefix of an annotation of the alert that leads.
const ANNOTATION: &str = "annotation.";
/// Fields that are numbers, and may stand outside of strings.
const NUMBERS: [&str; 2] = ["n", "alerts"];
/// Alerts in `lines`.
const SHOWN: usize = 20;

/// How fields are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    Json,
    Form,
    None,
}

impl Escape {
    fn of(media_type: &str) -> Escape {
        let name = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match name.as_str() {
            "application/x-www-form-urlencoded" => Escape::Form,
            name if name.ends_with("json") => Escape::Json,
            _ => Escape::None,
        }
    }

    fn apply(self, text: &str) -> String {
        match self {
            Escape::None => text.to_owned(),
            Escape::Json => {
                let quoted = serde_json::Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Escape::Form => text.bytes().map(percent).collect(),
        }
    }
}

fn percent(byte: u8) -> String {
    let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// The faults of a body: place in it, message, remedy.
pub fn check(body: &str, media_type: &str) -> Vec<(Range<usize>, String, String)> {
    let mut faults = Vec::new();
    for (name, bytes) in annotation::names(body) {
        match name {
            None => faults.push((bytes, "`{{` is not closed".to_owned(), "write `{{ value }}`".to_owned())),
            Some(name) if !known(name) => {
                let words = FIELDS.iter().chain(annotation::FIELDS.iter()).map(|(field, _)| *field);
                let help = format!("{}; also label.NAME and annotation.NAME", super::fields::one_of(name, words));
                faults.push((bytes, format!("a message has no field `{name}`"), help));
            }
            Some(_) => {}
        }
    }
    if faults.is_empty() && Escape::of(media_type) == Escape::Json {
        let sample = |name: &str| Some(if NUMBERS.contains(&name) { "1" } else { "a \\\" b" }.to_owned());
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&annotation::fill(body, sample)) {
            let message = format!("the body is no JSON once it is filled: {error}");
            let help = "write fields inside of strings, `\"text\": \"{{ title }}\"`, or set `content_type`";
            faults.push((0..body.len(), message, help.to_owned()));
        }
    }
    faults
}

fn known(name: &str) -> bool {
    let prefixed = |prefix| name.strip_prefix(prefix).is_some_and(|rest: &str| !rest.is_empty());
    FIELDS.iter().chain(annotation::FIELDS.iter()).any(|(field, _)| *field == name)
        || prefixed(annotation::LABEL_PREFIX)
        || prefixed(ANNOTATION)
}

/// The body of a message.
pub fn fill(body: &str, media_type: &str, message: &Message, receiver: &str, external_url: &str) -> String {
    let escape = Escape::of(media_type);
    annotation::fill(body, |name| {
        let text = match message {
            _ if name == "receiver" => Some(receiver.to_owned()),
            _ if name == "url" => Some(format!("{external_url}/api/v1/alerts")),
            _ if name == "group" => Some(message.group().to_owned()),
            Message::Alerts(notification) => whole(notification, name).or_else(|| of_alert(notification.lead(), name)),
            Message::Digest(digest) => of_digest(digest, name),
        };
        Some(escape.apply(&text.unwrap_or_else(|| "n/a".to_owned())))
    })
}

/// A digest has no alerts: their fields are `n/a`, numbers 0.
fn of_digest(digest: &Digest, name: &str) -> Option<String> {
    Some(match name {
        "title" => digest::title(digest),
        "status" => "digest".to_owned(),
        "lines" => digest::lines(digest).join("\n"),
        "colour" => digest::colour(digest).to_owned(),
        name if NUMBERS.contains(&name) => "0".to_owned(),
        _ => return None,
    })
}

fn whole(notification: &Notification, name: &str) -> Option<String> {
    Some(match name {
        "title" => notice::title(notification),
        "status" => if notification.state() == AlertState::Resolved { "resolved" } else { "firing" }.to_owned(),
        "alerts" => (notification.alerts.len() as u64 + notification.truncated).to_string(),
        "lines" => {
            let lines = notification.alerts.iter().take(SHOWN).map(notice::line);
            lines.chain(notice::more(notification, SHOWN)).collect::<Vec<_>>().join("\n")
        }
        "colour" => notice::colour(notification).to_owned(),
        _ => return None,
    })
}

fn of_alert(event: &AlertEvent, name: &str) -> Option<String> {
    if let Some(label) = name.strip_prefix(annotation::LABEL_PREFIX) {
        return event.identity().get(label).cloned();
    }
    if let Some(annotation) = name.strip_prefix(ANNOTATION) {
        return event.annotations.get(annotation).cloned();
    }
    event.field(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::notice::tests::{event, group};

    #[test]
    fn fields_are_escaped_as_the_body_needs_it() {
        let mut alert = event("error_rate > 10%", AlertState::Firing);
        alert.annotations.insert("summary".into(), "say \"no\"\\\n& go".into());
        let message = Message::Alerts(group(vec![alert]));
        for (media_type, body, expected) in [
            (
                "application/json",
                r#"{"t": "{{ annotation.summary }}", "n": {{ n }}}"#,
                "{\"t\": \"say \\\"no\\\"\\\\\\n& go\", \"n\": 120}",
            ),
            ("application/x-www-form-urlencoded", "t={{ annotation.summary }}", "t=say%20%22no%22%5C%0A%26%20go"),
            ("text/plain; charset=utf-8", "{{ annotation.summary }}", "say \"no\"\\\n& go"),
            ("text/plain", "{{ label.agent }} {{ value }} {{ label.gone }} {{ status }}", "reviewer 23% n/a firing"),
        ] {
            assert_eq!(fill(body, media_type, &message, "ops", ""), expected, "{media_type}");
        }
    }

    #[test]
    fn every_field_is_known_to_both() {
        let message = Message::Alerts(group(vec![event("error_rate > 10%", AlertState::Firing)]));
        for (field, _) in FIELDS.iter().chain(annotation::FIELDS.iter()) {
            let body = format!("{{{{ {field} }}}}");
            assert!(check(&body, "text/plain").is_empty(), "{field}");
            assert_ne!(fill(&body, "text/plain", &message, "ops", "http://keel"), "n/a", "{field}");
        }
    }

    #[test]
    fn bodies_are_checked() {
        for (body, expected) in [
            (r#"{"text": "{{ title }}", "n": {{ n }}}"#, None),
            (r#"{"text": {{ title }}}"#, Some("write fields inside of strings")),
            (r#"{"text": "{{ titel }}"}"#, Some("did you mean `title`?")),
            (r#"{"text": "{{ title"}"#, Some("write `{{ value }}`")),
            ("{", Some("write fields inside of strings")),
        ] {
            let faults = check(body, "application/json");
            assert_eq!(faults.len(), usize::from(expected.is_some()), "{body}: {faults:?}");
            for (_, _, help) in faults {
                assert!(help.contains(expected.expect("counted")), "{help}");
            }
        }
    }
}
