//! An alert event in the words of its messages: labels, annotations, subject line, letter.
//!
//! Every message says value, threshold, samples and window, the resolved one too: a reader must
//! be able to judge an alert without opening anything else.

use std::collections::BTreeSet;

use crate::engine::event::{Acknowledgement, AlertEvent, AlertState, Notification};
use crate::model::{Severity, Subject, Timestamp};
use crate::rule::deciding::deciding;
use crate::rule::names::reads_window;
use crate::wire::alertmanager::{Alert, Labels, Postable};
use crate::wire::mail::{Letter, Picture, one_line};
use crate::wire::picture;
use crate::wire::signature::token;

/// The longest subject line in characters, before encoding.
const SUBJECT_LIMIT: usize = 200;

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

/// Where a message comes from.
pub fn footer(external_url: &str) -> String {
    if external_url.is_empty() { "evenkeel".to_owned() } else { format!("evenkeel {external_url}") }
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
pub(super) mod tests {
    use super::*;
    use crate::model::{Span, Subject, Unit};

    /// A message about these.
    pub fn group(alerts: Vec<AlertEvent>) -> Notification {
        let group_labels = [("team".to_owned(), "core".to_owned())].into();
        Notification {
            at: alerts[0].at,
            group: "group-1".to_owned(),
            group_labels,
            alerts,
            truncated: 0,
            summary: String::new(),
            acknowledged: None,
        }
    }

    /// An alert of this state.
    pub fn event(condition: &str, state: AlertState) -> AlertEvent {
        AlertEvent {
            at: Timestamp(1_763_116_305_123),
            id: "a-1".to_owned(),
            rule: "errors".to_owned(),
            subject: Subject::from_iter([("agent", "reviewer")]),
            state,
            severity: Severity::High,
            condition: condition.to_owned(),
            value: Some(0.23),
            threshold: Some(0.1),
            unit: Unit::Ratio,
            n: 120,
            window: Span::minutes(5),
            active_since: Timestamp(1_763_116_185_123),
            fired_at: Some(Timestamp(1_763_116_245_123)),
            labels: [("team", "core"), ("alertname", "disguise")].map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            annotations: [("summary".to_owned(), "Many errors".to_owned())].into(),
            muted: None,
            reason: String::new(),
            trend: None,
        }
    }

    #[test]
    fn the_deciding_comparison_is_named() {
        for (condition, state, expected) in [
            ("error_rate > 10%", AlertState::Firing, "error_rate 23% > 10%"),
            ("error_rate >= baseline * 2", AlertState::Firing, "error_rate 23% >= 10%"),
            ("error_rate > 10%", AlertState::Resolved, "error_rate 23%, alert when error_rate > 10%"),
            ("error_rate > 10% and executions > 5", AlertState::Firing, "error_rate 23% > 10%"),
            (
                "executions >= 3 and (error_rate > 10% or timeout_rate > 5%)",
                AlertState::Resolved,
                "error_rate 23%, alert when error_rate > 10% among other things",
            ),
            ("error_rate[5m] > 10% and error_rate[1h] > 10%", AlertState::Firing, "error_rate[5m] 23% > 10%"),
            ("success_rate < 10%", AlertState::Firing, "success_rate 23%, alert when success_rate < 10%"),
            ("a > 1 && b > 2", AlertState::Firing, "23% against 10% in a > 1 && b > 2"),
            ("a > 1 or b > 2", AlertState::Firing, "23% against 10% in a > 1 or b > 2"),
        ] {
            assert_eq!(evidence(&event(condition, state)), expected);
        }
        let silent = AlertEvent { value: None, threshold: None, ..event("silence > 1h", AlertState::Firing) };
        assert_eq!(evidence(&silent), "no data for silence > 1h");
        let kept = AlertEvent { value: Some(0.04), ..event("error_rate > 10%", AlertState::Firing) };
        assert_eq!(evidence(&kept), "error_rate 4%, alert when error_rate > 10%");
    }

    #[test]
    fn the_subject_line_is_one_line_whatever_the_names_hold() {
        let mut hostile = event("error_rate > 10%", AlertState::Firing);
        assert_eq!(subject_line(&hostile), "[FIRING high] errors on agent=reviewer: error_rate 23% > 10%");
        hostile.rule = "a\r\nBcc: victim@example.org\r\n\r\nbody".to_owned();
        assert!(!subject_line(&hostile).contains(['\r', '\n']));
        hostile.rule = "x".repeat(5_000);
        assert_eq!(subject_line(&hostile).chars().count(), SUBJECT_LIMIT);
    }

    #[test]
    fn rule_labels_cannot_disguise_the_alert() {
        let firing = alert(&event("error_rate > 10%", AlertState::Firing), "http://127.0.0.1:9464");
        let text = |name: &str| firing.labels.get(name).map(String::as_str);
        assert_eq!(text("alertname"), Some("errors"));
        assert_eq!((text("agent"), text("severity"), text("team")), (Some("reviewer"), Some("high"), Some("core")));
        assert_eq!(firing.annotations["evidence"], "error_rate 23% > 10% (n = 120, window 5m)");
        assert_eq!(firing.generator_url, "http://127.0.0.1:9464/api/v1/alerts");
        let resolved = alert(&event("error_rate > 10%", AlertState::Resolved), "");
        assert_eq!(resolved.starts_at, firing.starts_at);
        assert_eq!(resolved.fingerprint, firing.fingerprint);
        assert_eq!(resolved.ends_at, "2025-11-14T10:31:45.123Z");
    }

    #[test]
    fn a_group_is_said_whole() {
        let other = AlertEvent {
            subject: Subject::from_iter([("agent", "scout")]),
            ..event("error_rate > 10%", AlertState::Resolved)
        };
        let mut both = group(vec![event("error_rate > 10%", AlertState::Firing), other]);
        assert_eq!(title(&both), "[FIRING:1 of 2 high] errors (team=core): agent=reviewer, error_rate 23% > 10%");
        both.truncated = 5;
        let letter = letter(&both, "");
        assert_eq!(letter.headline, "1 firing, 1 resolved");
        let text = letter.text();
        assert!(text.contains("agent=scout") && text.contains("and 5 more") && text.contains("Many errors"), "{text}");
        both.alerts.iter_mut().for_each(|a| a.state = AlertState::Resolved);
        let named = "[RESOLVED:7] errors (team=core) on 7 agents: reviewer, scout and 5 more";
        assert_eq!(title(&both), named);
    }

    #[test]
    fn the_title_of_several_names_what_they_are_about() {
        let of = |rule: &str, labels: &[(&str, &str)]| AlertEvent {
            rule: rule.to_owned(),
            subject: Subject::from_iter(labels.iter().copied()),
            ..event("error_rate > 10%", AlertState::Firing)
        };
        let titled = |alerts: Vec<AlertEvent>, label: (&str, &str)| {
            let mut said = group(alerts);
            said.group_labels = [(label.0.to_owned(), label.1.to_owned())].into();
            title(&said)
        };
        let (a1, a2) = ([("agent", "a1")], [("agent", "a2")]);
        let both = vec![of("err", &a2), of("err", &a1)];
        assert_eq!(titled(both, ("alertname", "err")), "[FIRING:2 high] err on 2 agents: a1, a2");
        let two_rules = vec![of("err", &a1), of("slow", &a1)];
        assert_eq!(titled(two_rules, ("agent", "a1")), "[FIRING:2 high] err, slow on agent=a1");
        let mut unlike = vec![of("err", &a1), of("slow", &[("provider", "p")])];
        assert!(!titled(unlike.clone(), ("site", "x")).contains("site"), "it is no label of theirs");
        unlike.iter_mut().for_each(|alert| drop(alert.labels.insert("site".to_owned(), "x".to_owned())));
        assert_eq!(
            titled(unlike, ("site", "x")),
            "[FIRING:2 high] err, slow (site=x) on 2 subjects: agent=a1, provider=p"
        );
        let many = (0..7).map(|n| of("err", &[("task_type", &format!("t{n}"))])).collect();
        assert_eq!(
            titled(many, ("alertname", "err")),
            "[FIRING:7 high] err on 7 task types: t0, t1, t2, t3, t4 and 2 more"
        );
    }

    #[test]
    fn the_letter_says_value_threshold_samples_and_window() {
        let letter = letter(&group(vec![event("error_rate > 10%", AlertState::Resolved)]), "");
        for (name, value) in
            [("value", "23%"), ("threshold", "10%"), ("n", "120"), ("window", "5m"), ("lasted", "1m"), ("team", "core")]
        {
            assert!(letter.rows.contains(&(name.to_owned(), value.to_owned())), "{name}: {:?}", letter.rows);
        }
        assert_eq!(letter.headline, "Many errors");
    }

    #[test]
    fn an_alert_that_flaps_says_so_wherever_it_stands_alone_or_in_a_list() {
        let mut event = event("error_rate > 10%", AlertState::Resolved);
        event.annotations.insert(FLAPPING.to_owned(), "held until noon at least: it moved".to_owned());
        assert!(line(&event).ends_with("window 5m), flapping: held until noon at least: it moved"), "{}", line(&event));
        assert!(subject_line(&event).ends_with(", flapping: held until noon at least: it moved"));
        assert!(letter(&group(vec![event]), "").text().contains("held until noon"));
    }

    #[test]
    fn no_window_is_said_where_none_is_read() {
        assert!(line(&event("error_rate > 10%", AlertState::Firing)).ends_with("(n = 120, window 5m)"));
        let event = event("budget > 80%", AlertState::Firing);
        assert!(line(&event).ends_with("(n = 120)"), "{}", line(&event));
        assert!(alert(&event, "").annotations["evidence"].ends_with("(n = 120)"));
    }
}
