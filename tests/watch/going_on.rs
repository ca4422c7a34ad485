//! What the engine learned and counts goes on over restarts and reloads, and goes to nobody else.

use std::borrow::Cow;

use crate::watch::{at, policy, restarted};
use evenkeel::engine::event::{AlertState, Effect, Event, Report};
use evenkeel::engine::partial::Partial;
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Span, Timestamp};

/// The changes of alerts at an instant, after some records.
fn handle(engine: &mut Engine, now: Timestamp, records: &[Record<'_>]) -> Vec<(String, AlertState)> {
    let effects = engine.handle(now, Event::Records(records));
    let alerts = effects.into_iter().filter_map(|effect| match effect {
        Effect::Report(Report::Alert(event)) => Some((format!("{} {}", event.rule, event.subject), event.state)),
        _ => None,
    });
    alerts.collect()
}

/// Labels of the settings lie where the settings say; a snapshot knows them by name only.
#[test]
fn an_incident_counts_by_the_labels_of_the_settings_after_a_restart() {
    let rules = "alerts:\n\
                 - {name: burst, condition: error_rate > 50%, window: 10m}\n\
                 - {name: outage, condition: alerting_share > 40%, covers: [burst], by: team}\n";
    let config = "sources: [{name: log, path: log.jsonl, labels: {region: region, team: team}}]\n";
    let run = |agent: usize, second: i64| {
        let name = ["a", "b", "c", "d", "e", "f"][agent];
        let mut record = Record::new("log", name, Some(at(second)), Outcome::Error);
        record.labels = vec![("region", Cow::Borrowed("north")), ("team", Cow::Borrowed("search"))];
        record
    };
    let mut engine = Engine::new(policy(config, rules), State::default());
    let mut seen = Vec::new();
    for second in (0..1_200).step_by(15) {
        let records: Vec<Record<'_>> = (0..6).map(|agent| run(agent, second)).collect();
        seen.extend(handle(&mut engine, at(second), &records));
        engine = restarted(&engine);
    }
    let incident: Vec<_> = seen.iter().filter(|(alert, _)| alert.starts_with("outage")).collect();
    assert_eq!(incident, [&("outage team=search".to_owned(), AlertState::Firing)], "{seen:?}");
}

/// A ring that is too coarse for a new rule goes on in finer slices, and fields leave with it.
#[test]
fn fields_leave_their_window_after_a_reload_with_a_shorter_one() {
    let long = "alerts:\n- {name: deep, condition: max(queue_depth) > 100, window: 30m}\n";
    let short = format!("{long}- {{name: burst, condition: error_rate > 50%, window: 5m}}\n");
    let mut engine = Engine::new(policy("", long), State::default());
    let mut record = Record::new("log", "a", Some(at(0)), Outcome::Ok);
    record.extra = [("queue_depth", 500.0)].into_iter().collect();
    handle(&mut engine, at(0), &[record]);
    assert_eq!(handle(&mut engine, at(30), &[]), [("deep agent=a".to_owned(), AlertState::Firing)]);
    engine.reload(at(60), policy("", &short));
    let mut ended = Vec::new();
    (90..7_200).step_by(30).for_each(|second| ended.extend(handle(&mut engine, at(second), &[])));
    assert_eq!(ended, [("deep agent=a".to_owned(), AlertState::Resolved)]);
}

/// Whoever adds a rule, changes a window or the evaluation interval ends no alert of another rule.
#[test]
fn alerts_go_on_whatever_windows_a_reload_brings() {
    let own = "alerts:\n- {name: burst, condition: error_rate > 50%, window: 10m}\n\
               - {name: low, condition: success_rate < 75%, window: 1d}\n";
    let slo = "slos: [{name: slo, objective: 99%, good: success_rate}]\n";
    let reloads = [
        ("", format!("{own}- {{name: short, condition: error_rate > 99.5%, window: 5m}}\n")),
        ("", format!("{own}{slo}")),
        ("evaluation_interval: 5s\n", own.to_owned()),
        ("evaluation_interval: 1m\n", own.to_owned()),
        ("", own.replace("10m", "5m")),
        ("", own.replace("10m", "20m")),
        ("", own.replace("1d", "7h")),
    ];
    for (config, rules) in reloads {
        let mut engine = Engine::new(policy("", own), State::default());
        let mut seen = Vec::new();
        let mut feed = |engine: &mut Engine, minutes: std::ops::Range<i64>| {
            for minute in minutes {
                let outcome = if minute % 4 == 0 { Outcome::Ok } else { Outcome::Error };
                seen.extend(handle(
                    engine,
                    at(minute * 60),
                    &[Record::new("log", "a", Some(at(minute * 60)), outcome)],
                ));
            }
        };
        feed(&mut engine, 0..600);
        engine.reload(at(599 * 60 + 30), policy(config, &rules));
        feed(&mut engine, 600..660);
        let ends = seen.iter().filter(|(alert, state)| *state == AlertState::Resolved && !alert.starts_with("slo"));
        assert_eq!(ends.count(), 0, "{config}{rules}: {seen:?}");
        assert!(engine.alerts().iter().filter(|alert| ["burst", "low"].contains(&alert.rule.as_str())).count() == 2);
    }
}

/// An agent whose first score is made after its newest run is looked at when it is.
#[test]
fn a_first_score_is_looked_at_when_it_is_made() {
    let rules = "alerts:\n- {name: poor, condition: score < 50}\n";
    let mut engine = Engine::new(policy("", rules), State::default());
    let run = |agent: &'static str, n: i64, outcome| Record::new("log", agent, Some(at(n)), outcome);
    let others: Vec<_> = (0..300).map(|n| run(["b", "c", "d", "e"][n as usize % 4], n, Outcome::Ok)).collect();
    handle(&mut engine, at(300), &others);
    handle(&mut engine, at(7_200), &[]);
    let failing: Vec<_> = (0..100).map(|n| run("a", 7_210 + n, Outcome::Error)).collect();
    let mut seen = handle(&mut engine, at(7_320), &failing);
    (7_335..15_000).step_by(15).for_each(|second| seen.extend(handle(&mut engine, at(second), &[])));
    assert_eq!(seen, [("poor agent=a".to_owned(), AlertState::Firing)]);
}

/// What a rule sees since a reload is told until its windows are full, over restarts and other reloads.
#[test]
fn windows_that_a_reload_began_say_since_when_they_hold_everything() {
    let old = "alerts:\n- {name: burst, condition: error_rate > 50%, window: 1h}\n";
    let added = format!(
        "{old}- {{name: same, condition: error_rate > 60%, window: 1h}}
- {{name: wide, condition: error_rate > 50%, window: 2h}}
- {{name: slow, condition: p95_latency > 10s, window: 1h}}
- {{name: deep, condition: max(queue_depth) > 100, window: 1h}}
- {{name: models, condition: error_rate > 50%, window: 1h, by: model}}
- {{name: quiet, condition: silence > 1h, by: source}}
"
    );
    let partial = |engine: &Engine| -> Vec<String> {
        let one = |(rule, partial): (&str, Partial)| {
            format!("{rule} {} of {} since {}", partial.seen, partial.window, partial.since.since(at(0)))
        };
        engine.partial_rules().into_iter().map(one).collect()
    };
    let mut engine = Engine::new(policy("", old), State::default());
    let feed = |engine: &mut Engine, minutes: std::ops::Range<i64>| {
        for minute in minutes {
            handle(engine, at(minute * 60), &[Record::new("log", "a", Some(at(minute * 60)), Outcome::Ok)]);
        }
    };
    feed(&mut engine, 0..180);
    engine.reload(at(180 * 60), policy("", &added));
    feed(&mut engine, 180..192);
    // A restart, and a reload that changes nothing here.
    engine = restarted(&engine);
    engine.reload(at(192 * 60), policy("scores: {min_samples: 7}\n", &added));
    assert_eq!(partial(&engine), ["slow 12m of 1h since 3h", "deep 12m of 1h since 3h", "models 12m of 1h since 3h",]);
    let seen = |partial: Option<Partial>| partial.map(|partial| (partial.seen, partial.window));
    let rules = engine.rules(at(192 * 60));
    let models = rules.iter().find(|rule| rule.rule == "models").expect("is there").partial;
    assert_eq!(seen(models), Some((Span::minutes(12), Span::hours(1))));
    feed(&mut engine, 192..241);
    assert_eq!(partial(&engine), [""; 0], "all are full");
    // The short ranges of an objective are finer than what was kept, which goes on all the same.
    engine
        .reload(at(241 * 60), policy("", &format!("{old}slos: [{{name: slo, objective: 99%, good: success_rate}}]\n")));
    feed(&mut engine, 241..251);
    assert_eq!(partial(&engine), ["slo 1d9m of 3d since -19h59m"]);
    let period = engine.view().slos[0].partial;
    assert_eq!(seen(period), Some((Span::minutes(1_449), Span::days(30))), "what scores keep is a day");
    // Nothing is missing where nothing came before.
    assert_eq!(partial(&Engine::new(policy("", &added), State::default())), [""; 0]);
}

/// A window that nobody minds is not emptied at every step; another one does not begin with what it had left behind.
#[test]
fn a_longer_window_begins_with_what_the_shorter_one_held() {
    let rules =
        |window: &str| format!("alerts:\n- {{name: some, condition: executions > 4, window: {window}, by: source}}\n");
    let run = |second: i64| Record::new("log", "a", Some(at(second)), Outcome::Ok);
    let mut engine = Engine::new(policy("", &rules("10m")), State::default());
    let old: Vec<Record<'_>> = (0..4).map(run).collect();
    assert_eq!(handle(&mut engine, at(10), &old), []);
    assert_eq!(handle(&mut engine, at(670), &[]), []);
    engine.reload(at(675), policy("", &rules("1h")));
    assert_eq!(handle(&mut engine, at(680), &[run(680)]), []);
    assert_eq!(handle(&mut engine, at(700), &[]), [], "the first four were 11 minutes old at the reload");
}

/// What is kept without data is looked at when data comes, and not at every step until then.
#[test]
fn an_alert_that_is_kept_without_data_costs_nothing() {
    let rules = "alerts:\n- {name: fails, condition: error_rate > 50%, window: 5m, for: 10m, no_data: keep}\n\
                 - {name: lasts, condition: error_rate > 50%, window: 5m, keep_firing_for: 10m, no_data: keep}\n";
    let run = |second: i64, outcome| Record::new("log", "a", Some(at(second)), outcome);
    let mut engine = Engine::new(policy("evaluation_interval: 1s\n", rules), State::default());
    let failed: Vec<Record<'_>> = (0..5).map(|second| run(second, Outcome::Error)).collect();
    handle(&mut engine, at(5), &failed);
    let passed: Vec<Record<'_>> = (60..70).map(|second| run(second, Outcome::Ok)).collect();
    handle(&mut engine, at(70), &passed);
    let failed: Vec<Record<'_>> = (100..130).map(|second| run(second, Outcome::Error)).collect();
    handle(&mut engine, at(130), &failed);
    let passed: Vec<Record<'_>> = (130..300).map(|second| run(second, Outcome::Ok)).collect();
    handle(&mut engine, at(300), &passed);
    handle(&mut engine, at(1_200), &[]);
    let before = engine.view().counters.evaluations;
    assert_eq!(handle(&mut engine, at(11_200), &[]), []);
    assert_eq!(engine.view().counters.evaluations, before, "nothing came");
    let later: Vec<Record<'_>> = (11_200..11_210).map(|second| run(second, Outcome::Ok)).collect();
    let mut seen = handle(&mut engine, at(11_210), &later);
    seen.extend(handle(&mut engine, at(11_215), &[]));
    assert_eq!(seen, [("lasts agent=a".to_owned(), AlertState::Resolved)]);
}
