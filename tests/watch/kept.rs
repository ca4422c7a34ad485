//! Alerts that go on although they do not hold: everywhere it is said why, until when, and with the value of the newest
//! look that had data; and their end tells what was true.

use std::sync::Arc;

use crate::watch::{Watch, at};
use evenkeel::engine::event::{AlertEvent, Event};
use evenkeel::model::{Outcome, Record, Severity};
use evenkeel::policy::Policy;

fn policy(rule: &str) -> Arc<Policy> {
    let text = "annotations: {summary: \"{{ agent }} fails {{ value }}, limit {{ threshold }}\"}";
    let config = "evaluation_interval: 1s\nreceivers: [{name: ops, webhook: {url: http://a}}]\n\
                  routes: [{receivers: [ops], repeat_interval: 10m}]\n";
    crate::watch::policy(config, &format!("alerts:\n- {{name: failing, {rule}, {text}}}\n"))
}

fn watched(rule: &str) -> Watch {
    Watch::under(policy(rule))
}

impl Watch {
    /// So many runs of agent a, so many of which fail; they are judged a second later.
    fn runs(&mut self, second: i64, n: usize, failed: usize) {
        let run = |i| Record::new("log", "a", Some(at(second)), if i < failed { Outcome::Error } else { Outcome::Ok });
        let records: Vec<Record<'_>> = (0..n).map(run).collect();
        self.handle(second, Event::Records(&records));
        self.pass(second + 1);
    }

    /// The alert as `alerts` and `why` show it, after an evaluation, which must be the same as messages have it but for
    /// a value of which there is no data; and that `why` and `alerts --margin` speak of the same level.
    fn alert(&self) -> AlertEvent {
        let (alert, why) = self.shown();
        let [said] = &self.engine.alerts()[..] else { panic!("one") };
        assert_eq!((&said.reason, said.threshold), (&alert.reason, alert.threshold));
        if alert.value.is_some() {
            assert_eq!(said, &alert);
        }
        // Until it is judged anew it is as the rule was before a reload.
        if alert.value.is_some() && why.condition == alert.condition {
            assert_eq!((why.value, why.threshold), (alert.value, alert.threshold));
            let margins = self.engine.margins(why.at, None, 10).expect("there is a rule").margins;
            assert_eq!(
                (margins[0].value, margins[0].threshold, margins[0].severity),
                (alert.value, alert.threshold, alert.severity)
            );
        }
        alert
    }
}

#[test]
fn an_alert_that_recovered_ends_with_the_value_that_it_recovered_to_though_data_ran_dry() {
    let mut watch = watched("condition: error_rate > 50%, window: 2m, min_samples: 5, keep_firing_for: 5m");
    for minute in 0..5 {
        watch.runs(minute * 60, 10, 10);
    }
    for minute in 5..9 {
        watch.runs(minute * 60, 10, 0);
    }
    // At minute 5 one of the two minutes in the window has failures: a half is not more than 50 %.
    let alert = watch.alert();
    let kept = format!("holds no more since {}, kept firing until {}", at(301), at(601));
    assert_eq!((alert.value, alert.threshold, alert.reason.as_str()), (Some(0.0), Some(0.5), kept.as_str()));
    assert_eq!(alert.annotations["summary"], format!("a fails 0%, limit 50% ({kept})"));
    watch.pass(630);
    let end = watch.end().expect("it is over");
    assert_eq!((end.at, end.value, end.threshold, end.n), (at(601), Some(0.0), Some(0.5), 10));
    // As it ended the last runs left the window, which is not why.
    let reason = format!("held no more since {} and was kept firing until now, no data since {}", at(301), at(601));
    assert_eq!(end.reason, reason);

    // The same with less data at the end.
    let mut watch = watched("condition: error_rate > 50%, window: 2m, min_samples: 5, keep_firing_for: 8m");
    watch.runs(0, 10, 10);
    watch.runs(60, 20, 0);
    watch.pass(300);
    let alert = watch.alert();
    let reason = format!("holds no more since {}, no data since {}, kept firing until {}", at(61), at(181), at(541));
    assert_eq!((alert.value, alert.reason.as_str()), (None, reason.as_str()));
    watch.pass(600);
    let end = watch.end().expect("it is over");
    assert_eq!((end.at, end.value, end.n), (at(541), Some(0.0), 20), "{end:?}");
    let reason = format!("held no more since {} and was kept firing until now, no data since {}", at(61), at(181));
    assert_eq!(end.reason, reason);
    assert_eq!(watch.told[1..], [format!("resolved: a fails 0%, limit 50% ({reason})")]);
}

