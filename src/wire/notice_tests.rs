//! Alerts in the words of their messages.

use super::title::SUBJECT_LIMIT;
use super::*;
use crate::model::{Span, Subject, Unit};

/// A message about these.
pub fn group(alerts: Vec<AlertEvent>) -> Notification {
    let group_labels = [("team".to_owned(), "core".to_owned())].into();
    Notification {
        at: alerts[0].at,
        group: "group-1".to_owned(),
        matched: String::new(),
        group_labels,
        alerts,
        truncated: 0,
        summary: String::new(),
        acknowledged: None,
        reopens: false,
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
    assert_eq!(titled(unlike, ("site", "x")), "[FIRING:2 high] err, slow (site=x) on 2 subjects: agent=a1, provider=p");
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
    for condition in ["budget > 80%", "alerting_share > 50%", "alerting_agents > 3 and alerting_share > 50%"] {
        let event = event(condition, AlertState::Firing);
        assert!(line(&event).ends_with("(n = 120)"), "{}", line(&event));
        assert!(alert(&event, "").annotations["evidence"].ends_with("(n = 120)"));
    }
}

#[test]
fn what_a_message_says_of_one_alert_is_of_one_that_fires() {
    let texts = |state, summary: &str| {
        let mut alert = event("error_rate > 10%", state);
        alert.annotations.insert("summary".to_owned(), summary.to_owned());
        alert
    };
    let mixed = group(vec![texts(AlertState::Resolved, "over"), texts(AlertState::Firing, "burns")]);
    let page = crate::wire::pagerduty::body(&mixed, "key", "");
    assert_eq!(page["payload"]["custom_details"]["annotations"]["summary"], "burns");
    assert_eq!(page["payload"]["custom_details"]["alerts"].as_array().map(Vec::len), Some(2));
    let push = crate::wire::ntfy::body(&mixed, "ops", &[], "");
    assert!(push["message"].as_str().is_some_and(|text| text.starts_with("burns\n")), "{push}");
    assert_eq!(mixed.others().map(|alert| alert.annotations["summary"].as_str()).collect::<Vec<_>>(), ["over"]);
    let over = group(vec![texts(AlertState::Resolved, "first"), texts(AlertState::Resolved, "second")]);
    assert_eq!(over.lead().annotations["summary"], "first");
}
