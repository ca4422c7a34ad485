//! What the engine learned and counts goes on over restarts and reloads, and goes to nobody else.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use evenkeel::engine::event::{AlertState, Effect, Event, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Timestamp};
use evenkeel::policy::{Policy, PolicySource};

const START: i64 = 1_772_550_000_000;

fn policy(config: &str, rules: &str) -> Arc<Policy> {
    let config = Some(("evenkeel.yaml".to_owned(), config.to_owned()));
    let source = PolicySource { config, rules: vec![("rules.yaml".into(), rules.into())], ..Default::default() };
    let (policy, faults) = Policy::load(&source, Path::new(""));
    Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}")))
}

fn at(second: i64) -> Timestamp {
    Timestamp(START + second * 1_000)
}

fn restarted(engine: &Engine) -> Engine {
    let state = postcard::to_stdvec(engine.state()).expect("encodes");
    Engine::new(Arc::clone(engine.policy()), postcard::from_bytes(&state).expect("decodes"))
}

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

/// A ring that is too coarse for a new rule begins anew, and with it what it says when fields leave.
#[test]
fn fields_leave_their_window_after_a_reload_with_a_shorter_one() {
    let long = "alerts:\n- {name: deep, condition: max(queue_depth) > 100, window: 30m}\n";
    let short = format!("{long}- {{name: burst, condition: error_rate > 50%, window: 5m}}\n");
    let mut engine = Engine::new(policy("", long), State::default());
    let mut record = Record::new("log", "a", Some(at(0)), Outcome::Ok);
    record.extra = vec![("queue_depth", 500.0)];
    handle(&mut engine, at(0), &[record]);
    assert_eq!(handle(&mut engine, at(30), &[]), [("deep agent=a".to_owned(), AlertState::Firing)]);
    engine.reload(at(60), policy("", &short));
    let mut ended = Vec::new();
    (90..7_200).step_by(30).for_each(|second| ended.extend(handle(&mut engine, at(second), &[])));
    assert_eq!(ended, [("deep agent=a".to_owned(), AlertState::Resolved)]);
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
