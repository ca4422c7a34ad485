//! Alerts that fire while a reload changes their rule: they end when the changed rule can tell that they are over, or
//! say why else, with the value that they were judged by.

use std::borrow::Cow;
use std::sync::Arc;

use crate::watch::{Watch, at};
use evenkeel::engine::event::{AlertEvent, AlertState, Event};
use evenkeel::model::{Outcome, Record, Severity};
use evenkeel::policy::Policy;

const SUMMARY: &str = "annotations: {summary: \"{{ agent }} fails {{ value }} of its runs\"}";

fn policy(rule: &str) -> Arc<Policy> {
    let rules = if rule.is_empty() { "alerts: []\n".to_owned() } else { format!("alerts:\n- {{{rule}}}\n") };
    crate::watch::policy("receivers: [{name: ops, webhook: {url: http://a}}]\n", &rules)
}

fn watched(rule: &str) -> Watch {
    Watch::under(policy(rule))
}

impl Watch {
    /// So many runs of agent a of a type, one a second from then on, the last at `second`.
    fn runs_of(&mut self, second: i64, n: i64, task_type: &'static str, outcome: Outcome) {
        for second in second - n + 1..=second {
            let mut record = Record::new("log", "a", Some(at(second)), outcome);
            record.task_type = Some(Cow::Borrowed(task_type));
            self.handle(second, Event::Records(&[record]));
        }
        self.pass(second);
    }

    /// The alert as everybody shows it: until it is judged anew the picture is what messages say.
    fn undecided(&self) -> AlertEvent {
        let (alert, _) = self.shown();
        if !alert.reason.is_empty() {
            assert_eq!(self.engine.alerts(), std::slice::from_ref(&alert));
        }
        alert
    }
}

const OLD: &str = "name: failing, condition: error_rate > 50%, window: 10m, severity: high, ";
const NEW: &str =
    "name: failing, condition: error_rate > 40%, window: 10m, where: {task_type: review}, severity: high, ";

/// Agent a fails 8 of 8 runs, then the rule looks at one type of task only.
fn narrowed() -> Watch {
    let mut watch = watched(&format!("{OLD}{SUMMARY}"));
    watch.runs_of(60, 8, "write", Outcome::Error);
    watch.obey(
        90,
        policy(&format!("{NEW}annotations: {{summary: \"reviews of {{{{ agent }}}} fail: {{{{ value }}}}\"}}")),
    );
    watch
}

#[test]
fn an_alert_whose_rule_was_changed_goes_on_as_judged_before_until_the_rule_knows_enough() {
    let mut watch = narrowed();
    for second in [90, 105, 200, 600] {
        watch.pass(second);
        let alert = watch.undecided();
        // Nothing of it is of the changed rule, which has seen nothing.
        assert_eq!(
            (alert.condition.as_str(), alert.value, alert.threshold, alert.n),
            ("error_rate > 50%", Some(1.0), Some(0.5), 8)
        );
        let reason = format!(
            "the rule was changed by a reload at {} and knows too little yet: goes on as before until {} at the latest",
            at(90),
            at(690)
        );
        assert_eq!(alert.reason, reason);
        assert_eq!(alert.annotations["summary"], format!("a fails 100% of its runs ({reason})"));
    }
    assert_eq!(watch.told, ["firing: a fails 100% of its runs"], "nobody is told of the reload");

    // Five reviews are enough to judge it by.
    watch.runs_of(640, 5, "review", Outcome::Error);
    watch.pass(660);
    let alert = watch.undecided();
    assert_eq!((alert.condition.as_str(), alert.n, alert.reason.as_str()), ("error_rate > 40%", 5, ""));
    assert_eq!(alert.annotations["summary"], "reviews of a fail: 100%");
    assert_eq!((watch.end(), watch.told.len()), (None, 1));
    watch.pass(1_300);
    let end = watch.end().expect("the reviews left their window");
    assert_eq!((end.value, end.n, end.condition.as_str()), (Some(1.0), 5, "error_rate > 40%"));
    assert_eq!(end.reason, "no data any more, the value is from before");
}

