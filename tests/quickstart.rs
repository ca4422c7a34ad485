//! The shipped example: made by the command its README gives, free of faults, and telling the story
//! that the README tells.

#[path = "../examples/fleet/mod.rs"]
mod fleet;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use evenkeel::engine::event::{AlertState, Command, CurrentValue, Decision, Event};
use evenkeel::engine::view::Class;
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::replay;
use evenkeel::wire::execution::Reader;

/// The arguments that the README gives.
const PLAN: fleet::Plan = fleet::Plan {
    agents: 9,
    records: 2_300,
    seed: 7,
    start: Timestamp(1_772_550_000_000),
    span: Span::days(2),
    incidents: true,
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart")
}

fn text(name: &str) -> (String, String) {
    (name.to_owned(), fs::read_to_string(folder().join(name)).expect(name))
}

fn policy() -> Policy {
    let source = PolicySource {
        config: Some(text("evenkeel.yaml")),
        rules: vec![text("rules.yaml")],
        ..PolicySource::default()
    };
    let (policy, diagnostics) = Policy::load(&source, &folder());
    assert_eq!(diagnostics, []);
    policy.expect("there are no errors")
}

#[test]
fn the_recording_is_what_its_command_writes() {
    let mut written = Vec::new();
    fleet::write(&PLAN, &mut written).expect("memory takes all");
    let shipped = text("executions.jsonl").1.into_bytes();
    let differs = written.split(|b| *b == b'\n').zip(shipped.split(|b| *b == b'\n')).position(|(a, b)| a != b);
    assert!(written == shipped, "line {differs:?} (from 0) differs: generate the file anew");
}

#[test]
fn the_recording_tells_its_story() {
    let policy = Arc::new(policy());
    let settings = &policy.settings;
    assert!(settings.sources[0].path.is_file() && settings.tune.targets[0].file.is_file());
    let reader = Reader::new(&settings.sources[0], &policy.prices, &[]).expect("the zone is UTC");
    let recording = text("executions.jsonl").1;
    let read = reader.read(recording.as_bytes(), "executions");
    assert_eq!((read.records.len(), read.rejected), (2_300, vec![]));

    let mut engine = Engine::new(policy.clone(), State::default());
    let limits = [("researcher", 120.0), ("doc-writer", 600.0), ("code-reviewer", 120.0)];
    let values = limits.map(|(agent, s)| CurrentValue { parameter: 0, agent: agent.into(), value: s * 1e3 }).to_vec();
    engine.handle(PLAN.start, Event::Command(Command::Target { target: "crew".into(), values }));
    replay::feed(&mut engine, &read.records, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |_, _| {});
    });
    replay::finish(&mut engine, |_, _, _| {});
    let view = engine.view();

    let firing: BTreeSet<(&str, &str)> = view
        .alerts
        .iter()
        .filter(|alert| alert.state == AlertState::Firing)
        .map(|alert| (alert.rule.as_str(), alert.subject.get("agent").unwrap_or_default()))
        .collect();
    let expected = [
        ("cost_spike", "planner"),
        ("cut_off", "researcher"),
        ("error_burst", "bug-hunter"),
        ("low_success", "sql-analyst"),
    ];
    assert_eq!(firing, BTreeSet::from(expected));

    let class = |name: &str| view.agents.iter().find(|agent| agent.agent == name).expect(name).class;
    assert_eq!(class("test-writer"), Class::High);
    assert_eq!(class("sql-analyst"), Class::Low);
    assert_eq!(class("release-manager"), Class::InsufficientData);

    let change = |name: &str| {
        let of = view.recommendations.iter().find(|r| r.agent == name).expect(name);
        (of.decision == Decision::Change)
            .then(|| of.proposed.expect("a change has a value") / of.current.expect("known"))
    };
    assert!(change("researcher").is_some_and(|factor| factor > 1.2), "{:?}", change("researcher"));
    assert!(change("doc-writer").is_some_and(|factor| factor < 0.8), "{:?}", change("doc-writer"));
}