#[test]
fn an_alert_that_ran_dry_while_it_held_ends_for_want_of_data() {
    let mut watch = watched("condition: error_rate > 50%, window: 2m, min_samples: 5, keep_firing_for: 5m");
    watch.runs(0, 10, 10);
    watch.pass(130);
    let alert = watch.alert();
    assert_eq!(alert.reason, format!("no data since {}, kept firing until {}", at(121), at(421)));
    watch.pass(430);
    let end = watch.end().expect("it is over");
    assert_eq!((end.at, end.value, end.n), (at(421), Some(1.0), 10));
    assert_eq!(end.reason, "no data any more, the value is from before");
}

#[test]
fn what_waits_for_its_recovery_says_so_at_its_own_level_and_repeats_tell_it() {
    let mut watch = watched(
        "levels: {warning: error_rate > 20%, critical: error_rate > 50%}, recover: error_rate < 5%, window: 10m, min_samples: 5",
    );
    watch.runs(0, 10, 10);
    watch.runs(60, 90, 0);
    let alert = watch.alert();
    let waits = format!("holds no more since {}, ends when its `recover` holds", at(61));
    assert_eq!(
        (alert.severity, alert.condition.as_str(), alert.value, alert.threshold),
        (Severity::Critical, "error_rate > 50%", Some(0.1), Some(0.5))
    );
    assert_eq!(alert.reason, waits);
    watch.runs(500, 20, 10);
    watch.pass(602);
    assert_eq!(watch.told[1..], [format!("firing: a fails 9.09%, limit 50% ({waits})")]);
}

#[test]
fn no_data_that_fires_or_keeps_says_that_it_does() {
    for (policy, first) in [("alert", "fires"), ("keep", "")] {
        let rule = format!("condition: error_rate > 50%, window: 2m, min_samples: 5, no_data: {policy}");
        let mut watch = watched(&rule);
        watch.runs(0, 10, 10);
        assert_eq!(watch.alert().reason, "");
        // Nothing is repeated behind what waits, as after a leap of the clock.
        (600..=3_600).step_by(60).for_each(|second| watch.pass(second));
        let alert = watch.alert();
        let reason = format!("no data since {}, goes on because of `no_data: {policy}`", at(121));
        assert_eq!((alert.value, &alert.reason), (None, &reason));
        assert_eq!(alert.without_value().as_deref(), Some("no data for error_rate > 50%"));
        assert!(watch.told.len() > 2, "it is repeated: {:?}", watch.told);
        let shown =
            if policy == "keep" { "a fails 100%, limit 50%" } else { "no data for error_rate > 50% on agent=a" };
        for repeat in &watch.told[1..] {
            assert_eq!(*repeat, format!("firing: {shown} ({reason})"));
        }

        // And of an agent of which there were too few runs from the first on.
        let mut watch = watched(&rule);
        watch.runs(0, 1, 0);
        watch.pass(60);
        match first {
            "" => assert!(watch.engine.view().alerts.is_empty()),
            _ => assert_eq!(watch.alert().reason, "fires because of `no_data: alert`"),
        }
    }
}

#[test]
fn of_two_ranges_the_one_that_ran_dry_is_named() {
    let short = "error_rate[2m] > 50%";
    for condition in [format!("{short} and error_rate[30m] > 50%"), format!("error_rate[30m] > 50% and {short}")] {
        let rule = format!("condition: \"{condition}\", window: 2m, min_samples: 5, keep_firing_for: 5m");
        let mut watch = watched(&rule);
        watch.runs(0, 10, 10);
        assert_eq!(watch.alert().reason, "");
        watch.pass(200);
        let alert = watch.alert();
        let dry = format!("no data for error_rate[2m] since {}, kept firing until {}", at(121), at(421));
        assert_eq!((alert.value, &alert.reason), (None, &dry));
        watch.pass(430);
        let end = watch.end().expect("it is over");
        assert_eq!((end.at, end.value, end.n), (at(421), Some(1.0), 10));
        assert_eq!(end.reason, "no data for error_rate[2m] any more, the value is from before");
    }
}

