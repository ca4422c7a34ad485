//! Senders, secrets and messages to send.

use std::io::Write as _;

use evenkeel::engine::event::{
    AlertEvent, AlertState, Attempt, Delivery, DeliveryId, Digest, DigestSection, Message, Notification,
};
use evenkeel::model::{Severity, Span, Subject, Timestamp, Unit};
use evenkeel::settings::{Channel, Receiver, Secret};
use evenkeel::shell::sink::Sinks;

pub fn delivery(id: &str, receiver: &str, state: AlertState) -> Delivery {
    let alert = AlertEvent {
        at: Timestamp(1_763_116_305_123),
        id: "errors-reviewer-1".to_owned(),
        rule: "errors".to_owned(),
        subject: Subject::from_iter([("agent", "prüfer <b>")]),
        state,
        severity: Severity::High,
        condition: "error_rate > 10%".to_owned(),
        value: Some(0.23),
        threshold: Some(0.1),
        unit: Unit::Ratio,
        n: 120,
        window: Span::minutes(5),
        active_since: Timestamp(1_763_116_185_123),
        fired_at: Some(Timestamp(1_763_116_245_123)),
        labels: [("team".to_owned(), "core".to_owned())].into(),
        annotations: [("summary".to_owned(), "Many errors".to_owned())].into(),
        muted: None,
        reason: String::new(),
        trend: None,
    };
    Delivery {
        id: DeliveryId(id.to_owned()),
        receiver: receiver.to_owned(),
        attempt: 1,
        message: Message::Alerts(Notification {
            at: alert.at,
            group: alert.id.clone(),
            matched: String::new(),
            group_labels: alert.identity(),
            alerts: vec![alert],
            truncated: 0,
            summary: String::new(),
            acknowledged: None,
            reopens: false,
        }),
    }
}

/// A secret in a file of its own; the folder goes with the guard.
pub fn secret(text: &str) -> (tempfile::TempPath, Secret) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{text}").expect("writes");
    let path = file.into_temp_path();
    let secret = Secret::File(path.to_path_buf());
    (path, secret)
}

pub fn sinks(channels: Vec<(&str, Channel)>) -> Sinks {
    let receivers: Vec<Receiver> = channels
        .into_iter()
        .map(|(name, channel)| Receiver {
            name: name.to_owned(),
            min_severity: Severity::Info,
            send_resolved: true,
            channel,
        })
        .collect();
    Sinks::new(&receivers, "http://127.0.0.1:9464")
}

pub fn reason(attempt: &Attempt) -> &str {
    match attempt {
        Attempt::Done => "",
        Attempt::Retry { reason, .. } | Attempt::Refuse { reason } => reason,
    }
}

/// `done`, `refuse`, `retry` or `retry after 7s`.
pub fn verdict(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Done => "done".to_owned(),
        Attempt::Retry { after: None, .. } => "retry".to_owned(),
        Attempt::Retry { after: Some(after), .. } => format!("retry after {after}"),
        Attempt::Refuse { .. } => "refuse".to_owned(),
    }
}

pub fn digest(receiver: &str) -> Delivery {
    let line = "high errors: 2 times on agent=<judge>, longest 2h".to_owned();
    let digest = Digest {
        name: "morning".to_owned(),
        group: "digest-morning".to_owned(),
        from: Timestamp(1_763_100_000_000),
        to: Timestamp(1_763_186_400_000),
        period: "2025-11-14 07:00 to 2025-11-15 07:00 Europe/Berlin".to_owned(),
        headline: "2 alerts began, none fires now".to_owned(),
        worst: None,
        sections: vec![DigestSection { title: "began".to_owned(), lines: vec![line], more: 0 }],
    };
    let id = DeliveryId(format!("digest-{receiver}"));
    Delivery { id, receiver: receiver.to_owned(), attempt: 1, message: Message::Digest(digest) }
}
