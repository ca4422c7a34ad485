//! Service level objectives through the engine's one door: what burns, what is left, and what is too little to say.

use std::process::Command;

use crate::watch::{policy, restarted};
use evenkeel::engine::event::{AlertState, Effect, Report};
use evenkeel::engine::slo::SloView;
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Severity, Span, Timestamp};
use evenkeel::replay;

/// Midnight UTC.
const START: i64 = 1_767_225_600_000;
const HOUR: i64 = 60;

fn engine(slo: &str) -> Engine {
    Engine::new(policy("", &format!("slos:\n- {{name: good, {slo}}}\n")), State::default())
}

/// A run at each of these minutes; `bad` says which fail.
fn runs(agent: &'static str, minutes: impl Iterator<Item = i64>, bad: impl Fn(i64) -> bool) -> Vec<Record<'static>> {
    let outcome = |minute| if bad(minute) { Outcome::Error } else { Outcome::Ok };
    minutes.map(|m| Record::new("test", agent, Some(Timestamp(START + m * 60_000)), outcome(m))).collect()
}

/// What was reported: minute, state, severity, window, n.
type Said = (i64, AlertState, Severity, Span, u64);

fn feed(engine: &mut Engine, records: &[Record<'_>]) -> Vec<Said> {
    let mut said = Vec::new();
    replay::feed(engine, records, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |_, effect| {
            if let Effect::Report(Report::Alert(alert)) = effect {
                let minute = (alert.at.0 - START) / 60_000;
                said.push((minute, alert.state, alert.severity, alert.window, alert.n));
            }
        });
    });
    said
}

fn one(engine: &Engine) -> SloView {
    let slos = engine.view().slos;
    assert_eq!(slos.len(), 1, "{slos:?}");
    slos.into_iter().next().expect("one")
}

fn near(found: Option<f64>, expected: f64) {
    assert!(found.is_some_and(|found| (found - expected).abs() < 1e-6), "{found:?} is not {expected}");
}

/// Two days of good work, then an hour in which three of four runs fail.
fn outage() -> Vec<Record<'static>> {
    runs("a", 0..52 * HOUR, |minute| (48 * HOUR..49 * HOUR).contains(&minute) && minute % 4 != 0)
}

#[test]
fn an_outage_burns_the_budget_through_every_level() {
    let mut engine = engine("objective: 99%, good: success_rate");
    let said = feed(&mut engine, &outage());
    let (hour, day) = (Span::hours(1), Span::days(1));
    assert_eq!(said.len(), 1, "{said:?}");
    // 14.4 % of an hour are nine failures, which are there after twelve minutes.
    let (minute, state, severity, window, n) = said[0];
    assert_eq!((state, severity, window), (AlertState::Firing, Severity::Critical, hour));
    assert!((48 * HOUR + 10..=48 * HOUR + 13).contains(&minute) && (59..=62).contains(&n), "{said:?}");
    let alert = engine.view().alerts.into_iter().next().expect("it fires on");
    assert_eq!(alert.severity, Severity::Warning, "three hours later only the long ranges burn");
    assert!(alert.window >= day, "{alert:?}");
    assert_eq!(alert.labels["slo"], "good");
    let summary = &alert.annotations["summary"];
    assert!(summary.starts_with("good: agent=a burns its error budget 1.4x: success rate 98.6% over 3d"), "{summary}");

    let slo = one(&engine);
    assert_eq!((slo.slo.as_str(), slo.failures, slo.bad.n, slo.lacking.as_str()), ("good", 45, 3_120, ""));
    assert_eq!((slo.objective, slo.period, slo.indicator.as_str()), (0.99, Span::days(30), "good: success_rate"));
    near(slo.left, 1.0 - 45.0 / 31.2);
    // Wilson's interval of 45 of 3,120 is 1.080 % to 1.925 %.
    assert!(slo.lower.is_some_and(|lower| (lower + 0.925).abs() < 0.001), "{slo:?}");
    assert!(slo.upper.is_some_and(|upper| (upper + 0.080).abs() < 0.001), "{slo:?}");
    let burns: Vec<_> =
        slo.burns.iter().map(|burn| (burn.range, burn.rate.map(|rate| (rate * 10.0).round() / 10.0))).collect();
    let of = |range, rate| (range, Some(rate));
    assert_eq!(burns, [of(hour, 0.0), of(Span::hours(6), 12.5), of(day, 3.1), of(Span::days(3), 1.4)]);
}