#[test]
fn a_level_that_is_kept_while_a_milder_one_holds_is_shown_with_its_own_limit() {
    let levels = "levels: {warning: error_rate > 20%, critical: error_rate > 50%}, window: 10m, min_samples: 5";
    let mut watch = watched(&format!("{levels}, keep_firing_for: 5m"));
    watch.runs(0, 10, 10);
    watch.runs(60, 15, 0);
    let alert = watch.alert();
    let kept = format!("holds no more since {}, kept critical until {} while warning holds", at(61), at(361));
    assert_eq!((alert.severity, alert.value, alert.threshold), (Severity::Critical, Some(0.4), Some(0.5)));
    assert_eq!((&alert.reason, alert.condition.as_str()), (&kept, "error_rate > 50%"));
    // Nothing is said of the fall.
    watch.pass(362);
    let alert = watch.alert();
    assert_eq!((alert.severity, alert.threshold, alert.reason.as_str()), (Severity::Warning, Some(0.2), ""));
    assert_eq!(watch.told.len(), 1);
    // It is warning that holds no more, and the end is told to those who heard of critical.
    watch.runs(370, 100, 0);
    let reason = format!("holds no more since {}, kept firing until {}", at(371), at(671));
    assert_eq!(watch.alert().reason, reason);
    watch.pass(680);
    let end = watch.end().expect("it is over");
    assert_eq!((end.severity, end.threshold, end.value), (Severity::Critical, Some(0.5), Some(0.0)));

    // Each level with ranges of its own, as an objective has them.
    let levels = "levels: {warning: \"error_rate[60m] > 20% and error_rate[10m] > 20%\", \
                  critical: \"error_rate[30m] > 50% and error_rate[2m] > 50%\"}, window: 2m, min_samples: 5";
    let mut watch = watched(&format!("{levels}, keep_firing_for: 5m"));
    watch.runs(0, 10, 10);
    watch.pass(130);
    let alert = watch.alert();
    let kept =
        format!("no data for error_rate[2m] since {}, kept critical until {} while warning holds", at(121), at(421));
    assert_eq!((alert.severity, alert.value, &alert.reason), (Severity::Critical, None, &kept));
    watch.pass(430);
    assert_eq!((watch.alert().severity, watch.alert().value), (Severity::Warning, Some(1.0)));
}

#[test]
fn a_rule_that_minds_no_data_speaks_for_itself_after_a_change_while_there_is_none() {
    for word in ["alert", "keep"] {
        let rule = |limit: &str| {
            format!(
                "condition: error_rate > {limit}, window: 10m, min_samples: 5, no_data: {word}, where: {{task_type: \"*\"}}"
            )
        };
        let mut watch = watched(&rule("50%"));
        watch.runs(0, 10, 10);
        watch.pass(700);
        let goes_on = format!("goes on because of `no_data: {word}`");
        assert_eq!(watch.alert().reason, format!("no data since {}, {goes_on}", at(601)));
        watch.obey(710, policy(&rule("40%").replace("10m", "20m")));
        for second in [720, 1_300, 2_000, 5_000] {
            watch.pass(second);
            let alert = watch.alert();
            if let Some((_, until)) = alert.reason.split_once("goes on as before until ") {
                assert!(until > at(second).to_string().as_str(), "at {second}: {}", alert.reason);
                continue;
            }
            assert_eq!(alert.reason, format!("no data since {}, {goes_on}", at(601)), "at {second}");
            assert_eq!((alert.value, alert.condition.as_str()), (None, "error_rate > 40%"));
        }
        assert!(!watch.alert().reason.contains("reload"));
        watch.runs(5_100, 10, 0);
        let end = watch.end().expect("it is over");
        assert_eq!((end.value, end.threshold, end.reason.as_str()), (Some(0.0), Some(0.4), ""));
    }
}