#[test]
fn an_alert_ends_when_its_changed_rule_knows_that_it_does_not_hold() {
    let mut watch = narrowed();
    watch.runs_of(200, 4, "review", Outcome::Ok);
    watch.pass(240);
    assert_eq!(watch.end(), None, "four reviews are too few to tell");
    watch.runs_of(250, 1, "review", Outcome::Ok);
    watch.pass(270);
    let end = watch.end().expect("the fifth is enough");
    assert_eq!(
        (end.condition.as_str(), end.value, end.threshold, end.n),
        ("error_rate > 40%", Some(0.0), Some(0.4), 5)
    );
    let reason = format!("the rule was changed by a reload at {} and does not hold as it reads now", at(90));
    assert_eq!(end.reason, reason);
    assert_eq!(watch.told[1..], [format!("resolved: reviews of a fail: 0% ({reason})")]);
}

#[test]
fn an_alert_of_which_the_changed_rule_sees_nothing_ends_with_the_full_window_and_says_so() {
    let mut watch = narrowed();
    watch.pass(689);
    assert_eq!(watch.end(), None);
    watch.pass(700);
    let end = watch.end().expect("the window is full");
    assert_eq!(
        (end.condition.as_str(), end.value, end.threshold, end.n),
        ("error_rate > 50%", Some(1.0), Some(0.5), 8)
    );
    let reason =
        format!("the rule was changed by a reload at {} and had no data since, the value is from before", at(90));
    assert_eq!(end.reason, reason);
    assert_eq!(watch.told[1..], [format!("resolved: a fails 100% of its runs ({reason})")]);

    // A window that is full needs no time: with too few runs it is over at once, and not for want of history.
    let mut watch = watched(OLD);
    watch.runs_of(60, 8, "write", Outcome::Error);
    watch.obey(90, policy(&OLD.replace("severity", "min_samples: 20, severity")));
    watch.pass(120);
    let end = watch.end().expect("more history would not help");
    assert_eq!((end.value, end.n, end.condition.as_str()), (Some(1.0), 8, "error_rate > 50%"));
    assert!(end.reason.contains("had no data since"), "{}", end.reason);
}

#[test]
fn what_adds_up_is_judged_by_a_full_window() {
    let levels = "levels: {warning: failed_executions > 2, critical: failed_executions > 7}, window: 10m";
    let mut watch = watched(&format!("name: failing, {levels}"));
    watch.runs_of(60, 10, "review", Outcome::Error);
    watch.obey(90, policy(&format!("name: failing, {levels}, where: {{task_type: review}}")));
    for (second, shown) in [(180, "failed_executions > 7"), (300, "failed_executions > 7")] {
        watch.runs_of(second, 1, "review", Outcome::Error);
        watch.pass(second + 20);
        let alert = watch.undecided();
        assert_eq!(
            (alert.condition.as_str(), alert.severity),
            (shown, Severity::Critical),
            "one failure tells nothing"
        );
    }
    // With a third one a milder level holds, which is no news before the window is full.
    watch.runs_of(330, 1, "review", Outcome::Error);
    watch.pass(360);
    let alert = watch.undecided();
    assert_eq!(
        (alert.severity, alert.value, alert.condition.as_str()),
        (Severity::Critical, Some(3.0), "failed_executions > 7")
    );
    watch.pass(720);
    assert_eq!((watch.undecided().severity, watch.end()), (Severity::Warning, None));
    watch.pass(1_200);
    let end = watch.end().expect("the first failure left the window");
    assert_eq!((end.value, end.reason.as_str()), (Some(2.0), ""));
}

/// `and` fails when one side does: the side that does not add up is enough.
#[test]
fn a_share_that_does_not_hold_needs_no_full_count() {
    let new = NEW.replace("> 40%", "> 40% and executions > 20");
    for (outcome, ends) in [(Outcome::Ok, true), (Outcome::Error, false)] {
        let mut watch = watched(OLD);
        watch.runs_of(60, 8, "write", Outcome::Error);
        watch.obey(90, policy(&new));
        watch.runs_of(200, 6, "review", outcome);
        watch.pass(240);
        assert_eq!(watch.end().is_some(), ends, "{outcome:?}");
        watch.pass(720);
        assert!(watch.end().is_some(), "six of 20 in a full window are too few");
    }
}