#[test]
fn what_is_told_is_true_at_the_beginning_and_at_the_end() {
    let slo = "objective: 80%, min_failures: 3, {indicator}, keep_firing_for: 2m, alerts: [{burn: 1, long: 1h, short: 5m, severity: high}]";
    let counted = "good: sum(accepted), total: sum(answers)";
    // The same in words of one's own.
    let own = "good: success_rate, annotations: {summary: \"{{ rule }}: {{ subject }} {{ burn }}, objective {{ objective }}\"}";
    for (indicator, expected) in [
        (
            own,
            ["3x: success rate 40% over 1h (n 5), objective 80%", ": success rate 100% over 5m (n 5), objective 80%"],
        ),
        ("good: success_rate", ["3x: success rate 40% over 1h (n 5)", ": success rate 100% over 5m (n 5)"]),
        (
            counted,
            [
                "3x: sum(accepted) of sum(answers) 40% over 1h (n 5)",
                ": sum(accepted) of sum(answers) 100% over 5m (n 5)",
            ],
        ),
    ] {
        let mut engine = engine(&slo.replace("{indicator}", indicator));
        let mut records = runs("a", 0..60, |minute| (2..5).contains(&minute));
        for record in &mut records {
            let accepted = if record.outcome == Outcome::Ok { 1.0 } else { 0.0 };
            record.extra = [("accepted", accepted), ("answers", 1.0)].into_iter().collect();
        }
        let mut told = Vec::new();
        replay::feed(&mut engine, &records, |engine, now, effects| {
            replay::perfect_world(engine, now, effects, &mut |_, effect| {
                if let Effect::Report(Report::Alert(alert)) = effect {
                    told.push((alert.state, alert.annotations["summary"].clone()));
                }
            });
        });
        let [burns, ended] = expected;
        assert_eq!(
            told,
            [
                (AlertState::Firing, format!("good: agent=a burns its error budget {burns}, objective 80%")),
                (AlertState::Resolved, format!("good: agent=a burns its error budget no more{ended}, objective 80%")),
            ]
        );
    }
}

#[test]
fn restarts_change_nothing() {
    let slo = "objective: 99%, bad: error_rate, period: 7d";
    let (mut whole, mut cut) = (engine(slo), engine(slo));
    let expected = feed(&mut whole, &outage());
    let mut said = Vec::new();
    for part in outage().chunks(97) {
        said.extend(feed(&mut cut, part));
        cut = restarted(&cut);
    }
    assert_eq!(said, expected);
    assert_eq!(cut.view().slos, whole.view().slos);
    assert!(one(&whole).left.is_some());
}

#[test]
fn few_failures_say_nothing() {
    let mut engine = engine("objective: 99%, bad: error_rate");
    // A run each 20 minutes: two failures of six runs are a burn rate of 33.
    let said = feed(&mut engine, &runs("a", (0..6).map(|i| i * 20), |minute| minute == 60 || minute == 100));
    assert_eq!(said, []);
    let slo = one(&engine);
    assert_eq!((slo.left, slo.lower, slo.failures, slo.bad.n), (None, None, 2, 6));
    assert_eq!(slo.lacking, "99% needs 100 runs, or 3 bad ones");
    // The third makes it an alert and a budget.
    let said = feed(&mut engine, &runs("a", (6..8).map(|i| i * 20), |minute| minute == 120));
    assert!(said.iter().any(|said| said.1 == AlertState::Firing), "{said:?}");
    near(one(&engine).left, 1.0 - 3.0 / 8.0 / 0.01);
}

