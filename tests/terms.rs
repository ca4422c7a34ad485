//! Levels, overrides, shadow rules and active hours, from the text of a rule to the message.

use std::sync::Arc;

use evenkeel::diagnostic::SourceFile;
use evenkeel::engine::event::{AlertEvent, AlertState, Effect, Muted, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Severity, Span, Timestamp};
use evenkeel::policy::Policy;
use evenkeel::replay;
use evenkeel::rule::load::load;
use evenkeel::settings::{Channel, Receiver};

/// Wednesday, 2023-11-15, 00:00 UTC.
const START: i64 = 1_700_006_400_000;

/// Feeds a run of each agent each 10 s, failing as `fails(agent, second)` says; the changes of alerts, and
/// when messages went out.
fn run(rule: &str, seconds: i64, fails: impl Fn(&str, i64) -> bool) -> (Vec<AlertEvent>, Vec<(i64, Severity)>) {
    run_while(rule, seconds, |_, _| true, fails)
}

/// The same, of agents that work only while `works(agent, second)`.
fn run_while(
    rule: &str,
    seconds: i64,
    works: impl Fn(&str, i64) -> bool,
    fails: impl Fn(&str, i64) -> bool,
) -> (Vec<AlertEvent>, Vec<(i64, Severity)>) {
    let (_, events, told) = play(rule, seconds, works, fails);
    (events, told)
}

/// The same, and the engine at the end.
fn play(
    rule: &str,
    seconds: i64,
    works: impl Fn(&str, i64) -> bool,
    fails: impl Fn(&str, i64) -> bool,
) -> (Engine, Vec<AlertEvent>, Vec<(i64, Severity)>) {
    let text = format!("alerts:\n  - name: r\n    window: 1m\n{rule}");
    let (rules, faults) = load(&[SourceFile::new("r.yaml", text)], Span::seconds(15));
    assert_eq!(faults, [], "{}", faults[0]);
    let mut policy = Policy { rules, ..Policy::default() };
    policy.settings.evaluation_interval = Span::seconds(15);
    policy.settings.receivers = vec![Receiver {
        name: "ops".into(),
        min_severity: Severity::Info,
        send_resolved: true,
        channel: Channel::Webhook {
            url: "http://127.0.0.1:1/".into(),
            secret: None,
            token: None,
            timeout: Span::seconds(5),
        },
    }];
    let mut engine = Engine::new(Arc::new(policy), State::default());
    let mut records = Vec::new();
    for second in (0..seconds).step_by(10) {
        for agent in ["batch-1", "reviewer"].into_iter().filter(|agent| works(agent, second)) {
            let outcome = if fails(agent, second) { Outcome::Error } else { Outcome::Ok };
            let at = Some(Timestamp(START + second * 1_000));
            records.push(Record::new("test", agent, at, outcome));
        }
    }
    let (mut events, mut told) = (Vec::new(), Vec::new());
    replay::feed(&mut engine, &records, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |now, effect| match effect {
            Effect::Report(Report::Alert(event)) => events.push(event.clone()),
            Effect::Deliver(delivery) => {
                told.push(((now.0 - START) / 1_000, delivery.notification().expect("about alerts").lead().severity));
            }
            _ => {}
        });
    });
    (engine, events, told)
}

/// A level that `keep_firing_for` keeps while a milder one holds is shown with its own limit and condition.
#[test]
fn value_threshold_and_condition_are_of_one_level() {
    let rule = "    levels: {warning: error_rate > 20%, critical: error_rate > 70%}\n    keep_firing_for: 10m\n";
    let (engine, ..) = play(rule, 420, |_, _| true, |_, second| second < 180 || second % 30 == 0);
    let alerts = engine.alerts();
    let [alert, _] = &alerts[..] else { panic!("{alerts:?}") };
    let shown = (alert.severity, alert.threshold, alert.condition.as_str());
    assert_eq!(shown, (Severity::Critical, Some(0.7), "error_rate > 70%"), "{alert:?}");
}

