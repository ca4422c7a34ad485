//! Every example of docs/rules.md is run: each field of a rule, each condition, each function and each
//! field of annotations, on the engine, in a story on which it makes the difference that the page promises.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel::diagnostic::SourceFile;
use evenkeel::engine::event::{AlertEvent, Effect, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::rule::reference::{CONDITIONS, FIELDS};
use evenkeel::rule::story::{StoryFile, load as story};
use evenkeel::rule::{Aggregate, Rule, annotation, load};
use evenkeel::{rehearsal, replay};

const SETTINGS: &str = "settings:
  receivers:
  - {name: ops, webhook: {url: \"http://localhost\"}}
  - {name: pager, min_severity: critical, webhook: {url: \"http://localhost\"}}
  - {name: core, webhook: {url: \"http://localhost\"}}
  routes:
  - {matchers: [team=core], receivers: [core]}
  - {receivers: [ops, pager]}
  budgets: [{name: daily, amount: $10, period: day, by: agent}]
  scores: {window: 1d, min_samples: 20}
";

/// What the example of `covers` covers.
const COVERED: &str = "- {name: error_burst, condition: error_rate > 50%, for: 1m}
- {name: success_drop, condition: success_rate < 10%}
";

fn read(rule: &str, body: &str) -> (Vec<Rule>, StoryFile) {
    let file = SourceFile::new("r.test.yaml", format!("{SETTINGS}tests:\n- name: example\n{body}"));
    let settings = story::settings_of(&file);
    let covered = if rule.contains("covers:") { COVERED } else { "" };
    let text = SourceFile::new("r.yaml", format!("alerts:\n- {}\n{covered}", rule.replace('\n', "\n  ")));
    let load::Read { rules, diagnostics, .. } = load::load_with(&[text], &settings, None);
    assert_eq!(diagnostics, [], "{rule}");
    let (file, faults) = story::load(&file, &rules);
    assert_eq!(faults, [], "{body}");
    (rules, file.expect("no faults"))
}

/// Plays the story under the rule; what came otherwise.
fn play(rule: &str, body: &str) -> Vec<rehearsal::Failure> {
    let (rules, file) = read(rule, body);
    rehearsal::play(&Arc::new(rehearsal::policy(&file, rules)), &file.stories[0])
}

/// Every change of state in the story.
fn events(rule: &str, body: &str) -> Vec<AlertEvent> {
    let (rules, file) = read(rule, body);
    let mut engine = Engine::new(Arc::new(rehearsal::policy(&file, rules)), State::default());
    let mut events = Vec::new();
    replay::feed(&mut engine, &file.stories[0].records(), |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |_, effect| {
            if let Effect::Report(Report::Alert(event)) = effect {
                events.push(event.clone());
            }
        });
    });
    events
}

/// Per field of a rule: other lines that the example needs, and a story that comes true with the
/// example and, unless the field is required, does not without it.
const STORIES: [(&str, &str, &str); 19] = [
    (
        "name",
        "",
        "  series: [{agent: a, steps: [{for: 5m, error_rate: 20%}]}]
  expect: [{at: 5m, rule: high_error_rate, state: firing}]",
    ),
    (
        "condition",
        "",
        "  rule: r
  series: [{agent: a, steps: [{for: 5m, error_rate: 10%}, {for: 5m, error_rate: 11%}]}]
  expect: [{at: 5m, state: inactive}, {at: 10m, state: firing, value: 11%, threshold: 10%}]",
    ),
    (
        "window",
        "condition: executions > 270",
        "  rule: r
  series: [{agent: a, steps: [{for: 10m, error_rate: 0%}]}]
  expect: [{at: 4m, state: inactive}, {at: 5m, state: firing, n: 300}]",
    ),
    (
        "by",
        "",
        "  rule: r
  series:
  - {agent: a, task_type: hard, steps: [{for: 5m, error_rate: 15%}]}
  - {agent: a, task_type: easy, steps: [{for: 5m, error_rate: 0%}]}
  expect: [{at: 5m, agent: a, task_type: hard, state: firing, value: 15%}, {at: 5m, task_type: easy, state: inactive}]",
    ),
    (
        "where",
        "",
        "  rule: r
  series:
  - {agent: a, model: claude-sonnet, steps: [{for: 5m, error_rate: 20%}]}
  - {agent: b, model: gpt-4o, steps: [{for: 5m, error_rate: 20%}]}
  expect: [{at: 5m, agent: a, state: firing}, {at: 5m, agent: b, state: inactive}]",
    ),
    (
        "budget",
        "condition: budget > 80%",
        "  rule: r
  series: [{agent: a, runs: 60/h, steps: [{for: 10h, hourly_cost: $1}]}]
  expect: [{at: 7h30m, agent: a, state: inactive}, {at: 9h, agent: a, state: firing, value: 90%, threshold: 80%}]",
    ),
    (
        "for",
        "",
        "  rule: r
  series: [{agent: a, steps: [{for: 5m, error_rate: 20%}]}]
  expect: [{at: 1m, state: pending}, {at: 5m, state: firing}]",
    ),
    (
        "keep_firing_for",
        "",
        "  rule: r
  series: [{agent: a, steps: [{for: 5m, error_rate: 20%}, {for: 20m, error_rate: 0%}]}]
  expect: [{at: 15m, state: firing}, {at: 20m, state: resolved}]",
    ),
    (
        "min_samples",
        "",
        "  rule: r
  series: [{agent: a, runs: 2/min, steps: [{for: 10m, error_rate: 50%}]}]
  expect: [{at: 10m, state: no_data, n: 10}, {at: 10m, state: inactive}]",
    ),
    (
        "severity",
        "",
        "  rule: r
  series: [{agent: a, steps: [{for: 5m, error_rate: 20%}]}]
  messages: [{receiver: pager, state: firing}]",
    ),
    (
        "levels",
        "",
        "  rule: r
  series: [{agent: a, steps: [{for: 5m, error_rate: 20%}, {for: 5m, error_rate: 30%}]}]
  expect: [{at: 5m, state: firing, threshold: 10%}, {at: 10m, state: firing, threshold: 25%}]
  messages: [{receiver: ops, state: firing, count: 2}, {receiver: pager, state: firing}]",
    ),
    (
        "recover",
        "",
        "  rule: r
  series: [{agent: a, steps: [{for: 10m, error_rate: 20%}, {for: 10m, error_rate: 8%}, {for: 10m, error_rate: 4%}]}]
  expect: [{at: 20m, state: firing}, {at: 30m, state: resolved}]",
    ),
    (
        "no_data",
        "",
        "  rule: r
  series: [{agent: a, steps: [{for: 5m, error_rate: 20%}, {for: 30m}]}]
  expect: [{at: 35m, agent: a, state: no_data}, {at: 35m, agent: a, state: firing}]",
    ),
    (
        "overrides",
        "",
        "  rule: r
  series:
  - {agent: batch-1, steps: [{for: 5m, error_rate: 35%}]}
  - {agent: batch-2, steps: [{for: 5m, error_rate: 45%}]}
  - {agent: chat, steps: [{for: 5m, error_rate: 35%}]}
  expect:
  - {at: 5m, agent: batch-1, state: inactive}
  - {at: 5m, agent: batch-2, state: firing, threshold: 40%}
  - {at: 5m, agent: chat, state: firing, threshold: 10%}",
    ),
    (
        "covers",
        "condition: alerting_share > 40%\nby: fleet",
        "  rule: r
  series:
  - {agent: a, steps: [{for: 5m, error_rate: 60%}]}
  - {agent: b, steps: [{for: 5m, error_rate: 60%}]}
  - {agent: c, steps: [{for: 5m, error_rate: 60%}]}
  - {agent: d, steps: [{for: 5m, error_rate: 0%}]}
  - {agent: e, steps: [{for: 5m, error_rate: 0%}]}
  expect: [{at: 5m, state: firing, value: 60%, n: 5}]
  messages: [{receiver: ops, state: firing}, {rule: error_burst, state: firing, count: 0}]",
    ),
    (
        "shadow",
        "",
        "  rule: r
  series: [{agent: a, steps: [{for: 5m, error_rate: 20%}]}]
  expect: [{at: 5m, state: firing}]
  messages: [{state: firing, count: 0}]",
    ),
    // The story begins on a Monday at midnight UTC, which is one o'clock in Berlin.
    (
        "active_hours",
        "",
        "  rule: r
  series: [{agent: a, runs: 60/h, steps: [{for: 8h, error_rate: 20%}]}]
  expect: [{at: 1h, state: firing}]
  messages: [{receiver: ops, state: firing, at: 7h}]",
    ),
    (
        "labels",
        "",
        "  rule: r
  series: [{agent: a, steps: [{for: 5m, error_rate: 20%}]}]
  messages: [{receiver: core, state: firing}, {receiver: ops, state: firing, count: 0}]",
    ),
    (
        "annotations",
        "",
        "  rule: r
  series: [{agent: a, steps: [{for: 5m, error_rate: 20%}]}]
  messages: [{receiver: ops, state: firing}]",
    ),
];

/// A rule of the field's example, of `more`, and of what neither says.
fn rule(field: Option<(&str, &str)>, more: &str) -> String {
    let mut lines: Vec<String> = field.iter().map(|(name, example)| format!("{name}: {example}")).collect();
    lines.extend(more.lines().map(str::to_owned));
    let has = |lines: &[String], key: &str| lines.iter().any(|line| line.starts_with(&format!("{key}:")));
    for (key, value) in [("name", "r"), ("condition", "error_rate > 10%")] {
        let told = has(&lines, key) || (key == "condition" && has(&lines, "levels"));
        if !told {
            lines.push(format!("{key}: {value}"));
        }
    }
    lines.join("\n")
}

#[test]
fn every_field_does_what_its_example_promises() {
    let told: BTreeSet<&str> = STORIES.iter().map(|(field, ..)| *field).collect();
    assert_eq!(told, FIELDS.iter().map(|(field, ..)| *field).collect(), "every field has a story");
    for (field, more, body) in STORIES {
        let example = FIELDS.iter().find(|(name, ..)| *name == field).expect("listed above").3;
        let failures = play(&rule(Some((field, example)), more), body);
        assert!(failures.is_empty(), "{field}: {example}: {failures:#?}");
        // Without it the same story goes otherwise; the default window is that of the example.
        if !["name", "condition", "budget", "window", "covers", "annotations"].contains(&field) {
            assert!(!play(&rule(None, more), body).is_empty(), "`{field}` makes no difference to its story");
        }
    }
    let longer = play(
        &rule(Some(("window", "15m")), STORIES[2].1),
        &STORIES[2].2.replace("5m, state: firing", "5m, state: inactive"),
    );
    assert!(!longer.is_empty(), "the window makes no difference");
}

#[test]
fn the_example_of_annotations_is_filled() {
    let example = FIELDS.iter().find(|(name, ..)| *name == "annotations").expect("a field").3;
    let body = STORIES.iter().find(|(name, ..)| *name == "annotations").expect("a story").2;
    let found = events(&rule(Some(("annotations", example)), "window: 1m"), body);
    assert_eq!(found[0].annotations["summary"], "a fails 20%");
}

/// Per condition: what others do, what was before, what does not make it hold, and what does.
const RUNS: [(&str, &str, &str, &str, &str); 22] = [
    ("error_rate > 10%", "", "", "error_rate: 10%", "error_rate: 15%"),
    ("p95_latency > 15s", "", "", "mean_latency: 15s", "mean_latency: 16s"),
    ("p95_latency > 1m30s", "", "", "mean_latency: 90s", "mean_latency: 91s"),
    ("hourly_cost > $2", "", "", "hourly_cost: $1.90", "hourly_cost: $2.10"),
    ("total_tokens > 1_000_000 tokens", "", "", "input_tokens_per_run: 3000", "input_tokens_per_run: 4000"),
    ("quality < 80 points", "", "", "quality: 80", "quality: 79"),
    ("hourly_cost > baseline * 2", "", "for: 1h, hourly_cost: $2", "hourly_cost: $3.90", "hourly_cost: $4.10"),
    ("success_rate < baseline - 20%", "", "for: 1h, error_rate: 5%", "error_rate: 20%", "error_rate: 30%"),
    ("cost / executions > $0.50", "", "", "cost_per_execution: $0.50", "cost_per_execution: $0.60"),
    ("p99_latency > 5 * baseline.p50_latency", "", "for: 1h, mean_latency: 1s", "mean_latency: 5s", "mean_latency: 6s"),
    (
        "p95_latency > baseline.p95 * 1.5",
        "",
        "for: 2h, mean_latency: 1s",
        "mean_latency: 1500ms",
        "mean_latency: 1600ms",
    ),
    (
        "p99_latency > 2 * baseline.p90.p95_latency",
        "",
        "for: 2h, mean_latency: 1s",
        "mean_latency: 2s",
        "mean_latency: 3s",
    ),
    ("hourly_cost > peers * 3", "hourly_cost: $2", "", "hourly_cost: $5.90", "hourly_cost: $6.10"),
    ("score < 50", "error_rate: 10%", "", "for: 30m, error_rate: 10%", "for: 2h, error_rate: 100%"),
    ("score < peers - 20", "error_rate: 10%", "", "for: 30m, error_rate: 10%", "for: 2h, error_rate: 100%"),
    ("executions >= 20 and not success_rate > 95%", "", "", "success_rate: 100%", "success_rate: 90%"),
    ("field.cache_misses > 100", "", "", "fields: {cache_misses: 100}", "fields: {cache_misses: 101}"),
    ("last(queue_depth) > 10", "", "", "fields: {queue_depth: 10}", "fields: {queue_depth: 11}"),
    ("increase(restarts) >= 3", "", "", "fields: {restarts: 5}", "fields: {restarts: 8}"),
    (
        "error_rate[5m] > 20% and error_rate[1h] > 10%",
        "",
        "for: 1h, error_rate: 5%",
        "error_rate: 20%",
        "for: 30m, error_rate: 30%",
    ),
    (
        "cost_per_execution[5m] > cost_per_execution[1h] * 2",
        "",
        "for: 1h, cost_per_execution: $1",
        "cost_per_execution: $2",
        "cost_per_execution: $4",
    ),
    (
        "sum(requests[10m]) > 100 and sum(errors[10m]) / sum(requests[10m]) > 2%",
        "",
        "",
        "fields: {errors: 2, requests: 100}",
        "fields: {errors: 3, requests: 100}",
    ),
];

/// A condition that fires in the last step of a story and never before.
fn fires_at_last(condition: &str, others: &str, before: &str, quiet: &str, fires: &str) {
    let step = |text: &str| if text.starts_with("for:") { text.to_owned() } else { format!("for: 10m, {text}") };
    let begin = if before.is_empty() { String::new() } else { format!("{{{before}}}, ") };
    let mut series =
        format!("  - {{agent: a, task_type: t, steps: [{begin}{{{}}}, {{{}}}]}}\n", step(quiet), step(fires));
    if !others.is_empty() {
        for agent in ["b", "c", "d"] {
            series += &format!("  - {{agent: {agent}, task_type: t, steps: [{{for: 150m, {others}}}]}}\n");
        }
    }
    let length = |text: &str| match step(text).split(&[' ', ',']).nth(1).expect("a length") {
        "10m" => 10,
        "30m" => 30,
        "1h" => 60,
        "2h" => 120,
        other => panic!("a length of {other}"),
    };
    let quiet_until = length(quiet) + if before.is_empty() { 0 } else { length(before) };
    let body = format!(
        "  rule: r\n  series:\n{series}  expect: [{{at: {quiet_until}m, agent: a, state: inactive}}]\n  messages: [{{receiver: ops, agent: a, state: firing}}]"
    );
    let failures = play(&format!("name: r\ncondition: \"{condition}\""), &body);
    assert!(failures.is_empty(), "{condition}: {failures:#?}");
}

#[test]
fn every_condition_fires_when_it_says_so_and_not_before() {
    let told: Vec<&str> = RUNS.iter().map(|(condition, ..)| *condition).collect();
    assert_eq!(told, CONDITIONS.map(|(condition, _)| condition), "every condition has a story");
    for (condition, others, before, quiet, fires) in RUNS {
        fires_at_last(condition, others, before, quiet, fires);
    }
}

#[test]
fn every_function_says_what_the_values_come_to() {
    for (word, aggregate, _) in Aggregate::WORDS {
        // 300 runs in the window of five minutes.
        let (threshold, quiet, fires) = match aggregate {
            Aggregate::Sum => ("> 3_000", 10, 11),
            Aggregate::Increase => (">= 3", 5, 8),
            Aggregate::Mean | Aggregate::Min | Aggregate::Max | Aggregate::Last => ("> 10", 10, 11),
        };
        let [quiet, fires] = [quiet, fires].map(|value| format!("fields: {{x: {value}}}"));
        fires_at_last(&format!("{word}(x) {threshold}"), "", "", &quiet, &fires);
    }
}

#[test]
fn every_field_of_annotations_is_filled() {
    let names = annotation::FIELDS.iter().chain(&annotation::CONTEXT).map(|(name, _)| *name);
    let names: Vec<&str> = names.chain(["agent", "label.team", "label.agent"]).collect();
    let lines: String =
        names.iter().map(|name| format!("\n  x_{}: \"{{{{ {name} }}}}\"", name.replace('.', "_"))).collect();
    let rule = format!(
        "name: r\nbudget: daily\ncondition: budget > 1% and score < peers + 100 and error_rate > baseline / 2\nlabels: {{team: core}}\nannotations:{lines}"
    );
    let series: Vec<String> = ["a", "b", "c", "d"]
        .iter()
        .map(|agent| {
            format!("  - {{agent: {agent}, runs: 60/min, steps: [{{for: 3h, error_rate: 20%, hourly_cost: $1}}]}}")
        })
        .collect();
    let body = format!("  rule: r\n  series:\n{}\n  expect: [{{at: 3h, state: firing}}]", series.join("\n"));
    let found = events(&rule, &body);
    let event = found.iter().find(|event| event.fired_at.is_some()).expect("it fires");
    for name in names {
        let text = &event.annotations[&format!("x_{}", name.replace('.', "_"))];
        let hole = text.is_empty() || ["n/a", "no data"].contains(&text.as_str());
        assert!(!hole, "{name}: `{text}` in {:#?}", event.annotations);
    }
}
