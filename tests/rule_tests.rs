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
    assert!(report["moved"].as_u64().is_some_and(|n| n >= 28), "{report:#}");
}

const RULES: &str = "\
alerts:
- {name: errors, condition: error_rate > 10%, window: 5m, for: 5m}
- {name: slow, condition: p95_latency > 15s}
";

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
  - {at: 20m, agent: a1, state: firing, value: 12%, threshold: 10%, n: 300}
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
        let line = format!("no test notices: errors: its threshold may be 10 % {way} (`error_rate > 10%`)");
        assert!(shown.contains(&line), "{shown}");
    }
    assert_eq!(evenkeel(dir.path(), &["test", "--strict"]).status.code(), Some(1));
    assert_eq!(evenkeel(dir.path(), &["test", "--run", "nothing"]).status.code(), Some(64));
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