#[test]
fn an_alert_that_no_rule_is_left_for_ends_with_the_reload_and_its_value() {
    for (rule, reason) in [
        ("", "the rule was removed by a reload at"),
        ("name: other, condition: error_rate > 50%", "the rule was removed by a reload at"),
        ("name: failing, condition: error_rate > 50%, by: model", "the rule was changed by a reload at"),
        ("name: failing, condition: error_rate > 50%, where: {agent: b}", "the rule was changed by a reload at"),
    ] {
        let mut watch = watched(&format!("{OLD}{SUMMARY}"));
        watch.runs_of(60, 8, "write", Outcome::Error);
        watch.obey(90, policy(rule));
        let end = watch.end().unwrap_or_else(|| panic!("it ends at once: {rule}"));
        assert_eq!((end.at, end.value, end.threshold, end.n), (at(90), Some(1.0), Some(0.5), 8), "{rule}");
        assert!(end.reason.starts_with(reason) && end.reason.ends_with(", the value is from before"), "{}", end.reason);
        assert_eq!(watch.told[1..], [format!("resolved: a fails 100% of its runs ({})", end.reason)]);
    }
}

#[test]
fn a_silence_is_no_shorter_because_the_rule_has_seen_no_run() {
    let mut watch = watched("name: quiet, condition: silence > 5m");
    watch.runs_of(60, 1, "write", Outcome::Ok);
    watch.pass(400);
    watch.obey(420, policy("name: quiet, condition: silence > 5m, window: 10m, where: {task_type: review}"));
    watch.pass(900);
    let alert = watch.undecided();
    assert!(alert.value.is_some_and(|ms| ms >= 300_000.0) && !alert.reason.is_empty(), "{alert:?}");
    let why = watch.engine.why(at(900), "quiet", "a").expect("it is looked at");
    assert_eq!(why.last_seen, None, "the rule has seen no run of it");
    watch.pass(1_100);
    let end = watch.end().expect("nothing is known of reviews");
    assert!(end.reason.contains("had no data since") && end.value.is_some(), "{end:?}");
}

#[test]
fn messages_without_a_value_are_sentences() {
    let text = "annotations: {summary: \"{{ agent }} fails {{ value }} of its runs\", share: \"{{ value }}\", \
                description: \"{{ n }} runs, {{ value }} failed. See the handbook. Limit {{ threshold }}.\"}";
    let mut watch = watched(&format!("name: failing, condition: error_rate > 50%, window: 5m, no_data: alert, {text}"));
    watch.runs_of(60, 1, "write", Outcome::Ok);
    watch.pass(400);
    let alert = watch.undecided();
    let none = "no data for error_rate > 50% on agent=a";
    let because = format!("{none} (fires because of `no_data: alert`)");
    assert_eq!((alert.value, &alert.annotations["summary"]), (None, &because));
    assert_eq!(alert.annotations["description"], format!("{none}. See the handbook. "));
    assert_eq!(alert.annotations["share"], "no data");
    assert_eq!(watch.told, [format!("firing: {because}")]);
}

#[test]
fn an_alert_that_goes_on_though_its_changed_rule_does_not_hold_says_so() {
    let mut watch = watched(OLD);
    watch.runs_of(60, 8, "write", Outcome::Error);
    watch.runs_of(70, 4, "write", Outcome::Ok);
    watch.obey(90, policy(&OLD.replace("50%, ", "80%, keep_firing_for: 5m, ")));
    watch.pass(120);
    let [alert] = &watch.engine.alerts()[..] else { panic!("it goes on") };
    assert_eq!((alert.condition.as_str(), alert.threshold), ("error_rate > 80%", Some(0.8)));
    let kept = format!("does not hold as it reads now, kept firing until {}", at(405));
    assert_eq!(alert.reason, format!("the rule was changed by a reload at {} and {kept}", at(90)));
    watch.pass(500);
    assert!(watch.end().expect("it is over").reason.ends_with("does not hold as it reads now"));
}