#[test]
fn counted_things_and_several_subjects() {
    let mut engine = engine("objective: 90%, good: sum(accepted), total: sum(answers), period: 1d, min_failures: 5");
    let mut records = Vec::new();
    for (agent, accepted) in [("a", 19.0), ("b", 17.0)] {
        for mut record in runs(agent, 0..30, |_| false) {
            record.extra = [("accepted", accepted), ("answers", 20.0)].into_iter().collect();
            records.push(record);
        }
    }
    records.sort_by_key(|record| record.at);
    feed(&mut engine, &records);
    let slos = engine.view().slos;
    let found: Vec<_> = slos.iter().map(|slo| (slo.subject.to_string(), slo.failures, slo.bad.n)).collect();
    assert_eq!(found, [("agent=b".to_owned(), 90, 600), ("agent=a".to_owned(), 30, 600)], "the least left first");
    near(slos[0].left, -0.5);
    near(slos[1].left, 0.5);
}

#[test]
fn an_agent_may_repeat_itself_so_often() {
    let mut engine = engine("objective: 99%, bad: repeat_ratio, period: 7d");
    let mut records = runs("a", 0..50 * HOUR, |_| false);
    for (minute, record) in (0u64..).zip(&mut records) {
        // An hour of the same; half of the runs do not say what they do.
        let circle = (2_880..2_940).contains(&minute);
        record.work = (minute % 2 == 0).then_some(if circle { 7 } else { 1_000 + minute });
    }
    let said = feed(&mut engine, &records);
    assert!(said.iter().any(|said| said.1 == AlertState::Firing && said.2 == Severity::Critical), "{said:?}");
    let slo = one(&engine);
    assert_eq!((slo.failures, slo.bad.n, slo.indicator.as_str()), (29, 1_500, "bad: repeat_ratio"));
    near(slo.left, 1.0 - 29.0 / 15.0);
}

#[test]
fn the_verb_shows_the_budgets_of_a_recording() {
    let dir = tempfile::tempdir().expect("a folder");
    let line = |minute: i64| {
        let at = Timestamp(START + minute * 60_000).to_rfc3339();
        format!("{{\"timestamp\": \"{at}\", \"agent_name\": \"a\", \"success\": {}}}\n", minute % 100 != 50)
    };
    std::fs::write(dir.path().join("runs.jsonl"), (0..500).map(line).collect::<String>()).expect("written");
    let rules = "slos:\n- {name: good, objective: 98%, good: success_rate}\n- {name: best, objective: 99.5%, good: success_rate}\n";
    std::fs::write(dir.path().join("rules.yaml"), rules).expect("written");
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        let output = command.current_dir(dir.path()).args(["slos", "runs.jsonl", "--rules"]).args(more).output();
        let output = output.expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = run(&["rules.yaml"]);
    assert_eq!(code, Some(1), "a budget is used up\n{text}");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1][..7], ["best", "agent=a", "99.5%", "30d", "1%", "(0-2)", "500"], "{text}");
    assert_eq!((lines[1][7], lines[2][7]), ("-100%", "50%"), "{text}");
    let (_, text) = run(&["rules.yaml", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&listed["slos"][1]["slo"], &listed["slos"][1]["failures"]), (&"good".into(), &5.into()), "{text}");
}

/// An alert that goes on as judged before a reload is said in the words of then.
#[test]
fn what_burned_under_another_objective_is_said_of_that() {
    let slo = |objective: &str, more: &str| {
        let alerts = "alerts: [{burn: 1.5, long: 1h, short: 5m, severity: critical}]";
        policy("", &format!("slos:\n- {{name: good, objective: {objective}, good: success_rate, {more}{alerts}}}\n"))
    };
    let mut engine = Engine::new(slo("90%", ""), State::default());
    feed(&mut engine, &runs("a", 0..20, |_| true));
    let summary = |engine: &Engine| engine.alerts()[0].annotations["summary"].clone();
    let before = summary(&engine);
    assert!(before.contains("burns its error budget 10x"), "{before}");
    let now = engine.now().expect("it began");
    engine.reload(now, slo("50%", "where: {task_type: review}, "));
    let after = summary(&engine);
    assert!(after.starts_with(&format!("{before} (")), "{after}");
}
