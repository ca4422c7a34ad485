//! Samples that are no executions: numeric fields as metrics, labels of our own.

use std::path::Path;
use std::sync::Arc;

use evenkeel::engine::event::{AlertState, Effect, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::model::Timestamp;
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::replay;
use evenkeel::wire::execution::Reader;

const CONFIG: &str = include_str!("../examples/conformance/evenkeel.yaml");
const RULES: &str = include_str!("../examples/conformance/rules.yaml");
const START: i64 = 1_767_225_600_000;
/// Agents of the case with many.
const MANY: usize = 300;

fn load(config: &str, rules: &str) -> (Option<Policy>, Vec<String>) {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let source = PolicySource {
        config: Some(file("evenkeel.yaml", config)),
        rules: vec![file("rules.yaml", rules)],
        ..PolicySource::default()
    };
    let (policy, diagnostics) = Policy::load(&source, Path::new(""));
    (policy, diagnostics.iter().map(|d| format!("{}:{} {} ({})", d.line, d.column, d.message, d.help)).collect())
}

fn policy(config: &str, rules: &str) -> Arc<Policy> {
    let (policy, diagnostics) = load(config, rules);
    assert_eq!(diagnostics, [""; 0]);
    Arc::new(policy.expect("no faults"))
}

/// The value of a case at a second; `None` is no sample.
fn plan(case: &str, s: i64) -> Option<f64> {
    let high = |from: i64, to: i64| Some(if (from..to).contains(&s) { 15.0 } else { 5.0 });
    match case {
        "hold" if (50..80).contains(&s) => Some(17.0),
        "hold" if s < 80 => high(20, 50),
        "hold" => high(120, 150),
        "short" => high(20, 40),
        "zero" => high(30, 60),
        "nodata" if (60..180).contains(&s) => None,
        "nodata" => high(30, 60),
        "many" => high(40, 70),
        _ => panic!("no case {case}"),
    }
}

fn lines(from: i64, to: i64) -> String {
    let mut text = String::new();
    for s in (from..to).step_by(5) {
        for case in ["hold", "short", "zero", "nodata", "many"] {
            for i in 0..if case == "many" { MANY } else { 1 } {
                let Some(value) = plan(case, s) else { continue };
                let ts = START + s * 1_000;
                text += &format!(
                    "{{\"case\": \"{case}\", \"agent\": \"agent-{i:03}\", \"ts\": {ts}, \"metric\": \"check_value\", \"value\": {value}}}\n"
                );
                // Another metric of the same agent, which no rule is about.
                text += &format!(
                    "{{\"case\": \"{case}\", \"agent\": \"agent-{i:03}\", \"ts\": {ts}, \"metric\": \"other\", \"value\": 99}}\n"
                );
            }
        }
    }
    text
}

/// What fired and resolved: second, rule, subject, whether it fires.
type Story = Vec<(i64, String, String, bool)>;

fn feed(engine: &mut Engine, text: &str, story: &mut Story) {
    let policy = Arc::clone(engine.policy());
    let reader = Reader::new(&policy.settings.sources[0], &policy.prices, engine.fields()).expect("the zone is UTC");
    let chunk = reader.read(text.as_bytes(), "samples");
    assert_eq!(chunk.rejected, []);
    replay::feed(engine, &chunk.records, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |_, effect| {
            if let Effect::Report(Report::Alert(alert)) = effect
                && matches!(alert.state, AlertState::Firing | AlertState::Resolved)
            {
                let second = (alert.at.0 - START) / 1_000;
                let firing = alert.state == AlertState::Firing;
                story.push((second, alert.rule.clone(), alert.subject.to_string(), firing));
            }
        });
    });
}

fn of<'s>(story: &'s Story, rule: &str) -> Vec<(i64, &'s str, bool)> {
    story.iter().filter(|s| s.1 == rule).map(|s| (s.0, s.2.as_str(), s.3)).collect()
}