#[test]
fn an_alert_for_whose_subject_there_is_no_room_ends_and_becomes_no_other() {
    let policy = |series: u32, filter: &str| {
        let rules = format!(
            "alerts:\n- {{name: failing, condition: error_rate > 50%, window: 10m{filter}, min_samples: 5, {SUMMARY}}}\n"
        );
        let mut policy = crate::watch::policy("", &rules);
        Arc::get_mut(&mut policy).expect("nobody shares it").settings.limits.series = series;
        policy
    };
    let mut watch = Watch::under(policy(9, ""));
    for second in 0..30 {
        let records = ["a", "b"].map(|agent| Record::new("log", agent, Some(at(second)), Outcome::Error));
        watch.handle(second, Event::Records(&records));
    }
    watch.pass(60);
    assert_eq!(watch.seen.len(), 2, "{:?}", watch.seen);
    watch.obey(61, policy(1, ", where: {task_type: review}"));
    watch.pass(90);
    let subjects: Vec<String> = watch.engine.alerts().iter().map(|alert| alert.subject.to_string()).collect();
    assert_eq!(subjects, ["agent=a"]);
    let ended: Vec<_> = watch.seen[2..].iter().map(|alert| (alert.state, alert.subject.to_string())).collect();
    assert_eq!(ended, [(AlertState::Resolved, "agent=b".to_owned())]);
}

#[test]
fn an_alert_ends_when_the_reason_said_that_it_would_whatever_keeps_it() {
    for (keep, latest) in [("10s", 690), ("20m", 90 + 1_200)] {
        let with = |rule: &str| rule.replace("window", &format!("keep_firing_for: {keep}, window"));
        let mut watch = watched(&with(OLD));
        watch.runs_of(60, 8, "write", Outcome::Error);
        watch.obey(90, policy(&with(NEW)));
        watch.pass(120);
        let until = format!("goes on as before until {} at the latest", at(latest));
        assert!(watch.undecided().reason.ends_with(&until), "{}", watch.undecided().reason);
        watch.pass(latest - 1);
        assert_eq!(watch.end(), None, "{keep}");
        watch.pass(latest + 15);
        assert!(watch.end().is_some_and(|end| end.at == at(latest)), "{:?}", watch.seen);
    }
}

/// The engine's clock stands at the last event when files that were edited while the daemon was down are taken in.
#[test]
fn a_change_that_a_start_takes_in_is_of_the_time_of_the_start() {
    let mut watch = watched(OLD);
    watch.runs_of(60, 8, "write", Outcome::Error);
    watch.pass(75);
    watch.engine.start(at(5_000), policy(NEW));
    assert_eq!(watch.engine.now(), Some(at(75)));
    watch.engine = crate::watch::restarted(&watch.engine);
    watch.pass(90);
    let reason = watch.undecided().reason;
    assert_eq!(
        reason,
        format!(
            "the rule was changed by the start at {} and knows too little yet: goes on as before until {} at the latest",
            at(5_000),
            at(675)
        )
    );
}

#[test]
fn nothing_is_said_of_a_value_that_there_never_was() {
    let rule = "name: failing, condition: error_rate > 50%, window: 10m, min_samples: 5";
    let mut watch = watched(&format!("{rule}, no_data: alert"));
    watch.runs_of(10, 1, "review", Outcome::Ok);
    watch.pass(60);
    assert_eq!(watch.undecided().value, None);
    watch.obey(61, policy(rule));
    watch.pass(1_300);
    let end = watch.end().expect("its rule minds no data no more");
    assert!(end.value.is_none() && end.reason.ends_with("and had no data since"), "{end:?}");
}

#[test]
fn braces_in_a_name_are_no_field_of_what_is_said_after_a_change() {
    let text = "by: [agent, task_type], annotations: {summary: \"{{ task_type }} fails for {{ duration }}\"}";
    let rule = |limit: &str| format!("name: failing, condition: error_rate > {limit}, window: 10m, {text}");
    let mut watch = watched(&rule("50%"));
    watch.runs_of(60, 8, "{{ state }}", Outcome::Error);
    assert_eq!(watch.told, ["firing: {{ state }} fails for 0s"]);
    watch.obey(90, policy(&rule("40%").replace("10m", "1h")));
    let before = &watch.engine.alerts()[0].annotations["summary"];
    assert!(before.starts_with("{{ state }} fails for 30s (the rule was changed"), "{before}");
}

