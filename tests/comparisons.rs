//! Rules that hold an agent against its own past, its peers and its score, as stories.

use std::sync::Arc;

use evenkeel::diagnostic::SourceFile;
use evenkeel::engine::event::{AlertEvent, AlertState, Effect, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::model::Span;
use evenkeel::policy::Policy;
use evenkeel::rule::story::StoryFile;
use evenkeel::rule::{self, Rule};
use evenkeel::{rehearsal, replay};

fn load(rules: &str, stories: &str) -> (Vec<Rule>, StoryFile) {
    let (rules, diagnostics) = rule::load::load(&[SourceFile::new("r.yaml", rules)], Span::seconds(15));
    assert_eq!(diagnostics, []);
    let (file, diagnostics) = rule::story::load::load(&SourceFile::new("r.test.yaml", stories), &rules);
    assert_eq!(diagnostics, []);
    (rules, file.expect("no faults"))
}

/// Plays every story of the text; each must come true.
fn play(rules: &str, stories: &str) {
    let (rules, file) = load(rules, stories);
    let policy = Arc::new(rehearsal::policy(&file, rules));
    for story in &file.stories {
        let failures = rehearsal::play(&policy, story);
        assert!(failures.is_empty(), "{}: {failures:#?}", story.name);
    }
}

/// Every change of state in a story; `cut`: the state goes through a snapshot after every 50 records.
fn transitions(policy: &Policy, file: &StoryFile, cut: bool) -> Vec<AlertEvent> {
    let policy = Arc::new(policy.clone());
    let mut engine = Engine::new(policy.clone(), State::default());
    let mut events = Vec::new();
    for chunk in file.stories[0].records().chunks(if cut { 50 } else { usize::MAX }) {
        replay::feed(&mut engine, chunk, |engine, now, effects| {
            replay::perfect_world(engine, now, effects, &mut |_, effect| {
                if let Effect::Report(Report::Alert(event)) = effect {
                    events.push(event.clone());
                }
            });
        });
        if cut {
            let bytes = postcard::to_stdvec(engine.state()).expect("encodes");
            engine = Engine::new(policy.clone(), postcard::from_bytes(&bytes).expect("decodes"));
        }
    }
    events
}

const BURN: &str = "
alerts:
- name: burn
  condition: hourly_cost > $1 and hourly_cost > peers * 3
  window: 1h
  annotations: {summary: \"{{ agent }} {{ value }}, peers {{ peers }}, {{ level }}\"}
";

/// Four reviewers, one of them dear from the first day on, and four planners who are all dear.
const FLEET: &str = "
tests:
- name: who always cost more than the others
  rule: burn
  series:
  - {agent: r1, task_type: review, runs: 60/h, steps: [{for: 3h, hourly_cost: $1}]}
  - {agent: r2, task_type: review, runs: 60/h, steps: [{for: 3h, hourly_cost: $2}]}
  - {agent: r3, task_type: review, runs: 60/h, steps: [{for: 3h, hourly_cost: $3}]}
  - {agent: burner, task_type: review, runs: 60/h, steps: [{for: 2h, hourly_cost: $6.30}, {for: 1h, hourly_cost: $2}]}
  - {agent: p1, task_type: plan, runs: 60/h, steps: [{for: 3h, hourly_cost: $20}]}
  - {agent: p2, task_type: plan, runs: 60/h, steps: [{for: 3h, hourly_cost: $20}]}
  - {agent: p3, task_type: plan, runs: 60/h, steps: [{for: 3h, hourly_cost: $20}]}
  - {agent: p4, task_type: plan, runs: 60/h, steps: [{for: 3h, hourly_cost: $50}]}
  expect:
  - {at: 1h30m, agent: burner, state: firing, value: $6.30, n: 60}
  - {at: 1h30m, agent: r3, state: inactive}
  - {at: 1h30m, agent: p4, state: inactive}
  - {at: 3h, agent: burner, state: resolved}
";

#[test]
fn a_burner_without_a_spike_is_found_among_its_peers() {
    play(BURN, FLEET);
}

#[test]
fn two_others_are_no_peers() {
    let fewer: Vec<&str> = FLEET.lines().filter(|line| !line.contains("agent: r3")).collect();
    let (rules, file) = load(BURN, &fewer.join("\n").replace("firing, value: $6.30, n: 60", "inactive"));
    let failures = rehearsal::play(&Arc::new(rehearsal::policy(&file, rules)), &file.stories[0]);
    let places: Vec<&str> = failures.iter().map(|failure| failure.found.as_str()).collect();
    assert_eq!(places, ["inactive: no alert"], "only the end of what never began is missed");
}

#[test]
fn what_peers_do_survives_a_restart() {
    let (rules, file) = load(BURN, FLEET);
    let policy = rehearsal::policy(&file, rules);
    let whole = transitions(&policy, &file, false);
    let firing: Vec<&AlertEvent> = whole.iter().filter(|event| event.state == AlertState::Firing).collect();
    assert!(firing.iter().any(|event| event.subject.get("agent") == Some("burner")), "{whole:#?}");
    assert_eq!(transitions(&policy, &file, true), whole);
}

#[test]
fn peers_are_told_apart_by_the_labels_of_the_rule() {
    let rules = "
alerts:
- {name: by_type, by: [agent, task_type], condition: error_rate > peers + 20%, window: 30m}
- {name: slow, by: [agent, task_type], condition: p95_latency > peers * 2, window: 30m}
- {name: same_window, by: [agent, task_type], condition: error_rate > 30%, window: 30m}
";
    let stories = "
tests:
- name: hard tasks are no fault of the agent
  series:
  - {agent: a, task_type: hard, runs: 60/h, steps: [{for: 1h, error_rate: 40%, mean_latency: 9s}]}
  - {agent: b, task_type: hard, runs: 60/h, steps: [{for: 1h, error_rate: 40%, mean_latency: 10s}]}
  - {agent: c, task_type: hard, runs: 60/h, steps: [{for: 1h, error_rate: 40%, mean_latency: 11s}]}
  - {agent: d, task_type: hard, runs: 60/h, steps: [{for: 1h, error_rate: 70%, mean_latency: 21s}]}
  - {agent: a, task_type: easy, runs: 60/h, steps: [{for: 1h, error_rate: 0%}]}
  expect:
  - {at: 1h, rule: by_type, agent: a, state: inactive}
  - {at: 1h, rule: by_type, agent: d, task_type: hard, state: firing, value: 70%}
  - {at: 1h, rule: slow, agent: c, state: inactive}
  - {at: 1h, rule: slow, agent: d, state: firing, value: 21s, threshold: 20s}
  - {at: 1h, rule: same_window, agent: a, task_type: hard, state: firing}
  - {at: 1h20m, rule: same_window, agent: a, task_type: hard, state: firing}
  - {at: 1h31m, rule: same_window, agent: a, task_type: hard, state: resolved}
  - {at: 1h31m, rule: by_type, agent: d, state: resolved}
";
    play(rules, stories);
}

#[test]
fn a_baseline_has_percentiles() {
    // Three of four windows take 1 s, one takes 3 s: twice the centre is usual, twice the 90th percentile is not.
    let quiet = "{for: 15m, mean_latency: 1s}, ".repeat(3) + "{for: 15m, mean_latency: 3s}";
    let day = vec![quiet; 12].join(", ");
    let stories = format!(
        "
tests:
- name: a spike that is usual and one that is not
  series: [{{agent: a, runs: 60/h, steps: [{day}, {{for: 15m, mean_latency: 7s}}]}}]
  expect:
  - {{at: 12h, rule: twice_the_centre, state: firing, value: 3s, threshold: 2s}}
  - {{at: 12h, rule: twice_the_usual_worst, state: inactive}}
  - {{at: 12h15m, rule: twice_the_usual_worst, state: firing, value: 7s, threshold: 6s}}
"
    );
    let rules = "
alerts:
- {name: twice_the_centre, condition: mean_latency > baseline * 2, window: 15m, shadow: true}
- {name: twice_the_usual_worst, condition: mean_latency > baseline.p90 * 2, window: 15m}
";
    play(rules, &stories);
}

#[test]
fn a_score_may_fire_alone_or_against_the_peers() {
    let rules = "
alerts:
- {name: poor, condition: score < 50}
- {name: worse_than_peers, condition: score < peers - 20, annotations: {summary: \"{{ score }} {{ peers }}\"}}
";
    let stories = "
settings: {scores: {window: 1d, min_samples: 20}}
tests:
- name: an agent that fails more than the others
  series:
  - {agent: good, task_type: t, runs: 60/h, steps: [{for: 6h, error_rate: 5%}]}
  - {agent: fair, task_type: t, runs: 60/h, steps: [{for: 6h, error_rate: 10%}]}
  - {agent: bad, task_type: t, runs: 60/h, steps: [{for: 6h, error_rate: 60%}]}
  - {agent: new, task_type: t, runs: 2/h, steps: [{for: 6h, error_rate: 100%}]}
  expect:
  - {at: 6h, rule: poor, agent: good, state: inactive}
  - {at: 6h, rule: poor, agent: bad, state: firing, threshold: 50}
  - {at: 6h, rule: poor, agent: new, state: inactive}
  - {at: 6h, rule: worse_than_peers, agent: fair, state: inactive}
  - {at: 6h, rule: worse_than_peers, agent: bad, state: firing}
";
    play(rules, stories);
    let (rules, file) = load(rules, stories);
    let policy = rehearsal::policy(&file, rules);
    let whole = transitions(&policy, &file, false);
    assert_eq!(transitions(&policy, &file, true), whole);
    let told = whole.iter().find(|event| event.rule == "worse_than_peers").expect("it fired");
    let points: Vec<f64> = told.annotations["summary"].split(' ').filter_map(|p| p.parse().ok()).collect();
    let [score, peers] = points[..] else { panic!("{told:#?}") };
    assert!(score < peers - 20.0 && told.value.is_some_and(|value| (value - score).abs() < 0.1), "{told:#?}");
}

#[test]
fn what_a_rule_compares_with_may_be_told() {
    let (rules, file) = load(BURN, FLEET);
    let fired = transitions(&rehearsal::policy(&file, rules), &file, false);
    let told = fired.iter().filter(|e| e.subject.get("agent") == Some("burner")).find(|e| e.fired_at.is_some());
    let summary = &told.expect("it fires").annotations["summary"];
    assert!(summary.starts_with("burner $") && summary.ends_with(", warning"), "{summary}");
    assert!(summary.contains(", peers $"), "{summary}");
}