#[test]
fn an_override_is_for_its_subjects_alone() {
    let rule = "    condition: error_rate > 40%
    overrides: [{where: {agent: \"batch-*\"}, condition: error_rate > 90%, severity: info}]\n";
    let (events, _) = run(rule, 300, |_, second| second % 20 == 0);
    let subjects: Vec<_> = events.iter().map(|e| e.subject.to_string()).collect();
    assert!(!events.is_empty() && subjects.iter().all(|s| s == "agent=reviewer"), "{subjects:?}");
    let (events, _) = run(rule, 300, |agent, _| agent == "batch-1");
    let found: Vec<_> = events.iter().map(|e| (e.state, e.severity, e.condition.as_str())).collect();
    assert_eq!(found, [(AlertState::Firing, Severity::Info, "error_rate > 90%")]);
}

#[test]
fn a_rise_goes_out_and_the_end_names_the_gravest_level() {
    let rule = "    levels: {warning: error_rate > 10%, critical: error_rate > 60%}\n";
    let story = |agent: &str, second| agent == "reviewer" && (second == 100 || (200..260).contains(&second));
    let (events, told) = run(rule, 500, story);
    let found: Vec<_> = events.iter().map(|e| (e.state, e.severity)).collect();
    use AlertState::{Firing, Resolved};
    use Severity::{Critical, Warning};
    assert_eq!(
        found,
        [(Firing, Warning), (Resolved, Warning), (Firing, Warning), (Firing, Critical), (Resolved, Critical)]
    );
    assert_eq!(events[2].id, events[4].id);
    assert_eq!(told.iter().map(|(_, s)| *s).collect::<Vec<_>>(), found.iter().map(|(_, s)| *s).collect::<Vec<_>>());
}

#[test]
fn an_alert_that_fell_and_lost_its_data_ends_with_the_threshold_of_its_gravest_level() {
    let rule = "    levels: {warning: error_rate > 10%, critical: error_rate > 60%}\n";
    let works = |_: &str, second| second < 200;
    let (events, _) = run_while(
        rule,
        400,
        |agent, second| agent == "batch-1" || works(agent, second),
        |agent, second| agent == "reviewer" && (second < 100 || second % 20 == 0),
    );
    let end = events.iter().find(|e| e.state == AlertState::Resolved).expect("it ends");
    let shown = (end.severity, end.value, end.threshold, end.condition.as_str());
    assert_eq!(shown, (Severity::Critical, Some(0.4), Some(0.6), "error_rate > 60%"), "{end:?}");
    assert_eq!(end.reason, "no data any more, the value is from before");
}

#[test]
fn a_shadow_rule_is_recorded_and_tells_nobody() {
    let (events, told) = run("    condition: error_rate > 40%\n    shadow: true\n", 300, |_, second| second < 200);
    assert!(
        events.iter().any(|e| e.state == AlertState::Firing) && events.iter().any(|e| e.state == AlertState::Resolved)
    );
    assert!(events.iter().all(|e| e.muted == Some(Muted::Shadow)));
    assert_eq!(told, []);
}

#[test]
fn an_alert_that_still_fires_when_hours_begin_is_told_then() {
    let rule = "    condition: error_rate > 40%\n    active_hours: {zone: Europe/Berlin, times: \"01:05-02:00\"}\n";
    let until = Timestamp(START + 300_000);
    let (events, told) = run(rule, 600, |agent, second| agent == "reviewer" || second < 200);
    assert_eq!(events[0].muted, Some(Muted::Hours { until }));
    // The records of 300 s and 310 s share a step, so they come in together at 310 s.
    assert_eq!(told, [(310, Severity::Warning)]);
}

#[test]
fn an_alert_that_is_kept_without_data_is_told_when_its_hours_begin() {
    let rule = "    condition: error_rate > 40%\n    no_data: keep
    active_hours: {zone: Europe/Berlin, times: \"01:05-02:00\"}\n";
    // The reviewer falls silent after 100 s and its window of a minute is empty before the hours begin.
    let (events, told) =
        run_while(rule, 600, |agent, second| agent == "batch-1" || second < 100, |agent, _| agent == "reviewer");
    assert_eq!(events.iter().map(|e| e.state).collect::<Vec<_>>(), [AlertState::Firing, AlertState::Firing]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!((300..=315).contains(&told[0].0), "{told:?}");
}