#[test]
fn a_reload_makes_no_alert_graver_than_it_was() {
    let levels = |levels: &str| {
        format!("name: failing, levels: {{{levels}}}, window: 10m, min_samples: 5, keep_firing_for: 10m")
    };
    let mut watch = watched(&levels("warning: error_rate > 20%, critical: error_rate > 95%"));
    watch.runs_of(10, 8, "write", Outcome::Ok);
    watch.runs_of(60, 8, "write", Outcome::Error);
    assert_eq!(watch.undecided().severity, Severity::Warning);
    watch.obey(90, policy(&levels("critical: error_rate > 95%")));
    let end = watch.end().expect("it has no level any more");
    assert_eq!((end.severity, end.value), (Severity::Warning, Some(0.5)));
    let reason = format!("the rule was changed by a reload at {} and has no level that is as mild any more", at(90));
    assert_eq!(end.reason, format!("{reason}, the value is from before"));
    watch.pass(200);
    assert!(watch.engine.view().alerts.is_empty() && watch.told.len() == 2, "{:?}", watch.told);
}

#[test]
fn the_end_by_a_removed_rule_is_told_to_those_who_heard_of_its_gravest_level() {
    let mut watch = watched(
        "name: failing, levels: {warning: error_rate > 20%, critical: error_rate > 60%}, window: 10m, min_samples: 5",
    );
    watch.runs_of(60, 8, "write", Outcome::Error);
    watch.runs_of(90, 8, "write", Outcome::Ok);
    let shown = watch.engine.alerts()[0].clone();
    assert_eq!(shown.severity, Severity::Warning);
    watch.obey(100, policy(""));
    let end = watch.seen.last().expect("it ended");
    assert_eq!((end.state, end.severity), (AlertState::Resolved, Severity::Critical));
    assert_eq!((end.value, end.threshold, &end.condition[..]), (shown.value, Some(0.6), "error_rate > 60%"));
}

/// The range of its own level is dry while another has data and does not hold, and `recover` keeps it.
#[test]
fn what_other_levels_judge_is_judged() {
    let rule = |share: &str| {
        format!(
            "name: failing, levels: {{warning: \"error_rate[60m] > {share}\", critical: \"error_rate[2m] > 50%\"}}, \
             recover: \"error_rate[60m] < 1%\", window: 2m, min_samples: 5"
        )
    };
    let mut watch = watched(&rule("95%"));
    watch.runs_of(20, 5, "write", Outcome::Ok);
    watch.runs_of(40, 10, "write", Outcome::Error);
    watch.pass(100);
    watch.obey(200, policy(&rule("90%")));
    for second in [215, 600, 1_000] {
        watch.pass(second);
        let reason = watch.engine.view().alerts[0].reason.clone();
        assert!(reason.ends_with("ends when its `recover` holds") && !reason.contains("not judged"), "{reason}");
    }
}

/// A reload takes the graver level away: what is reported of that is of the level at which the alert goes on, as its rule
/// reads now, and not of the one that is gone.
#[test]
fn the_fields_of_a_severity_that_a_reload_changes_are_of_one_level() {
    let graver =
        "name: failing, levels: {warning: error_rate > 20%, critical: error_rate > 60%}, window: 10m, min_samples: 5";
    let milder = |filter: &str| {
        format!(
            "name: failing, levels: {{warning: error_rate > 20%}}, window: 10m, min_samples: 5, {filter}\
             annotations: {{summary: \"{{{{ value }}}} against {{{{ threshold }}}}, {{{{ severity }}}}\"}}"
        )
    };
    for (filter, value, threshold, summary) in [
        ("", Some(1.0), Some(0.2), "100% against 20%, warning"),
        // Nothing is seen of that yet.
        ("where: {task_type: review}, ", None, None, "no data for error_rate > 20% on agent=a"),
    ] {
        let mut watch = watched(graver);
        watch.runs_of(60, 8, "write", Outcome::Error);
        assert_eq!(watch.undecided().severity, Severity::Critical);
        watch.obey(90, policy(&milder(filter)));
        let event = watch.seen.last().expect("it is reported");
        assert_eq!((event.state, event.severity), (AlertState::Firing, Severity::Warning));
        assert_eq!((event.value, event.threshold, event.condition.as_str()), (value, threshold, "error_rate > 20%"));
        let reason = format!("the rule was changed by a reload at {}, severity critical before", at(90));
        assert_eq!((&event.reason, &event.annotations["summary"]), (&reason, &format!("{summary} ({reason})")));
    }
}
