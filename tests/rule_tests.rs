//! Tests of rules, end to end: the shipped packs pass theirs, and what is wrong is said.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn evenkeel(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel")).current_dir(folder).args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every shipped rule has a test, every test passes, and no threshold can move by a tenth unseen.
#[test]
fn the_shipped_rules_pass_their_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = evenkeel(root, &["test", "rules", "--mutate", "--strict", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!((&report["untested"], &report["unnoticed"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert!(report["moved"].as_u64().is_some_and(|n| n >= 44), "{report:#}");
}

const RULES: &str = "\
alerts:
- {name: errors, condition: error_rate > 10%, window: 5m, for: 5m}
- {name: slow, condition: p95_latency > 15s}
";

/// Of many messages those nearest to what was expected are shown, and how many more there are; of many subjects those
/// that are otherwise.
#[test]
fn what_is_not_shown_is_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    write("r.yaml", "alerts: [{name: errors, condition: error_rate > 10%, for: 1s}]\n");
    let series: String = (1..=9)
        .map(|n| {
            let steps = format!("[{{for: {}m, error_rate: 0%}}, {{for: {}m, error_rate: 50%}}]", 5 * n, 50 - 5 * n);
            format!("  - {{agent: a{n}, steps: {steps}}}\n")
        })
        .collect();
    let expect = "  expect: [{at: 42m, state: firing, value: 50%}]\n  messages: [{state: firing, at: 46m}]\n";
    write("r.test.yaml", &format!("tests:\n- name: many\n  rule: errors\n  series:\n{series}{expect}"));
    let output = text(&evenkeel(dir.path(), &["test", "r.test.yaml"]).stdout);
    let found: Vec<&str> =
        output.lines().filter_map(|line| line.split_once("found     ")).map(|(_, text)| text).collect();
    let [states, messages] = found[..] else { panic!("{output}") };
    assert!(states.starts_with("agent=a8 firing since 41m30s"), "{output}");
    assert!(states.ends_with("; and 5 more"), "{output}");
    let told: Vec<&str> = messages.split("agent=").skip(1).map(|text| &text[..2]).collect();
    assert_eq!(told, ["a4", "a5", "a6", "a7", "a8", "a9"], "{output}");
    assert!(messages.ends_with("; and 3 more"), "{output}");
    assert!(output.contains("  and 6 more\n"), "the picture too: {output}");
}

#[test]
fn what_comes_otherwise_is_shown_in_one_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    write("r.yaml", RULES);
    write(
        "r.test.yaml",
        "tests:
- name: the story of the manual
  rule: errors
  series:
  - agent: a1
    steps: [{for: 10m, error_rate: 2%}, {for: 10m, error_rate: 12%}, {for: 10m}]
  expect:
  - {at: 10m, state: inactive}
  - {at: 17m, agent: a1, state: pending}
  - {at: 20m, agent: a1, state: firing, value: 12%, threshold: 10%, n: 300, severity: warning}
  - {at: 30m, agent: a1, state: resolved}
  messages:
  - {agent: a1, state: firing, value: 12%}
  - {agent: a1, state: resolved}
- name: wrong
  rule: errors
  series: [{agent: a1, steps: [{for: 20m, error_rate: 12%}]}]
  expect:
  - {at: 2m, state: firing}
  - {at: 20m, agent: a1, state: firing, value: 13%}
  - {at: 20m, agent: a1, state: firing, severity: high}
  messages: [{agent: a1, state: firing, count: 2}]
",
    );
    let output = evenkeel(dir.path(), &["test", "--junit", "report.xml"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for line in [
        "ok    r.test.yaml: the story of the manual",
        "FAIL  r.test.yaml: wrong",
        "r.test.yaml:19  errors",
        "expected  firing at 2m\n        found     agent=a1 pending since",
        "expected  firing at 20m, value 13%\n        found     agent=a1 firing since 5m45s, value 12%, threshold 10%, n 300",
        "expected  2 firing messages\n        found     to test at 5m45s: agent=a1 firing",
        "expected  firing at 20m, severity high\n        found     agent=a1 firing since 5m45s, value 12%, threshold 10%, n 300, severity warning",
        "pppFFFF",
        "untested: no test asserts on the rule slow (r.yaml:3)",
        "2 tests, 1 passed, 1 failed",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let report = fs::read_to_string(dir.path().join("report.xml")).expect("a report");
    assert!(report.contains("<testsuites tests=\"2\" failures=\"1\">"), "{report}");
}

#[test]
fn thresholds_that_no_test_notices_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    write("r.yaml", RULES);
    let story = "tests:
- name: far from the threshold
  rule: errors
  series: [{agent: a1, steps: [{for: 20m, error_rate: 50%}]}]
  expect: [{at: 20m, state: firing}]
";
    write("r.test.yaml", story);
    let output = evenkeel(dir.path(), &["test", "r.test.yaml"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for way in ["lower", "higher"] {
        let line = format!("no test notices: errors: its threshold may be 10% {way} (`error_rate > 10%`)");
        assert!(shown.contains(&line), "{shown}");
    }
    assert_eq!(evenkeel(dir.path(), &["test", "--strict"]).status.code(), Some(1));
    assert_eq!(evenkeel(dir.path(), &["test", "--run", "nothing"]).status.code(), Some(64));
}

/// States without data, values without an alert, labels of the settings and budgets, in stories.
#[test]
fn stories_know_missing_data_quiet_values_own_labels_and_budgets() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    write(
        "r.yaml",
        "alerts:
- {name: errors, condition: error_rate > 10%, window: 5m, min_samples: 20}
- {name: gone, condition: error_rate > 10%, window: 5m, min_samples: 20, no_data: alert, for: 10m}
- {name: squads, condition: error_rate > 10%, by: squad, where: {region: eu}}
- {name: spent, budget: daily, levels: {info: budget >= 50%, critical: budget >= 100%}}
",
    );
    let story = "settings:
  sources: [{name: s, path: s.jsonl, labels: {squad: team, region: zone}}]
  budgets: [{name: daily, amount: $10, period: day, by: agent}]
tests:
- name: no data
  rule: errors
  series:
  - {agent: rare, runs: 2/min, steps: [{for: 10m, error_rate: 50%}]}
  - {agent: busy, runs: 60/min, steps: [{for: 10m, error_rate: 8%}, {for: 20m}]}
  expect:
  - {at: 10m, agent: rare, state: no_data, n: 10}
  - {at: 10m, agent: rare, state: inactive}
  - {at: 10m, agent: busy, state: inactive, value: 8%, threshold: 10%, n: 300}
  - {at: 30m, agent: busy, state: no_data, n: 0}
  - {at: 30m, rule: gone, agent: busy, state: no_data}
  - {at: 30m, rule: gone, agent: busy, state: firing}
- name: own labels
  rule: squads
  series:
  - {agent: a, squad: red, region: eu, steps: [{for: 10m, error_rate: 20%}]}
  - {agent: b, squad: blue, region: us, steps: [{for: 10m, error_rate: 20%}]}
  - {agent: c, squad: blue, region: eu, steps: [{for: 10m, error_rate: 5%}]}
  expect:
  - {at: 10m, squad: red, state: firing, value: 20%}
  - {at: 10m, squad: blue, state: inactive, value: 5%}
- name: a budget
  rule: spent
  series: [{agent: a, runs: 60/h, steps: [{for: 12h, hourly_cost: $1}]}]
  expect:
  - {at: 4h55m, state: inactive, value: 49.2%}
  - {at: 5h5m, agent: a, state: firing, threshold: 50%}
  - {at: 12h, agent: a, state: firing, value: 120%, threshold: 100%}
  - {at: 24h5m, agent: a, state: resolved}
  messages: [{agent: a, state: firing, count: 2}]
";
    write("r.test.yaml", story);
    let output = evenkeel(dir.path(), &["test"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&evenkeel(dir.path(), &["check", "r.test.yaml"]).stdout).contains("ok: 1 test file"));

    let wrong = story
        .replace("agent: rare, state: no_data, n: 10", "agent: rare, state: no_data, n: 9")
        .replace("state: inactive, value: 8%", "state: inactive, value: 9%")
        .replace("at: 30m, agent: busy, state: no_data, n: 0", "at: 10m, agent: busy, state: no_data")
        .replace("squad: blue, state: inactive, value: 5%", "squad: blue, state: inactive, n: 3");
    write("r.test.yaml", &wrong);
    let shown = text(&evenkeel(dir.path(), &["test"]).stdout);
    for line in [
        "expected  no_data at 10m, n 9\n        found     agent=rare no data, n 10",
        "expected  inactive at 10m, value 9%, threshold 10%, n 300\n        found     agent=busy value 8%, threshold 10%, n 300",
        "expected  no_data at 10m\n        found     agent=busy value 8%, threshold 10%, n 300",
        "expected  inactive at 10m, n 3\n        found     squad=blue value 5%",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    write(
        "r.test.yaml",
        &story.replace("rule: squads", "rule: squads\n  start: x").replace("squad: red, state", "squat: red, state"),
    );
    let said = text(&evenkeel(dir.path(), &["test"]).stderr);
    assert!(said.contains("did you mean `squad`?") && said.contains("`start` is `x`"), "{said}");
}

#[test]
fn a_faulty_test_file_is_said_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    write("r.yaml", RULES);
    write(
        "r.test.yaml",
        "settings: {evaluation_intervall: 15s}
tests:
- name: one
  rule: erors
  series:
  - agent: a1
    runs: 7/min
    steps:
    - {for: 10m, error_rate: 2%}
    - {for: 1m, error_rate: 10%, limit_rate: 20%, runs: 100/min}
    - {for: 1m, p50_latency: 9s, p95_latency: 3s, runs: 60/min}
    - {for: 1m, mean_latency: 5, runs: 60/min}
    - {for: 1m, error_rat: 5%}
  expect:
  - {at: 90h, rule: slow, state: firing}
  - {at: 5m, rule: slow, agent: a2, state: fired, value: ten}
  messages: [{receiver: opps, rule: slow, state: firing}]
- name: one
  series: [{steps: [{for: 1m, timeout_rate: 5%, runs: 60/min}]}]
",
    );
    let output = evenkeel(dir.path(), &["test"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    let checked = evenkeel(dir.path(), &["check", "."]);
    assert_eq!(checked.status.code(), Some(78));
    let checked = text(&checked.stdout);
    for fault in [
        "did you mean `evaluation_interval`?",
        "r.test.yaml:4:9",
        "did you mean `errors`?",
        "2% of 70 runs would be 1.4 runs",
        "more runs are turned away or cut off than fail",
        "a higher percentile cannot be shorter than a lower one",
        "`mean_latency` has no unit of time",
        "a step has no field `error_rat`",
        "is more than a day after the end of the story",
        "no series of this test has agent `a2`",
        "`state` cannot be `fired`",
        "`value` cannot be `ten`",
        "there is no receiver `opps`",
        "there is already a test `one`, in line 3",
        "`timeout_rate` without a duration",
        "the test expects nothing",
    ] {
        assert!(said.contains(fault), "{fault}\n{said}");
        assert!(checked.contains(fault), "check: {fault}\n{checked}");
    }
}

#[test]
fn who_names_a_file_of_rules_hears_where_its_tests_are() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("r.yaml"), RULES).expect("written");
    let said = |name: &str| {
        let output = evenkeel(dir.path(), &["test", name]);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        text(&output.stderr)
    };
    let found = said("r.yaml");
    assert!(found.starts_with("error: the file holds alert rules and no `tests:`\n --> r.yaml"), "{found}");
    assert!(found.contains("help: write its tests to r.test.yaml, as docs/testing.md shows"), "{found}");
    assert!(found.contains("1 error,"), "{found}");
    fs::write(dir.path().join("r.test.yaml"), "tests: []\n").expect("written");
    assert!(said("r.yaml").contains("help: its tests are run by `evenkeel test r.test.yaml`"));
    fs::write(dir.path().join("evenkeel.yaml"), "clock: wall\n").expect("written");
    assert!(said("evenkeel.yaml").contains("help: name a file of tests, *.test.yaml, or a folder with such files"));
}

#[test]
fn a_rule_with_faults_may_be_named_by_its_tests() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
    let story = "tests:\n- name: t\n  rule: errors\n  series: [{agent: x, steps: [{for: 10m, error_rate: 12%}]}]\n  expect: [{at: 5m, agent: x, state: firing}]\n";
    write("r.test.yaml", story);
    let faults = |verb: &str| {
        let output = evenkeel(dir.path(), &[verb, "r.test.yaml"]);
        text(&[output.stdout, output.stderr].concat()).matches("error: ").count()
    };
    write("r.yaml", &RULES.replace("error_rate >", "error_rat >"));
    assert_eq!((faults("check"), faults("test")), (1, 1), "only that of the rule");
    write("r.yaml", &RULES.replace("name: errors", "name: other"));
    assert_eq!((faults("check"), faults("test")), (1, 1), "the rule is not there, and nothing follows from that");
}