#[test]
fn five_rules_follow_their_samples() {
    let mut engine = Engine::new(policy(CONFIG, RULES), State::default());
    let mut story = Story::new();
    feed(&mut engine, &lines(0, 190), &mut story);
    let whom = "agent=agent-000";
    // A sample at a whole step is seen by the next evaluation.
    let hold = [(40, whom, true), (85, whom, false), (140, whom, true), (155, whom, false)];
    assert_eq!(of(&story, "hold"), hold);
    assert_eq!(of(&story, "short"), [], "it holds for less than `for`");
    assert_eq!(of(&story, "zero_for"), [(35, whom, true), (65, whom, false)]);
    let nodata = of(&story, "nodata");
    assert_eq!(nodata[0], (35, whom, true));
    let many = of(&story, "many");
    assert_eq!(many.len(), 2 * MANY);
    assert!(many.iter().all(|(second, _, firing)| *second == if *firing { 45 } else { 75 }));
}

const BY: &str = "alerts: [{name: high, condition: last(value) > 10, window: 10s, by: [team, agent]}]";

/// The configuration of the example with other labels.
fn config(labels: &str) -> String {
    CONFIG.replace("{case: case, metric: metric}", labels)
}

#[test]
fn a_reload_that_moves_labels_keeps_apart_what_they_are() {
    let line = |s: i64, team: &str, value: u32| {
        let ts = START + s * 1_000;
        format!(
            "{{\"agent\": \"a\", \"ts\": {ts}, \"value\": {value}, \"team_name\": \"{team}\", \"area\": \"north\", \"zoo\": 7}}\n"
        )
    };
    let second = |s: i64| line(s, "blue", 15) + &line(s, "red", 5);
    let mut engine = Engine::new(policy(&config("{team: team_name, zoo: zoo}"), BY), State::default());
    let mut story = Story::new();
    feed(&mut engine, &(second(0) + &second(5)), &mut story);
    assert_eq!(of(&story, "high"), [(5, "agent=a team=blue", true)]);

    // `area` comes before `team` in the order of names, so `team` is found elsewhere from now on.
    let moved = policy(&config("{area: area, team: team_name, zoo: zoo}"), BY);
    let state = postcard::to_stdvec(engine.state()).expect("encodes");
    let mut restored = Engine::new(Arc::clone(&moved), postcard::from_bytes(&state).expect("decodes"));
    engine.reload(Timestamp(START + 6_000), moved);
    for engine in [&mut engine, &mut restored] {
        let mut after = Story::new();
        feed(engine, &(second(10) + &second(15) + &line(20, "blue", 5) + &second(25) + &second(30)), &mut after);
        assert_eq!(of(&after, "high"), [(25, "agent=a team=blue", false), (30, "agent=a team=blue", true)]);
        assert_eq!(engine.view().alerts.len(), 1);
    }
}

#[test]
fn labels_may_be_numbers_and_absent() {
    let by = "alerts: [{name: high, condition: last(value) > 10, window: 10s, by: zoo, annotations: {summary: 'zoo {{ zoo }}'}}]";
    let mut engine = Engine::new(policy(&config("{zoo: zoo}"), by), State::default());
    let text = |zoo: &str, s: i64| format!("{{\"agent\": \"a\", \"ts\": {}, \"value\": 15{zoo}}}\n", START + s * 1_000);
    let mut story = Story::new();
    feed(&mut engine, &(text(", \"zoo\": 7", 0) + &text("", 1) + &text("", 10)), &mut story);
    let fired: Vec<&str> = story.iter().map(|s| s.2.as_str()).collect();
    assert_eq!(fired, ["zoo=7", "fleet"]);
}

#[test]
fn faults_of_labels_are_said() {
    for (labels, rules, expected) in [
        ("{team: t}", "alerts: [{name: a, condition: cost > $1, by: taem}]", "did you mean `team`?"),
        ("{team: t}", "alerts: [{name: a, condition: cost > $1, where: {case: x}}]", "part, team"),
        ("{agent: t}", "", "`agent` is a label already"),
        ("{severity: t}", "", "`severity` is a label already"),
        ("{te-am: t}", "", "`te-am` cannot be the name of a label"),
        ("{team: ''}", "", "`team` is empty"),
        ("{a: a, b: b, c: c, d: d, e: e, f: f, g: g, h: h, i: i}", "", "have 9 labels, the limit is 8"),
    ] {
        let (policy, diagnostics) = load(&config(labels), rules);
        assert_eq!(policy, None, "{labels}");
        assert!(diagnostics.iter().any(|d| d.contains(expected)), "{labels}: {diagnostics:?}");
    }
}