#[test]
fn a_change_that_is_none_of_the_condition_is_not_why_an_alert_does_not_hold() {
    let rule = |more: &str| format!("condition: error_rate > 50%, window: 10m, min_samples: 5, {more}");
    for (more, ends) in [("recover: error_rate < 10%", false), ("recover: error_rate < 45%", true)] {
        let mut watch = watched(&rule("recover: error_rate < 5%"));
        watch.runs(0, 10, 10);
        watch.obey(50, policy(&rule(more)));
        watch.runs(60, 15, 0);
        let reason = format!("holds no more since {}, ends when its `recover` holds", at(61));
        if !ends {
            assert_eq!(watch.alert().reason, reason);
            continue;
        }
        let end = watch.end().expect("0.4 is less");
        assert_eq!(end.reason, "");
    }
}

#[test]
fn what_has_no_data_has_none_since_then() {
    let ranges = "condition: \"error_rate[2m] > 50% and error_rate[30m] > 50%\", window: 2m, min_samples: 5";
    let mut watch = watched(&format!("{ranges}, keep_firing_for: 90m"));
    watch.runs(0, 10, 10);
    watch.pass(200);
    let kept = format!("kept firing until {}", at(121 + 90 * 60));
    assert_eq!(watch.alert().reason, format!("no data for error_rate[2m] since {}, {kept}", at(121)));
    // The longer range had data until now.
    watch.pass(2_000);
    assert_eq!(watch.alert().reason, format!("no data since {}, {kept}", at(1_801)));
}

#[test]
fn the_end_of_an_alert_that_fell_is_of_the_level_that_has_data() {
    let levels = "levels: {warning: \"error_rate[60m] > 20%\", critical: \"error_rate[2m] > 50%\"}";
    let mut watch = watched(&format!("{levels}, window: 2m, min_samples: 5"));
    watch.runs(0, 10, 10);
    watch.pass(130);
    assert_eq!(watch.alert().severity, Severity::Warning, "critical ran dry");
    // Four runs at a time are too few for the shorter range.
    (0..20).for_each(|i| watch.runs(200 + i * 130, 4, 0));
    let end = watch.end().expect("it is over");
    assert_eq!((end.severity, end.threshold, end.reason.as_str()), (Severity::Critical, Some(0.2), ""));
    assert!(end.value.is_some_and(|value| value <= 0.2), "{end:?}");
}

#[test]
fn a_level_falls_at_the_same_time_however_often_it_is_looked_at() {
    let levels = "levels: {warning: \"error_rate[10m] > 20%\", high: \"error_rate[2m] > 50%\", \
                  critical: {condition: \"error_rate[2m] < 45% and error_rate[10m] > 1%\", for: 1h}}";
    let fell = |steps: &[i64]| {
        let mut watch = watched(&format!("{levels}, window: 2m, min_samples: 5, keep_firing_for: 1m"));
        watch.runs(0, 20, 20);
        // High holds no more, and critical does, but not for long enough.
        watch.runs(130, 200, 0);
        steps.iter().for_each(|second| watch.pass(*second));
        let reason = watch.alert().reason;
        assert!(reason.ends_with("goes on while critical holds"), "{reason}");
        watch.runs(200, 100, 60);
        watch.alert().severity
    };
    let often: Vec<i64> = (132..199).collect();
    assert_eq!([fell(&[]), fell(&[150]), fell(&often)], [Severity::Warning; 3]);
}

#[test]
fn between_evaluations_nothing_is_said_that_only_they_decide() {
    let mut watch = watched("condition: error_rate > 50%, window: 10m, min_samples: 5, keep_firing_for: 5m");
    watch.runs(0, 10, 10);
    let ok: Vec<Record<'_>> = (0..15).map(|_| Record::new("log", "a", Some(at(60)), Outcome::Ok)).collect();
    watch.handle(60, Event::Records(&ok));
    let (alert, _) = watch.shown();
    assert_eq!(
        (alert.value, alert.reason.as_str()),
        (Some(0.4), "does not hold by now, which the next evaluation takes in")
    );
    watch.pass(61);
    let kept = format!("holds no more since {}, kept firing until {}", at(61), at(361));
    assert_eq!(watch.alert().reason, kept);
}
